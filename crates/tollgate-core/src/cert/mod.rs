//! Client certificates: what is in one, who it names, and what a proxy says of one.
//!
//! Whether a certificate is genuine is for whoever ended the TLS connection to find out: nginx, or a proxy
//! in front of it that the operator trusts. Here it is read, and its name chosen.
//!
//! * [`ClientCertificate`]: what counts of a certificate;
//! * [`CertName`]: a name in the form of the keys file, such as `spiffe://example.org/ns/prod/sa/batch`;
//! * [`CertRule`]: which of the names in a certificate counts, and which are accepted;
//! * the module [`forwarded`]: `X-Forwarded-Client-Cert`;
//! * [`CertMemo`]: certificates that were read a moment ago.

mod certificate;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod forwarded;
mod memo;
mod name;
mod pattern;
mod rule;
mod spiffe;

pub use certificate::ClientCertificate;
pub use memo::{CertMemo, Seen};
pub use name::{CertName, NameError};
pub use pattern::{NamePattern, PatternError};
pub use rule::{CertRule, Kind};
pub use spiffe::{is_trust_domain, SpiffeId};
