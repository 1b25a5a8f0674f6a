//! Base64url without padding (RFC 7515 section 2), one spelling for each sequence of bytes.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

/// The bytes that `text` encodes, or `None` where it is not the one canonical encoding of them:
/// padding, white space, a foreign alphabet and set bits behind the last byte are all refused, so
/// that one token has one spelling.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Whether all of `text` is of the alphabet. Looks at every byte without a branch, which the compiler
/// turns into vector instructions.
pub(super) fn is_alphabet(text: &[u8]) -> bool {
    text.iter().fold(true, |all, byte| {
        all & (byte.is_ascii_alphanumeric() | (*byte == b'-') | (*byte == b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text_is_decoded() {
        assert_eq!(decode(b"").unwrap(), b"");
        assert_eq!(decode(b"Zg").unwrap(), b"f");
        assert_eq!(decode(b"Zm8").unwrap(), b"fo");
        assert_eq!(decode(b"Zm9v").unwrap(), b"foo");
        assert_eq!(decode(b"_-8").unwrap(), [0xff, 0xef]);
    }

    #[test]
    fn any_other_spelling_is_refused() {
        for text in ["Zg==", "Zg=", "Z", "Zh", "Zm9", "Zm 9v", "Zm9v\n", " Zm9v", "/+8", "Zm9v?"] {
            assert_eq!(decode(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn alphabet_has_no_padding_and_no_standard_characters() {
        assert!(is_alphabet(b"azAZ09-_"));
        for byte in [b'=', b'+', b'/', b'.', b' ', 0, 0x80] {
            assert!(!is_alphabet(&[byte]), "{byte}");
        }
    }
}
