//! Raw HMAC secrets: the bytes of a file.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;

use super::key::Key;
use super::key_error::{KeyError, KeyProblem};
use super::pem;

/// The secret in a file: all of its bytes, but for one line break at the end, which editors and
/// `echo` leave behind.
///
/// Anything can be a secret, also what was meant to be a public key and is not in PEM; tokens made
/// with that would be made with what everybody knows. So what is recognisably public is refused.
pub(super) fn parse(file: &[u8]) -> Result<Key, KeyError> {
    let secret = file.strip_suffix(b"\n").unwrap_or(file);
    let secret = match secret.strip_suffix(b"\r") {
        Some(shorter) if secret.len() < file.len() => shorter,
        _ => secret,
    };
    if is_public(secret) {
        return Err(KeyProblem::PublicAsSecret.into());
    }
    Key::hmac(secret)
}

/// Bare DER, DER in base64 (as identity providers show it on their pages), an OpenSSH public key, or
/// a page of HTML or XML that was downloaded in place of a key set.
fn is_public(secret: &[u8]) -> bool {
    let text = secret.trim_ascii();
    let starts = [&b"ssh-"[..], b"ecdsa-sha2-", b"<!", b"<?xml", b"<html", b"<HTML"];
    if starts.iter().any(|start| text.starts_with(start)) || pem::is_public_der(secret) {
        return true;
    }
    let unfolded: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(unfolded).is_ok_and(|der| pem::is_public_der(&der))
}

#[cfg(test)]
mod tests {
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
            b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2Jhcg== somebody@example".to_vec(),
            b"<!DOCTYPE html><html><body>404 Not Found</body></html>".to_vec(),
        ] {
            assert_eq!(parse(&file).unwrap_err().problem(), KeyProblem::PublicAsSecret);
        }
        // Base64 of random bytes is an ordinary secret.
        assert!(parse(STANDARD.encode([0x5a; 48]).as_bytes()).is_ok());
    }
}
