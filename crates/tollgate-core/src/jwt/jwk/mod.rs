//! JSON Web Keys and sets of them (RFC 7517, RFC 7518 section 6, RFC 8037).

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::base64url;
use super::key::{Curve, Key};
use super::key_error::{KeyError, KeyProblem};
use super::{object, secret};

type Members = Map<String, Value>;

/// What some put in front of JSON.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The members that are read.
const READ: [&str; 11] = ["kty", "kid", "use", "key_ops", "alg", "crv", "n", "e", "x", "y", "k"];

/// Those that make a key what it is.
const IDENTITY: [&str; 9] = ["kty", "kid", "alg", "crv", "n", "e", "x", "y", "k"];

/// The private members of RFC 7518 section 6 and of draft-ietf-cose-dilithium.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "priv"];

/// The keys that can verify signatures, and what there is to say of the others.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) keys: Vec<Key>,
    pub(super) notes: Vec<KeyError>,
}

/// The keys of a JWK Set, or of a single JWK, that can verify signatures. Those of a set that can't are left
/// out, as RFC 7517 section 5 asks; a set without any key left is an error, and so is a single key that is
/// broken.
pub(super) fn parse(json: &[u8]) -> Result<Parsed, KeyError> {
    let members = object::raw_members(json).ok_or(KeyProblem::NotJwks)?;
    if let Some(keys) = find(&members, "keys") {
        return set(elements(keys)?, Origin::File);
    }
    if find(&members, "kty").is_none() {
        return Err(KeyProblem::NotJwks.into());
    }
    let (members, null) = jwk(json).ok_or(KeyProblem::NotJwks)?;
    let key = key(&members, Origin::File).map_err(|error| match error.is_about_another_kind() {
        true => KeyProblem::NoUsableKey.into(),
        false => error,
    })?;
    let notes = null.map(|name| KeyProblem::NullMember(name).into());
    Ok(Parsed { keys: vec![key], notes: notes.into_iter().collect() })
}

/// The keys of a JWK Set alone, of at most `most` keys, that is fetched from somewhere.
pub(super) fn parse_set(json: &[u8], most: usize) -> Result<Parsed, KeyError> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    let members = object::raw_members(json).ok_or(KeyProblem::NotASet)?;
    let elements = elements(find(&members, "keys").ok_or(KeyProblem::NotASet)?)?;
    match elements.len() > most {
        true => Err(KeyProblem::TooManyFetched.into()),
        false => set(elements, Origin::Fetched),
    }
}

/// Where keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    File,
    /// From where others can fetch them.
    Fetched,
}

fn find<'a>(members: &[(String, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(member, _)| member == name).map(|(_, value)| *value)
}

fn elements(keys: &RawValue) -> Result<Vec<&RawValue>, KeyError> {
    serde_json::from_str(keys.get()).map_err(|_| KeyProblem::BadMember("keys").into())
}

/// Each element is read by itself, so that one which is no JSON for us spoils no other.
fn set(elements: Vec<&RawValue>, origin: Origin) -> Result<Parsed, KeyError> {
    let mut parsed = Parsed::default();
    let mut known = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let Some((members, null)) = jwk(element.get().as_bytes()) else {
            let error = KeyError::from(KeyProblem::NotAKey);
            parsed.notes.push(error.at(format_args!("key {}", index + 1)));
            continue;
        };
        let named = |error: KeyError| match members.get("kid") {
            Some(Value::String(kid)) => {
                error.at(format_args!("key {} ({})", index + 1, short(kid)))
            }
            _ => error.at(format_args!("key {}", index + 1)),
        };
        let identity = IDENTITY.map(|name| members.get(name).cloned());
        match key(&members, origin) {
            // Without a name, each is one more to try.
            Ok(key) if key.kid().is_some() && known.contains(&identity) => {
                parsed.notes.push(named(KeyProblem::RepeatedKey.into()));
            }
            Ok(key) => {
                if let Some(name) = null {
                    parsed.notes.push(named(KeyProblem::NullMember(name).into()));
                }
                known.push(identity);
                parsed.keys.push(key);
            }
            Err(error) => parsed.notes.push(named(error)),
        }
    }
    if parsed.keys.is_empty() {
        // What is a mistake is more likely to be what should be mended.
        let mistake = parsed.notes.into_iter().find(|note| !note.is_about_another_kind());
        return Err(mistake.unwrap_or_else(|| KeyProblem::NoUsableKey.into()));
    }
    Ok(parsed)
}

