//! The name in a certificate, in the form of the keys file. Each kind has a form of its own, so that no two
//! names of different kinds are the same text: such a text may become the name of a client.

use std::fmt;

use super::spiffe::SpiffeId;
use crate::hex;
use crate::principal::is_valid_name;

/// What names begin with, but for URIs.
const FINGERPRINT: &str = "sha256:";
const DNS: &str = "dns:";
const COMMON_NAME: &str = "cn:";
/// A URI may be as long as a SPIFFE ID.
const MAX_URI_LEN: usize = 2048;

/// A name: `spiffe://example.org/ns/prod/sa/batch` or another URI, `dns:batch.example.org`, `cn:batch`, or
/// `sha256:` and the 64 digits of the certificate's SHA-256.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertName(Box<str>);

/// Why a text is no [`CertName`]. The message doesn't repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Of none of the forms.
    Form,
    /// `sha256:` without 64 lower-case hexadecimal digits.
    Fingerprint,
    /// `dns:` without the name of a host in lower case.
    Dns,
    /// `cn:` without a name.
    CommonName,
    /// A SPIFFE ID that is not spelt as the standard demands, or has no path.
    SpiffeId,
}

impl CertName {
    /// Reads a name, as it stands in the keys file.
    ///
    /// # Errors
    ///
    /// Which form it has not.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let found = if let Some(digits) = text.strip_prefix(FINGERPRINT) {
            let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let is_one = digits.len() == 64 && digits.bytes().all(is_digit);
            is_one.then(|| Self(text.into())).ok_or(NameError::Fingerprint)
        } else if let Some(name) = text.strip_prefix(DNS) {
            Self::dns(name).filter(|found| *found.0 == *text).ok_or(NameError::Dns)
        } else if let Some(name) = text.strip_prefix(COMMON_NAME) {
            Self::common_name(name).ok_or(NameError::CommonName)
        } else if SpiffeId::is_claimed(text) {
            Self::uri(text).ok_or(NameError::SpiffeId)
        } else {
            Self::uri(text).ok_or(NameError::Form)
        };
        found
    }

    /// A certificate, by its SHA-256.
    pub(super) fn fingerprint(thumbprint: &[u8; 32]) -> Self {
        Self(format!("{FINGERPRINT}{}", hex::encode(thumbprint)).into())
    }

    /// A host; case doesn't matter in its name. `None`: it is no name of one host.
    pub(super) fn dns(name: &str) -> Option<Self> {
        let is_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let is_host = name.len() <= 253 && name.split('.').all(is_label);
        is_host.then(|| Self(format!("{DNS}{}", name.to_ascii_lowercase()).into()))
    }

    pub(super) fn common_name(name: &str) -> Option<Self> {
        is_valid_name(name).then(|| Self(format!("{COMMON_NAME}{name}").into()))
    }

    /// A URI, which is taken to the letter.
    pub(super) fn uri(text: &str) -> Option<Self> {
        let is_taken = [FINGERPRINT, DNS, COMMON_NAME].iter().any(|form| text.starts_with(form));
        if is_taken || (SpiffeId::is_claimed(text) && SpiffeId::parse(text).is_none()) {
            return None;
        }
        let (scheme, rest) = text.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
        let is_uri = |b: u8| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b);
        let has_form = rest.strip_prefix("//").map_or(scheme == "urn", |rest| !rest.is_empty());
        (is_scheme && has_form && text.len() <= MAX_URI_LEN && rest.bytes().all(is_uri))
            .then(|| Self(text.into()))
    }

    /// The name, in the form of the keys file.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "must name a certificate: a uri such as \"spiffe://example.org/ns/prod/sa/batch\", \
                 \"dns:\" and a host, \"cn:\" and a common name, or \"sha256:\" and the 64 lower-case \
                 hexadecimal digits of the certificate's sha-256"
            }
            Self::Fingerprint => {
                "must have the 64 lower-case hexadecimal digits of the certificate's sha-256 behind \
                 \"sha256:\""
            }
            Self::Dns => "must have the name of a host in lower case behind \"dns:\", and no wildcard",
            Self::CommonName => {
                "must have a name behind \"cn:\", without control characters, and without space at \
                 either end"
            }
            Self::SpiffeId => {
                "is no spiffe id of a workload: \"spiffe://\", the trust domain in lower case, and a \
                 path without a slash at its end"
            }
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_told_apart() {
        let digits = "0123456789abcdef".repeat(4);
        for text in [
            "spiffe://example.org/ns/prod/sa/batch",
            "https://example.org/a?b=c#d",
            "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "dns:batch.example.org",
            "dns:a_b-1",
            "cn:Batch jobs",
            "cn:a://b",
            &format!("sha256:{digits}"),
        ] {
            assert_eq!(CertName::parse(text).map(|name| name.0), Ok(text.into()), "{text}");
        }
        for (text, error) in [
            ("", NameError::Form),
            ("acme", NameError::Form),
            ("urn", NameError::Form),
            ("mailto:a@b", NameError::Form),
            ("HTTPS://a", NameError::Form),
            ("https://", NameError::Form),
            ("https://a b", NameError::Form),
            ("https://a\"", NameError::Form),
            ("https://\u{e9}", NameError::Form),
            ("DNS:a", NameError::Form),
            ("spiffe://example.org", NameError::SpiffeId),
            ("SPIFFE://example.org/a", NameError::SpiffeId),
            ("spiffe://Example.org/a", NameError::SpiffeId),
            ("dns:", NameError::Dns),
            ("dns:A.example", NameError::Dns),
            ("dns:*.example", NameError::Dns),
            ("dns:a..b", NameError::Dns),
            ("dns:a.", NameError::Dns),
            ("cn:", NameError::CommonName),
            ("cn: a", NameError::CommonName),
            ("cn:a\0", NameError::CommonName),
            ("sha256:", NameError::Fingerprint),
            (&format!("sha256:{}", digits.to_uppercase()), NameError::Fingerprint),
            (&format!("sha256:{digits}0"), NameError::Fingerprint),
        ] {
            assert_eq!(CertName::parse(text), Err(error), "{text}");
            let shown = error.to_string();
            assert!(!shown.ends_with('.') && shown.starts_with(char::is_lowercase), "{shown}");
        }
    }

    #[test]
    fn no_name_of_one_kind_is_one_of_another() {
        for text in ["dns:a", "cn:a", "cn://a", "dns://a/b", "sha256://a"] {
            assert_eq!(CertName::uri(text), None, "{text}");
        }
        assert_eq!(CertName::dns("A.Example").unwrap().as_str(), "dns:a.example");
        assert_eq!(CertName::common_name("dns:a").unwrap().as_str(), "cn:dns:a");
        assert_eq!(CertName::uri(&format!("https://{}", "a".repeat(2040))).map(drop), Some(()));
        assert_eq!(CertName::uri(&format!("https://{}", "a".repeat(2041))), None);
    }
}
