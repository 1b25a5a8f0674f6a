//! Public keys and certificates in PEM (RFC 7468).

use aws_lc_rs::rsa;
use aws_lc_rs::signature::RsaPublicKeyComponents;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::Decode as _;
use x509_cert::spki::SubjectPublicKeyInfoOwned;
use x509_cert::Certificate;

use super::key::{Curve, Key};
use super::key_error::{KeyError, KeyProblem};

pub(super) const BEGIN: &[u8] = b"-----BEGIN ";

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

/// The keys of all blocks of a file. Text between the blocks is ignored, as openssl's tools print it.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Key>, KeyError> {
    let blocks = pem::parse_many(file).map_err(|_| KeyProblem::DamagedPem)?;
    // A block without its end is passed over by the parser: it must not be by us.
    if blocks.len() != file.windows(BEGIN.len()).filter(|window| *window == BEGIN).count() {
        return Err(KeyProblem::DamagedPem.into());
    }
    blocks
        .iter()
        .enumerate()
        .map(|(index, block)| {
            key(block).map_err(|error| error.at(format_args!("PEM block {}", index + 1)))
        })
        .collect()
}

fn key(block: &pem::Pem) -> Result<Key, KeyError> {
    let der = block.contents();
    match block.tag() {
        "PUBLIC KEY" => subject_public_key(der),
        "RSA PUBLIC KEY" => rsa_public_key(der),
        "CERTIFICATE" => certificate(der),
        tag if tag.ends_with("PRIVATE KEY") => Err(KeyProblem::PrivateKey.into()),
        _ => Err(KeyProblem::UnsupportedPem.into()),
    }
}

/// The key of an X.509 certificate (RFC 5280). That the operator put it here is what makes it
/// trusted: neither its issuer, nor its dates, nor its key usage are looked at.
fn certificate(der: &[u8]) -> Result<Key, KeyError> {
    let certificate = Certificate::from_der(der).map_err(|_| KeyProblem::DamagedPem)?;
    from_spki(&certificate.tbs_certificate.subject_public_key_info)
}

/// `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).
fn subject_public_key(der: &[u8]) -> Result<Key, KeyError> {
    from_spki(&SubjectPublicKeyInfoOwned::from_der(der).map_err(|_| KeyProblem::DamagedPem)?)
}

fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Key, KeyError> {
    let bits = spki.subject_public_key.as_bytes().ok_or(KeyProblem::DamagedPem)?;
    let curve = match spki.algorithm.oid {
        RSA_ENCRYPTION => return rsa_public_key(bits),
        ED25519 => Curve::Ed25519,
        // RFC 5480 section 2.1.1: only named curves.
        EC_PUBLIC_KEY => match spki.algorithm.parameters.as_ref().map(Any::decode_as) {
            Some(Ok(P256)) => Curve::P256,
            Some(Ok(P384)) => Curve::P384,
            Some(Ok(P521)) => Curve::P521,
            _ => return Err(KeyProblem::UnsupportedKey.into()),
        },
        _ => return Err(KeyProblem::UnsupportedKey.into()),
    };
    Key::on_curve(curve, bits)
}

/// `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa_public_key(der: &[u8]) -> Result<Key, KeyError> {
    let key = rsa::PublicKey::from_der(der).map_err(|_| KeyProblem::BadRsaKey)?;
    let components = RsaPublicKeyComponents::<Vec<u8>>::from(&key);
    Key::rsa(&components.n, &components.e)
}

