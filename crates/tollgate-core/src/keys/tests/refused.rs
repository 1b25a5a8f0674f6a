//! What one entry says wrong is no reason for another one to stay in force.

use super::*;
use proptest::prelude::*;

fn built(entries: &[Value]) -> (KeySet, Vec<Refused>, usize) {
    let built = KeySet::build(file(entries).as_bytes(), &|tier| tier == "pro", NOW).unwrap();
    for refused in &built.refused {
        assert!(!refused.error.to_string().contains("secret"), "{}", refused.error);
    }
    (KeySet::from_block(built.block).unwrap(), built.refused, built.refused_count)
}

fn of(set: &KeySet, key: &str) -> Result<String, Reason> {
    let found = set.lookup(key.as_bytes(), NOW, None);
    found.map(|found| found.client().to_owned()).map_err(|refusal| refusal.reason)
}

/// Everything that can be wrong with an entry of the key `secret-k_1`.
fn mistakes() -> Vec<Value> {
    let without = |field: &str| {
        let mut entry = entry("k_1", json!({}));
        entry.as_object_mut().unwrap().remove(field);
        entry
    };
    let with = |more| entry("k_1", more);
    vec![
        with(json!({"expires": "tomorrow"})),
        with(json!({"expires": null})),
        with(json!({"expires": 1_798_761_600})),
        with(json!({"not_before": "2027-01-01"})),
        with(json!({"not_before": "2027-01-01T00:00:00Z", "expires": "2026-06-01T00:00:00Z"})),
        with(json!({"cidrs": ["10.0.0.1/8"]})),
        with(json!({"cidrs": []})),
        with(json!({"deny_cidrs": ["10.0.0.1/8"]})),
        with(json!({"owner": "acme"})),
        with(json!({"tier": ""})),
        with(json!({"tier": ["pro"]})),
        with(json!({"client": " acme"})),
        with(json!({"disabled": "false"})),
        with(json!({"models": [[[]]]})),
        with(json!({"scopes": {}})),
        with(json!({"description": 7})),
        with(json!({"id": ""})),
        with(json!({"id": {"a": 1}})),
        with(json!({"hash": digits("secret-k_1")})),
        with(json!({"client": "secret-k_1"})),
        without("id"),
        without("client"),
        without("hash"),
        json!({}),
        json!(null),
        json!([["k_1"]]),
        json!("k_1"),
        json!(1.5),
        json!(-1),
        json!(true),
    ]
}

#[test]
fn wrong_entry_is_refused_and_all_others_say_what_they_said() {
    for mistake in mistakes() {
        for at in 0..3 {
            let mut entries = vec![
                entry("k_0", json!({"tier": "pro"})),
                entry("k_2", json!({"revoked": "2026-01-01T00:00:00Z"})),
            ];
            entries.insert(at, mistake.clone());
            let (set, refused, count) = built(&entries);
            assert_eq!((refused.len(), count, set.len()), (1, 1, 2), "{mistake}");
            assert!(refused[0].is_mistake(), "{mistake}");
            assert_eq!(of(&set, "secret-k_0").as_deref(), Ok("acme"), "{mistake}");
            assert_eq!(of(&set, "secret-k_1"), Err(Reason::InvalidCredential), "{mistake}");
            // Whose it is, isn't sure.
            let refusal = set.lookup(b"secret-k_1", NOW, None).unwrap_err();
            assert!(refusal.owner.is_none(), "{mistake}");
            assert_eq!(of(&set, "secret-k_2"), Err(Reason::RevokedCredential), "{mistake}");
            // Whoever writes such a file is told of it.
            assert!(parse(&file(&entries)).is_err(), "{mistake}");
        }
    }
}

#[test]
fn undeclared_tier_is_told_and_keeps_its_key_and_no_other() {
    let (set, refused, count) = built(&[
        entry("k_1", json!({"tier": "prro"})),
        entry("k_2", json!({"tier": "pro"})),
        entry("k_3", json!({"tier": "gone", "revoked": "2026-01-01T00:00:00Z"})),
        entry("k_4", json!({"tier": "gone", "disabled": true})),
        entry("k_5", json!({"tier": "gone", "expires": "2026-01-01T00:00:00Z"})),
    ]);
    assert_eq!(count, 1, "{refused:?}");
    assert!(!refused[0].is_mistake());
    let told = refused[0].error.to_string();
    assert!(told.starts_with("key \"k_1\": field \"tier\" names the tier \"prro\""), "{told}");
    // The tier is what it says, for whoever knows that there is none of that name.
    let principal = set.lookup(b"secret-k_1", NOW, None).unwrap();
    assert_eq!((principal.tier(), set.len()), (Some("prro"), 5));
}

#[test]
fn entry_that_is_off_is_no_mistake_whatever_else_it_says() {
    for off in [
        json!({"revoked": "2026-01-01T00:00:00Z", "cidrs": ["x"]}),
        json!({"revoked": "yesterday"}),
        json!({"revoked": true}),
        json!({"disabled": true, "owner": "acme"}),
        json!({"expires": "2025-01-01T00:00:00Z", "models": []}),
        json!({"not_before": "2025-06-01T00:00:00Z", "expires": "2025-01-01T00:00:00Z"}),
    ] {
        let (set, refused, _) = built(&[entry("k_0", json!({})), entry("k_1", off.clone())]);
        assert!(refused.len() == 1 && !refused[0].is_mistake(), "{off}");
        assert!(of(&set, "secret-k_1").is_err() && of(&set, "secret-k_0").is_ok(), "{off}");
    }
    let (set, ..) = built(&[entry("k_1", json!({"revoked": "yesterday"}))]);
    let refusal = set.lookup(b"secret-k_1", NOW, None).unwrap_err();
    assert_eq!(refusal.reason, Reason::RevokedCredential);
    assert_eq!(refusal.owner.unwrap().client(), "acme");
}

