//! JWS compact serialisation (RFC 7515 section 7.1).

use super::base64url;
use super::error::{Part, TokenError};

/// A token in its parts, decoded, and not yet believed.
#[derive(Debug)]
pub(super) struct Compact<'a> {
    /// The bytes that are signed: the first two parts as they were sent, and the dot.
    pub(super) signing_input: &'a [u8],
    pub(super) header: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

/// Splits `token`, of at most `max_len` bytes, and decodes its parts. JSON serialisation, JWE and
/// detached content all end here or at the signature.
pub(super) fn parse(token: &[u8], max_len: usize) -> Result<Compact<'_>, TokenError> {
    if token.len() > max_len {
        return Err(TokenError::TooLong);
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(TokenError::NotCompact);
    };
    let signing_input =
        token.get(..header.len() + 1 + payload.len()).ok_or(TokenError::NotCompact)?;
    let decode = |text, part| base64url::decode(text).ok_or(TokenError::Encoding(part));
    Ok(Compact {
        signing_input,
        header: decode(header, Part::Header)?,
        payload: decode(payload, Part::Payload)?,
        signature: decode(signature, Part::Signature)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_are_decoded() {
        let compact = parse(b"Zg.Zm8.Zm9v", 11).unwrap();
        assert_eq!(compact.signing_input, b"Zg.Zm8");
        assert_eq!(compact.header, b"f");
        assert_eq!(compact.payload, b"fo");
        assert_eq!(compact.signature, b"foo");
        assert!(parse(b"Zg..", 11).is_ok());
    }

    #[test]
    fn other_numbers_of_parts_are_refused() {
        for token in ["", "Zg", "Zg.Zg", "Zg.Zg.Zg.", "Zg.Zg.Zg.Zg.Zg", "{\"payload\":\"\"}"] {
            assert_eq!(parse(token.as_bytes(), 99).unwrap_err(), TokenError::NotCompact, "{token}");
        }
    }

    #[test]
    fn each_part_must_be_canonical() {
        for (token, part) in [
            ("Zh.Zg.Zg", Part::Header),
            ("Zg.Zh.Zg", Part::Payload),
            ("Zg.Zg.Zh", Part::Signature),
            ("Zg==.Zg.Zg", Part::Header),
            ("Zg.Zg=.Zg", Part::Payload),
            ("Zg.Zg.Zg ", Part::Signature),
            (" Zg.Zg.Zg", Part::Header),
        ] {
            let error = parse(token.as_bytes(), 99).unwrap_err();
            assert_eq!(error, TokenError::Encoding(part), "{token}");
        }
    }

    #[test]
    fn length_is_bounded_before_anything_is_decoded() {
        assert!(parse(b"Zg.Zg.Zg", 8).is_ok());
        assert_eq!(parse(b"Zg.Zg.Zg", 7).unwrap_err(), TokenError::TooLong);
    }
}
