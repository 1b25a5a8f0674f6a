//! Finding the bytes of JSON that matter. Most of its strings are so short that the call of a
//! vectorised search costs more than looking at them.

use memchr::memchr2;

/// How far is looked word by word, before a search is started that is faster in the long run.
const NEAR_WORDS: usize = 8;

/// Where the first `"` or `\` is.
pub(super) fn find_quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let near = bytes.get(..NEAR_WORDS * WORD_LEN).unwrap_or(bytes);
    let found = find(
        near,
        |word| zero_bytes(word ^ splat(b'"')) | zero_bytes(word ^ splat(b'\\')),
        |byte| matches!(byte, b'"' | b'\\'),
    );
    found.or_else(|| {
        let far = bytes.get(near.len()..).filter(|far| !far.is_empty())?;
        memchr2(b'"', b'\\', far).map(|at| near.len() + at)
    })
}

/// Where the first quote or bracket (of either kind) is.
pub(super) fn find_quote_or_bracket(bytes: &[u8]) -> Option<usize> {
    // The brackets of the two kinds are one bit apart.
    const KIND: u8 = b'[' ^ b'{';
    find(
        bytes,
        |word| {
            let bracket = word | splat(KIND);
            zero_bytes(word ^ splat(b'"'))
                | zero_bytes(bracket ^ splat(b'{'))
                | zero_bytes(bracket ^ splat(b'}'))
        },
        |byte| byte == b'"' || matches!(byte | KIND, b'{' | b'}'),
    )
}

const WORD_LEN: usize = size_of::<u64>();

/// The first byte that `is_match` holds for; `matches` gives the same for eight bytes at once, as a
/// word whose lowest bit that is set is in the byte of the first match.
fn find(
    bytes: &[u8],
    matches: impl Fn(u64) -> u64,
    is_match: impl Fn(u8) -> bool,
) -> Option<usize> {
    let (mut start, mut rest) = (0, bytes);
    while let Some((word, after)) = rest.split_first_chunk() {
        let matches = matches(u64::from_le_bytes(*word));
        if matches != 0 {
            return Some(start + first_byte(matches));
        }
        (start, rest) = (start + WORD_LEN, after);
    }
    rest.iter().position(|byte| is_match(*byte)).map(|at| start + at)
}

/// Of a word with a bit set: the byte of the lowest one.
fn first_byte(word: u64) -> usize {
    usize::try_from(word.trailing_zeros() / u8::BITS).unwrap_or(0)
}

const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; WORD_LEN])
}

/// The high bit of each byte that is zero. Bytes above a zero may be marked, too, by the borrow.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(splat(1)) & !word & splat(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_match_is_found(
            bytes in vec(prop_oneof![
                40 => any::<u8>(),
                40 => b'a'..=b'z',
                1 => Just(b'"'), 1 => Just(b'\\'), 1 => Just(b'{'), 1 => Just(b']'),
            ], 0..80)
        ) {
            prop_assert_eq!(
                find_quote_or_backslash(&bytes),
                bytes.iter().position(|b| b"\"\\".contains(b))
            );
            prop_assert_eq!(
                find_quote_or_bracket(&bytes),
                bytes.iter().position(|b| b"\"[]{}".contains(b))
            );
        }
    }
}
