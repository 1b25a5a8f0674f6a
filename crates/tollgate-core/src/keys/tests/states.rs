//! How many keys are good for what.

use super::*;
use crate::clock::UnixMillis;

const AT: UnixMillis = UnixMillis(NOW.0 * 1000);

fn states(entries: &[Value]) -> KeyStates {
    let built = KeySet::build(file(entries).as_bytes(), &|_| true, NOW).unwrap();
    KeySet::from_block(built.block).unwrap().states(AT)
}

#[test]
fn each_key_is_in_one_state() {
    let past = json!("2025-01-01T00:00:00Z");
    let future = json!("2027-01-01T00:00:00Z");
    let off = json!({"disabled": true, "expires": past});
    let cert =
        |id: &str| json!({"id": id, "cert": format!("dns:{id}.example.com"), "client": "acme"});
    let found = states(&[
        entry("good", json!({})),
        entry("until", json!({"expires": future})),
        entry("off", off),
        entry("old", json!({"expires": past})),
        entry("young", json!({"not_before": future})),
        entry("wrong", json!({"cidrs": ["nonsense"]})),
        entry("twice", json!({})),
        entry("twice", json!({})),
        cert("host"),
    ]);
    let refused = found.refused;
    let expected = KeyStates { active: 3, disabled: 1, expired: 1, not_yet_valid: 1, refused: 3 };
    assert_eq!(found, expected, "{refused}");
    assert_eq!(found.named().iter().map(|(_, count)| count).sum::<u64>(), 9);
    assert_eq!(states(&[]), KeyStates::default());
}

#[test]
fn a_key_of_a_tier_that_is_not_declared_is_refused_and_nothing_else() {
    let entries = [
        entry("good", json!({"tier": "free"})),
        entry("lost", json!({"tier": "gone"})),
        entry("off", json!({"tier": "gone", "disabled": true})),
    ];
    let text = file(&entries);
    let built = KeySet::build(text.as_bytes(), &|tier| tier == "free", NOW).unwrap();
    assert_eq!(built.refused_count, 1);
    let found = KeySet::from_block(built.block).unwrap().states(AT);
    assert_eq!(found, KeyStates { active: 1, disabled: 1, refused: 1, ..KeyStates::default() });
}

#[test]
fn many_keys_are_estimated() {
    let entries: Vec<_> = (0..20_000)
        .map(|index| entry(&format!("k{index}"), json!({"disabled": index % 4 == 0})))
        .collect();
    let found = states(&entries);
    assert!(found.active.abs_diff(15_000) < 600, "{found:?}");
    assert!(found.disabled.abs_diff(5_000) < 600, "{found:?}");
    assert_eq!((found.expired, found.not_yet_valid, found.refused), (0, 0, 0));
}
