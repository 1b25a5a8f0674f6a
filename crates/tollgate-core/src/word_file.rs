//! A file of numbers, complete and unchanged or refused.
//!
//! ```text
//! name | version | head | each entry | how many | SHA-256
//! ```
//!
//! All of it is little-endian words of 64 bits, but for the checksum, which is over everything before it.

use sha2::{Digest, Sha256};

const CHECKSUM_LEN: usize = 32;

/// What a file holds: `HEAD` words, and entries of `ENTRY` words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WordFile<const HEAD: usize, const ENTRY: usize> {
    name: u64,
    version: u64,
}

/// Why a file isn't read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// Something else.
    Foreign,
    /// Of another version.
    Version(u64),
    /// Incomplete or changed.
    Damaged,
}

impl<const HEAD: usize, const ENTRY: usize> WordFile<HEAD, ENTRY> {
    /// The version is to be raised with every change of what the words mean.
    pub(crate) const fn new(name: [u8; 8], version: u64) -> Self {
        Self { name: u64::from_le_bytes(name), version }
    }

    /// Begins a file: its beginning is appended to `out`.
    pub(crate) fn begin(self, head: [u64; HEAD], out: &mut Vec<u8>) -> Writer<ENTRY> {
        let mut writer = Writer { hasher: Sha256::new(), count: 0 };
        writer.append(&[self.name, self.version], out);
        writer.append(&head, out);
        writer
    }

    /// The head and the entries of a file; all of it is verified.
    pub(crate) fn read(self, bytes: &[u8]) -> Result<([u64; HEAD], Vec<[u64; ENTRY]>), Unread> {
        let (head, _) = bytes.as_chunks();
        match *head {
            [name, version, ..] if u64::from_le_bytes(name) == self.name => {
                let version = u64::from_le_bytes(version);
                if version != self.version {
                    return Err(Unread::Version(version));
                }
            }
            _ => return Err(Unread::Foreign),
        }
        self.content(bytes).ok_or(Unread::Damaged)
    }

    fn content(self, bytes: &[u8]) -> Option<([u64; HEAD], Vec<[u64; ENTRY]>)> {
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
        if Sha256::digest(content).as_slice() != checksum {
            return None;
        }
        // What follows can fail only for a file that was made by hand.
        let (words, odd) = content.as_chunks();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (head, rest) = words.get(2..)?.split_first_chunk()?;
        let (count, rest) = rest.split_last()?;
        let (entries, left) = rest.as_chunks();
        let is_whole = odd.is_empty() && left.is_empty() && entries.len() as u64 == *count;
        is_whole.then(|| (*head, entries.to_vec()))
    }
}

/// A file that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Writer<const ENTRY: usize> {
    hasher: Sha256,
    count: u64,
}

impl<const ENTRY: usize> Writer<ENTRY> {
    /// Appends an entry to `out`.
    pub(crate) fn entry(&mut self, entry: [u64; ENTRY], out: &mut Vec<u8>) {
        self.append(&entry, out);
        self.count += 1;
    }

    /// Appends the end of the file to `out`.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        self.append(&[self.count], out);
        out.extend_from_slice(&self.hasher.finalize());
    }

    fn append(&mut self, words: &[u64], out: &mut Vec<u8>) {
        let begin = out.len();
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        self.hasher.update(out.get(begin..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: WordFile<1, 2> = WordFile::new(*b"tgtests\n", 3);

    fn written(entries: &[[u64; 2]]) -> Vec<u8> {
        let mut out = b"kept".to_vec();
        let mut writer = FILE.begin([77], &mut out);
        entries.iter().for_each(|entry| writer.entry(*entry, &mut out));
        writer.finish(&mut out);
        out.split_off(4)
    }

    /// With a checksum that is right.
    fn by_hand(words: &[u64], odd: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(odd);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    #[test]
    fn what_was_written_is_read() {
        for entries in [&[][..], &[[1, 2]], &[[1, 2], [u64::MAX, 0], [5, 6]]] {
            assert_eq!(FILE.read(&written(entries)), Ok(([77], entries.to_vec())));
        }
    }

    #[test]
    fn a_file_that_misses_or_has_another_bit_is_refused() {
        let file = written(&[[1, 2], [3, 4]]);
        for len in 0..file.len() {
            let error = FILE.read(&file[..len]).unwrap_err();
            assert_eq!(error, if len < 16 { Unread::Foreign } else { Unread::Damaged }, "{len}");
        }
        for bit in 0..8 * file.len() {
            let mut file = file.clone();
            file[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit {
                0..64 => Unread::Foreign,
                64..128 => Unread::Version(3 ^ 1 << (bit - 64)),
                _ => Unread::Damaged,
            };
            assert_eq!(FILE.read(&file), Err(expected), "{bit}");
        }
        let longer = [&file[..], &[0]].concat();
        assert_eq!(FILE.read(&longer), Err(Unread::Damaged));
    }

    #[test]
    fn a_file_that_was_made_by_hand_has_to_be_whole() {
        let name = u64::from_le_bytes(*b"tgtests\n");
        assert_eq!(FILE.read(&by_hand(&[name, 3, 77, 1, 2, 1], &[])), Ok(([77], vec![[1, 2]])));
        for (words, odd) in [
            (&[name, 3][..], &[][..]),
            (&[name, 3, 77], &[]),
            (&[name, 3, 77, 1, 2, 2], &[]),
            (&[name, 3, 77, 1, 2, 3, 1], &[]),
            (&[name, 3, 77, 1, 2, 1], &[0]),
        ] {
            assert_eq!(FILE.read(&by_hand(words, odd)), Err(Unread::Damaged), "{words:?}");
        }
    }
}
