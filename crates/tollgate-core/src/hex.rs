//! Bytes as lower-case hexadecimal digits.

/// The two digits of a byte.
#[must_use]
pub const fn pair(byte: u8) -> [u8; 2] {
    [digit(byte >> 4), digit(byte & 0xf)]
}

/// The digits of some bytes: two for each.
///
/// ```
/// assert_eq!(tollgate_core::hex::encode(b"\x00\x7f\xff"), "007fff");
/// ```
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().flat_map(|byte| pair(*byte)).map(char::from).collect()
}

/// The digits of a number, the highest first, all 32 of them.
#[must_use]
pub(crate) fn of_u128(number: u128) -> [u8; 32] {
    let mut text = [0; 32];
    let words = number.to_be_bytes();
    for (text, word) in text.as_chunks_mut().0.iter_mut().zip(words.as_chunks().0) {
        *text = of_u32(u32::from_be_bytes(*word)).to_be_bytes();
    }
    text
}

/// Eight digits at once, each in a byte, the first one highest.
fn of_u32(number: u32) -> u64 {
    // Halves are moved apart, then bytes, then nibbles.
    let halves = u64::from(number);
    let halves = (halves | halves << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let nibbles = (bytes | bytes << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // One where it is a letter: with 6 more, it goes beyond a nibble.
    let letters = ((nibbles + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    nibbles + 0x3030_3030_3030_3030 + letters * u64::from(b'a' - b'0' - 10)
}

/// Without a branch, so that the compiler can do several at once.
const fn digit(nibble: u8) -> u8 {
    let is_letter = (nibble > 9) as u8;
    b'0' + nibble + is_letter * (b'a' - b'0' - 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_as_the_standard_library_writes_it() {
        for byte in 0..=u8::MAX {
            assert_eq!(encode([byte]), format!("{byte:02x}"));
        }
        assert_eq!(encode(""), "");
    }

    /// Each byte at each place, beside others.
    #[test]
    fn every_number_is_written_as_the_standard_library_writes_it() {
        for byte in 0..=u8::MAX {
            for at in 0..16 {
                for others in [0, u128::MAX, 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210] {
                    let mut bytes = u128::to_le_bytes(others);
                    bytes[at] = byte;
                    let number = u128::from_le_bytes(bytes);
                    assert_eq!(of_u128(number), *format!("{number:032x}").as_bytes());
                }
            }
        }
    }
}
