//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037).

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::base64url;
use super::key::{Curve, Key};
use super::key_error::{KeyError, KeyProblem};
use super::{object, secret};

type Members = Map<String, Value>;

/// The private members of RFC 7518 section 6 and of draft-ietf-cose-dilithium.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// The keys of a JWK Set, or of a single JWK, that can verify signatures. Keys for other uses are
/// left out, as RFC 7517 section 5 asks; a key that claims to be for signatures, and is broken, is
/// an error, and so is a set without any key left.
pub(super) fn parse(json: &[u8]) -> Result<Vec<Key>, KeyError> {
    let members = object::parse(json).ok_or(KeyProblem::NotJwks)?;
    let keys = match members.get("keys") {
        None if members.contains_key("kty") => key(&members)?.into_iter().collect(),
        None => return Err(KeyProblem::NotJwks.into()),
        Some(Value::Array(elements)) => set(elements)?,
        Some(_) => return Err(KeyProblem::BadMember("keys").into()),
    };
    if keys.is_empty() {
        return Err(KeyProblem::NoUsableKey.into());
    }
    Ok(keys)
}

/// The keys of a JWK Set alone, of at most `most` keys.
pub(super) fn parse_set(json: &[u8], most: usize) -> Result<Vec<Key>, KeyError> {
    let members = object::parse(json).ok_or(KeyProblem::NotASet)?;
    let keys = match members.get("keys") {
        None => return Err(KeyProblem::NotASet.into()),
        Some(Value::Array(elements)) if elements.len() > most => {
            return Err(KeyProblem::TooManyFetched.into())
        }
        Some(Value::Array(elements)) => set(elements)?,
        Some(_) => return Err(KeyProblem::BadMember("keys").into()),
    };
    match keys.is_empty() {
        true => Err(KeyProblem::NoUsableKey.into()),
        false => Ok(keys),
    }
}

fn set(elements: &[Value]) -> Result<Vec<Key>, KeyError> {
    let mut keys = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let Value::Object(members) = element else {
            return Err(KeyError::from(KeyProblem::NotJwks).at(format_args!("key {}", index + 1)));
        };
        let found = key(members).map_err(|error| match members.get("kid") {
            Some(Value::String(kid)) => error.at(format_args!("key {} ({kid:?})", index + 1)),
            _ => error.at(format_args!("key {}", index + 1)),
        })?;
        keys.extend(found);
    }
    Ok(keys)
}

/// The key that `members` describe, or `None` where it is not for verifying signatures, or not of a
/// kind that we know.
fn key(members: &Members) -> Result<Option<Key>, KeyError> {
    let kty = text(members, "kty")?.ok_or(KeyProblem::BadMember("kty"))?;
    // First of all: a private key in a public set is somebody's mistake, whatever it is for.
    if kty != "oct" && PRIVATE.iter().any(|name| members.contains_key(*name)) {
        return Err(KeyProblem::PrivateKey.into());
    }
    if !is_for_verification(members)? {
        return Ok(None);
    }
    let pinned = match text(members, "alg")?.map(str::parse::<Algorithm>) {
        None => None,
        Some(Ok(algorithm)) => Some(algorithm),
        Some(Err(_)) => return Ok(None),
    };
    let Some(mut key) = material(kty, members)? else {
        return Ok(None);
    };
    if let Some(algorithm) = pinned {
        key = key.pinned(algorithm)?;
    }
    if let Some(kid) = text(members, "kid")? {
        key = key.named(kid)?;
    }
    Ok(Some(key))
}

/// RFC 7517 sections 4.2 and 4.3. Where both members are present, both must agree.
fn is_for_verification(members: &Members) -> Result<bool, KeyError> {
    let by_use = text(members, "use")?.is_none_or(|purpose| purpose == "sig");
    let by_operations = match members.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            operations.iter().any(|operation| operation == "verify")
        }
        Some(_) => return Err(KeyProblem::BadMember("key_ops").into()),
    };
    Ok(by_use && by_operations)
}

