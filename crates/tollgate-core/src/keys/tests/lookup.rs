use super::*;
use crate::clock::UnixMillis;
use crate::principal::AuthMethod;
use proptest::prelude::*;

#[test]
fn a_full_entry_becomes_its_principal() {
    let set = parse(&file(&[entry(
        "k_1",
        json!({
            "tier": "pro", "models": ["llama-3.1-*"], "scopes": ["chat", "embeddings"],
            "cidrs": ["203.0.113.0/24"], "not_before": "2026-01-01T00:00:00Z",
            "expires": "2027-01-01T00:00:00Z", "disabled": false, "description": "batch jobs"
        }),
    )]))
    .unwrap();
    let address = Some("203.0.113.7".parse().unwrap());
    let principal = set.lookup(b"secret-k_1", NOW, address).unwrap();
    assert_eq!(principal.auth(), AuthMethod::ApiKey);
    assert_eq!(principal.client(), "acme");
    assert_eq!(principal.key_id(), Some("k_1"));
    assert_eq!(principal.tier(), Some("pro"));
    assert_eq!(principal.tenant(), None);
    assert_eq!(principal.rate_limit(), None);
    assert_eq!(principal.models().unwrap(), ["llama-3.1-*".into()]);
    assert_eq!(principal.scopes().unwrap(), ["chat".into(), "embeddings".into()]);
}

#[test]
fn only_the_exact_key_is_found() {
    let set = set(json!({}));
    assert!(set.lookup(b"secret-k_1", NOW, None).is_ok());
    for key in [
        &b""[..],
        b"secret-k_",
        b"secret-k_1 ",
        b" secret-k_1",
        b"Secret-k_1",
        b"secret-k_1\0",
        b"secret-k_1\n",
        b"\"secret-k_1\"",
        b"k_1",
        hash("secret-k_1").as_bytes(),
    ] {
        let refusal = set.lookup(key, NOW, None).unwrap_err();
        assert_eq!(refusal.reason, Reason::InvalidCredential, "{key:?}");
        assert!(refusal.owner.is_none());
    }
}

/// What the digests of a table are mixed with, up to the last of their four words.
fn mixed(words: &[u64]) -> u64 {
    words.iter().fold(0, |mixed, word| {
        let mixed = mixed ^ word;
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ mixed >> 29
    })
}

#[test]
fn key_is_found_by_its_whole_digest_and_not_by_the_tag_that_the_table_has_of_it() {
    let key = "secret-k_1";
    let digest = Digest::of(key.as_bytes());
    let words: Vec<u64> =
        digest.0.chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    // Another digest with the same tag, and the same place in a table of any size.
    let mut twin = words.clone();
    twin[1] ^= 1;
    twin[3] ^= mixed(&words[..3]) ^ mixed(&twin[..3]);
    let bytes: Vec<u8> = twin.iter().flat_map(|word| word.to_le_bytes()).collect();
    let twin = Digest(bytes.try_into().unwrap());
    assert_ne!(twin.0, digest.0);
    for places in [1, 2, 1024, 1 << 31] {
        assert_eq!(image::place_of(&twin, places), image::place_of(&digest, places));
    }
    let hex: String = twin.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let other = json!({"id": "k_twin", "hash": format!("sha256:{hex}"), "client": "twin"});
    let set = parse(&file(std::slice::from_ref(&other))).unwrap();
    assert_eq!(
        set.lookup(key.as_bytes(), NOW, None).unwrap_err().reason,
        Reason::InvalidCredential
    );
    let own = entry("k_1", json!({}));
    for entries in [[own.clone(), other.clone()], [other, own]] {
        let set = parse(&file(&entries)).unwrap();
        assert_eq!(set.len(), 2);
        assert_eq!(set.lookup(key.as_bytes(), NOW, None).unwrap().key_id(), Some("k_1"));
    }
}

#[test]
fn keys_up_to_4096_bytes_are_looked_up_and_longer_ones_are_not() {
    for (len, found) in [(MAX_KEY_LEN, true), (MAX_KEY_LEN + 1, false)] {
        let key = "x".repeat(len);
        let text = file(&[json!({"id": "long", "hash": hash(&key), "client": "acme"})]);
        assert_eq!(parse(&text).unwrap().lookup(key.as_bytes(), NOW, None).is_ok(), found);
    }
}

