//! `tollgate jwt`: what it issues, it verifies, and so does the module's own verifier.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use command::{tollgate, tollgate_with, vectors, Run};
use serde_json::Value;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::jwt::{verify, Algorithm, KeySet, Policy};

/// A folder with a private key, and what verifies it.
struct Issuer {
    folder: tempfile::TempDir,
    algorithm: Algorithm,
}

impl Issuer {
    fn new(algorithm: Algorithm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, jwks) = (folder.path().join("key"), folder.path().join("jwks"));
        let mut arguments = vec!["jwt", "keygen", "--alg", algorithm.as_str(), "--out"];
        arguments.push(key.to_str().unwrap());
        if !is_hmac(algorithm) {
            arguments.extend(["--jwks", jwks.to_str().unwrap()]);
        }
        let made = tollgate(arguments);
        assert_eq!((made.status, made.out.as_str(), made.err.as_str()), (0, "", ""));
        Self { folder, algorithm }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The file that the module reads.
    fn keys(&self) -> String {
        self.path(if is_hmac(self.algorithm) { "key" } else { "jwks" })
    }

    fn issue(&self, options: &[&str]) -> Run {
        let option = if is_hmac(self.algorithm) { "--secret-file" } else { "--key" };
        let key = self.path("key");
        let mut arguments = vec!["jwt", "issue", option, &key, "--alg", self.algorithm.as_str()];
        arguments.extend(options);
        tollgate(arguments)
    }

    /// A token, without its line break.
    fn token(&self, options: &[&str]) -> String {
        let run = self.issue(options);
        assert_eq!((run.status, run.err.as_str()), (0, ""));
        run.out.strip_suffix('\n').unwrap().to_owned()
    }

    fn verify(&self, options: &[&str], token: &str) -> Run {
        let keys = self.keys();
        let mut arguments = vec!["jwt", "verify", "--keys", &keys];
        arguments.extend(options);
        tollgate_with(arguments, token.as_bytes())
    }
}

fn is_hmac(algorithm: Algorithm) -> bool {
    algorithm.as_str().starts_with("HS")
}

fn now() -> UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixSeconds(i64::try_from(since.unwrap().as_secs()).unwrap())
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn with_parts(header: &str, claims: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

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

#[test]
fn a_secret_file_is_read_as_the_module_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let path = path.to_str().unwrap();
    let issue = || tollgate(["jwt", "issue", "--secret-file", path, "--client", "acme"]);
    let secret = b"0123456789abcdef0123456789abcdef";
    for ending in ["", "\n", "\r\n", "\n\n", " ", "\0"] {
        fs::write(path, [secret, ending.as_bytes()].concat()).unwrap();
        let run = issue();
        assert_eq!(run.status, 0, "{ending:?}: {}", run.err);
        let judged = tollgate_with(["jwt", "verify", "--keys", path], run.out.as_bytes());
        assert_eq!(judged.status, 0, "{ending:?}: {}", judged.out);
    }
    for (contents, text) in [
        (&secret[1..], "too short"),
        (b"0123456789abcdef0123456789abcde\n", "too short"),
        (b"", "empty"),
        (b"{\"kty\":\"oct\"}", "\"k\" is missing"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZvb2Jhcg== a@example", "public by its nature"),
    ] {
        fs::write(path, contents).unwrap();
        let run = issue();
        assert_eq!((run.status, run.out.as_str()), (3, ""), "{text}");
        assert!(run.err.contains(text), "{text}: {}", run.err);
    }
    let jwks = Issuer::new(Algorithm::Es256);
    let run = tollgate(["jwt", "issue", "--secret-file", &jwks.path("jwks"), "--client", "acme"]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("holds no secret"), "{}", run.err);
}

#[test]
fn keys_in_the_formats_of_openssl_sign() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl").args(arguments).current_dir(folder.path()).output();
        run.is_ok_and(|run| run.status.success())
    };
    if !openssl(&["version"]) {
        println!("skipped: no openssl");
        return;
    }
    assert!(openssl(&["genrsa", "-traditional", "-out", "rsa", "2048"]));
    assert!(openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "rsa", "-out", "rsa8"]));
    assert!(openssl(&["rsa", "-in", "rsa", "-pubout", "-out", "rsa.pub"]));
    for (name, curve) in [("p256", "prime256v1"), ("p384", "secp384r1"), ("p521", "secp521r1")] {
        assert!(openssl(&["ecparam", "-name", curve, "-genkey", "-out", name]));
        let pkcs8 = format!("{name}-8");
        assert!(openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", name, "-out", &pkcs8]));
        assert!(openssl(&["ec", "-in", name, "-pubout", "-out", &format!("{name}.pub")]));
    }
    assert!(openssl(&["genpkey", "-algorithm", "ed25519", "-out", "ed"]));
    assert!(openssl(&["pkey", "-in", "ed", "-pubout", "-out", "ed.pub"]));
    for (key, public) in [
        ("rsa", "rsa.pub"),
        ("rsa8", "rsa.pub"),
        ("p256", "p256.pub"),
        ("p256-8", "p256.pub"),
        ("p384", "p384.pub"),
        ("p384-8", "p384.pub"),
        ("p521", "p521.pub"),
        ("p521-8", "p521.pub"),
        ("ed", "ed.pub"),
    ] {
        let issued = tollgate(["jwt", "issue", "--key", &path(key), "--client", "acme"]);
        assert_eq!(issued.status, 0, "{key}: {}", issued.err);
        let judged =
            tollgate_with(["jwt", "verify", "--keys", &path(public)], issued.out.as_bytes());
        assert_eq!(judged.status, 0, "{key}: {}", judged.out);
    }

    assert!(openssl(&["genrsa", "-traditional", "-out", "small", "1024"]));
    assert!(openssl(&["rsa", "-in", "rsa", "-aes128", "-passout", "pass:x", "-out", "locked8"]));
    assert!(openssl(&[
        "rsa",
        "-in",
        "rsa",
        "-aes128",
        "-passout",
        "pass:x",
        "-traditional",
        "-out",
        "locked",
    ]));
    assert!(openssl(&["ecparam", "-name", "secp256k1", "-genkey", "-out", "koblitz"]));
    fs::write(path("text"), "hello").unwrap();
    for (key, text) in [
        ("small", ""),
        ("locked8", "is encrypted"),
        ("locked", "is encrypted"),
        ("koblitz", "no private key that can be used"),
        ("rsa.pub", "holds a public key"),
        ("text", "neither PEM nor a JWK"),
        ("missing", "No such file"),
    ] {
        let run = tollgate(["jwt", "issue", "--key", &path(key), "--client", "acme"]);
        assert_eq!((run.status, run.out.as_str()), (3, ""), "{key}");
        assert!(run.err.contains(text), "{key}: {}", run.err);
    }
}

