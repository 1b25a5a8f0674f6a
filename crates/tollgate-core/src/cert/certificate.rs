//! A certificate (RFC 5280), as far as it says whose it is.

use sha2::{Digest as _, Sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::ext::Extension;
use x509_cert::time::Time;
use x509_cert::Certificate;

use crate::clock::{UnixMillis, WallClock};
use crate::detail::Cause;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// What a certificate says of its owner. It is no proof of anything: whoever reads one knows where from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    pub(super) thumbprint: Option<[u8; 32]>,
    /// From the first of these moments on, until just before the second.
    pub(super) window: Option<(UnixMillis, UnixMillis)>,
    /// Names of type URI and DNS in `subjectAltName`, as they are there.
    pub(super) uris: Vec<Box<str>>,
    pub(super) dns: Vec<Box<str>>,
    /// `CN` of the subject.
    pub(super) common_names: Vec<Box<str>>,
    /// It may sign other certificates.
    pub(super) signs: bool,
}

impl ClientCertificate {
    /// Reads one certificate in PEM (RFC 7468).
    ///
    /// # Errors
    ///
    /// [`Cause::CertUnreadable`] where that is not just one certificate in DER, or has an extension twice, or
    /// a text of a kind that could be read in several ways.
    pub fn from_pem(pem: &[u8]) -> Result<Self, Cause> {
        let blocks = pem::parse_many(pem).map_err(|_| Cause::CertUnreadable)?;
        match blocks.as_slice() {
            [one] if one.tag() == "CERTIFICATE" => Self::from_der(one.contents()),
            _ => Err(Cause::CertUnreadable),
        }
    }

    /// Reads a certificate in DER.
    ///
    /// # Errors
    ///
    /// As [`ClientCertificate::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, Cause> {
        read(der).ok_or(Cause::CertUnreadable)
    }

    /// The SHA-256 of its DER, which RFC 8705 calls `x5t#S256`. `None`: whoever forwarded it didn't say.
    #[must_use]
    pub fn thumbprint(&self) -> Option<&[u8; 32]> {
        self.thumbprint.as_ref()
    }

    /// Whether it is valid at `now`. A connection may last longer than the certificate that it began with.
    ///
    /// # Errors
    ///
    /// [`Cause::CertExpired`] or [`Cause::CertNotYetValid`].
    pub fn check_time(&self, now: impl Into<WallClock>) -> Result<(), Cause> {
        let Some((from, until)) = self.window else { return Ok(()) };
        let now = now.into();
        if now.has_reached(until) {
            Err(Cause::CertExpired)
        } else if !now.has_reached(from) {
            Err(Cause::CertNotYetValid)
        } else {
            Ok(())
        }
    }
}

fn read(der: &[u8]) -> Option<ClientCertificate> {
    let tbs = Certificate::from_der(der).ok()?.tbs_certificate;
    let extensions = tbs.extensions.as_deref().unwrap_or_default();
    let mut found = ClientCertificate {
        thumbprint: Some(Sha256::digest(der).into()),
        window: Some((
            UnixMillis(secs(tbs.validity.not_before)?.checked_mul(1000)?),
            // The last second is one of those in which it is valid.
            UnixMillis(secs(tbs.validity.not_after)?.checked_add(1)?.checked_mul(1000)?),
        )),
        ..ClientCertificate::default()
    };
    if let Some(names) = extension(extensions, SUBJECT_ALT_NAME)? {
        for name in SubjectAltName::from_der(names).ok()?.0 {
            match name {
                GeneralName::UniformResourceIdentifier(uri) => found.uris.push(uri.as_str().into()),
                GeneralName::DnsName(name) => found.dns.push(name.as_str().into()),
                _ => {}
            }
        }
    }
    if let Some(constraints) = extension(extensions, BASIC_CONSTRAINTS)? {
        found.signs |= BasicConstraints::from_der(constraints).ok()?.ca;
    }
    if let Some(usage) = extension(extensions, KEY_USAGE)? {
        let usage = KeyUsage::from_der(usage).ok()?;
        found.signs |= usage.key_cert_sign() || usage.crl_sign();
    }
    let attributes = tbs.subject.0.iter().flat_map(|name| name.0.iter());
    let names = attributes.filter(|attribute| attribute.oid == COMMON_NAME).map(text);
    found.common_names = names.collect::<Option<_>>()?;
    Some(found)
}

/// Seconds since 1970. (No certificate is older.)
fn secs(time: Time) -> Option<i64> {
    i64::try_from(time.to_unix_duration().as_secs()).ok()
}

