//! The list in a file: a key stays revoked over a restart without the store.
//!
//! ```text
//! magic | version | number | word (hash, number, kind) of each | how many | SHA-256
//! ```
//!
//! All of it is little-endian words of 64 bits, but for the checksum, which is over everything before it.

use std::fmt;

use sha2::{Digest, Sha256};

use super::table::Revocations;
use super::{KeyHash, ListFull, Word};

const MAGIC: u64 = u64::from_le_bytes(*b"tgrevok\n");
/// To be raised with every change of the format.
const VERSION: u64 = 1;
const CHECKSUM_LEN: usize = 32;
const HEAD_WORDS: usize = 3;
const ENTRY_WORDS: usize = 6;

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

/// The list as a file.
#[must_use]
pub fn write(list: &Revocations<'_>) -> Vec<u8> {
    let mut words = vec![MAGIC, VERSION, list.number()];
    let mut count = 0;
    for (word, was_seen) in list.entries() {
        let kind = match (word.is_revoked, was_seen) {
            (false, _) => LIFTED,
            (true, false) => REVOKED,
            (true, true) => SEEN,
        };
        words.extend(word.key.words());
        words.extend([word.number, kind]);
        count += 1;
    }
    words.push(count);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Fills an empty list with what a file has; all of it is verified before.
///
/// # Errors
///
/// See [`FileError`]. The list is still empty then.
pub fn read(bytes: &[u8], list: &Revocations<'_>) -> Result<(), FileError> {
    let (number, entries) = parse(bytes)?;
    for (word, was_seen) in entries {
        // There is as much room as when it was written.
        list.restore(word, was_seen).map_err(|ListFull| FileError::Damaged)?;
    }
    list.set_number(number);
    Ok(())
}

type Entries = Vec<(Word, bool)>;

fn parse(bytes: &[u8]) -> Result<(u64, Entries), FileError> {
    let words = |bytes: &[u8]| -> Vec<u64> {
        let (words, _) = bytes.as_chunks();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect()
    };
    let head = words(bytes.get(..8 * HEAD_WORDS).unwrap_or(bytes));
    match (head.first(), head.get(1)) {
        (Some(&MAGIC), Some(&VERSION)) => {}
        (Some(&MAGIC), Some(&version)) => return Err(FileError::Version(version)),
        _ => return Err(FileError::Foreign),
    }
    let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(FileError::Damaged)?;
    if Sha256::digest(content).as_slice() != checksum || content.len() % 8 != 0 {
        return Err(FileError::Damaged);
    }
    let content = words(content);
    let (&[_, _, number], rest) =
        content.split_first_chunk::<HEAD_WORDS>().ok_or(FileError::Damaged)?;
    let (count, rest) = rest.split_last().ok_or(FileError::Damaged)?;
    let (entries, left) = rest.as_chunks::<ENTRY_WORDS>();
    if !left.is_empty() || entries.len() as u64 != *count {
        return Err(FileError::Damaged);
    }
    let entries = entries.iter().map(|&[a, b, c, d, number, kind]| {
        let key = KeyHash::from_words([a, b, c, d]);
        (Word { key, is_revoked: kind != LIFTED, number }, kind == SEEN)
    });
    Ok((number, entries.collect()))
}