#[test]
fn private_jwks_of_rfc_7520_sign_for_their_public_halves() {
    let Some(vectors) = vectors() else { return };
    let jwk = |name: &str| vectors.join("rfc7520/jwk").join(name).to_str().unwrap().to_owned();
    for (private, public, option) in [
        ("3_2.ec_private_key.json", "3_1.ec_public_key.json", "--key"),
        ("3_4.rsa_private_key.json", "3_3.rsa_public_key.json", "--key"),
        (
            "3_5.symmetric_key_mac_computation.json",
            "3_5.symmetric_key_mac_computation.json",
            "--secret-file",
        ),
    ] {
        let issued = tollgate(["jwt", "issue", option, &jwk(private), "--client", "acme"]);
        assert_eq!(issued.status, 0, "{private}: {}", issued.err);
        // The kid of the JWK is in the header.
        let kid: Value = serde_json::from_slice(&fs::read(jwk(private)).unwrap()).unwrap();
        assert_eq!(part(issued.out.trim_end(), 0)["kid"], kid["kid"]);
        let judged =
            tollgate_with(["jwt", "verify", "--keys", &jwk(public)], issued.out.as_bytes());
        assert_eq!(judged.status, 0, "{private}: {}", judged.out);
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
        (&other, &[], "no invalid_token: claim \"client\" is missing"),
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
fn keygen_replaces_nothing_unless_forced_and_keeps_the_key_private() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    let keygen = |options: &[&str]| tollgate([&["jwt", "keygen"], options].concat());

    let run = keygen(&["--out", &path("key"), "--kid", "mine"]);
    let set: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.status, mode("key")), (0, 0o600));
    let key = &set["keys"][0];
    assert_eq!((&key["kid"], &key["alg"]), (&"mine".into(), &"ES256".into()));
    assert_eq!((&key["use"], key.get("d")), (&"sig".into(), None));
    let first = fs::read(path("key")).unwrap();

    let run = keygen(&["--out", &path("key")]);
    assert_eq!((run.status, run.out.as_str()), (3, ""));
    assert!(run.err.contains("--force"), "{}", run.err);
    let run = keygen(&["--out", &path("new"), "--jwks", &path("key")]);
    assert_eq!(run.status, 3);
    assert!(!Path::new(&path("new")).exists());
    assert_eq!(fs::read(path("key")).unwrap(), first);

    let run = keygen(&["--out", &path("key"), "--jwks", &path("jwks"), "--force"]);
    assert_eq!((run.status, run.out.as_str()), (0, ""), "{}", run.err);
    assert_ne!(fs::read(path("key")).unwrap(), first);
    assert_eq!((mode("key"), mode("jwks")), (0o600, 0o644));

    let run = keygen(&["--alg", "HS512", "--out", &path("secret")]);
    assert_eq!((run.status, run.out.as_str(), mode("secret")), (0, "", 0o600));
    assert_eq!(fs::read(path("secret")).unwrap().len(), 129);

    for (options, status) in [
        (&["--alg", "HS256", "--jwks", "x"][..], 2),
        (&["--alg", "ES256", "--bits", "2048"], 2),
        (&["--alg", "RS256", "--bits", "1024"], 2),
        (&["--alg", "none"], 2),
        (&["--kid", ""], 2),
    ] {
        let run = keygen(&[options, &["--out", &path("never")]].concat());
        assert_eq!(run.status, status, "{options:?}: {}", run.err);
        assert!(!Path::new(&path("never")).exists());
    }
    let run = keygen(&["--out", "/nonexistent/key"]);
    assert_eq!(run.status, 3, "{}", run.err);
}

/// RFC 7638 section 3.
#[test]
fn a_key_is_named_by_its_thumbprint() {
    use sha2::{Digest as _, Sha256};
    let issuer = Issuer::new(Algorithm::Rs256);
    let set: Value = serde_json::from_slice(&fs::read(issuer.keys()).unwrap()).unwrap();
    let key = &set["keys"][0];
    let canonical = format!(r#"{{"e":{},"kty":"RSA","n":{}}}"#, key["e"], key["n"]);
    assert_eq!(key["kid"], URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)));
}
