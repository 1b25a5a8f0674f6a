use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use super::super::key::Curve;
use super::super::{fixtures, MAX_SIGNATURE_CHECKS};
use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn oct(kid: &str, first: char, members: &str) -> String {
    let k = format!("{first}{}", "A".repeat(85));
    format!(r#"{{"kty":"oct","kid":"{kid}","k":"{k}"{members}}}"#)
}

fn set(keys: &[String]) -> Result<KeySet, KeyError> {
    KeySet::load(&[("jwks", format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())])
}

fn problem(result: Result<KeySet, KeyError>) -> KeyProblem {
    result.unwrap_err().problem()
}

#[test]
fn a_fetched_set_is_a_set_of_public_keys_and_nothing_else() {
    let public = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let fetched = |text: &str| KeySet::from_jwks(text.as_bytes(), &Binding::default());
    let keys = fetched(&format!(r#"{{"keys":[{public}]}}"#)).unwrap();
    assert!(keys.has_kid("a") && !keys.has_kid("b"));
    let mut seventeen = format!(r#"{{"keys":[{public}"#);
    for _ in 0..MAX_FETCHED_KEYS {
        seventeen.push_str(r#",{"kty":"unknown"}"#);
    }
    seventeen.push_str("]}");
    for (text, expected) in [
        (public.to_owned(), KeyProblem::NotASet),
        (String::new(), KeyProblem::NotASet),
        ("<html>0123456789abcdef0123456789abcdef</html>".to_owned(), KeyProblem::NotASet),
        ("0123456789abcdef0123456789abcdef".to_owned(), KeyProblem::NotASet),
        (fixtures::P256_PUBLIC.to_owned(), KeyProblem::NotASet),
        (r#"{"keys":{}}"#.to_owned(), KeyProblem::BadMember("keys")),
        (r#"{"keys":[]}"#.to_owned(), KeyProblem::NoUsableKey),
        (format!(r#"{{"keys":[{}]}}"#, oct("b", 'A', "")), KeyProblem::PublishedSecret),
        (format!(r#"{{"keys":[{public}],"keys":[]}}"#), KeyProblem::NotASet),
        (format!(r#"{{"keys":[{public}]"#), KeyProblem::NotASet),
        (
            public.replace("\"x\"", "\"d\":\"AA\",\"x\"").replace('{', r#"{"keys":[{"#) + "]}",
            KeyProblem::PrivateKey,
        ),
        (seventeen, KeyProblem::TooManyFetched),
    ] {
        let error = fetched(&text).map(drop).unwrap_err();
        assert_eq!(error.problem(), expected, "{}", text.get(..80).unwrap_or(&text));
        // A set without a key that can be used takes those of before out of use; what is no set doesn't.
        let no_sets =
            [KeyProblem::NotASet, KeyProblem::TooManyFetched, KeyProblem::BadMember("keys")];
        assert_eq!(error.is_of_set(), !no_sets.contains(&expected), "{expected:?}");
    }
    // What is wrong with its only key says nothing against the set.
    let unusable =
        public.replace("\"kid\":\"a\"", "\"kid\":1").replace('{', r#"{"keys":[{"#) + "]}";
    assert!(fetched(&unusable).map(drop).unwrap_err().is_of_set());
}

#[test]
fn each_file_is_recognised_by_its_contents() {
    let jwk = oct("a", 'A', "");
    let keys = KeySet::load(&[
        ("secret", SECRET),
        ("pem", fixtures::P256_PUBLIC.as_bytes()),
        ("jwk", format!("\u{feff}\n {jwk}").as_bytes()),
    ]);
    assert_eq!(keys.unwrap().len(), 3);
}

#[test]
fn pem_in_a_member_of_a_key_is_no_pem_file() {
    let value = fixtures::P256_PUBLIC.replace('\n', "\\n");
    let members = format!(r#","value":"{value}""#);
    let keys = set(&[oct("a", 'A', &members)]).unwrap();
    assert!(keys.has_kid("a") && keys.has_hmac() && keys.notes().is_empty());
    let alone = KeySet::load(&[("jwk", oct("a", 'A', &members).as_bytes())]).unwrap();
    assert!(alone.has_kid("a"));
    // Text in front of PEM may be anything.
    let file = format!("{{ a note }}\n{}", fixtures::P256_PUBLIC);
    assert!(KeySet::load(&[("pem", file.as_bytes())]).unwrap().has_asymmetric());
}

#[test]
fn damaged_json_or_pem_is_never_taken_for_a_secret() {
    let jwks = format!(r#"{{"keys":[{}]}}"#, oct("a", 'A', ""));
    for cut in [1, 10, 50, jwks.len() - 1] {
        let truncated = KeySet::load(&[("jwks", &jwks.as_bytes()[..cut])]);
        assert_eq!(problem(truncated), KeyProblem::NotJwks, "{cut}");
    }
    let pem = fixtures::RSA_PUBLIC.as_bytes();
    for cut in [30, 100, pem.len() - 10] {
        let truncated = KeySet::load(&[("pem", &pem[..cut])]);
        assert_eq!(problem(truncated), KeyProblem::DamagedPem, "{cut}");
    }
    // Random bytes may start with a brace.
    let random = [b"{", &[0xff; 32][..]].concat();
    assert!(KeySet::load(&[("secret", &random)]).is_ok());
}

#[test]
fn no_file_an_empty_file_or_one_bad_file_is_an_error_that_names_it() {
    assert_eq!(problem(KeySet::load(&[])), KeyProblem::NoUsableKey);
    assert_eq!(problem(KeySet::load(&[("a", b"")])), KeyProblem::Empty);
    let error = KeySet::load(&[("good", SECRET), ("conf/bad", b"short")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"conf/bad\": the secret is too short (at least 32 bytes, for HS384 48, for HS512 64)"
    );
}

#[test]
fn keys_that_share_a_kid_and_an_algorithm_are_both_tried_and_named() {
    let hs256 = r#","alg":"HS256""#;
    let hs512 = r#","alg":"HS512""#;
    let notes = |keys: &[String]| {
        let set = set(keys).unwrap();
        assert_eq!(set.len(), keys.len());
        set.notes().iter().map(KeyError::problem).collect::<Vec<_>>()
    };
    assert_eq!(notes(&[oct("a", 'A', hs256), oct("b", 'B', hs256)]), []);
    assert_eq!(notes(&[oct("a", 'A', hs256), oct("a", 'B', hs512)]), []);
    for same in
        [[oct("a", 'A', hs256), oct("a", 'B', hs256)], [oct("a", 'A', ""), oct("a", 'A', hs512)]]
    {
        assert_eq!(notes(&same), [KeyProblem::SharedKid]);
        let count = set(&same).unwrap().candidates(Some("a"), Algorithm::Hs512).count();
        assert_eq!(count, if same[0].contains("alg") { 0 } else { 2 });
    }
    let one = oct("a", 'A', "");
    let files = [("one", one.as_bytes()), ("two", one.as_bytes())];
    let set = KeySet::load(&files).unwrap();
    let [note] = set.notes() else { panic!("one note") };
    assert!(note.to_string().starts_with("\"two\": key \"a\": "), "{note}");
    // Keys without a kid are told apart by their signatures alone.
    assert!(KeySet::load(&[("one", SECRET), ("two", SECRET)]).is_ok());
}

#[test]
fn mixed_kinds_need_pinned_algorithms() {
    let mixed = KeySet::load(&[("s", SECRET), ("p", fixtures::P256_PUBLIC.as_bytes())]).unwrap();
    assert!(mixed.has_hmac() && mixed.has_asymmetric());
    assert_eq!(mixed.check(None).unwrap_err().problem(), KeyProblem::MixedKinds);
    assert_eq!(mixed.check(Some(&AlgorithmSet::of(&[Algorithm::Es256]))), Ok(()));

    let secret = KeySet::load(&[("s", SECRET)]).unwrap();
    assert!(secret.has_hmac() && !secret.has_asymmetric());
    assert_eq!(secret.check(None), Ok(()));
    let public = KeySet::load(&[("p", fixtures::P256_PUBLIC.as_bytes())]).unwrap();
    assert!(!public.has_hmac() && public.has_asymmetric() && !public.is_empty());
    assert!(KeySet { keys: Vec::new(), notes: Vec::new() }.is_empty());
    assert_eq!(public.check(None), Ok(()));
}

#[test]
fn pinned_algorithms_that_no_key_serves_are_refused() {
    let secret = KeySet::load(&[("s", SECRET)]).unwrap();
    let check = |algorithm| secret.check(Some(&AlgorithmSet::of(&[algorithm])));
    assert_eq!(check(Algorithm::Hs256), Ok(()));
    assert_eq!(check(Algorithm::Hs512).unwrap_err().problem(), KeyProblem::InertAlgorithms);
    assert_eq!(check(Algorithm::Rs256).unwrap_err().problem(), KeyProblem::InertAlgorithms);
}

#[test]
fn key_that_would_never_be_tried_is_refused() {
    let secrets: Vec<[u8; 32]> = (0..17).map(|n| [b'a' + n; 32]).collect();
    let files: Vec<_> = secrets.iter().map(|secret| ("secret", &secret[..])).collect();
    assert!(KeySet::load(&files[..MAX_SIGNATURE_CHECKS]).is_ok());
    assert_eq!(problem(KeySet::load(&files)), KeyProblem::TooManyKeys);
    // What costs more is tried less often.
    let costly = |count| vec![("pem", fixtures::P521_PUBLIC.as_bytes()); count];
    assert!(KeySet::load(&costly(2)).is_ok());
    assert_eq!(problem(KeySet::load(&costly(3))), KeyProblem::TooManyKeys);
    // Of a set that is fetched, the first are tried.
    let points = (2_u8..).map(|first| [&[first][..], &[0; 31]].concat());
    let sound = points.filter(|point| Key::on_curve(Curve::Ed25519, point).is_ok());
    let public: Vec<_> = sound
        .take(17)
        .map(|point| {
            let x = URL_SAFE_NO_PAD.encode(point);
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
        })
        .collect();
    let fetched = format!(r#"{{"keys":[{}]}}"#, public.join(","));
    let fetched = KeySet::from_jwks(fetched.as_bytes(), &Binding::default()).unwrap();
    assert!(fetched.len() == 17 && fetched.has_untried());
    let first = format!(r#"{{"keys":[{}]}}"#, public[..MAX_SIGNATURE_CHECKS].join(","));
    assert!(!KeySet::from_jwks(first.as_bytes(), &Binding::default()).unwrap().has_untried());
    assert_eq!(fetched.candidates(None, Algorithm::EdDsa).count(), MAX_SIGNATURE_CHECKS);
    let named: Vec<_> = (0..17).map(|n| oct(&n.to_string(), 'A', "")).collect();
    assert_eq!(set(&named).unwrap().len(), 17);
}

#[test]
fn kid_selects_and_keys_without_kid_serve_kids_that_nobody_has() {
    let a = oct("a", 'A', "");
    let b = oct("b", 'B', "");
    let keys = KeySet::load(&[("a", a.as_bytes()), ("b", b.as_bytes()), ("s", SECRET)]).unwrap();
    let kids = |kid, algorithm| keys.candidates(kid, algorithm).map(Key::kid).collect::<Vec<_>>();
    assert_eq!(kids(Some("a"), Algorithm::Hs256), [Some("a")]);
    assert_eq!(kids(Some("b"), Algorithm::Hs512), [Some("b")]);
    assert_eq!(kids(Some("c"), Algorithm::Hs256), [None]);
    assert_eq!(kids(Some("c"), Algorithm::Hs512), []);
    // A token without kid was most likely signed with a key without one.
    assert_eq!(kids(None, Algorithm::Hs256), [None, Some("a"), Some("b")]);
    assert_eq!(kids(Some("a"), Algorithm::Rs256), []);
}

#[test]
fn issuers_may_use_the_same_kid() {
    let of = |issuers: &[&str]| Binding {
        issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
        client_prefix: None,
    };
    let (one, two) = (oct("1", 'A', ""), oct("1", 'B', ""));
    let load = |of_one: &Binding, of_two: &Binding| {
        KeySet::load_bound(&[("one", one.as_bytes(), of_one), ("two", two.as_bytes(), of_two)])
    };
    let keys = load(&of(&["a"]), &of(&["b"])).unwrap();
    assert_eq!(keys.candidates(Some("1"), Algorithm::Hs256).count(), 2);
    // Nor does one hide another one's keys without a kid.
    let keys = KeySet::load_bound(&[
        ("one", one.as_bytes(), &of(&["a"])),
        ("secret", SECRET, &of(&["b"])),
        ("another", &[b'x'; 32], &of(&["a"])),
    ]);
    let keys = keys.unwrap();
    let found: Vec<_> = keys.candidates(Some("1"), Algorithm::Hs256).map(Key::kid).collect();
    assert_eq!(found, [Some("1"), None]);
    for (of_one, of_two) in
        [(of(&["a"]), of(&["b", "a"])), (of(&["a"]), of(&[])), (of(&[]), of(&[]))]
    {
        let keys = load(&of_one, &of_two).unwrap();
        assert_eq!(keys.notes()[0].problem(), KeyProblem::SharedKid);
    }
}

#[test]
fn key_signs_for_its_issuers_and_others_don_t() {
    let of_a = Binding { issuers: vec!["a".to_owned()], client_prefix: None };
    let keys = KeySet::load_bound(&[
        ("a", SECRET, &of_a),
        ("any", b"another-secret-of-thirty-two-byte", &Binding::default()),
    ]);
    let keys = keys.unwrap();
    let [a, any] = keys.keys.as_slice() else { panic!("two keys") };
    assert!(keys.is_bound() && !KeySet::load(&[("a", SECRET)]).unwrap().is_bound());
    assert!(keys.may_sign(a, Some("a")) && !keys.may_sign(a, Some("b")));
    assert!(!keys.may_sign(a, None) && keys.may_sign(any, None));
    assert!(keys.may_sign(any, Some("b")) && !keys.may_sign(any, Some("a")));
}