/// Whether `der` is a public key or a certificate, bare of any armour.
pub(super) fn is_public_der(der: &[u8]) -> bool {
    SubjectPublicKeyInfoOwned::from_der(der).is_ok()
        || Certificate::from_der(der).is_ok()
        || rsa::PublicKey::from_der(der).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::{fixtures, verify_signature, KeySet};
    use super::*;

    fn keys(pem: &str) -> KeySet {
        KeySet::load(&[("key.pem", pem.as_bytes())]).unwrap()
    }

    fn problem(pem: &str) -> KeyProblem {
        parse(pem.as_bytes()).unwrap_err().problem()
    }

    #[test]
    fn public_key_and_certificate_verify_what_openssl_signed() {
        let rsa = [
            fixtures::RS256_TOKEN,
            fixtures::RS384_TOKEN,
            fixtures::RS512_TOKEN,
            fixtures::PS256_TOKEN,
            fixtures::PS384_TOKEN,
            fixtures::PS512_TOKEN,
        ];
        for (pem, tokens) in [
            (fixtures::RSA_PUBLIC, &rsa[..]),
            (fixtures::RSA_PUBLIC_PKCS1, &rsa),
            (fixtures::RSA_CERTIFICATE, &rsa),
            (fixtures::P256_PUBLIC, &[fixtures::ES256_TOKEN]),
            (fixtures::P256_CERTIFICATE, &[fixtures::ES256_TOKEN]),
            (fixtures::P384_PUBLIC, &[fixtures::ES384_TOKEN]),
            (fixtures::P521_PUBLIC, &[fixtures::ES512_TOKEN]),
            (fixtures::ED25519_PUBLIC, &[fixtures::EDDSA_TOKEN]),
            (fixtures::ED25519_CERTIFICATE, &[fixtures::EDDSA_TOKEN]),
        ] {
            for token in tokens {
                let verified = verify_signature(token.as_bytes(), &keys(pem), None, 9999).unwrap();
                assert_eq!(verified.payload, br#"{"sub":"acme","exp":2000}"#);
                assert_eq!(verified.kid, None);
            }
        }
    }

    #[test]
    fn key_of_another_does_not_verify() {
        let token = fixtures::ES256_TOKEN.as_bytes();
        for pem in [fixtures::RSA_PUBLIC, fixtures::P384_PUBLIC, fixtures::ED25519_PUBLIC] {
            assert!(verify_signature(token, &keys(pem), None, 9999).is_err());
        }
    }

    #[test]
    fn several_blocks_are_several_keys_and_text_between_them_is_ignored() {
        let file = format!(
            "Bag Attributes\n    friendlyName: one\n{}subject=CN = two\n{}",
            fixtures::P256_PUBLIC,
            fixtures::RSA_CERTIFICATE
        );
        assert_eq!(keys(&file).len(), 2);
        assert_eq!(keys(&fixtures::P256_PUBLIC.replace('\n', "\r\n")).len(), 1);
    }

    #[test]
    fn private_key_is_refused_alone_and_beside_a_public_one() {
        for tag in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            let private = fixtures::ED25519_PRIVATE.replace("PRIVATE KEY", tag);
            assert_eq!(problem(&private), KeyProblem::PrivateKey, "{tag}");
            let both = format!("{}{private}", fixtures::P256_PUBLIC);
            assert_eq!(problem(&both), KeyProblem::PrivateKey, "{tag}");
        }
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let good = fixtures::P256_PUBLIC;
        assert_eq!(parse(good.as_bytes()).unwrap().len(), 1);
        let unfinished = good.replace("-----END PUBLIC KEY-----", "");
        for damaged in [
            unfinished.clone(),
            format!("{good}{unfinished}"),
            good.replace("END PUBLIC", "END RSA PUBLIC"),
            good.replacen("MF", "M*", 1),
            good.replacen("MF", "MX", 1),
        ] {
            assert_eq!(problem(&damaged), KeyProblem::DamagedPem, "{damaged}");
        }
    }

    #[test]
    fn other_blocks_and_other_kinds_of_keys_are_refused() {
        let request = fixtures::P256_PUBLIC.replace("PUBLIC KEY", "CERTIFICATE REQUEST");
        assert_eq!(problem(&request), KeyProblem::UnsupportedPem);
        assert_eq!(problem(fixtures::SECP256K1_PUBLIC), KeyProblem::UnsupportedKey);
        assert_eq!(problem(fixtures::X25519_PUBLIC), KeyProblem::UnsupportedKey);
        assert_eq!(problem(fixtures::RSA_1024_PUBLIC), KeyProblem::ModulusSize);
    }
}
