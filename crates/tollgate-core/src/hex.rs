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
}
