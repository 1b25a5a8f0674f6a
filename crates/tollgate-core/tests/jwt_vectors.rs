//! Other people's test data: Wycheproof's JWS and JWK files, RFC 7520 (the JOSE cookbook), RFC 7797.
//! Where it is and how it is to be read: `../shared/vectors/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

use std::path::PathBuf;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{json, Value};
use tollgate_core::jwt::{looks_like_jws, verify_signature, KeyProblem, KeySet, TokenError};

const MAX_LEN: usize = 16 * 1024;

/// The file `name` of the vectors, or `None`, said aloud, where there are none.
fn vectors(name: &str) -> Option<Value> {
    let folder = std::env::var_os("TOLLGATE_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("skipped: no vectors");
        return None;
    }
    let text = std::fs::read_to_string(folder.join(name)).expect(name);
    Some(serde_json::from_str(&text).expect(name))
}

/// The keys of `jwk` as the configuration would take them, or `None` where it would refuse them.
fn keys(jwk: &Value) -> Option<KeySet> {
    let keys = KeySet::load(&[("vector", jwk.to_string().as_bytes())]).ok()?;
    keys.check(None).is_ok().then_some(keys)
}

fn accepts(keys: Option<&KeySet>, token: &str) -> bool {
    keys.is_some_and(|keys| verify_signature(token.as_bytes(), keys, None, MAX_LEN).is_ok())
}

/// What a Wycheproof file comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    valid: usize,
    invalid: usize,
    /// tcIds of valid cases that are refused.
    refused: Vec<u64>,
    /// tcIds of invalid cases that are accepted.
    accepted: Vec<u64>,
}

fn run_wycheproof(file: &Value) -> Outcome {
    let mut outcome = Outcome::default();
    for group in file["testGroups"].as_array().unwrap() {
        // Asymmetric groups give both halves; a symmetric key is in "private" only.
        let keys = keys(group.get("public").unwrap_or(&group["private"]));
        for test in group["tests"].as_array().unwrap() {
            let id = test["tcId"].as_u64().unwrap();
            let accepted = accepts(keys.as_ref(), test["jws"].as_str().unwrap());
            match (test["result"].as_str().unwrap(), accepted) {
                ("valid", true) => outcome.valid += 1,
                ("valid", false) => {
                    outcome.valid += 1;
                    outcome.refused.push(id);
                }
                ("invalid", false) => outcome.invalid += 1,
                ("invalid", true) => {
                    outcome.invalid += 1;
                    outcome.accepted.push(id);
                }
                (result, _) => panic!("unknown result {result}"),
            }
        }
    }
    outcome
}

#[test]
fn wycheproof_signatures_are_judged_as_they_should_be_but_for_those_listed() {
    let Some(file) = vectors("wycheproof/json_web_signature_test.json") else {
        return;
    };
    let expected = Outcome {
        valid: 46,
        invalid: 355,
        refused: vec![
            346, // the key is for PS256, the header says PS384
            347, // "ES521", the `alg` of the key, is no registered algorithm
            350, // as 346
            351, // as 347
            372, // a "?" inside the base64url of the header
            373, // a "?" inside the base64url of the payload
        ],
        // Nothing is wrong with these two: see the next test.
        accepted: vec![367, 370],
    };
    assert_eq!(run_wycheproof(&file), expected);
}

