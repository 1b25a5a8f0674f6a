//! UTF-8 that comes in slices, cut anywhere, with halves of surrogate pairs in three bytes each (as
//! Python's `surrogatepass` writes and reads them).

/// What came of a character whose rest is in the next slice.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Utf8 {
    begun: [u8; 4],
    len: u8,
}

/// What is no UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

impl Utf8 {
    /// Checks what follows.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        let mut rest = bytes;
        while self.len > 0 {
            let Some((byte, after)) = rest.split_first() else { return Ok(()) };
            rest = after;
            self.push(*byte)?;
        }
        loop {
            let Err(error) = std::str::from_utf8(rest) else { return Ok(()) };
            let broken = rest.get(error.valid_up_to()..).unwrap_or_default();
            rest = match broken {
                [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] => after,
                [0xed] | [0xed, 0xa0..=0xbf] => return self.begin(broken),
                _ if error.error_len().is_none() => return self.begin(broken),
                _ => return Err(Invalid),
            };
        }
    }

    /// Whether a character goes on in what follows.
    pub(crate) fn has_begun(self) -> bool {
        self.len > 0
    }

    /// No character may go on here.
    pub(crate) fn end(self) -> Result<(), Invalid> {
        match self.len {
            0 => Ok(()),
            _ => Err(Invalid),
        }
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<(), Invalid> {
        bytes.iter().try_for_each(|byte| self.push(*byte))
    }

    fn push(&mut self, byte: u8) -> Result<(), Invalid> {
        *self.begun.get_mut(usize::from(self.len)).ok_or(Invalid)? = byte;
        self.len += 1;
        let begun = self.begun.get(..usize::from(self.len)).unwrap_or_default();
        match (std::str::from_utf8(begun), begun) {
            (Ok(_), _) | (_, [0xed, 0xa0..=0xbf, 0x80..=0xbf]) => self.len = 0,
            (_, [0xed, 0xa0..=0xbf]) => {}
            (Err(error), _) if error.error_len().is_none() => {}
            _ => return Err(Invalid),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surrogate;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn is_valid<'a>(slices: impl IntoIterator<Item = &'a [u8]>) -> bool {
        let mut utf8 = Utf8::default();
        slices.into_iter().all(|slice| utf8.check(slice).is_ok()) && utf8.end().is_ok()
    }

    proptest! {
        /// The same as for a copy in which marks stand for the halves.
        #[test]
        fn cuts_and_halves_make_no_difference(
            parts in vec(prop_oneof![
                "\\PC{0,4}".prop_map(String::into_bytes),
                vec(any::<u8>(), 0..3),
                Just(b"\xed\xa0\xbd".to_vec()),
                Just(b"\xed\xb8".to_vec()),
                Just(b"\xf0\x9f\x98\x80".to_vec()),
            ], 0..8),
            cut: usize,
        ) {
            let bytes: Vec<u8> = parts.concat().into_iter().filter(|byte| *byte != b'\\').collect();
            let marked = surrogate::marked(&bytes).unwrap_or_else(|| bytes.clone());
            let expected = std::str::from_utf8(&marked).is_ok();
            prop_assert_eq!(is_valid([&bytes[..]]), expected);
            prop_assert_eq!(is_valid(bytes.chunks(1)), expected);
            let (a, b) = bytes.split_at(cut % (bytes.len() + 1));
            prop_assert_eq!(is_valid([a, b]), expected);
        }
    }
}
