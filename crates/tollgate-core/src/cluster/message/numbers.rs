//! Whole numbers in MessagePack, the form that the store's scripts read and write by themselves
//! (`cmsgpack`): one array of numbers, each in as few bytes as it takes.

/// The bytes of an array of so many numbers begin like this.
pub(super) fn begin(out: &mut Vec<u8>, length: u32) {
    out.push(0xdd);
    out.extend_from_slice(&length.to_be_bytes());
}

/// Writes one.
pub(super) fn write(out: &mut Vec<u8>, n: u64) {
    let bytes = n.to_be_bytes();
    let [.., low] = bytes;
    let (mark, length) = match n {
        0..=0x7f => return out.push(low),
        0x80..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        _ => (0xcf, 8),
    };
    out.push(mark);
    out.extend_from_slice(bytes.get(bytes.len() - length..).unwrap_or_default());
}

/// Writes one that may be negative.
pub(super) fn write_signed(out: &mut Vec<u8>, n: i64) {
    match u64::try_from(n) {
        Ok(n) => write(out, n),
        Err(_) => {
            out.push(0xd3);
            out.extend_from_slice(&n.to_be_bytes());
        }
    }
}

/// Reads an array of numbers that are not negative, from bytes that anybody may have written.
pub(super) struct Numbers<'b> {
    rest: &'b [u8],
    left: usize,
}

impl<'b> Numbers<'b> {
    /// The array that `bytes` begin with. `None`: it is none.
    pub(super) fn of(bytes: &'b [u8]) -> Option<Self> {
        let (mark, rest) = bytes.split_first()?;
        let (left, rest) = match mark {
            0x90..=0x9f => (usize::from(mark & 0xf), rest),
            0xdc => {
                rest.split_first_chunk().map(|(n, rest)| (u16::from_be_bytes(*n).into(), rest))?
            }
            0xdd => {
                let (n, rest) = rest.split_first_chunk()?;
                (usize::try_from(u32::from_be_bytes(*n)).ok()?, rest)
            }
            _ => return None,
        };
        Some(Self { rest, left })
    }

    /// How many are left to be read.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        let (mark, rest) = self.rest.split_first()?;
        self.rest = rest;
        match mark {
            0..=0x7f => Some(u64::from(*mark)),
            0xcc => self.take().map(|[n]| n.into()),
            0xcd => self.take().map(|n| u16::from_be_bytes(n).into()),
            0xce => self.take().map(|n| u32::from_be_bytes(n).into()),
            0xcf => self.take().map(u64::from_be_bytes),
            // Signed forms, where they hold what is not negative.
            0xd0 => self.take().and_then(|n| i8::from_be_bytes(n).try_into().ok()),
            0xd1 => self.take().and_then(|n| i16::from_be_bytes(n).try_into().ok()),
            0xd2 => self.take().and_then(|n| i32::from_be_bytes(n).try_into().ok()),
            0xd3 => self.take().and_then(|n| i64::from_be_bytes(n).try_into().ok()),
            _ => None,
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    /// Whether all was read, and nothing follows.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(any::<u64>(), 0..40), shift in 0u32..64) {
            let numbers: Vec<u64> = numbers.into_iter().map(|n| n >> shift).collect();
            let mut bytes = Vec::new();
            begin(&mut bytes, u32::try_from(numbers.len()).unwrap());
            numbers.iter().for_each(|n| write(&mut bytes, *n));
            let mut read = Numbers::of(&bytes).unwrap();
            prop_assert_eq!(read.left(), numbers.len());
            for n in numbers {
                prop_assert_eq!(read.next(), Some(n));
            }
            prop_assert!(read.is_at_end());
        }
    }

    #[test]
    fn what_is_no_array_of_numbers_is_not_read() {
        for bytes in [
            &b""[..],
            b"\x93",
            b"\x91\xff",
            b"\x91\xcb\0\0\0\0\0\0\0\0",
            b"\x91\xcf\0",
            b"\xdd\0\0",
            b"\xa1a",
        ] {
            let number = Numbers::of(bytes).and_then(|mut numbers| numbers.next());
            assert_eq!(number, None, "{bytes:?}");
        }
        let mut signed = Vec::new();
        write_signed(&mut signed, -1);
        assert_eq!(signed, [0xd3, 255, 255, 255, 255, 255, 255, 255, 255]);
    }
}
