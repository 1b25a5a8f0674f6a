//! `tollgate jwt`: what it issues, it verifies, and so does the module's own verifier.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod issuer;

use std::fs;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use command::{tollgate, tollgate_with, vectors};
use issuer::{now, part, with_parts, Issuer};
use serde_json::Value;
use tollgate_core::jwt::{verify, Algorithm, KeySet, Policy};

#[test]
fn tokens_of_every_algorithm_are_good_for_the_command_and_for_the_module() {
    for algorithm in Algorithm::ALL {
        let issuer = Issuer::new(algorithm);
        let token = issuer.token(&["--client", "acme", "--tier", "pro", "--scopes", "chat,tools"]);
        assert_eq!(part(&token, 0)["alg"], algorithm.as_str());

        let run = issuer.verify(&[], &token);
        assert_eq!((run.status, run.err.as_str()), (0, ""), "{algorithm}: {}", run.out);
        let run = issuer.verify(&["--json"], &format!("{token}\n"));
        let told: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!((&told["valid"], &told["client"]), (&true.into(), &"acme".into()));
        assert_eq!(told["scopes"], serde_json::json!(["chat", "tools"]));

        let contents = fs::read(issuer.keys()).unwrap();
        let keys = KeySet::load(&[("keys", &contents)]).unwrap();
        assert_eq!(keys.len(), 1);
        let verified = verify(token.as_bytes(), &keys, &Policy::default(), now()).unwrap();
        assert_eq!(verified.principal().tier(), Some("pro"));

        // The refusal twins: another key, and another algorithm in the header.
        let other = Issuer::new(algorithm).verify(&[], &token);
        assert_eq!(other.status, 1, "{algorithm}");
        let text = "not valid: the signature is wrong (invalid_token)\n";
        assert_eq!(other.out, text, "{algorithm}");
        let claims =
            String::from_utf8(URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap())
                .unwrap();
        let unsigned = issuer.verify(&[], &with_parts(r#"{"alg":"none"}"#, &claims, ""));
        assert_eq!(unsigned.status, 1);
        assert_eq!(unsigned.out, "not valid: \"alg\" is missing or unknown (invalid_token)\n");
    }
}

#[test]
fn claims_are_those_of_the_options() {
    let issuer = Issuer::new(Algorithm::Es256);
    let token = issuer.token(&[
        "--subject",
        "acme",
        "--tier",
        "pro",
        "--scopes",
        "chat",
        "--models",
        "llama-*,qwen",
        "--tenant",
        "t1",
        "--rate-limit",
        "60",
        "--issuer",
        "https://a.example",
        "--audience",
        "api",
        "--audience",
        "gpu",
        "--expires",
        "2100-01-01",
        "--not-before",
        "2020-01-01T00:00:00Z",
        "--jti",
        "7",
        "--claim",
        r#"user={"name":"carol"}"#,
        "--claim",
        "x=[1,2]",
        "--kid",
        "k1",
        "--header",
        r#"typ="at+jwt""#,
    ]);
    let header = part(&token, 0);
    assert_eq!(header, serde_json::json!({ "alg": "ES256", "kid": "k1", "typ": "at+jwt" }));
    let mut claims = part(&token, 1);
    assert!((now().0 - claims["iat"].as_i64().unwrap()).abs() < 60);
    claims.as_object_mut().unwrap().remove("iat");
    assert_eq!(
        claims,
        serde_json::json!({
            "sub": "acme", "tier": "pro", "scope": "chat", "models": ["llama-*", "qwen"],
            "tenant": "t1", "rate_limit": 60, "iss": "https://a.example", "aud": ["api", "gpu"],
            "exp": 4_102_444_800_i64, "nbf": 1_577_836_800, "jti": "7",
            "user": { "name": "carol" }, "x": [1, 2],
        })
    );
}

#[test]
fn a_token_lives_for_an_hour_unless_told_otherwise() {
    let issuer = Issuer::new(Algorithm::Hs256);
    let life = |options: &[&str]| {
        let claims = part(&issuer.token(&[&["--client", "acme"], options].concat()), 1);
        claims["exp"].as_i64().map(|exp| exp - claims["iat"].as_i64().unwrap())
    };
    assert_eq!(life(&[]), Some(3600));
    assert_eq!(life(&["--expires", "90d"]), Some(90 * 86_400));
    assert_eq!(life(&["--expires", "never"]), None);
    assert_eq!(life(&["--expires", "2020-01-01"]), Some(0));
}

#[test]
fn what_cannot_be_a_good_token_is_not_issued() {
    let issuer = Issuer::new(Algorithm::Hs256);
    for (options, status, text) in [
        (&["--client", ""][..], 2, "a name has 1 to 256 bytes"),
        (&["--client", " a"], 2, "a name has 1 to 256 bytes"),
        (&["--client", "a\nb"], 2, "a name has 1 to 256 bytes"),
        (&["--client", "a", "--rate-limit", "0"], 2, "rate-limit"),
        (&["--client", "a", "--claim", "sub=1"], 2, "given twice"),
        (&["--client", "a", "--claim", "x=y"], 2, "is not JSON"),
        (&["--client", "a", "--claim", "x"], 2, "NAME=JSON"),
        (&["--client", "a", "--header", "alg=1"], 2, "give --alg"),
        (&["--client", "a", "--header", "crit=[]"], 2, "\"crit\" is not accepted"),
        (&["--client", "a", "--header", "typ=\"dpop+jwt\""], 2, "another purpose"),
        (&["--client", "a", "--expires", "soon"], 2, "neither a duration"),
        (&[], 2, "--client"),
    ] {
        let run = issuer.issue(options);
        assert_eq!((run.status, run.out.as_str()), (status, ""), "{options:?}");
        assert!(run.err.contains(text), "{options:?}: {}", run.err);
    }
    let key = issuer.path("short");
    fs::write(&key, [b'k'; 32]).unwrap();
    for (algorithm, status, text) in [
        ("HS512", 3, "the secret is too short for HS512"),
        ("RS256", 2, "does not fit the key"),
        ("none", 2, "unknown algorithm"),
    ] {
        let run =
            tollgate(["jwt", "issue", "--secret-file", &key, "--client", "a", "--alg", algorithm]);
        assert_eq!((run.status, run.out.as_str()), (status, ""), "{algorithm}");
        assert!(run.err.contains(text), "{algorithm}: {}", run.err);
    }
}

/// The payloads of these are texts: what is complained of is the payload, once the signature is good.
#[test]
fn signatures_of_rfc_7520_are_good_in_compact_serialisation() {
    let Some(vectors) = vectors() else { return };
    let folder = vectors.join("rfc7520");
    let signed = "invalid_token: the payload is no JSON object with distinct member names";
    for (example, key, answer) in [
        ("4_1.rsa_v15_signature", "3_3.rsa_public_key", signed),
        ("4_2.rsa-pss_signature", "3_3.rsa_public_key", signed),
        ("4_3.ecdsa_signature", "3_1.ec_public_key", signed),
        ("4_4.hmac-sha2_integrity_protection", "3_5.symmetric_key_mac_computation", signed),
        (
            "4_5.signature_with_detached_content",
            "3_5.symmetric_key_mac_computation",
            "invalid_token: the signature is wrong",
        ),
    ] {
        let file = fs::read(folder.join(format!("{example}.json"))).unwrap();
        let example: Value = serde_json::from_slice(&file).unwrap();
        let token = example["output"]["compact"].as_str().unwrap();
        let serialised = example["output"]["json_flat"].to_string();
        let key = folder.join("jwk").join(format!("{key}.json"));
        let run = tollgate_with(
            ["jwt", "verify", "--batch", "--keys", key.to_str().unwrap()],
            format!("{token}\n{serialised}\n").as_bytes(),
        );
        let json = "no invalid_token: the token is no compact JWS of three parts";
        assert_eq!(run.out, format!("no {answer}\n{json}\n"));
    }
}

/// The payloads of these vectors are no claims: a signature that is found good is one whose payload
/// is complained of, and not the signature.
#[test]
fn wycheproof_and_the_command_agree_about_signatures() {
    const STRICTER: [u64; 6] = [346, 347, 350, 351, 372, 373];
    // The same token as the valid 357: tollgate-core's tests of these vectors tell more.
    const TWINS: [u64; 2] = [367, 370];
    let Some(vectors) = vectors() else { return };
    let file = fs::read(vectors.join("wycheproof/json_web_signature_test.json")).unwrap();
    let suite: Value = serde_json::from_slice(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwk");
    let (mut valid, mut invalid) = (0, 0);
    for group in suite["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        fs::write(&path, key.to_string()).unwrap();
        let tests = group["tests"].as_array().unwrap();
        let is_text = |test: &&Value| test["jws"].as_str().is_some_and(|jws| !jws.contains('\n'));
        let tests: Vec<_> = tests.iter().filter(is_text).collect();
        let lines: String =
            tests.iter().map(|test| format!("{}\n", test["jws"].as_str().unwrap())).collect();
        let path = path.to_str().unwrap();
        let run = tollgate_with(["jwt", "verify", "--batch", "--keys", path], lines.as_bytes());
        if run.status == 3 {
            // No key for signatures: there is nothing that it would verify.
            assert!(
                tests.iter().all(|test| test["result"] == "invalid"
                    || STRICTER.contains(&test["tcId"].as_u64().unwrap())),
                "{}",
                run.err
            );
            continue;
        }
        assert_eq!(run.out.lines().count(), tests.len());
        for (test, line) in tests.iter().zip(run.out.lines()) {
            let signed = line.contains("the payload is no JSON object")
                || line.contains("claim \"")
                || line.starts_with("ok ");
            let id = test["tcId"].as_u64().unwrap();
            let expected =
                (test["result"] == "valid" && !STRICTER.contains(&id)) || TWINS.contains(&id);
            assert_eq!(signed, expected, "{}: {line}", test["tcId"]);
            if signed {
                valid += 1
            } else {
                invalid += 1
            }
        }
    }
    assert!(valid >= 40 && invalid >= 340, "{valid} {invalid}");
}

#[test]
fn options_of_verify_are_obeyed() {
    let issuer = Issuer::new(Algorithm::Es384);
    let plain = issuer.token(&["--client", "acme", "--issuer", "a", "--audience", "x"]);
    let forever = issuer.token(&["--client", "acme", "--expires", "never"]);
    let old = issuer.token(&["--client", "acme", "--expires", "2020-01-01"]);
    let early = issuer.token(&["--client", "acme", "--expires", "1d", "--not-before", "1h"]);
    let other = issuer.token(&["--claim", r#"user={"name":"carol"}"#]);
    for (token, options, answer) in [
        (&plain, &[][..], "ok acme"),
        (&plain, &["--issuer", "b", "--issuer", "a", "--audience", "x"], "ok acme"),
        (&plain, &["--issuer", "b"], "no invalid_token: \"iss\" is not an accepted issuer"),
        (&plain, &["--audience", "y"], "no invalid_token: \"aud\" holds no accepted audience"),
        (&plain, &["--algorithms", "ES384,RS256"], "ok acme"),
        (&plain, &["--max-size", "64"], "no invalid_token: the token is too long"),
        (&plain, &["--at", "2h"], "no expired_credential: the token has expired"),
        (&plain, &["--at", "2h", "--leeway", "90m"], "ok acme"),
        (&plain, &["--at", "2020-01-01"], "no not_yet_valid: the token is not valid yet"),
        (&forever, &[], "no invalid_token: claim \"exp\" is missing"),
        (&forever, &["--no-require-exp"], "ok acme"),
        (&old, &[], "no expired_credential: the token has expired"),
        (&old, &["--at", "2019-12-31T23:59:59Z"], "no not_yet_valid: the token is not valid yet"),
        (&early, &[], "no not_yet_valid: the token is not valid yet"),
        (&early, &["--leeway", "2h"], "ok acme"),
        (&other, &[], "no invalid_token: claim \"sub\" is missing"),
        (&other, &["--claim", "client=user.id"], "no invalid_token: claim \"user.id\" is missing"),
        (
            &other,
            &["--claim", "client=user"],
            "no invalid_token: claim \"user\" has an unusable value",
        ),
        (&other, &["--claim", "client=user.name"], "ok carol"),
    ] {
        let run = issuer.verify(&[&["--batch"], options].concat(), &format!("{token}\n"));
        assert_eq!(run.out.trim_end(), answer, "{options:?}");
        let expected = i32::from(!answer.starts_with("ok"));
        assert_eq!(run.status, expected, "{options:?}");
        assert_eq!(issuer.verify(options, token).status, expected, "{options:?}");
    }
    for (options, status) in [
        (&["--algorithms", "HS256"][..], 3),
        (&["--algorithms", "none"], 2),
        (&["--claim", "client"], 2),
        (&["--claim", "owner=sub"], 2),
        (&["--leeway", "x"], 2),
        (&["--keys", "/nonexistent"], 3),
    ] {
        let run = issuer.verify(options, &plain);
        assert_eq!((run.status, run.out.as_str()), (status, ""), "{options:?}");
    }
}

#[test]
fn a_batch_has_a_line_for_each_line_whatever_it_holds() {
    let issuer = Issuer::new(Algorithm::Hs384);
    let token = issuer.token(&["--client", "ac\u{9b}me".replace('\u{9b}', "-").as_str()]);
    let mut input = format!("{token}\n\n{token}\r\nx.y\n").into_bytes();
    input.extend([0xff, 0, b'.', 0x1b, b'.', b'\n']);
    input.extend(vec![b'a'; 1 << 20]);
    let keys = issuer.keys();
    let run = tollgate_with(["jwt", "verify", "--batch", "--keys", &keys], &input);
    assert_eq!(
        run.out,
        "ok ac-me\n\
         no invalid_token: the token is no compact JWS of three parts\n\
         no invalid_token: the signature is not canonical base64url\n\
         no invalid_token: the token is no compact JWS of three parts\n\
         no invalid_token: the header is not canonical base64url\n\
         no invalid_token: the token is too long\n"
    );
    assert_eq!(run.status, 1);
    let run = tollgate_with(["jwt", "verify", "--batch", "--json", "--keys", &keys], &input);
    let lines: Vec<Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0]["client"], "ac-me");
    assert_eq!(lines[1]["reason"], "invalid_token");
    let run = tollgate_with(["jwt", "verify", "--batch", "--keys", &keys], b"");
    assert_eq!((run.status, run.out.as_str()), (0, ""));
}

#[test]
fn an_argument_of_any_bytes_is_judged() {
    use std::os::unix::ffi::OsStrExt as _;
    let issuer = Issuer::new(Algorithm::Hs256);
    let keys = issuer.keys();
    let garbage = std::ffi::OsStr::from_bytes(b"\xff.\x1b.x");
    let arguments = ["jwt", "verify", "--keys", &keys].map(std::ffi::OsStr::new);
    let run = tollgate(arguments.into_iter().chain([garbage]));
    assert_eq!(run.status, 1, "{}", run.err);
    assert_eq!(run.out, "not valid: the header is not canonical base64url (invalid_token)\n");
}

#[test]
fn inspect_tells_what_a_token_says_and_claims_nothing() {
    let issuer = Issuer::new(Algorithm::EdDsa);
    let token = issuer.token(&["--client", "acme", "--kid", "k1", "--expires", "200m"]);
    let run = tollgate_with(["jwt", "inspect"], token.as_bytes());
    assert_eq!((run.status, run.err.as_str()), (0, ""));
    for text in ["EdDSA", "k1", "acme", "64 bytes", "\nexpires in 3 hours (2", "not verified"] {
        assert!(run.out.contains(text), "{text}: {}", run.out);
    }
    for word in ["\nvalid", " valid", "\nok"] {
        assert!(!run.out.contains(word), "{word}: {}", run.out);
    }
    let run = tollgate(["jwt", "inspect", "--json", &token]);
    let told: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(told["verified"], false);
    assert_eq!(told["claims"]["sub"], "acme");
    assert_eq!(told["problems"], serde_json::json!([]));
    assert_eq!(told["times"]["exp"]["words"], "in 3 hours");

    let old = issuer.token(&["--client", "acme", "--expires", "2020-01-01"]);
    let run = tollgate(["jwt", "inspect", &old]);
    assert!(run.out.contains("\nexpired ") && run.out.contains(" ago (2020-01-01T00:00:00Z)"));
}

#[test]
fn inspect_says_what_is_wrong_with_what_is_no_token() {
    let claims = r#"{"sub":"acme"}"#;
    let good = with_parts(r#"{"alg":"ES256"}"#, claims, "c2ln");
    for (token, text) in [
        (String::new(), "nothing was given"),
        ("tg_0123".to_owned(), "1 part instead of three"),
        ("a.b".to_owned(), "2 parts instead of three"),
        (format!("{good}.a.b"), "(JWE)"),
        (r#"{"payload":"","signature":""}"#.to_owned(), "JSON serialisation"),
        (format!("{good}="), "the signature has padding"),
        (good.replace(".c2ln", ".c/ln"), "standard alphabet"),
        (good.replace(".c2ln", ". 2ln"), "a character that is not of base64url: ' '"),
        (good.replace(".c2ln", ".c2lnc"), "never has: cut?"),
        (good.replace(".c2ln", ".c2l"), "bits set behind its last byte"),
        (with_parts("[1]", claims, "c2ln"), "the header is JSON, but no object"),
        (with_parts("{", claims, "c2ln"), "the header is no JSON: EOF"),
        (with_parts(r#"{"alg":"ES256"}"#, "foo", "c2ln"), "the payload is no JSON"),
        (with_parts(r#"{"alg":"none"}"#, claims, ""), "an unsigned token"),
        (with_parts(r#"{"alg":"none"}"#, claims, "c2ln"), "\"alg\" is missing or unknown"),
        (with_parts(r#"{"alg":"ES256","crit":[]}"#, claims, "c2ln"), "\"crit\" is not accepted"),
        (
            with_parts(r#"{"alg":"ES256"}"#, r#"{"sub":"a","sub":"b"}"#, "c2ln"),
            "no JSON object with distinct member names",
        ),
        (
            with_parts(r#"{"alg":"ES256"}"#, r#"{"sub":"a","exp":"1"}"#, "c2ln"),
            "claim \"exp\" has an unusable value",
        ),
        (
            with_parts(r#"{"alg":"ES256"}"#, r#"{"sub":"a","tier":7}"#, "c2ln"),
            "with the default tollgate_jwt_claim, the module refuses it: claim \"tier\"",
        ),
    ] {
        let run = tollgate_with(["jwt", "inspect"], token.as_bytes());
        assert_eq!(run.status, 1, "{token}: {}", run.out);
        assert!(run.out.contains(text), "{text}: {}", run.out);
        assert!(run.out.contains("not verified"), "{}", run.out);
        let run = tollgate_with(["jwt", "inspect", "--json"], token.as_bytes());
        let told: Value = serde_json::from_str(&run.out).unwrap();
        assert_eq!(told["verified"], false);
        assert!(!told["problems"].as_array().unwrap().is_empty());
    }
}

#[test]
fn nothing_in_a_token_reaches_the_terminal_as_a_command() {
    let claims = "{\"sub\":\"a\u{9b}2J\",\"\\u001b[31m\":\"\\u202e\",\"x\":[\"\u{7f}\"]}";
    let token = with_parts(r#"{"alg":"ES256"}"#, claims, "c2ln");
    for options in [&["jwt", "inspect"][..], &["jwt", "inspect", "--json"]] {
        let run = tollgate_with(options, token.as_bytes());
        let unsafe_char = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!run.out.contains(unsafe_char), "{:?}", run.out);
    }
}

#[test]
fn keys_verify_the_tokens_of_their_issuer() {
    let (a, b) = (Issuer::new(Algorithm::Es256), Issuer::new(Algorithm::EdDsa));
    let (keys_a, keys_b) = (a.keys(), b.keys());
    let of = |keys: &str, value: &str| format!("{keys}={value}");
    let options = [
        "--keys",
        &keys_b,
        "--key-issuer",
        &of(&keys_a, "https://a=b.example"),
        "--key-issuer",
        &of(&keys_b, "https://b.example"),
        "--key-client-prefix",
        &of(&keys_a, "a:"),
        "--client-prefix",
        "b:",
        "--batch",
    ];
    let says = |issuer: &Issuer, name: &str| {
        a.verify(&options, &issuer.token(&["--client", "acme", "--issuer", name])).out
    };
    assert_eq!(says(&a, "https://a=b.example"), "ok a:acme\n");
    assert_eq!(says(&b, "https://b.example"), "ok b:acme\n");
    let foreign = "no invalid_token: the key that signed the token is not one of \"iss\"\n";
    assert_eq!(says(&a, "https://b.example"), foreign);
    assert_eq!(says(&b, "https://a=b.example"), foreign);

    let token = a.token(&["--client", "acme"]);
    for (wrong, status, message) in [
        (&["--key-issuer", "other=https://a.example"][..], 2, "one of the files of --keys"),
        (&["--key-issuer", &of(&keys_a, "")], 2, "--key-issuer"),
        (&["--key-client-prefix", &of(&keys_a, " a")], 2, "up to 64 bytes"),
        (&["--client-prefix", " a"], 2, "up to 64 bytes"),
        // What nginx -t refuses.
        (&["--key-issuer", &of(&keys_a, "https://a"), "--issuer", "https://b"], 3, "not accepted"),
    ] {
        let run = a.verify(wrong, &token);
        assert_eq!(run.status, status, "{wrong:?} {}", run.err);
        assert!(run.err.contains(message), "{wrong:?} {}", run.err);
    }
}