/// A `kid` as a message has it: somebody else has chosen it.
fn short(kid: &str) -> String {
    const MOST: usize = 64;
    match kid.char_indices().nth(MOST).and_then(|(end, _)| kid.get(..end)) {
        Some(head) => format!("{head:?}..."),
        None => format!("{kid:?}"),
    }
}

/// The members of a JWK but those that are `null`, as some programs write what is absent; and the first of
/// these that would matter.
fn jwk(json: &[u8]) -> Option<(Members, Option<&'static str>)> {
    let mut members = object::parse(json)?;
    let null = READ.into_iter().find(|name| members.get(*name).is_some_and(Value::is_null));
    members.retain(|_, value| !value.is_null());
    Some((members, null))
}

/// The key that `members` describe, if it is for verifying signatures, and of a kind that we know.
fn key(members: &Members, origin: Origin) -> Result<Key, KeyError> {
    let kty = text(members, "kty")?.ok_or(KeyProblem::BadMember("kty"))?;
    // First of all: a private key in a public set is somebody's mistake, whatever it is for.
    if kty != "oct" && PRIVATE.iter().any(|name| members.contains_key(*name)) {
        return Err(KeyProblem::PrivateKey.into());
    }
    if kty == "oct" && origin == Origin::Fetched {
        return Err(KeyProblem::PublishedSecret.into());
    }
    if !is_for_verification(members)? {
        return Err(KeyProblem::OtherUse.into());
    }
    let pinned = match text(members, "alg")?.map(|name| (name, name.parse::<Algorithm>())) {
        None => None,
        Some((_, Ok(algorithm))) => Some(algorithm),
        Some((name, Err(_))) if is_for_encryption(name) => {
            return Err(KeyProblem::OtherUse.into());
        }
        Some((_, Err(_))) => return Err(KeyProblem::UnknownAlgorithm.into()),
    };
    let mut key = material(kty, members)?;
    if let Some(algorithm) = pinned {
        key = key.pinned(algorithm)?;
    }
    if let Some(kid) = text(members, "kid")? {
        key = key.named(kid)?;
    }
    Ok(key)
}

/// Whether `alg` is one of encryption (RFC 7518 sections 4.1 and 5.1).
fn is_for_encryption(alg: &str) -> bool {
    ["RSA1_5", "RSA-OAEP", "ECDH-ES", "PBES2-", "A128", "A192", "A256", "dir"]
        .iter()
        .any(|family| alg.starts_with(family))
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

fn material(kty: &str, members: &Members) -> Result<Key, KeyError> {
    match kty {
        "oct" => secret::key(&bytes(members, "k")?),
        "RSA" => Key::rsa(&bytes(members, "n")?, &bytes(members, "e")?),
        "EC" => {
            let curve = match text(members, "crv")?.ok_or(KeyProblem::BadMember("crv"))? {
                "P-256" => Curve::P256,
                "P-384" => Curve::P384,
                "P-521" => Curve::P521,
                _ => return Err(KeyProblem::UnknownKind.into()),
            };
            let (x, y) = (bytes(members, "x")?, bytes(members, "y")?);
            // RFC 7518 section 6.2.1.2: full length, leading zeros included.
            if x.len() != curve.field_len() || y.len() != curve.field_len() {
                return Err(KeyProblem::CoordinateLength.into());
            }
            Key::on_curve(curve, &[&[4], &x[..], &y[..]].concat())
        }
        "OKP" => match text(members, "crv")?.ok_or(KeyProblem::BadMember("crv"))? {
            "Ed25519" => Key::on_curve(Curve::Ed25519, &bytes(members, "x")?),
            _ => Err(KeyProblem::UnknownKind.into()),
        },
        _ => Err(KeyProblem::UnknownKind.into()),
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
mod tests;