#[test]
fn a_key_is_valid_from_not_before_until_just_before_expires() {
    let set = set(json!({"not_before": "2026-01-01T00:00:00Z", "expires": "2026-01-01T00:00:10Z"}));
    assert_eq!(reason(&set, NOW.0 - 1, None), Some(Reason::NotYetValid));
    assert_eq!(reason(&set, NOW.0, None), None);
    assert_eq!(reason(&set, NOW.0 + 9, None), None);
    assert_eq!(reason(&set, NOW.0 + 10, None), Some(Reason::ExpiredCredential));
}

#[test]
fn a_key_without_dates_is_always_valid() {
    let set = set(json!({}));
    for now in [i64::MIN, -1, 0, i64::MAX / 1000 - 1] {
        assert_eq!(reason(&set, now, None), None);
    }
}

#[test]
fn dates_count_to_the_millisecond_and_more_shortens_the_validity() {
    let at = |set: &KeySet, millis| {
        set.lookup(b"secret-k_1", UnixMillis(millis), None).err().map(|refusal| refusal.reason)
    };
    let now = UnixMillis::from(NOW).0;
    let keys = set(json!({
        "not_before": "2026-01-01T02:00:00.2509+02:00", "expires": "2025-12-31T19:00:09.9999-05:00"
    }));
    assert_eq!(at(&keys, now + 250), Some(Reason::NotYetValid));
    assert_eq!(at(&keys, now + 251), None);
    assert_eq!(at(&keys, now + 9998), None);
    assert_eq!(at(&keys, now + 9999), Some(Reason::ExpiredCredential));
    // Before 1970, too.
    let keys = set(json!({
        "not_before": "1969-12-31T23:59:50.5Z", "expires": "1969-12-31T23:59:58.5009Z"
    }));
    assert_eq!(at(&keys, -9501), Some(Reason::NotYetValid));
    assert_eq!(at(&keys, -9500), None);
    assert_eq!(at(&keys, -1501), None);
    assert_eq!(at(&keys, -1500), Some(Reason::ExpiredCredential));
}

#[test]
fn a_restricted_key_is_refused_from_elsewhere_and_without_an_address() {
    let set = set(json!({"cidrs": ["203.0.113.0/24", "2001:db8::/32"]}));
    for (address, expected) in [
        (Some("203.0.113.9"), None),
        (Some("::ffff:203.0.113.9"), None),
        (Some("2001:db8:7::1"), None),
        (Some("203.0.114.9"), Some(Reason::AddressDenied)),
        (Some("2001:db9::1"), Some(Reason::AddressDenied)),
        (None, Some(Reason::AddressDenied)),
    ] {
        assert_eq!(reason(&set, NOW.0, address), expected, "{address:?}");
    }
}

#[test]
fn what_is_denied_wins_over_what_is_allowed() {
    let denied = json!({"deny_cidrs": ["203.0.113.0/28", "::ffff:203.0.113.200"]});
    let both =
        json!({"cidrs": ["203.0.113.0/24"], "deny_cidrs": ["203.0.113.0/28", "2001:db8::/32"]});
    let (denied, both) = (set(denied), set(both));
    for (address, of_denied, of_both) in [
        (Some("203.0.113.9"), true, true),
        (Some("::ffff:203.0.113.9"), true, true),
        (Some("203.0.113.16"), false, false),
        (Some("203.0.113.200"), true, false),
        (Some("203.0.114.9"), false, true),
        (Some("2001:db8::1"), false, true),
        (None, true, true),
    ] {
        let refused = |is_refused: bool| is_refused.then_some(Reason::AddressDenied);
        assert_eq!(reason(&denied, NOW.0, address), refused(of_denied), "{address:?}");
        assert_eq!(reason(&both, NOW.0, address), refused(of_both), "{address:?}");
    }
}

#[test]
fn the_first_reason_wins_in_the_documented_order() {
    let all = json!({
        "disabled": true, "cidrs": ["203.0.113.0/24"],
        "not_before": "2026-01-01T00:00:00Z", "expires": "2026-01-01T00:00:10Z"
    });
    let mut enabled = all.clone();
    enabled["disabled"] = json!(false);
    let (all, enabled) = (set(all), set(enabled));
    assert_eq!(reason(&all, NOW.0 - 1, None), Some(Reason::RevokedCredential));
    assert_eq!(reason(&enabled, NOW.0 - 1, None), Some(Reason::NotYetValid));
    assert_eq!(reason(&enabled, NOW.0 + 10, None), Some(Reason::ExpiredCredential));
    assert_eq!(reason(&enabled, NOW.0, None), Some(Reason::AddressDenied));
}

