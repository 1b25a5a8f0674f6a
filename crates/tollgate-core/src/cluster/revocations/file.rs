//! The list in a file: a key stays revoked over a restart without the store.

use std::fmt;

use super::super::super::word_file::{Unread, WordFile};
use super::table::Revocations;
use super::{KeyHash, ListFull, Word};

/// To be raised with every change of the format.
const VERSION: u64 = 1;
/// Behind the number of the list: of each key its hash, the number of the word about it, and of which kind that is.
const FORMAT: WordFile<1, 6> = WordFile::new(*b"tgrevok\n", VERSION);

const LIFTED: u64 = 0;
const REVOKED: u64 = 1;
const SEEN: u64 = 2;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// Something else.
    Foreign,
    /// Written by another version of this module.
    Version(u64),
    /// Incomplete or changed.
    Damaged,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is not a file of revoked keys; choose another path"),
            Self::Version(found) => write!(
                f,
                "has version {found}, and this version of the module reads {VERSION}; move it away, and the list is \
                 read from the store"
            ),
            Self::Damaged => f.write_str("is damaged; move it away, and the list is read from the store"),
        }
    }
}

impl std::error::Error for FileError {}

impl From<Unread> for FileError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Foreign => Self::Foreign,
            Unread::Version(found) => Self::Version(found),
            Unread::Damaged => Self::Damaged,
        }
    }
}

/// The list as a file.
#[must_use]
pub fn write(list: &Revocations<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = FORMAT.begin([list.number()], &mut bytes);
    for (word, was_seen) in list.entries() {
        let kind = match (word.is_revoked, was_seen) {
            (false, _) => LIFTED,
            (true, false) => REVOKED,
            (true, true) => SEEN,
        };
        let [a, b, c, d] = word.key.words();
        writer.entry([a, b, c, d, word.number, kind], &mut bytes);
    }
    writer.finish(&mut bytes);
    bytes
}

/// Fills an empty list with what a file has; all of it is verified before.
///
/// # Errors
///
/// See [`FileError`]. The list is still empty then.
pub fn read(bytes: &[u8], list: &Revocations<'_>) -> Result<(), FileError> {
    let ([number], entries) = FORMAT.read(bytes)?;
    for [a, b, c, d, word, kind] in entries {
        let key = KeyHash::from_words([a, b, c, d]);
        let word = Word { key, is_revoked: kind != LIFTED, number: word };
        // There is as much room as when it was written.
        list.restore(word, kind == SEEN).map_err(|ListFull| FileError::Damaged)?;
    }
    list.set_number(number);
    Ok(())
}
