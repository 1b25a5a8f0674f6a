//! Keys of Kong's key-auth plugin: a declarative configuration, or pages of the Admin API.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::json::{elements, first, objects, text, Members};
use super::{Found, Place, Secret, Source};

/// Whether it is one of Kong's.
pub(super) fn is_kong(value: &Value) -> bool {
    let has = |name| value.get(name).is_some();
    has("_format_version")
        || has("consumers")
        || has("keyauth_credentials")
        || elements(value.get("data"))
            .filter_map(|(_, members)| members)
            .any(|members| members.contains_key("consumer") && members.contains_key("key"))
}

/// A `ttl` of so much is a date: what db_export writes, and what Kong without a database reads, are the
/// seconds since 1970 at which a key ends.
const DATES: f64 = 1e9;

/// Credentials of Kong's that are no API keys: of a consumer, or of all of them.
const OTHERS: [&str; 6] = [
    "basicauth_credentials",
    "hmacauth_credentials",
    "jwt_secrets",
    "keyauth_enc_credentials",
    "mtls_auth_credentials",
    "oauth2_credentials",
];

pub(super) fn read(value: &Value) -> Source {
    let mut source = Source::default();
    let listed = objects(&mut source, value.get("consumers"), "no object");
    let consumers = Consumers::new(&mut source, value, &listed);
    let mut ending = 0usize;
    for (place, consumer) in &listed {
        let Some(name) = first(consumer, &NAMES) else {
            source.fault(*place, "a consumer without username, custom_id and id");
            continue;
        };
        skip_others(&mut source, |list| consumer.get(list));
        let tier = consumers.tier(name, Some(consumer));
        // The place is that of the consumer.
        let credentials = consumer.get("keyauth_credentials");
        if credentials.is_some_and(|list| !list.is_array() && !list.is_null()) {
            source.fault(*place, "\"keyauth_credentials\" is no array");
        }
        for (_, credential) in elements(credentials) {
            match credential {
                Some(credential) => {
                    ending += usize::from(ends_by_age(credential));
                    take(&mut source, *place, credential, name, tier.clone());
                }
                None => source.fault(*place, "a credential that is no object"),
            }
        }
    }
    skip_others(&mut source, |list| value.get(list));
    for list in ["keyauth_credentials", "data"] {
        for (place, credential) in objects(&mut source, value.get(list), "no object") {
            let Some(reference) = reference(credential) else {
                source.fault(place, "a key without a consumer");
                continue;
            };
            let consumer = consumers.of.get(reference).copied();
            let client = consumer.and_then(|consumer| first(consumer, &NAMES)).unwrap_or(reference);
            let tier = consumers.tier(reference, consumer);
            ending += usize::from(ends_by_age(credential));
            take(&mut source, place, credential, client, tier);
        }
    }
    if ["next", "offset"].iter().any(|name| value.get(name).is_some_and(|next| !next.is_null())) {
        source.notes.push("more pages follow this one: import them as well".to_owned());
    }
    if ending > 0 {
        source.notes.push(format!(
            "{ending} keys have a \"ttl\", and end that long after they were made; what Kong tells is \
             what was left of it, so that they may end too early: see \"tollgate key list\", and \
             \"tollgate key edit --expires\""
        ));
    }
    if !is_kong(value) {
        source
            .fault(Place::Whole, "no \"consumers\", \"keyauth_credentials\" or \"data\" of Kong's");
    }
    source
}

/// What a client is called by.
const NAMES: [&str; 3] = ["username", "custom_id", "id"];

struct Consumers<'v> {
    /// By id and by name, as credentials refer to them.
    of: HashMap<&'v str, &'v Members>,
    /// Groups that stand by themselves, by what they say of the consumer.
    groups: HashMap<&'v str, Vec<&'v str>>,
}

