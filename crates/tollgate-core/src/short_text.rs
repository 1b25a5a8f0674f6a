//! Short texts that are written for every request, without allocation.

/// A text on the stack, of at most `MAX_LEN` bytes.
pub(crate) struct ShortText<const MAX_LEN: usize> {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl<const MAX_LEN: usize> Default for ShortText<MAX_LEN> {
    fn default() -> Self {
        Self { bytes: [0; MAX_LEN], len: 0 }
    }
}

impl<const MAX_LEN: usize> ShortText<MAX_LEN> {
    /// Appends a part. One that doesn't fit is a mistake of whoever chose `MAX_LEN`, and left out.
    pub(crate) fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        let slot = self.bytes.get_mut(self.len..end);
        debug_assert!(slot.is_some(), "MAX_LEN is too small");
        if let Some(slot) = slot {
            slot.copy_from_slice(part);
            self.len = end;
        }
    }

    /// Appends a number, in decimal.
    pub(crate) fn push_integer(&mut self, value: u64) {
        self.push(itoa::Buffer::new().format(value).as_bytes());
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_one_after_the_other() {
        let mut text = ShortText::<22>::default();
        text.push(b"n=");
        text.push_integer(u64::MAX);
        assert_eq!(text.as_bytes(), b"n=18446744073709551615");
    }
}
