//! Entries that are found by a certificate.

use super::*;
use crate::cert::CertName;
use crate::principal::AuthMethod;

const BATCH: &str = "spiffe://example.org/ns/prod/sa/batch";

fn with_cert(id: &str, cert: &str, more: Value) -> Value {
    let mut entry = json!({"id": id, "client": "acme", "cert": cert});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn name(text: &str) -> CertName {
    CertName::parse(text).unwrap()
}

fn judged(set: &KeySet, cert: &str, now: i64) -> Result<(String, AuthMethod), Reason> {
    let found = set.find_cert(&name(cert)).ok_or(Reason::InvalidCredential)?;
    let judged = found.judge(UnixSeconds(now), None).map_err(|refusal| refusal.reason)?;
    Ok((judged.key_id().unwrap().to_owned(), judged.auth()))
}

fn built(entries: &[Value]) -> (KeySet, Vec<String>) {
    let built = KeySet::build(file(entries).as_bytes(), &|_| true, NOW).unwrap();
    let told = built.refused.iter().map(|refused| refused.error.to_string()).collect();
    (KeySet::from_block(built.block).unwrap(), told)
}

#[test]
fn an_entry_is_found_by_the_name_in_its_certificate() {
    let digits = "ab".repeat(32);
    let certs = [BATCH, "dns:a.example.org", "cn:Batch", &format!("sha256:{digits}")];
    let entries: Vec<Value> = certs
        .iter()
        .enumerate()
        .map(|(at, cert)| with_cert(&format!("k_{at}"), cert, json!({})))
        .collect();
    let set = parse(&file(&entries)).unwrap();
    assert!(set.has_certs());
    for (at, cert) in certs.into_iter().enumerate() {
        assert_eq!(
            judged(&set, cert, 0),
            Ok((format!("k_{at}"), AuthMethod::ClientCert)),
            "{cert}"
        );
        // A name is no key.
        assert!(set.find(cert.as_bytes()).is_none(), "{cert}");
    }
    for other in ["spiffe://example.org/ns/prod/sa/batch2", "dns:example.org", "cn:batch"] {
        assert!(set.find_cert(&name(other)).is_none(), "{other}");
    }
    assert!(!self::set(json!({})).has_certs());
}

#[test]
fn among_many_each_is_found() {
    let entries: Vec<Value> = (0..1000)
        .map(|n| {
            with_cert(&format!("k_{n}"), &format!("cn:{n}"), json!({"client": format!("c_{n}")}))
        })
        .chain((0..100).map(|n| entry(&format!("h_{n}"), json!({"tier": "pro"}))))
        .collect();
    let set = parse(&file(&entries)).unwrap();
    assert_eq!(set.len(), 1100);
    for n in 0..1000 {
        assert_eq!(set.find_cert(&name(&format!("cn:{n}"))).unwrap().client(), format!("c_{n}"));
    }
    assert!(set.find_cert(&name("cn:1000")).is_none());
    assert!(set.find(b"secret-h_42").is_some());
    assert_eq!(set.tiers().collect::<Vec<_>>(), [("pro", "h_0")]);
}

#[test]
fn an_entry_may_have_a_key_as_well() {
    let set = set(json!({"cert": BATCH}));
    assert_eq!(judged(&set, BATCH, 0), Ok(("k_1".to_owned(), AuthMethod::ClientCert)));
    let by_key = set.find(b"secret-k_1").unwrap();
    assert_eq!(by_key.judge(NOW, None).unwrap().auth(), AuthMethod::ApiKey);
}

#[test]
fn what_holds_for_keys_holds_for_certificates() {
    let judge = |more: Value, now| {
        judged(&parse(&file(&[with_cert("k_1", BATCH, more)])).unwrap(), BATCH, now)
    };
    assert_eq!(judge(json!({"disabled": true}), 0), Err(Reason::RevokedCredential));
    assert_eq!(
        judge(json!({"revoked": "2026-01-01T00:00:00Z"}), 0),
        Err(Reason::RevokedCredential)
    );
    let until = json!({"expires": "2026-01-01T00:00:00Z"});
    assert!(judge(until.clone(), NOW.0 - 1).is_ok());
    assert_eq!(judge(until, NOW.0), Err(Reason::ExpiredCredential));
    let from = json!({"not_before": "2026-01-01T00:00:00Z"});
    assert_eq!(judge(from, NOW.0 - 1), Err(Reason::NotYetValid));
    assert_eq!(judge(json!({"cidrs": ["192.0.2.0/24"]}), 0), Err(Reason::AddressDenied));
}

#[test]
fn a_certificate_that_two_entries_have_is_refused() {
    let (set, told) = built(&[
        with_cert("k_1", BATCH, json!({})),
        with_cert("k_2", "cn:a", json!({})),
        with_cert("k_3", BATCH, json!({"client": "other"})),
    ]);
    assert_eq!(judged(&set, BATCH, 0), Err(Reason::InvalidCredential));
    assert!(judged(&set, "cn:a", 0).is_ok());
    assert_eq!(set.len(), 1);
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with("key \"k_3\": field \"cert\" is that of key \"k_1\", too"),
        "{told:?}"
    );
}

#[test]
fn an_entry_that_is_wrong_holds_its_certificate() {
    // Nobody with it may pass as somebody whom no entry names.
    let (set, told) = built(&[
        with_cert("k_1", BATCH, json!({"expires": "soon"})),
        with_cert("k_2", "cn:a", json!({})),
    ]);
    assert_eq!(told.len(), 1);
    assert_eq!(judged(&set, BATCH, 0), Err(Reason::InvalidCredential));
    assert!(set.find_cert(&name(BATCH)).is_some());
    assert!(judged(&set, "cn:a", 0).is_ok());
}

#[test]
fn names_of_certificates_have_one_form() {
    for (cert, message) in [
        (json!("acme"), "must name a certificate"),
        (json!("spiffe://Example.org/a"), "is no spiffe id"),
        (json!("dns:A"), "must have the name of a host"),
        (json!("sha256:ab"), "must have the 64 lower-case"),
        (json!(1), "must be a string"),
        (json!(null), "must be a string"),
    ] {
        let error = error(json!({"cert": cert}));
        assert!(error.starts_with(&format!("key \"k_1\": field \"cert\" {message}")), "{error}");
    }
    let neither = file(&[json!({"id": "k_1", "client": "acme"})]);
    let error = parse(&neither).unwrap_err();
    assert!(
        error.starts_with("key \"k_1\": field \"hash\" is missing, and so is \"cert\""),
        "{error}"
    );
}

#[test]
fn whoever_is_in_no_file_is_a_client_of_the_name() {
    let client = |prefix: &str, text: &str| {
        let found = ApiKey::unlisted(prefix, &name(text))?;
        let principal = found.judge(NOW, None).unwrap();
        assert_eq!((principal.auth(), principal.key_id()), (AuthMethod::ClientCert, None));
        assert_eq!((principal.tier(), principal.client()), (None, found.client()));
        Some(principal.client().to_owned())
    };
    assert_eq!(client("", BATCH).as_deref(), Some(BATCH));
    assert_eq!(client("cert/", "dns:a").as_deref(), Some("cert/dns:a"));
    let long = format!("spiffe://a/{}", "b".repeat(245));
    assert_eq!(client("", &long).as_deref(), Some(long.as_str()));
    assert_eq!(client("x", &long), None);
}
