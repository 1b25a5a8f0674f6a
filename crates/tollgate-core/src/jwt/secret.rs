//! HMAC secrets: the bytes of a file, or of a JWK.

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::Engine as _;

use super::key::Key;
use super::key_error::{KeyError, KeyProblem};
use super::{object, pem};

/// Secrets that jwt.io fills in for whoever tries it out. Whoever forges tokens, tries them first.
const KNOWN: [&[u8]; 3] = [
    b"a-string-secret-at-least-256-bits-long",
    b"a-valid-string-secret-that-is-at-least-384-bits-long",
    b"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
];

/// The secret in a file: all of its bytes, but for one line break at the end, which editors and
/// `echo` leave behind.
pub(super) fn parse(file: &[u8]) -> Result<Key, KeyError> {
    let secret = file.strip_suffix(b"\n").unwrap_or(file);
    let secret = match secret.strip_suffix(b"\r") {
        Some(shorter) if secret.len() < file.len() => shorter,
        _ => secret,
    };
    key(secret)
}

/// The key that `secret` is.
///
/// Anything can be a secret, also what was meant to be a public key and is in a form that wasn't
/// recognised as one; tokens made with that would be made with what everybody knows. So what is
/// recognisably public is refused.
pub(super) fn key(secret: &[u8]) -> Result<Key, KeyError> {
    if KNOWN.contains(&secret.trim_ascii()) {
        return Err(KeyProblem::KnownSecret.into());
    }
    if is_public(secret) || unwrapped(secret).iter().any(|inner| is_public(inner)) {
        return Err(KeyProblem::PublicAsSecret.into());
    }
    Key::hmac(secret)
}

/// PEM, DER, a JWK Set, an OpenSSH public key, or a page of HTML or XML that was downloaded in place of
/// a key set.
fn is_public(secret: &[u8]) -> bool {
    let text = secret.trim_ascii();
    let starts = [&b"ssh-"[..], b"ecdsa-sha2-", b"<!", b"<?xml", b"<html", b"<HTML"];
    starts.iter().any(|start| text.starts_with(start))
        || text.windows(pem::BEGIN.len()).any(|window| window == pem::BEGIN)
        || object::parse(text).is_some()
        || pem::is_public_der(secret)
}

/// What these bytes are in another wrapping: base64 (as identity providers show keys on their pages, and
/// Kubernetes keeps files), hexadecimal digits, or the UTF-16 of Windows' shell.
fn unwrapped(secret: &[u8]) -> Vec<Vec<u8>> {
    let lax = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let unfolded: Vec<u8> = secret.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let base64 = [STANDARD, URL_SAFE]
        .into_iter()
        .filter_map(|alphabet| GeneralPurpose::new(&alphabet, lax).decode(&unfolded).ok());
    let mut inner: Vec<Vec<u8>> = base64.collect();
    let digits: Option<Vec<u8>> =
        unfolded.iter().map(|byte| char::from(*byte).to_digit(16)?.try_into().ok()).collect();
    inner.extend(digits.map(|digits| {
        digits
            .chunks_exact(2)
            .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
            .collect()
    }));
    let is_utf16 = secret.starts_with(b"\xff\xfe") || secret.starts_with(b"\xfe\xff");
    if is_utf16 {
        inner.push(secret.iter().copied().skip(2).filter(|byte| *byte != 0).collect());
    }
    inner
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::super::{fixtures, issuer, Algorithm};
    use super::*;

    fn signs_like(file: &[u8], secret: &[u8]) -> bool {
        let key = Key::hmac(secret).unwrap();
        let signature = issuer::hs256(secret, b"message");
        assert!(key.verifies(Algorithm::Hs256, b"message", &signature));
        parse(file).unwrap().verifies(Algorithm::Hs256, b"message", &signature)
    }

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    #[test]
    fn exactly_one_line_break_at_the_end_is_stripped() {
        assert!(signs_like(SECRET, SECRET));
        assert!(signs_like(&[SECRET, b"\n"].concat(), SECRET));
        assert!(signs_like(&[SECRET, b"\r\n"].concat(), SECRET));
        assert!(signs_like(&[SECRET, b"\n\n"].concat(), &[SECRET, b"\n"].concat()));
        assert!(signs_like(&[SECRET, b"\r"].concat(), &[SECRET, b"\r"].concat()));
        assert!(signs_like(&[b" ", SECRET, b" "].concat(), &[b" ", SECRET, b" "].concat()));
        assert!(!signs_like(&[SECRET, b"\n\n"].concat(), SECRET));
    }

    #[test]
    fn secret_under_32_bytes_is_refused() {
        for file in [&SECRET[1..], b"0123456789abcdef0123456789abcde\n", b"", b"\n"] {
            assert_eq!(parse(file).unwrap_err().problem(), KeyProblem::ShortSecret);
        }
    }

    #[test]
    fn what_is_public_by_its_nature_is_no_secret() {
        let der = |armoured| ::pem::parse(armoured).unwrap().into_contents();
        let spki = der(fixtures::RSA_PUBLIC);
        let certificate = der(fixtures::P256_CERTIFICATE);
        let bare = fixtures::RSA_PUBLIC.lines().filter(|line| !line.starts_with('-'));
        for file in [
            spki.clone(),
            certificate,
            STANDARD.encode(&spki).into_bytes(),
            bare.collect::<Vec<_>>().join("\n").into_bytes(),
            STANDARD.encode(fixtures::RSA_PUBLIC).into_bytes(),
            URL_SAFE_NO_PAD.encode(fixtures::ED25519_PUBLIC).into_bytes(),
            STANDARD.encode(r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}"#).into_bytes(),
            spki.iter().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes(),
            [0xff, 0xfe]
                .into_iter()
                .chain(fixtures::P256_PUBLIC.bytes().flat_map(|b| [b, 0]))
                .collect(),
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2Jhcg== somebody@example".to_vec(),
            b"<!DOCTYPE html><html><body>404 Not Found</body></html>".to_vec(),
        ] {
            assert_eq!(parse(&file).unwrap_err().problem(), KeyProblem::PublicAsSecret);
        }
        // What a file must not be, a JWK must not be either.
        let k = URL_SAFE_NO_PAD.encode(fixtures::RSA_PUBLIC);
        let jwk = format!(r#"{{"kty":"oct","k":"{k}"}}"#);
        let error = super::super::jwk::parse(jwk.as_bytes()).unwrap_err();
        assert_eq!(error.problem(), KeyProblem::PublicAsSecret);
        // Base64 of random bytes is an ordinary secret.
        assert!(parse(STANDARD.encode([0x5a; 48]).as_bytes()).is_ok());
    }

    #[test]
    fn secret_that_others_print_is_none() {
        for known in KNOWN {
            let file = [known, b"\n"].concat();
            assert_eq!(parse(&file).unwrap_err().problem(), KeyProblem::KnownSecret);
            assert!(parse(&[known, b"!"].concat()).is_ok());
        }
    }
}
