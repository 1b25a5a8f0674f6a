//! Commands, as a server reads them.

use zeroize::Zeroizing;

/// Commands that wait to be sent, one after the other. Their bytes are wiped: a password may be among them.
#[derive(Default)]
pub(crate) struct Command {
    bytes: Zeroizing<Vec<u8>>,
}

impl Command {
    /// One command.
    pub(crate) fn of(words: &[&[u8]]) -> Self {
        let mut command = Self::default();
        command.add(words.len(), words.iter().copied());
        command
    }

    /// Adds a command of `count` words.
    pub(crate) fn add<'w>(&mut self, count: usize, words: impl Iterator<Item = &'w [u8]>) {
        self.bytes.push(b'*');
        self.number(count);
        let mut left = count;
        for word in words.take(count) {
            self.bytes.push(b'$');
            self.number(word.len());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
            left -= 1;
        }
        debug_assert_eq!(left, 0);
    }

    fn number(&mut self, number: usize) {
        self.bytes.extend_from_slice(number.to_string().as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// What is to be sent.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
