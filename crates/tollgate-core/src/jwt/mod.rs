//! JSON Web Tokens (RFC 7519) in JWS compact serialisation (RFC 7515): from the bytes of a bearer
//! credential to a [`Principal`](crate::principal::Principal).
//!
//! The order in which a token is judged, one file a step:
//!
//! 1. [`shape`](looks_like_jws): whether a credential is a token at all;
//! 2. `compact`: three parts of canonical base64url, no longer than the policy allows;
//! 3. `header`: an algorithm we know, and nothing in it that asks for more than we do;
//! 4. `keyset`, `signature`: the keys that the operator trusts decide which algorithms are tried;
//! 5. `binding`, `claims`, `confirmation`: an issuer whose keys these are, issuer, audience, the principal's fields, the
//!    certificate that it is bound to, and last the times.
//!
//! Nothing of a payload is looked at before its signature is found good, and what was found good
//! may be remembered, for a while, in a [`TokenCache`]. Keys come from files, or from a provider that
//! publishes them ([`RemoteKeys`]).
//!
//! The token of RFC 7515 appendix A.1, which expires at 1300819380 and names its client in `iss`:
//!
//! ```
//! use tollgate_core::clock::UnixSeconds;
//! use tollgate_core::jwt::{verify, KeySet, Policy, TokenError};
//!
//! let jwk = br#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
//! let keys = KeySet::load(&[("issuer.jwk", jwk)])?;
//! let mut policy = Policy { issuers: vec!["joe".to_owned()], ..Policy::default() };
//! policy.claims.set("client", "iss")?;
//!
//! let token = b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
//!     .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
//!     .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
//! let verified = verify(token, &keys, &policy, UnixSeconds(1_300_819_379))?;
//! assert_eq!(verified.principal().client(), "joe");
//! assert_eq!(verified.check_time(UnixSeconds(1_300_819_380)), Err(TokenError::Expired));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod base64url;
mod binding;
mod cache;
mod claim_map;
pub(crate) mod claims;
mod compact;
mod confirmation;
mod ed25519;
mod error;
mod header;
mod jwk;
mod key;
mod key_error;
mod keyset;
mod numeric_date;
pub(crate) mod object;
mod pem;
mod policy;
mod remote;
mod scope_claim;
mod secret;
mod shape;
mod signature;
mod tries;
mod verify;
mod weak_rsa;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod issuer;

pub use algorithm::{Algorithm, AlgorithmSet, UnknownAlgorithm};
pub use binding::{check_bindings, is_valid_client_prefix, Binding, BindingError, Unbound};
pub use cache::{TokenCache, MAX_CACHED_SECS};
pub use claim_map::{ClaimMap, ClaimMapError};
pub use error::{Part, TokenError};
pub use key_error::{KeyError, KeyProblem};
pub use keyset::{KeySet, MAX_FETCHED_KEYS};
pub use policy::{Policy, DEFAULT_MAX_LEN};
pub use remote::{Lifetime, Move, Newer, RemoteKeys, NEWER_KEYS_MS};
pub use shape::{looks_like_jws, may_be_jws};
pub use signature::{check_form, could_have_newer_key, verify_signature, Verified};
pub use tries::MAX_SIGNATURE_CHECKS;
pub use verify::{verify, VerifiedToken};
