//! Numbers as text without the formatting machinery of `std`, and without allocation: several are
//! written for every request.

/// The longest `u64` in decimal, in bytes.
pub(crate) const MAX_LEN: usize = 20;

/// The decimal digits of a `u64`, on the stack.
pub(crate) struct Decimal {
    bytes: [u8; MAX_LEN],
    start: usize,
}

impl Decimal {
    pub(crate) fn new(value: u64) -> Self {
        let mut bytes = [0; MAX_LEN];
        let mut start = MAX_LEN;
        let mut rest = value;
        // Two digits at a time: half the divisions.
        for slot in bytes.as_chunks_mut::<2>().0.iter_mut().rev() {
            *slot = pair(rest % 100);
            start -= if rest < 10 { 1 } else { 2 };
            rest /= 100;
            if rest == 0 {
                break;
            }
        }
        Self { bytes, start }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// The digits of a number below 100.
fn pair(value: u64) -> [u8; 2] {
    const PAIRS: [[u8; 2]; 100] = pairs();
    let index = usize::try_from(value).unwrap_or(usize::MAX);
    PAIRS.get(index).copied().unwrap_or_default()
}

#[allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // evaluated by the compiler
const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [[0; 2]; 100];
    let mut value = 0;
    while value < 100 {
        pairs[value] = [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
        value += 1;
    }
    pairs
}

/// A text on the stack, of at most `MAX_LEN` bytes.
pub(crate) struct Text<const MAX_LEN: usize> {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl<const MAX_LEN: usize> Default for Text<MAX_LEN> {
    fn default() -> Self {
        Self { bytes: [0; MAX_LEN], len: 0 }
    }
}

impl<const MAX_LEN: usize> Text<MAX_LEN> {
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

    pub(crate) fn push_integer(&mut self, value: u64) {
        self.push(Decimal::new(value).as_bytes());
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_extremes_are_written_in_full() {
        for value in [0, 1, 9, 10, 99, 100, u64::MAX - 1, u64::MAX] {
            assert_eq!(Decimal::new(value).as_bytes(), value.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn digits_agree_with_the_standard_library(value: u64, shift in 0_u32..64) {
            let value = value >> shift;
            let (digits, expected) = (Decimal::new(value), value.to_string());
            prop_assert_eq!(digits.as_bytes(), expected.as_bytes());
        }
    }
}
