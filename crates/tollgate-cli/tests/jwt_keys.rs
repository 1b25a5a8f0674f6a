//! The keys of `tollgate jwt`: read from files of every format, and new ones.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;
mod issuer;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use command::{tollgate, tollgate_with, vectors};
use issuer::{part, Issuer};
use serde_json::Value;
use tollgate_core::jwt::Algorithm;

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
    let jwk = r#"{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}"#;
    for (contents, status) in [(jwk.to_owned(), 0), (format!("\u{feff}{jwk}"), 3)] {
        fs::write(path, contents).unwrap();
        assert_eq!(issue().status, status);
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

#[test]
fn a_token_that_is_bound_to_a_certificate_says_so() {
    let issuer = Issuer::new(Algorithm::Hs256);
    let verified = |cnf: &str| {
        let token = issuer.token(&["--client", "acme", "--claim", cnf]);
        let run = issuer.verify(&[], &token);
        assert_eq!(run.status, 0, "{}", run.out);
        (run.out, issuer.verify(&["--json"], &token).out)
    };
    let (text, json) =
        verified(r#"cnf={"x5t#S256":"A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}"#);
    let digest = "sha256:0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";
    assert!(text.contains(digest) && text.contains("good with no other"), "{text}");
    assert!(json.contains(digest), "{json}");
    let (text, json) = verified("x=1");
    assert!(!text.contains("bound") && json.contains(r#""bound_to": null"#), "{text}{json}");
    let token = issuer.token(&["--client", "acme", "--claim", r#"cnf={"jkt":"x"}"#]);
    let run = issuer.verify(&[], &token);
    assert!(run.status == 1 && run.out.contains("\"cnf\" binds the token"), "{}", run.out);
}