#[test]
fn key_that_is_there_twice_is_not_in_force_and_revoked_if_one_says_so() {
    let twice = |one: Value, other: Value| {
        let (mut second, first) = (entry("k_1", other), entry("k_0", one));
        second["hash"] = first["hash"].clone();
        built(&[first, entry("k_2", json!({})), second])
    };
    let revoked = json!({"revoked": "2026-01-01T00:00:00Z"});
    let disabled = json!({"disabled": true});
    let expired = json!({"expires": "2026-01-01T00:00:00Z"});
    let wrong = json!({"owner": "acme"});
    for (one, other, reason, is_mistake) in [
        (json!({}), json!({}), Reason::InvalidCredential, true),
        (json!({}), revoked.clone(), Reason::RevokedCredential, false),
        (revoked.clone(), json!({}), Reason::RevokedCredential, false),
        (json!({}), disabled, Reason::RevokedCredential, false),
        (json!({}), expired, Reason::InvalidCredential, false),
        (revoked, wrong.clone(), Reason::RevokedCredential, false),
        // What is wrong doesn't hide behind what is right.
        (json!({}), wrong.clone(), Reason::InvalidCredential, true),
        (wrong, json!({}), Reason::InvalidCredential, true),
    ] {
        let (set, refused, _) = twice(one.clone(), other.clone());
        assert_eq!(of(&set, "secret-k_0"), Err(reason), "{one} {other}");
        let refusal = set.lookup(b"secret-k_0", NOW, None).unwrap_err();
        assert!(reason != Reason::InvalidCredential || refusal.owner.is_none(), "{one} {other}");
        assert_eq!(of(&set, "secret-k_2").as_deref(), Ok("acme"), "{one} {other}");
        let told = refused.last().unwrap();
        assert_eq!(told.is_mistake(), is_mistake, "{one} {other}");
        assert!(matches!(told.error.problem, Problem::DuplicateHash(_)), "{told:?}");
        assert_eq!((set.len(), set.without_tier()), (1, 1), "{one} {other}");
    }
}

#[test]
fn of_two_entries_with_one_id_the_first_one_counts() {
    let mut other = entry("k_1", json!({}));
    other["hash"] = hash("secret-other").into();
    let (set, refused, _) = built(&[entry("k_0", json!({})), entry("k_1", json!({})), other]);
    assert_eq!(of(&set, "secret-k_1").as_deref(), Ok("acme"));
    assert_eq!(of(&set, "secret-other"), Err(Reason::InvalidCredential));
    let told = refused[0].error.to_string();
    assert!(told.contains("is that of both keys[1] and keys[2]"), "{told}");
    assert!(refused.len() == 1 && refused[0].is_mistake());
}

#[test]
fn places_are_those_of_the_file_whatever_is_wrong_before() {
    let twice = entry("k_1", json!({}));
    let mut other = twice.clone();
    other["hash"] = hash("secret-other").into();
    let (_, refused, _) = built(&[json!(7), json!({}), twice, json!({"id": "x"}), other]);
    let told = refused.last().unwrap().error.to_string();
    assert!(told.contains("is that of both keys[2] and keys[4]"), "{told}");
}

#[test]
fn file_of_mistakes_only_is_an_empty_set() {
    let (set, refused, count) = built(&vec![json!({"id": "k"}); 100]);
    assert!(set.is_empty());
    assert_eq!((refused.len(), count), (MAX_TOLD, 100));
}

#[test]
fn mistake_is_told_however_many_others_are_before() {
    let mut entries: Vec<Value> = (0..MAX_TOLD + 5)
        .map(|number| entry(&format!("k_{number}"), json!({"disabled": true, "owner": "acme"})))
        .collect();
    entries.push(entry("k_late", json!({"owner": "acme"})));
    let (_, refused, count) = built(&entries);
    assert_eq!((refused.len(), count), (MAX_TOLD, MAX_TOLD + 6));
    assert!(refused.last().unwrap().error.to_string().starts_with("key \"k_late\""));
}

#[test]
fn file_that_cannot_be_read_to_its_end_is_refused_as_a_whole() {
    let good = file(&[entry("k_1", json!({}))]);
    for text in [
        good.replace("\"acme\"", "\"acme\",,"),
        good.replace("\"acme\"", "1e400"),
        good.replace("\"version\":1", "\"version\":2"),
        good.replace("\"version\":1", "\"version\":1,\"users\":[]"),
        format!("{good}{good}"),
        good.strip_suffix('}').unwrap().to_owned(),
    ] {
        let built = KeySet::build(text.as_bytes(), &|_| true, NOW);
        assert!(built.is_err_and(|error| error.entry.is_none()), "{text}");
    }
}

proptest! {
    #[test]
    fn no_mistake_brings_a_key_into_force(
        picks in prop::collection::vec((0_usize..40, 0_usize..4), 1..8),
    ) {
        let mistakes = mistakes();
        let entries: Vec<Value> = picks
            .iter()
            .map(|(mistake, key)| match mistakes.get(*mistake) {
                Some(wrong) => wrong.clone(),
                None => entry(&format!("k_{key}"), json!({})),
            })
            .collect();
        let (set, ..) = built(&entries);
        for key in 0..4 {
            let name = format!("k_{key}");
            let said = entries.iter().filter(|entry| entry["hash"] == hash(&format!("secret-{name}")).as_str());
            let said: Vec<&Value> = said.collect();
            let is_good = said.len() == 1 && *said[0] == entry(&name, json!({}));
            prop_assert_eq!(of(&set, &format!("secret-{name}")).is_ok(), is_good, "{}", file(&entries));
        }
    }
}
