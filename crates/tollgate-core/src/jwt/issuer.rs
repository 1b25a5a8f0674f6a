//! Makes tokens, for tests.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::EncodingKey;

/// The HMAC of `message` with SHA-256.
pub(super) fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    sign(jsonwebtoken::Algorithm::HS256, &EncodingKey::from_secret(secret), message)
}

/// The signature of `message`.
pub(super) fn sign(
    algorithm: jsonwebtoken::Algorithm,
    key: &EncodingKey,
    message: &[u8],
) -> Vec<u8> {
    (aws_lc::DEFAULT_PROVIDER.signer_factory)(&algorithm, key).unwrap().sign(message)
}

/// The token of this header and this payload, signed by `sign`.
pub(super) fn token(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let signature = encode(&sign(message.as_bytes()));
    format!("{message}.{signature}").into_bytes()
}

/// A token with these claims, as `tollgate jwt issue` makes it.
pub(super) fn hs256_token(secret: &[u8], claims: &str) -> Vec<u8> {
    token(r#"{"alg":"HS256","typ":"JWT"}"#, claims, |message| hs256(secret, message))
}
