use ::base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ::base64::Engine as _;

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
    let parsed = parse(format!("{{{members}}}").as_bytes());
    parsed.map(|parsed| parsed.keys).map_err(|error| error.problem())
}

/// What is said of `odd` among good keys, of which none is missing then.
fn note(odd: &str) -> KeyError {
    let json = format!(r#"{{"keys":[{{{EC},"kid":"a"}},{odd},{{{OKP}}}]}}"#);
    for parsed in [parse(json.as_bytes()).unwrap(), parse_set(json.as_bytes(), 3).unwrap()] {
        let [note] = parsed.notes.as_slice() else { panic!("{odd}: {:?}", parsed.notes) };
        assert_eq!(parsed.keys.len(), if note.is_remark() { 3 } else { 2 }, "{odd}");
    }
    parse_set(json.as_bytes(), 3).unwrap().notes.remove(0)
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
fn curve_is_the_one_that_is_named() {
    for (pem, crv, algorithm) in [
        (super::super::fixtures::P256_PUBLIC, "P-256", Algorithm::Es256),
        (super::super::fixtures::P384_PUBLIC, "P-384", Algorithm::Es384),
        (super::super::fixtures::P521_PUBLIC, "P-521", Algorithm::Es512),
    ] {
        let der = ::pem::parse(pem).unwrap().into_contents();
        let (x, y) = coordinates(&der, crv);
        let members = format!(r#""kty":"EC","crv":"{crv}","x":"{x}","y":"{y}""#);
        assert_eq!(algorithms(&members), AlgorithmSet::of(&[algorithm]), "{crv}");
        // Each is as long as it must be, or it is none.
        for (x, y) in [("AA", y.as_str()), (x.as_str(), "AA")] {
            let members = format!(r#""kty":"EC","crv":"{crv}","x":"{x}","y":"{y}""#);
            assert_eq!(refusal(&members), KeyProblem::CoordinateLength, "{crv}");
        }
    }
}

/// Those at the end of a public key in DER, in base64url.
fn coordinates(der: &[u8], crv: &str) -> (String, String) {
    let len = match crv {
        "P-256" => 32,
        "P-384" => 48,
        _ => 66,
    };
    let (x, y) = der[der.len() - 2 * len..].split_at(len);
    (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y))
}

#[test]
fn alg_pins_the_key_to_one_algorithm() {
    let pinned = algorithms(&format!(r#"{},"alg":"PS512""#, rsa()));
    assert_eq!(pinned, AlgorithmSet::of(&[Algorithm::Ps512]));
    for name in ["EdDSA", "Ed25519"] {
        let pinned = algorithms(&format!(r#"{OKP},"alg":"{name}""#));
        assert_eq!(pinned, AlgorithmSet::of(&[Algorithm::EdDsa]), "{name}");
        assert_eq!(refusal(&format!(r#"{EC},"alg":"{name}""#)), KeyProblem::AlgorithmMismatch);
    }
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
    for (wrong, name) in [
        (r#""use":1"#, "use"),
        (r#""key_ops":"verify""#, "key_ops"),
        (r#""key_ops":["verify",1]"#, "key_ops"),
    ] {
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
            let set = format!(r#""keys":[{{{members}}}]"#);
            assert_eq!(refusal(&set), KeyProblem::PrivateKey, "{members}");
            let odd = format!("{{{members}}}");
            assert_eq!(note(&odd).problem(), KeyProblem::PrivateKey, "{members}");
        }
    }
}

#[test]
fn odd_key_of_a_set_is_ignored_and_named_and_the_rest_is_used() {
    use KeyProblem::*;
    let rsa_1024 = format!(r#"{{"kty":"RSA","kid":"r","n":"{}w","e":"AQAB"}}"#, "v".repeat(170));
    let short = EC.replace("\"UI8e", "\"").replace("mw\"", "mw\",\"kid\":\"s\"");
    let ec = |members: &str| format!("{{{EC},{members}}}");
    for (odd, problem, name) in [
        (rsa_1024, ModulusSize, r#"key 2 ("r")"#),
        (format!("{{{short}}}"), CoordinateLength, r#"key 2 ("s")"#),
        (ec(r#""x":"AA""#), NotAKey, "key 2"),
        (EC.replace("mw\"", "nw\"").replace("\"kty\"", "{\"kty\"") + "}", BadPoint, "key 2"),
        ("null".to_owned(), NotAKey, "key 2"),
        ("1".to_owned(), NotAKey, "key 2"),
        (r#""a""#.to_owned(), NotAKey, "key 2"),
        ("[]".to_owned(), NotAKey, "key 2"),
        (r#"{"kty":"EC","a":1e999}"#.to_owned(), NotAKey, "key 2"),
        ("{}".to_owned(), BadMember("kty"), "key 2"),
        (r#"{"kty":null,"kid":"n"}"#.to_owned(), BadMember("kty"), r#"key 2 ("n")"#),
        (r#"{"kty":"RSA","n":"AQAB","kid":"n"}"#.to_owned(), BadMember("e"), r#"key 2 ("n")"#),
        (r#"{"kty":"RSA","n":"A+/=","e":"AQAB"}"#.to_owned(), BadMember("n"), "key 2"),
        (ec(r#""kid":"x","alg":"ES384""#), AlgorithmMismatch, r#"key 2 ("x")"#),
        (ec(r#""kid":"x","alg":1"#), BadMember("alg"), r#"key 2 ("x")"#),
        (ec(r#""kid":"x","alg":"SHA256withECDSA""#), UnknownAlgorithm, r#"key 2 ("x")"#),
        (ec(r#""kid":"x","alg":"ECDH-ES""#), OtherUse, r#"key 2 ("x")"#),
        (ec(r#""kid":"x","use":"enc""#), OtherUse, r#"key 2 ("x")"#),
        (ec(r#""kid":"x","use":["sig"]"#), BadMember("use"), r#"key 2 ("x")"#),
        (ec(r#""kid":"x","key_ops":"verify""#), BadMember("key_ops"), r#"key 2 ("x")"#),
        (ec(r#""kid":"x","d":"AA""#), PrivateKey, r#"key 2 ("x")"#),
        (ec(r#""kid":7"#), BadMember("kid"), "key 2"),
        (ec(r#""kid":"""#), BadMember("kid"), r#"key 2 ("")"#),
        (ec(r#""kid":"x\u001b[31m\n""#), BadMember("kid"), r#"key 2 ("x\u{1b}[31m\n")"#),
        (ec(r#""kid":"x\ud83d""#), BadMember("kid"), "key 2 (\"x\u{ffff}\")"),
        (r#"{"kty":"EC","crv":"secp256k1","kid":"x"}"#.to_owned(), UnknownKind, r#"key 2 ("x")"#),
        (r#"{"kty":"AKP","kid":"x"}"#.to_owned(), UnknownKind, r#"key 2 ("x")"#),
        (ec(r#""kid":"a""#), RepeatedKey, r#"key 2 ("a")"#),
        (ec(r#""kid":null"#), NullMember("kid"), "key 2"),
        (ec(r#""kid":"x","alg":null,"d":null"#), NullMember("alg"), r#"key 2 ("x")"#),
        (ec(r#""kid":"x","use":null"#), NullMember("use"), r#"key 2 ("x")"#),
    ] {
        let note = note(&odd);
        let text = note.to_string();
        assert_eq!(note.problem(), problem, "{odd}: {text}");
        let expected = name.replace("\u{ffff}", "\\u{ffff}");
        assert!(text.starts_with(&format!("{expected}: ")), "{odd}: {text}");
    }
    // What is no member of ours may be anything.
    for members in
        [r#""x5c":null"#, r#""x5c":["garbage"]"#, r#""value":"-----BEGIN PUBLIC KEY-----\nAA""#]
    {
        let json = format!(r#"{{"keys":[{{{EC},{members}}}],"more":{{"a":1,"a":2}}}}"#);
        assert!(parse(json.as_bytes()).unwrap().notes.is_empty(), "{members}");
    }
}

#[test]
fn name_in_a_message_is_cut() {
    let odd = format!(r#"{{"kty":"AKP","kid":"{}"}}"#, "é".repeat(1000));
    assert!(note(&odd).to_string().starts_with(&format!("key 2 (\"{}\"...): ", "é".repeat(64))));
}

#[test]
fn of_a_set_without_usable_keys_the_first_mistake_is_told() {
    let other = format!(r#"{{{EC},"use":"enc"}}"#);
    let error = |set: &str| parse(format!(r#"{{"keys":[{set}]}}"#).as_bytes()).unwrap_err();
    assert_eq!(error(&other).problem(), KeyProblem::NoUsableKey);
    let text = error(&format!("{other},null")).to_string();
    assert!(text.starts_with("key 2: is no JWK"), "{text}");
}

#[test]
fn symmetric_key_in_a_set_that_is_fetched_is_ignored() {
    let json = format!(r#"{{"keys":[{{{OCT},"kid":"s"}},{{{EC}}}]}}"#);
    let parsed = parse_set(json.as_bytes(), 2).unwrap();
    assert_eq!((parsed.keys.len(), parsed.notes.len()), (1, 1));
    assert_eq!(parsed.notes[0].problem(), KeyProblem::PublishedSecret);
    assert_eq!(parse(json.as_bytes()).unwrap().keys.len(), 2);
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
    assert_eq!(refusal(&EC.replace("P-256", "P-384")), KeyProblem::CoordinateLength);
    assert_eq!(refusal(&EC.replace("mw\"", "nw\"")), KeyProblem::BadPoint);
    let long = EC.replace("\"04N0", "\"AAAA04N0");
    assert_eq!(refusal(&long), KeyProblem::CoordinateLength);
}

#[test]
fn anything_but_a_set_or_a_key_is_refused() {
    for json in ["", "{}", "[]", "{", "{\"kid\":\"a\"}", "{\"keys\":[],\"keys\":[]}"] {
        assert_eq!(parse(json.as_bytes()).unwrap_err().problem(), KeyProblem::NotJwks, "{json}");
    }
    assert_eq!(refusal(&format!(r#"{OCT},"kty":"oct""#)), KeyProblem::NotJwks);
    assert_eq!(refusal(r#""keys":[]"#), KeyProblem::NoUsableKey);
    for json in [r#""keys":[1]"#, r#""keys":[[]]"#, r#""keys":[null]"#] {
        assert_eq!(refusal(json), KeyProblem::NotAKey, "{json}");
    }
}

#[test]
fn error_in_a_set_names_the_key() {
    let json = format!(r#"{{"keys":[{{{OCT},"use":"enc"}},{{{EC},"kid":"a","alg":"ES384"}}]}}"#);
    let error = parse(json.as_bytes()).unwrap_err().in_file("jwks.json");
    assert_eq!(error.to_string(), r#""jwks.json": key 2 ("a"): "alg" does not fit the key"#);
}