fn material(kty: &str, members: &Members) -> Result<Option<Key>, KeyError> {
    match kty {
        "oct" => secret::key(&bytes(members, "k")?).map(Some),
        "RSA" => Key::rsa(&bytes(members, "n")?, &bytes(members, "e")?).map(Some),
        "EC" => {
            let curve = match text(members, "crv")?.ok_or(KeyProblem::BadMember("crv"))? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                "P-521" => Curve::P521,
                _ => return Ok(None),
            };
            let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
            // RFC 7518 section 6.2.1.2: full length, leading zeros included.
            if x.len() != curve.field_len() || y.len() != curve.field_len() {
                return Err(KeyProblem::BadPoint.into());
            }
            Key::on_curve(curve, &[&[4], &x[..], &y[..]].concat()).map(Some)
        }
        "OKP" => match text(members, "crv")?.ok_or(KeyProblem::BadMember("crv"))? {
            "Ed25519" => Key::on_curve(Curve::Ed25519, &bytes(members, "x")?).map(Some),
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

fn text<'a>(members: &'a Members, name: &'static str) -> Result<Option<&'a str>, KeyError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyProblem::BadMember(name).into()),
    }
}

fn bytes(members: &Members, name: &'static str) -> Result<Vec<u8>, KeyError> {
    text(members, name)?
        .and_then(|text| base64url::decode(text.as_bytes()))
        .ok_or_else(|| KeyProblem::BadMember(name).into())
}

#[cfg(test)]
mod tests {
    use super::super::algorithm::AlgorithmSet;
    use super::*;

