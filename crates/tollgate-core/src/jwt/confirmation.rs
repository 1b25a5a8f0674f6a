//! `cnf` (RFC 7800): what the client has to have beside the token.
//!
//! RFC 7800 would have members ignored that nobody knows, and a token with nothing but such would be good
//! for whoever has it. Its issuer wanted it not to be: so it is refused.

use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::Engine as _;
use serde_json::Value;

use super::claims::Claims;
use super::error::TokenError;

/// The member for certificates: the SHA-256 of one, in base64url (RFC 8705 section 3.1).
const CERTIFICATE: &str = "x5t#S256";

/// Base64url as in the example of RFC 8705 section 3.1, which has bits behind the last byte. There is nothing
/// that another spelling of a digest could do.
const BASE64URL: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// The certificate that a token is bound to; `None`: it is bound to nothing.
///
/// # Errors
///
/// [`TokenError::BadClaim`] where that can't be told, [`TokenError::UnknownBinding`] where it is bound to
/// something else (`jkt`, `jwk`), alone or besides.
pub(super) fn bound_to(claims: &Claims) -> Result<Option<Box<[u8; 32]>>, TokenError> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let members = confirmation.as_object().ok_or(TokenError::BadClaim("cnf"))?;
    if members.keys().any(|name| name != CERTIFICATE) {
        return Err(TokenError::UnknownBinding);
    }
    let digest = members.get(CERTIFICATE).and_then(Value::as_str);
    let digest = digest.and_then(|text| BASE64URL.decode(text).ok());
    let digest = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    digest.map(|digest| Some(Box::new(digest))).ok_or(TokenError::BadClaim("cnf"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::fixtures::{RFC8705, RFC8705_THUMBPRINT};
    use crate::cert::ClientCertificate;

    fn of(cnf: &str) -> Result<Option<Box<[u8; 32]>>, TokenError> {
        let claims: Value = serde_json::from_str(&format!(r#"{{"sub":"acme"{cnf}}}"#)).unwrap();
        bound_to(claims.as_object().unwrap())
    }

    #[test]
    fn example_of_rfc_8705_is_bound_to_its_certificate() {
        let bound = of(&format!(r#","cnf":{{"x5t#S256":"{RFC8705_THUMBPRINT}"}}"#)).unwrap();
        let certificate = ClientCertificate::from_pem(RFC8705.as_bytes()).unwrap();
        assert_eq!(bound.as_deref(), certificate.thumbprint());
        // Section 3.1, without its certificate.
        let bound = of(r#","cnf":{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#);
        assert!(bound.is_ok_and(|bound| bound.is_some()));
        assert_eq!(of(""), Ok(None));
    }

    #[test]
    fn what_binds_in_another_way_is_refused() {
        let other = format!(r#"{{"x5t#S256":"{RFC8705_THUMBPRINT}","jkt":"x"}}"#);
        for cnf in [
            r#"{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}"#,
            r#"{"jwk":{}}"#,
            r#"{"X5T#S256":""}"#,
            &other,
        ] {
            assert_eq!(of(&format!(r#","cnf":{cnf}"#)), Err(TokenError::UnknownBinding), "{cnf}");
        }
    }

    #[test]
    fn what_binds_to_nobody_knows_what_is_refused() {
        let padded = format!(r#"{{"x5t#S256":"{RFC8705_THUMBPRINT}="}}"#);
        let short = format!(r#"{{"x5t#S256":"{}"}}"#, RFC8705_THUMBPRINT.trim_end_matches('0'));
        for cnf in [
            "{}",
            "null",
            "[]",
            "\"x\"",
            "true",
            r#"{"x5t#S256":null}"#,
            r#"{"x5t#S256":""}"#,
            r#"{"x5t#S256":[1]}"#,
            &padded,
            &short,
            r#"{"x5t#S256":"03+bwc03+bwc03+bwc03+bwc03+bwc03+bwc03+bwc0"}"#,
        ] {
            assert_eq!(of(&format!(r#","cnf":{cnf}"#)), Err(TokenError::BadClaim("cnf")), "{cnf}");
        }
    }
}