/// The value of an extension, if it is there. `None`: it is there twice.
fn extension(extensions: &[Extension], oid: ObjectIdentifier) -> Option<Option<&[u8]>> {
    let mut all = extensions.iter().filter(|extension| extension.extn_id == oid);
    let first = all.next().map(|extension| extension.extn_value.as_bytes());
    all.next().is_none().then_some(first)
}

/// A text of one of the kinds that RFC 5280 has for new certificates.
fn text(attribute: &AttributeTypeAndValue) -> Option<Box<str>> {
    let value = &attribute.value;
    match value.tag() {
        Tag::Utf8String => {
            value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.as_str().into())
        }
        Tag::PrintableString => {
            value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.as_str().into())
        }
        Tag::Ia5String => {
            value.decode_as::<Ia5StringRef<'_>>().ok().map(|text| text.as_str().into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::clock::UnixSeconds;
    use crate::hex;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use base64::Engine as _;
    use proptest::prelude::*;

    fn read(pem: &str) -> ClientCertificate {
        ClientCertificate::from_pem(pem.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_read_as_openssl_wrote_them() {
        let found = read(fixtures::WORKLOAD);
        assert_eq!(hex::encode(found.thumbprint().unwrap()), fixtures::WORKLOAD_SHA256);
        assert_eq!(found.uris, [Box::from("spiffe://example.org/ns/prod/sa/batch")]);
        assert_eq!(found.dns, [Box::from("a.example.org"), Box::from("b.example.org")]);
        assert_eq!(found.common_names, [Box::from("Batch")]);
        assert!(!found.signs);
        let signer = read(fixtures::SIGNER);
        assert!(signer.signs);
        assert_eq!(signer.uris, [Box::from("spiffe://example.org/ca")]);
    }

    #[test]
    fn thumbprint_is_that_of_rfc_8705() {
        let found = read(fixtures::RFC8705);
        let thumbprint = URL_SAFE_NO_PAD.encode(found.thumbprint().unwrap());
        assert_eq!(thumbprint, fixtures::RFC8705_THUMBPRINT);
        assert_eq!(found.common_names, [Box::from("mtls")]);
        // 2018-10-18T12:37:09Z to 2022-05-02T12:37:09Z
        assert_eq!(found.check_time(UnixSeconds(1_539_866_229)), Ok(()));
        assert_eq!(found.check_time(UnixSeconds(1_539_866_228)), Err(Cause::CertNotYetValid));
        assert_eq!(found.check_time(UnixSeconds(1_651_495_029)), Ok(()));
        assert_eq!(found.check_time(UnixSeconds(1_651_495_030)), Err(Cause::CertExpired));
    }

    #[test]
    fn the_last_second_is_one_of_its_own() {
        let found = read(fixtures::WORKLOAD);
        let from = fixtures::WORKLOAD_FROM;
        for (now, expected) in [
            (from - 1, Err(Cause::CertNotYetValid)),
            (from, Ok(())),
            (from + 86_400, Ok(())),
            (from + 86_401, Err(Cause::CertExpired)),
        ] {
            assert_eq!(found.check_time(UnixSeconds(now)), expected, "{now}");
        }
        assert_eq!(ClientCertificate::default().check_time(UnixSeconds(0)), Ok(()));
    }

    #[test]
    fn what_is_not_one_certificate_is_none() {
        let good = fixtures::WORKLOAD;
        for bad in [
            String::new(),
            "x".to_owned(),
            format!("{good}{good}"),
            good.replace("CERTIFICATE", "X509 CRL"),
            good.replacen("MII", "MIJ", 1),
            good.replace("-----END CERTIFICATE-----", ""),
        ] {
            assert_eq!(
                ClientCertificate::from_pem(bad.as_bytes()),
                Err(Cause::CertUnreadable),
                "{bad}"
            );
        }
        let block = pem::parse(good).unwrap();
        let der = block.contents();
        assert!(ClientCertificate::from_der(der).is_ok());
        assert!(ClientCertificate::from_der(&[der, &[0]].concat()).is_err());
        for len in 0..der.len() {
            assert!(ClientCertificate::from_der(&der[..len]).is_err(), "{len}");
        }
    }

    proptest! {
        #[test]
        fn no_certificate_panics(at in 0_usize..600, byte: u8) {
            let mut der = pem::parse(fixtures::WORKLOAD).unwrap().into_contents();
            if let Some(place) = der.get_mut(at) {
                *place = byte;
            }
            let _ = ClientCertificate::from_der(&der);
        }
    }
}