impl<'v> Consumers<'v> {
    fn new(source: &mut Source, value: &'v Value, listed: &[(Place, &'v Members)]) -> Self {
        let mut of = HashMap::new();
        // One's custom_id may be another's username, which comes first.
        for name in ["id", "username", "custom_id"] {
            for (_, consumer) in listed {
                if let Some(key) = text(consumer, name) {
                    of.entry(key).or_insert(*consumer);
                }
            }
        }
        let mut groups: HashMap<&str, Vec<&str>> = HashMap::new();
        for (place, acl) in objects(source, value.get("acls"), "a group that is no object") {
            match (reference(acl), text(acl, "group")) {
                (Some(consumer), Some(group)) => groups.entry(consumer).or_default().push(group),
                _ => source.fault(place, "a group without a name or a consumer"),
            }
        }
        Self { of, groups }
    }

    /// The ACL group of a consumer, if it is in one alone.
    fn tier(&self, reference: &str, consumer: Option<&Members>) -> Option<String> {
        let own = consumer.map(|consumer| elements(consumer.get("acls")));
        let own = own.into_iter().flatten().filter_map(|(_, acl)| text(acl?, "group"));
        let names = consumer
            .into_iter()
            .flat_map(|consumer| ["id", "username"].map(|name| text(consumer, name)));
        let mut names: Vec<&str> = names.flatten().chain([reference]).collect();
        names.sort_unstable();
        names.dedup();
        let others = names.into_iter().filter_map(|name| self.groups.get(name)).flatten().copied();
        let mut groups: Vec<&str> = own.chain(others).collect();
        groups.sort_unstable();
        groups.dedup();
        match groups.as_slice() {
            [group] => Some((*group).to_owned()),
            _ => None,
        }
    }
}

/// How a credential or a group says whose it is.
fn reference(members: &Members) -> Option<&str> {
    match members.get("consumer") {
        Some(Value::String(name)) => Some(name.as_str()),
        Some(Value::Object(members)) => first(members, &["id", "username", "custom_id"]),
        _ => None,
    }
}

fn skip_others<'v>(source: &mut Source, list: impl Fn(&str) -> Option<&'v Value>) {
    for name in OTHERS {
        for _ in elements(list(name)) {
            source.skip("a credential of Kong's that is no API key");
        }
    }
}

fn take(
    source: &mut Source,
    place: Place,
    credential: &Members,
    client: &str,
    tier: Option<String>,
) {
    let Some(key) = text(credential, "key") else {
        source.fault(place, "a credential without \"key\"");
        return;
    };
    // Kong looks these up elsewhere. Taken as it stands, the reference would be the key.
    if key.starts_with("{vault://") {
        source.fault(place, "a key that is kept in a vault: export it with its value");
        return;
    }
    let mut found = Found::new(place, Secret::Key(key.to_owned()), client.to_owned());
    found.tier = tier;
    match end(credential) {
        Ok(end) => found.expires = end,
        Err(message) => {
            source.fault(place, message);
            return;
        }
    }
    source.found.push(found);
}

/// Whether the end of a key is reckoned from its making on.
fn ends_by_age(credential: &Members) -> bool {
    credential.get("ttl").and_then(Value::as_f64).is_some_and(|ttl| ttl > 0.0 && ttl < DATES)
}

/// When a key ends: a date, or seconds from its making on, of which Kong may tell parts. None and zero
/// mean never.
fn end(credential: &Members) -> Result<Option<String>, &'static str> {
    const NO_TTL: &str = "a \"ttl\" that is no number of seconds";
    let ttl = match credential.get("ttl") {
        None | Some(Value::Null) => return Ok(None),
        Some(ttl) => ttl.as_f64().filter(|ttl| *ttl >= 0.0).ok_or(NO_TTL)?,
    };
    if ttl == 0.0 {
        return Ok(None);
    }
    let ttl = SignedDuration::try_from_secs_f64(ttl).map_err(|_| NO_TTL)?;
    let made = match credential.get("created_at") {
        _ if !ends_by_age(credential) => Timestamp::UNIX_EPOCH,
        None | Some(Value::Null) => Timestamp::now(),
        Some(made) => {
            let made = made.as_i64().and_then(|made| Timestamp::from_second(made).ok());
            made.ok_or("a \"created_at\" that is no date")?
        }
    };
    let end = made.checked_add(ttl).and_then(|end| Timestamp::from_second(end.as_second()));
    Ok(Some(end.map_err(|_| "a \"ttl\" that ends at no date")?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn with_ttl(ttl: Value) -> Source {
        let key = json!({"key": "secret-0123456789", "created_at": 1_700_000_000, "ttl": ttl});
        read(&json!({"consumers": [{"username": "a", "keyauth_credentials": [key]}]}))
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
}
