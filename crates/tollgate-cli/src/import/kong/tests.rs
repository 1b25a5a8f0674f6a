use super::*;
use proptest::prelude::*;
use serde_json::json;

fn with_ttl(ttl: Value) -> Source {
    let key = json!({"key": "secret-0123456789", "created_at": 1_700_000_000, "ttl": ttl});
    read(&json!({"consumers": [{"username": "a", "keyauth_credentials": [key]}],
        "plugins": [{"name": "key-auth", "config": {"key_names": ["X-API-Key"]}}]}))
}

#[test]
fn keys_end_when_they_say_so() {
    for (ttl, end, notes) in [
        (json!(60), Some("2023-11-14T22:14:20Z"), 1),
        (json!(60.5), Some("2023-11-14T22:14:20Z"), 1),
        // Not the year 2080.
        (json!(1_800_000_000), Some("2027-01-15T08:00:00Z"), 0),
        (json!(0), None, 0),
        (json!(null), None, 0),
    ] {
        let source = with_ttl(ttl);
        assert!(source.faults.is_empty(), "{:?}", source.faults);
        assert_eq!(source.found[0].expires.as_deref(), end);
        assert_eq!(source.notes.len(), notes, "{:?}", source.notes);
    }
    for ttl in [json!("60"), json!(-1), json!(true), json!(i64::MAX), json!(1e300)] {
        let source = with_ttl(ttl);
        assert!(source.faults.len() == 1 && source.found.is_empty());
    }
}

#[test]
fn keys_are_those_of_the_consumers_that_kong_means() {
    let source = read(&json!({
        "consumers": [
            {"username": "a", "id": "1"},
            {"username": "b", "custom_id": "a", "id": "2", "acls": [{"group": "free"}]},
        ],
        "acls": [
            {"consumer": "a", "group": "pro"},
            {"consumer": {"id": "2"}, "group": "other"},
        ],
        "keyauth_credentials": [
            {"key": "secret-1", "consumer": "a"},
            {"key": "secret-2", "consumer": {"id": "2", "username": "b"}},
            {"key": "secret-3", "consumer": {"id": "3"}},
        ],
    }));
    assert!(source.faults.is_empty(), "{:?}", source.faults);
    let found = source.found.iter().map(|found| (found.client.as_str(), found.tier.as_deref()));
    let found: Vec<_> = found.collect();
    assert_eq!(found, [("a", Some("pro")), ("b", None), ("3", None)]);
}

proptest! {
    #[test]
    fn no_value_panics_or_shows_the_key(
        ttl in any::<f64>(),
        member in prop::sample::select(&["consumers", "data", "acls", "keyauth_credentials"][..]),
        value in prop::sample::select(vec![
            json!(null), json!("secret"), json!([["secret"]]), json!([{"key": "secret"}]),
            json!([{"key": "secret-1", "consumer": "a", "group": 1}]),
        ]),
    ) {
        for source in [with_ttl(json!(ttl)), read(&json!({ member: value }))] {
            let said = format!("{:?}{:?}{:?}", source.faults, source.notes, source.skipped);
            prop_assert!(!said.contains("secret"), "{}", said);
        }
    }
}

/// A consumer with one key, with these members, beside these of the configuration.
fn consumer(members: Value, others: Value) -> Source {
    let mut consumer =
        json!({"username": "a", "id": "1", "keyauth_credentials": [{"key": "secret-0123456789"}]});
    consumer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let mut value = json!({"_format_version": "3.0", "consumers": [consumer]});
    value.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    read(&value)
}

#[test]
fn plugins_of_a_consumer_restrict_its_keys() {
    let plugin = |name: &str, config: Value| json!({"name": name, "config": config});
    for (plugin, lost) in [
        (plugin("ip-restriction", json!({"deny": ["10.0.0.1"]})), "ip-restriction"),
        (
            plugin("ip-restriction", json!({"allow": ["10.0.0.1"], "deny": ["10.0.0.2"]})),
            "ip-restriction",
        ),
        (plugin("ip-restriction", json!({"allow": ["nowhere"]})), "ip-restriction"),
        (
            json!({"name": "ip-restriction", "config": {"allow": ["10.0.0.1"]}, "route": "r"}),
            "ip-restriction",
        ),
        (json!({"name": "request-termination", "service": {"name": "s"}}), "request-termination"),
        (plugin("request-size-limiting", json!({})), "request-size-limiting"),
        (plugin("pre-function", json!({})), "a plugin of its consumer"),
    ] {
        for found in [
            consumer(json!({"plugins": [plugin.clone()]}), json!({})),
            consumer(json!({}), {
                let mut plugin = plugin.clone();
                plugin["consumer"] = json!("a");
                json!({"plugins": [plugin]})
            }),
            consumer(json!({}), {
                let mut plugin = plugin.clone();
                plugin["consumer"] = json!({"id": "1"});
                json!({"plugins": [plugin]})
            }),
        ] {
            assert!(found.faults.is_empty(), "{:?}", found.faults);
            assert_eq!(found.found[0].lost, [lost], "{plugin}");
        }
        let mut off = plugin.clone();
        off["enabled"] = json!(false);
        assert!(consumer(json!({"plugins": [off]}), json!({})).found[0].lost.is_empty());
    }
    let found = consumer(
        json!({"plugins": [plugin("ip-restriction", json!({"allow": ["10.0.0.0/8", "::1"]})),
            plugin("rate-limiting", json!({"minute": 5})), plugin("cors", json!({}))]}),
        json!({}),
    );
    assert_eq!(
        found.found[0].cidrs.as_deref(),
        Some(&["10.0.0.0/8".to_owned(), "::1".to_owned()][..])
    );
    assert!(found.found[0].lost.is_empty() && !found.found[0].is_disabled);
    assert!(found.notes.iter().any(|note| note.contains("rate limits")), "{:?}", found.notes);
    let found = consumer(json!({"plugins": [plugin("request-termination", json!({}))]}), json!({}));
    assert!(found.found[0].is_disabled);
}