    const EC: &str = r#""kty":"EC","crv":"P-256",
        "x":"04N0xi21hshyvBp7I167sbE_bXqyqkAPfefdklMO7wY",
        "y":"UI8exy-C06a7DUnjIdENkxeFtHM4-l_41LqEw9nVgmw""#;
    const OCT: &str = r#""kty":"oct","k":"-ebuDNsVZ2iJtoZ-akfXTSCt4UO2cruLCsbWlBinggE""#;
    /// The public key of RFC 8037 appendix A.2.
    const OKP: &str =
        r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn rsa() -> String {
        let modulus = "v".repeat(341) + "w";
        format!(r#""kty":"RSA","n":"{modulus}","e":"AQAB""#)
    }

    fn load(members: &str) -> Result<Vec<Key>, KeyProblem> {
        parse(format!("{{{members}}}").as_bytes()).map_err(|error| error.problem())
    }

    fn algorithms(members: &str) -> AlgorithmSet {
        load(members).unwrap()[0].algorithms()
    }

    fn refusal(members: &str) -> KeyProblem {
        load(members).map(drop).unwrap_err()
    }

    #[test]
    fn kind_of_key_gives_its_algorithms() {
        assert_eq!(algorithms(EC), AlgorithmSet::of(&[Algorithm::Es256]));
        assert_eq!(algorithms(OCT), AlgorithmSet::of(&[Algorithm::Hs256]));
        assert_eq!(algorithms(OKP), AlgorithmSet::of(&[Algorithm::EdDsa]));
        assert_eq!(algorithms(&rsa()), AlgorithmSet::RSA);
    }

    #[test]
    fn alg_pins_the_key_to_one_algorithm() {
        let pinned = algorithms(&format!(r#"{},"alg":"PS512""#, rsa()));
        assert_eq!(pinned, AlgorithmSet::of(&[Algorithm::Ps512]));
        assert_eq!(refusal(&format!(r#"{EC},"alg":"ES384""#)), KeyProblem::AlgorithmMismatch);
        assert_eq!(refusal(&format!(r#"{EC},"alg":"HS256""#)), KeyProblem::AlgorithmMismatch);
        assert_eq!(refusal(&format!(r#"{OCT},"alg":"HS384""#)), KeyProblem::ShortSecret);
        assert_eq!(refusal(&format!(r#"{EC},"alg":7"#)), KeyProblem::BadMember("alg"));
    }

    #[test]
    fn keys_for_other_uses_are_left_out() {
        for good in [r#""use":"sig""#, r#""key_ops":["sign","verify"]"#, r#""x5c":["AA"],"y2":1"#] {
            assert_eq!(load(&format!("{OCT},{good}")).unwrap().len(), 1, "{good}");
        }
        for other in [
            r#""use":"enc""#,
            r#""use":"SIG""#,
            r#""key_ops":[]"#,
            r#""key_ops":["sign"]"#,
            r#""use":"sig","key_ops":["encrypt"]"#,
            r#""use":"enc","key_ops":["verify"]"#,
            r#""alg":"A256GCM""#,
            r#""alg":"none""#,
            r#""alg":"ES521""#,
        ] {
            assert_eq!(refusal(&format!("{OCT},{other}")), KeyProblem::NoUsableKey, "{other}");
        }
        for (wrong, name) in [(r#""use":1"#, "use"), (r#""key_ops":"verify""#, "key_ops")] {
            assert_eq!(refusal(&format!("{OCT},{wrong}")), KeyProblem::BadMember(name));
        }
    }

    #[test]
    fn kinds_of_keys_that_nobody_knows_are_left_out() {
        for members in [
            r#""kty":"EC","crv":"secp256k1","x":"AA","y":"AA""#,
            r#""kty":"OKP","crv":"X25519","x":"AA""#,
            r#""kty":"AKP","alg":"ML-DSA-44","pub":"AA""#,
            r#""kty":"ec","crv":"P-256","x":"AA","y":"AA""#,
        ] {
            assert_eq!(refusal(members), KeyProblem::NoUsableKey, "{members}");
            let set = format!(r#""keys":[{{{members}}},{{{EC}}}]"#);
            assert_eq!(load(&set).unwrap().len(), 1, "{members}");
        }
    }

    #[test]
    fn private_members_are_refused_whatever_the_key_is_for() {
        for name in PRIVATE {
            for rest in [EC, OKP, &rsa(), &format!(r#"{EC},"use":"enc""#), r#""kty":"AKP""#] {
                let members = format!(r#"{rest},"{name}":"AA""#);
                assert_eq!(refusal(&members), KeyProblem::PrivateKey, "{members}");
                let set = format!(r#""keys":[{{{OCT}}},{{{members}}}]"#);
                assert_eq!(refusal(&set), KeyProblem::PrivateKey, "{members}");
            }
        }
    }

    #[test]
    fn missing_and_malformed_members_are_refused() {
        for (members, name) in [
            (r#""kty":1"#, "kty"),
            (r#""kty":"oct""#, "k"),
            (r#""kty":"oct","k":1"#, "k"),
            (r#""kty":"oct","k":"AA==""#, "k"),
            (r#""kty":"RSA","e":"AQAB""#, "n"),
            (r#""kty":"RSA","n":"AQAB""#, "e"),
            (r#""kty":"EC","x":"AA","y":"AA""#, "crv"),
            (r#""kty":"EC","crv":"P-256","x":"AA""#, "y"),
            (r#""kty":"OKP","crv":"Ed25519""#, "x"),
            (r#""keys":{}"#, "keys"),
        ] {
            assert_eq!(refusal(members), KeyProblem::BadMember(name), "{members}");
        }
        assert_eq!(refusal(&format!(r#"{OCT},"kid":1"#)), KeyProblem::BadMember("kid"));
        assert_eq!(refusal(r#""kty":"oct","k":"""#), KeyProblem::ShortSecret);
        assert_eq!(refusal(&EC.replace("P-256", "P-384")), KeyProblem::BadPoint);
        assert_eq!(refusal(&EC.replace("mw\"", "nw\"")), KeyProblem::BadPoint);
        assert_eq!(refusal(&EC.replace("\"04N0", "\"AAAA04N0")), KeyProblem::BadPoint);
    }

    #[test]
    fn anything_but_a_set_or_a_key_is_refused() {
        for json in ["", "{}", "[]", "{", "{\"keys\":[1]}", "{\"keys\":[[]]}", "{\"kid\":\"a\"}"] {
            assert_eq!(
                parse(json.as_bytes()).unwrap_err().problem(),
                KeyProblem::NotJwks,
                "{json}"
            );
        }
        assert_eq!(refusal(&format!(r#"{OCT},"kty":"oct""#)), KeyProblem::NotJwks);
        assert_eq!(refusal(r#""keys":[]"#), KeyProblem::NoUsableKey);
    }

    #[test]
    fn error_in_a_set_names_the_key() {
        let json = format!(r#"{{"keys":[{{{OCT}}},{{{EC},"kid":"a","alg":"ES384"}}]}}"#);
        let error = parse(json.as_bytes()).unwrap_err().in_file("jwks.json");
        assert_eq!(error.to_string(), r#""jwks.json": key 2 ("a"): "alg" does not fit the key"#);
    }
}
