//! The texts of labels, each kept once.

use std::sync::atomic::{AtomicU64, Ordering};

/// A text, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub(super) u16);

impl Name {
    /// The empty text.
    pub const NONE: Self = Self(0);
    /// What has no name of its own.
    pub const OTHER: Self = Self(1);

    /// The same for the tables of whoever counts more by name.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

/// The text of [`Name::OTHER`].
pub const OTHER: &str = "other";

/// The words of an entry: its length, then the text.
const ENTRY_WORDS: usize = 34;
/// The longest text, in bytes.
pub const MAX_LEN: usize = (ENTRY_WORDS - 1) * 8;
/// How many there are, besides the two that are always there.
pub(super) const PLACES: usize = 1022;
/// The words of all of them.
pub(super) const WORDS: usize = PLACES * ENTRY_WORDS;

/// An entry is being written.
const RESERVED: u64 = u64::MAX;
const FIRST: usize = 2;

/// The texts, over their words. Two processes that come with a text at the same moment may each give it a
/// number: whoever reads goes by the text.
#[derive(Clone, Copy, Debug)]
pub struct Names<'m>(pub(super) &'m [AtomicU64]);

impl<'m> Names<'m> {
    fn entries(&self) -> impl Iterator<Item = (usize, &'m [AtomicU64])> + use<'m> {
        self.0.chunks_exact(ENTRY_WORDS).enumerate().map(|(index, entry)| (index + FIRST, entry))
    }

    /// The text of a name; empty, if there is no such one.
    #[must_use]
    pub fn text(&self, name: Name) -> String {
        match name {
            Name::NONE => String::new(),
            Name::OTHER => OTHER.to_owned(),
            Name(number) => {
                let entry = self.0.chunks_exact(ENTRY_WORDS).nth(usize::from(number) - FIRST);
                let bytes = entry.and_then(read).unwrap_or_default();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    /// The name of a text, if it has one. Takes long: to be remembered.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Name> {
        match text {
            "" => return Some(Name::NONE),
            OTHER => return Some(Name::OTHER),
            _ => {}
        }
        for (number, entry) in self.entries() {
            match entry.first().map(|len| len.load(Ordering::Acquire)) {
                None | Some(0) => return None,
                Some(len)
                    if len == text.len() as u64
                        && read(entry).is_some_and(|bytes| bytes == text.as_bytes()) =>
                {
                    return u16::try_from(number).ok().map(Name);
                }
                Some(_) => {}
            }
        }
        None
    }

    /// The name of a text, which gets one if it has none; [`Name::OTHER`] where that can't be: it is too
    /// long, has a NUL, or fewer than `spare` places are left.
    #[must_use]
    pub fn intern(&self, text: &str, spare: usize) -> Name {
        // No format of metrics has a NUL.
        if text.len() > MAX_LEN || text.contains('\0') {
            return Name::OTHER;
        }
        if let Some(name) = self.find(text) {
            return name;
        }
        for (number, entry) in self.entries().take(PLACES.saturating_sub(spare)) {
            let Some((len, words)) = entry.split_first() else { continue };
            let reserved =
                len.compare_exchange(0, RESERVED, Ordering::Acquire, Ordering::Relaxed).is_ok();
            if reserved {
                for (word, bytes) in words.iter().zip(text.as_bytes().chunks(8)) {
                    let mut le = [0; 8];
                    le.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                    word.store(u64::from_le_bytes(le), Ordering::Relaxed);
                }
                len.store(text.len() as u64, Ordering::Release);
                return u16::try_from(number).map_or(Name::OTHER, Name);
            }
        }
        Name::OTHER
    }
}

/// The text of an entry; `None` while it is being written.
fn read(entry: &[AtomicU64]) -> Option<Vec<u8>> {
    let (len, words) = entry.split_first()?;
    let len = usize::try_from(len.load(Ordering::Acquire)).ok().filter(|len| *len <= MAX_LEN)?;
    let bytes = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
    Some(bytes.take(len).collect())
}