#[test]
fn consumers_that_are_refused_there_are_refused_here() {
    let deny = json!({"name": "acl", "config": {"deny": ["blacklist"]}});
    for (members, others) in [
        (json!({"tags": ["revoked"]}), json!({})),
        (json!({"tags": ["Disabled-2024"]}), json!({})),
        (
            json!({"keyauth_credentials": [{"key": "secret-0123456789", "tags": ["leaked"]}]}),
            json!({}),
        ),
        (json!({"acls": [{"group": "blacklist"}]}), json!({"plugins": [deny.clone()]})),
        (
            json!({"acls": [{"group": "pro"}, {"group": "blacklist"}]}),
            json!({"services": [{"name": "s", "routes": [{"plugins": [deny.clone()]}]}]}),
        ),
        (json!({"acls": [{"group": "blocked"}]}), json!({})),
        (json!({}), json!({"plugins": [{"name": "acl", "config": {"allow": ["pro"]}}]})),
        (
            json!({"acls": [{"group": "free"}]}),
            json!({"plugins": [{"name": "acl", "config": {"whitelist": ["pro"]}}]}),
        ),
        (json!({"status": "revoked"}), json!({})),
        (json!({"enabled": 0}), json!({})),
    ] {
        let source = consumer(members.clone(), others);
        assert!(
            source.found.is_empty() && source.faults.len() == 1,
            "{members} {:?}",
            source.faults
        );
    }
    for (members, others) in [
        (json!({"tags": ["team-a"]}), json!({})),
        (json!({"acls": [{"group": "pro"}]}), json!({"plugins": [deny]})),
        (json!({"status": "active", "enabled": true}), json!({})),
        (
            json!({"acls": [{"group": "pro"}]}),
            json!({"plugins": [{"name": "acl", "config": {"allow": ["pro", "x"]}}]}),
        ),
        (
            json!({}),
            json!({"plugins": [{"name": "acl", "service": "s", "config": {"allow": ["pro"]}}]}),
        ),
    ] {
        let source = consumer(members.clone(), others);
        assert!(
            source.found.len() == 1 && source.faults.is_empty(),
            "{members} {:?}",
            source.faults
        );
    }
    assert!(consumer(json!({"disabled": true}), json!({})).found[0].is_disabled);
}

#[test]
fn what_is_for_everybody_is_told_of() {
    let source = consumer(
        json!({"acls": [{"group": "a"}, {"group": "b"}], "tags": ["x"], "groups": [{"name": "gold"}]}),
        json!({"plugins": [{"name": "ip-restriction"}, {"name": "key-auth", "config": {"key_names": ["apikey", "X-Key"]}}],
            "services": [{"plugins": [{"name": "rate-limiting"}]}]}),
    );
    let notes = source.notes.join("\n");
    for said in [
        "ip-restriction, rate-limiting",
        "tollgate_api_key_header X-Key apikey;",
        "1 keys are of consumers in several",
        "1 keys, or their consumers, have tags",
        "rate limits of their own",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let notes = consumer(json!({}), json!({})).notes.join("\n");
    assert!(notes.contains("tollgate_api_key_header apikey;"), "{notes}");
}

#[test]
fn what_groups_of_consumers_restrict_is_never_passed_over() {
    let off = json!([{"name": "request-termination", "config": {}}]);
    let plugin = |name: &str| json!([{"name": name, "consumer_group": {"name": "gold"}}]);
    for (members, others, is_off) in [
        (
            json!({"groups": [{"name": "gold"}]}),
            json!({"consumer_groups": [{"name": "gold", "plugins": off}]}),
            true,
        ),
        (json!({"groups": ["gold"]}), json!({"plugins": plugin("request-termination")}), true),
        (
            json!({"username": "acme"}),
            json!({"consumer_groups": [{"id": "g", "name": "gold", "consumers": ["acme"], "plugins": off}]}),
            true,
        ),
        (
            json!({"username": "acme"}),
            json!({"consumer_groups": [{"id": "g", "plugins": off}],
                "consumer_group_consumers": [{"consumer": "acme", "consumer_group": {"id": "g"}}]}),
            true,
        ),
        (json!({"groups": [{"name": "gold"}]}), json!({"plugins": plugin("opa")}), false),
    ] {
        let source = consumer(members, others);
        assert_eq!(source.found[0].is_disabled, is_off, "{:?}", source.faults);
        assert_eq!(source.found[0].lost.is_empty(), is_off);
    }
    // Limits are those of tiers, and other groups are nobody's business.
    for (members, others) in [
        (json!({"groups": ["gold"]}), json!({"plugins": plugin("rate-limiting-advanced")})),
        (json!({"groups": ["silver"]}), json!({"plugins": plugin("request-termination")})),
        (json!({}), json!({"consumer_groups": [{"name": "gold", "plugins": off}]})),
    ] {
        let source = consumer(members, others);
        assert!(!source.found[0].is_disabled && source.found[0].lost.is_empty());
    }
}
