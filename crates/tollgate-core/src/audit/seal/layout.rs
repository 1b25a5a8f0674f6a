//! Where what stands in the memory of a sealed log.

use super::manifest::State;

pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"tgseals\x01");

// The header, by word.
pub(super) const WORD_MAGIC: usize = 0;
pub(super) const WORD_GENERATION: usize = 1;
/// How many chains have begun.
pub(super) const WORD_BEGUN: usize = 2;
/// Two words: which boot of the machine it is.
pub(super) const WORD_BOOT: usize = 3;
/// The number of the latest manifest, and its hash.
pub(super) const WORD_MANIFEST: usize = 5;
pub(super) const WORD_HASH: usize = 6;
/// When it was written, on the monotonic clock, in milliseconds.
pub(super) const WORD_MANIFEST_UP: usize = 10;
/// A manifest is wanted before its time.
pub(super) const WORD_WANTED: usize = 11;
/// The machine has crashed since then.
pub(super) const WORD_CRASHED: usize = 12;
/// What follows is nothing for the file.
pub(super) const WORD_LOCK: usize = 13;
/// The process that writes a manifest.
pub(super) const WORD_WRITER: usize = 14;
/// The file that is written to: device, number, and the how manieth it is.
pub(super) const WORD_FILE: usize = 15;
/// Two keys.
pub(super) const WORD_KEYS: usize = 20;
/// When the clock's first key began, and how often the clock went on since this memory was made.
pub(super) const WORD_SINCE: usize = 28;
pub(super) const WORD_TURNS: usize = 29;
/// How many seals all workers have begun.
pub(super) const WORD_ORDER: usize = 30;
/// Two clocks: number, run, key.
pub(super) const WORD_CLOCKS: usize = 32;
pub(super) const CLOCK_WORDS: usize = 12;
pub(super) const HEADER_WORDS: usize = 64;

// A slot, by word.
pub(super) const STATE: usize = 0;
pub(super) const CHAIN: usize = 1;
pub(super) const PROCESS: usize = 2;
/// One more than the number of the last seal; 0: there is none.
pub(super) const SEALED: usize = 3;
pub(super) const MADE: usize = 4;
pub(super) const LOST: usize = 5;
/// When its first seal was written, on the monotonic clock, in milliseconds.
pub(super) const SINCE: usize = 6;
/// Two heads: last line, file, MAC, when it was made.
pub(super) const HEADS: usize = 8;
pub(super) const HEAD_WORDS: usize = 8;
pub(super) const SLOT_WORDS: usize = 24;

pub(super) const FREE: u64 = 0;

pub(super) fn key_place(number: u64) -> usize {
    WORD_KEYS + if number.is_multiple_of(2) { 0 } else { 4 }
}

pub(super) fn clock_place(turns: u64) -> usize {
    WORD_CLOCKS + if turns.is_multiple_of(2) { 0 } else { CLOCK_WORDS }
}

pub(super) fn head_place(sealed: u64) -> usize {
    HEADS + if sealed.is_multiple_of(2) { 0 } else { HEAD_WORDS }
}

pub(super) fn state_word(state: State) -> u64 {
    match state {
        State::Open => 1,
        State::Ended => 2,
        State::Killed => 3,
        State::Crashed => 4,
    }
}

pub(super) fn state_of(word: u64) -> Option<State> {
    [State::Open, State::Ended, State::Killed, State::Crashed]
        .into_iter()
        .find(|state| state_word(*state) == word)
}

pub(super) fn boot_words(boot: [u8; 16]) -> [u64; 2] {
    let (words, _) = boot.as_chunks::<8>();
    let mut out = [0; 2];
    out.iter_mut().zip(words).for_each(|(out, word)| *out = u64::from_le_bytes(*word));
    out
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use zeroize::Zeroizing;

    use super::super::{generate, MemoryError, Seals};
    use super::{HEADER_WORDS, SLOT_WORDS};
    use crate::clock::UnixMillis;

    #[test]
    fn memory_has_room_for_a_header_and_one_chain_at_least() {
        let mut key = generate(&Zeroizing::new([7; 104]), 1_800_000_000).unwrap().0;
        let generation = key.begin(UnixMillis(1_800_000_000_000)).unwrap();
        let memory = |words| (0..words).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
        let least = HEADER_WORDS + SLOT_WORDS;
        let words = memory(least);
        assert!(matches!(Seals::attach(&words), Err(MemoryError::Version)));
        Seals::format(&words, &generation, [1; 16], None).unwrap();
        assert!(Seals::attach(&words).is_ok());
        let words = memory(least - 1);
        assert!(matches!(Seals::attach(&words), Err(MemoryError::TooSmall)));
        assert!(matches!(
            Seals::format(&words, &generation, [1; 16], None),
            Err(MemoryError::TooSmall)
        ));
    }
}