/// tcId 367 and 370 are meant to have padding in a signature and in a payload, and lost it: they are, byte
/// for byte, the valid 357 with the same key, so no verifier can judge all three as the file says
/// (C2SP/wycheproof issue 236). What they were meant to be is refused.
#[test]
fn wycheproof_cases_that_lost_their_padding_are_refused_with_it() {
    let Some(file) = vectors("wycheproof/json_web_signature_test.json") else {
        return;
    };
    let find = |id: u64| {
        file["testGroups"].as_array().unwrap().iter().find_map(|group| {
            let tests = group["tests"].as_array().unwrap();
            let test = tests.iter().find(|test| test["tcId"] == id)?;
            Some((&group["private"], test["jws"].as_str().unwrap()))
        })
    };
    let (key, token) = find(357).unwrap();
    assert_eq!(find(367), Some((key, token)));
    assert_eq!(find(370), Some((key, token)));

    let keys = keys(key);
    assert!(accepts(keys.as_ref(), token));
    assert!(!accepts(keys.as_ref(), &format!("{token}=")));
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert!(!accepts(keys.as_ref(), &format!("{message}==.{signature}")));
    // Nor with a signature over the padded text: the key is 32 zero bytes.
    let padded = format!("{message}==");
    let secret = EncodingKey::from_secret(&[0; 32]);
    let sign = |message: &str| {
        jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap()
    };
    assert!(accepts(keys.as_ref(), &format!("{message}.{}", sign(message))));
    assert!(!accepts(keys.as_ref(), &format!("{padded}.{}", sign(&padded))));
}

#[test]
fn wycheproof_keys_are_judged_as_they_should_be_but_for_one() {
    let Some(file) = vectors("wycheproof/json_web_key_test.json") else {
        return;
    };
    let expected = Outcome {
        valid: 5,
        invalid: 21,
        refused: vec![],
        // Two keys of one `kid`, of which the second is no canonical base64url: it is ignored, as RFC 7517
        // section 5 asks, and the first has signed.
        accepted: vec![4],
    };
    assert_eq!(run_wycheproof(&file), expected);
}

/// The reasons, so that a key is not refused for the wrong one.
#[test]
fn wycheproof_keys_are_refused_for_what_is_wrong_with_them() {
    let Some(file) = vectors("wycheproof/json_web_key_test.json") else {
        return;
    };
    let problem = |id: u64| {
        let groups = file["testGroups"].as_array().unwrap();
        let has_test = |group: &&Value| {
            group["tests"].as_array().unwrap().iter().any(|test| test["tcId"] == id)
        };
        let group = groups.iter().find(has_test).unwrap();
        let jwks = group.get("public").unwrap_or(&group["private"]).to_string();
        KeySet::load(&[("vector", jwks.as_bytes())])
            .and_then(|keys| keys.check(None))
            .unwrap_err()
            .problem()
    };
    for (id, expected) in [
        (1, KeyProblem::MixedKinds),
        (6, KeyProblem::NoUsableKey),
        (7, KeyProblem::RocaKey),
        (8, KeyProblem::ModulusSize),
        (9, KeyProblem::BadRsaKey),
        (10, KeyProblem::ShortSecret),
        (11, KeyProblem::ShortSecret),
        (12, KeyProblem::ShortSecret),
        (16, KeyProblem::ShortSecret),
        (17, KeyProblem::ShortSecret),
        (18, KeyProblem::ShortSecret),
        (19, KeyProblem::NoUsableKey),
        (20, KeyProblem::NoUsableKey),
        (21, KeyProblem::NoUsableKey),
        (22, KeyProblem::BadPoint),
        (23, KeyProblem::CoordinateLength),
        (24, KeyProblem::BadMember("n")),
        (25, KeyProblem::NoUsableKey),
        (26, KeyProblem::NoUsableKey),
    ] {
        assert_eq!(problem(id), expected, "tcId {id}");
    }
}