#[test]
fn a_key_with_the_time_of_its_revocation_is_revoked_whatever_else_is_said() {
    for more in [
        json!({"revoked": "2026-01-01T00:00:00Z"}),
        json!({"revoked": "2099-01-01T00:00:00Z"}),
        json!({"revoked": "2026-01-01T00:00:00Z", "disabled": false}),
    ] {
        assert_eq!(reason(&set(more), NOW.0, None), Some(Reason::RevokedCredential));
    }
}

#[test]
fn a_refusal_names_the_owner_of_a_recognised_key() {
    let set = set(json!({"disabled": true}));
    let owner = set.lookup(b"secret-k_1", NOW, None).unwrap_err().owner.unwrap();
    assert_eq!((owner.client(), owner.key_id()), ("acme", "k_1"));
    assert!(format!("{owner:?}").contains("acme"));
}

#[test]
fn the_shell_can_check_tiers() {
    let set = parse(&file(&[
        entry("a", json!({"tier": "pro"})),
        entry("b", json!({"models": ["*"]})),
        entry("c", json!({"scopes": ["chat"]})),
    ]))
    .unwrap();
    assert_eq!(set.len(), 3);
    assert_eq!(set.tiers().collect::<Vec<_>>(), [("pro", "a")]);
    assert_eq!(set.without_tier(), 2);
}

proptest! {
    #[test]
    fn every_key_is_found_as_itself_and_no_other_key_is(
        keys in prop::collection::hash_set("[ -~]{1,20}", 0..50), other in "[ -~]{1,20}",
    ) {
        let keys: Vec<String> = keys.into_iter().collect();
        let entries: Vec<Value> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| json!({"id": format!("id-number-{i:0>30}"), "hash": hash(key), "client": "some client of no key"}))
            .collect();
        let set = KeySet::parse(file(&entries).as_bytes()).unwrap();
        prop_assert_eq!(set.len(), keys.len());
        for (i, key) in keys.iter().enumerate() {
            let principal = set.lookup(key.as_bytes(), NOW, None).unwrap();
            let id = format!("id-number-{i:0>30}");
            prop_assert_eq!(principal.key_id(), Some(id.as_str()));
        }
        prop_assert_eq!(set.lookup(other.as_bytes(), NOW, None).is_ok(), keys.contains(&other));
    }
}

#[test]
fn what_a_key_says_of_itself_is_in_its_principal() {
    let set = set(json!({
        "tenant": "acme \u{e9}", "name": "Bob's", "created": "2026-01-01T00:00:00.5+01:00",
        "metadata": {"team": "\"quoted\"", "n": -12, "rate": 0.5, "on": true},
    }));
    let principal = set.lookup(b"secret-k_1", NOW, None).unwrap();
    assert_eq!(principal.tenant(), Some("acme \u{e9}"));
    let about = principal.about().unwrap();
    assert_eq!(about.name(), Some("Bob's"));
    assert_eq!(about.created(), Some("2026-01-01T00:00:00.5+01:00"));
    let metadata: Vec<String> =
        about.metadata().map(|(name, value)| format!("{name} {value:?}")).collect();
    for member in [
        r#"team Text("\"quoted\"")"#,
        r#"n Literal("-12")"#,
        r#"rate Literal("0.5")"#,
        r#"on Literal("true")"#,
    ] {
        assert!(metadata.iter().any(|found| found == member), "{member}: {metadata:?}");
    }
    assert_eq!(set.with_tenant(), 1);
    let bare = super::set(json!({}));
    assert_eq!(bare.lookup(b"secret-k_1", NOW, None).unwrap().about(), None);
    assert_eq!(bare.with_tenant(), 0);
    assert!(!bare.has_models() && super::set(json!({"models": ["a"]})).has_models());
}

#[test]
fn tenants_of_refused_keys_are_not_counted() {
    let twice = file(&[
        entry("k_1", json!({"tenant": "a"})),
        entry("k_2", json!({"tenant": "b"})),
        json!({"id": "k_3", "client": "c", "tenant": "c", "hash": hash("secret-k_2")}),
        entry("k_4", json!({"tenant": ""})),
    ]);
    let built = KeySet::build(twice.as_bytes(), &|_| true, NOW).unwrap();
    let set = KeySet::from_block(built.block).unwrap();
    assert_eq!((set.len(), set.with_tenant()), (1, 1));
}