#[test]
fn compact_examples_of_rfc_7520_verify() {
    let mut payloads = Vec::new();
    for (example, key) in [
        ("4_1.rsa_v15_signature", "3_3.rsa_public_key"),
        ("4_2.rsa-pss_signature", "3_3.rsa_public_key"),
        ("4_3.ecdsa_signature", "3_1.ec_public_key"),
        ("4_4.hmac-sha2_integrity_protection", "3_5.symmetric_key_mac_computation"),
    ] {
        let Some(jwk) = vectors(&format!("rfc7520/jwk/{key}.json")) else {
            return;
        };
        let Some(example) = vectors(&format!("rfc7520/{example}.json")) else {
            return;
        };
        let token = example["output"]["compact"].as_str().unwrap();
        assert!(looks_like_jws(token.as_bytes()));
        let verified =
            verify_signature(token.as_bytes(), &keys(&jwk).unwrap(), None, MAX_LEN).unwrap();
        assert_eq!(verified.payload, example["input"]["payload"].as_str().unwrap().as_bytes());
        assert_eq!(verified.kid.as_deref(), jwk["kid"].as_str());
        payloads.push(verified.payload);
        // None of the keys verifies the token of another, nor one with a byte less.
        assert!(!accepts(keys(&jwk).as_ref(), &token[..token.len() - 1]));
    }
    assert_eq!(payloads.len(), 4);
}

#[test]
fn private_keys_of_rfc_7520_are_refused() {
    for name in ["3_2.ec_private_key", "3_4.rsa_private_key"] {
        let Some(jwk) = vectors(&format!("rfc7520/jwk/{name}.json")) else {
            return;
        };
        let error = KeySet::load(&[(name, jwk.to_string().as_bytes())]).unwrap_err();
        assert_eq!(error.problem(), KeyProblem::PrivateKey);
        assert!(!error.to_string().contains(jwk["d"].as_str().unwrap()));
    }
}

#[test]
fn detached_and_json_serialised_examples_of_rfc_7520_are_refused() {
    let mut refused = 0;
    for example in [
        "4_5.signature_with_detached_content",
        "4_6.protecting_specific_header_fields",
        "4_7.protecting_content_only",
        "4_8.multiple_signatures",
    ] {
        let Some(example) = vectors(&format!("rfc7520/{example}.json")) else {
            return;
        };
        let input = &example["input"]["key"];
        let symmetric = match input {
            Value::Array(keys) => keys.iter().find(|key| key["kty"] == "oct").unwrap(),
            key => key,
        };
        let keys = keys(symmetric).unwrap();
        let output = example["output"].as_object().unwrap();
        for form in output.values() {
            let token = form.as_str().map_or_else(|| form.to_string(), str::to_owned);
            assert!(!accepts(Some(&keys), &token), "{token}");
            refused += 1;
        }
    }
    // 4.5 in three forms, 4.6 and 4.7 in two, 4.8 in one.
    assert_eq!(refused, 8);
}

#[test]
fn unencoded_payloads_of_rfc_7797_are_refused() {
    for (name, compact) in [("4.2.hmac-sha2_b64_false", false), ("hmac-sha2_b64_false", true)] {
        let Some(example) = vectors(&format!("rfc7520/rfc7797/{name}.json")) else {
            return;
        };
        let keys = keys(&example["input"]["key"]).unwrap();
        let output = &example["output"];
        assert_eq!(output["compact"].is_string(), compact);
        for form in output.as_object().unwrap().values() {
            let token = form.as_str().map_or_else(|| form.to_string(), str::to_owned);
            assert!(!accepts(Some(&keys), &token), "{token}");
        }
        // Both headers are refused for what they say, whatever follows them.
        let header = output["json_flat"]["protected"].as_str().unwrap();
        let token = format!("{header}.e30.AAAA");
        let error = verify_signature(token.as_bytes(), &keys, None, MAX_LEN).unwrap_err();
        let member = if compact { "crit" } else { "b64" };
        assert_eq!(error, TokenError::HeaderMember(member));
    }
}

/// A check of this file itself: a verifier that refuses everything, or accepts everything, fails.
#[test]
fn verifier_under_test_tells_good_from_bad() {
    let jwk = json!({"kty": "oct", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"});
    let Some(example) = vectors("rfc7520/4_4.hmac-sha2_integrity_protection.json") else {
        return;
    };
    let token = example["output"]["compact"].as_str().unwrap();
    assert!(accepts(keys(&jwk).as_ref(), token));
    let other = json!({"kty": "oct", "k": "iJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"});
    assert!(!accepts(keys(&other).as_ref(), token));
}
