//! Keys of Kong's key-auth plugin: a declarative configuration, or pages of the Admin API.

use std::collections::HashMap;

use jiff::Timestamp;
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

pub(super) fn read(value: &Value) -> Source {
    let mut source = Source::default();
    // By id and by name, what a consumer is called and its tier.
    let mut consumers: HashMap<&str, (String, Option<String>)> = HashMap::new();
    for (place, consumer) in objects(&mut source, value.get("consumers"), "no object") {
        let Some(name) = first(consumer, &["username", "custom_id", "id"]) else {
            source.fault(place, "a consumer without username, custom_id and id");
            continue;
        };
        let known = (name.to_owned(), group(consumer));
        for key in ["id", "username", "custom_id"] {
            if let Some(key) = text(consumer, key) {
                consumers.insert(key, known.clone());
            }
        }
        let credentials = consumer.get("keyauth_credentials");
        // The place is that of the consumer.
        for (_, credential) in elements(credentials) {
            let Some(credential) = credential else {
                source.fault(place, "a credential that is no object");
                continue;
            };
            take(&mut source, place, credential, &known.0, known.1.clone());
        }
    }
    for list in ["keyauth_credentials", "data"] {
        for (place, credential) in objects(&mut source, value.get(list), "no object") {
            let reference = match credential.get("consumer") {
                Some(Value::String(name)) => Some(name.as_str()),
                Some(Value::Object(members)) => first(members, &["username", "custom_id", "id"]),
                _ => None,
            };
            let Some(reference) = reference else {
                source.fault(place, "a key without a consumer");
                continue;
            };
            let (client, tier) =
                consumers.get(reference).cloned().unwrap_or_else(|| (reference.to_owned(), None));
            take(&mut source, place, credential, &client, tier);
        }
    }
    if ["next", "offset"].iter().any(|name| value.get(name).is_some_and(|next| !next.is_null())) {
        source.notes.push("more pages follow this one: import them as well".to_owned());
    }
    if !is_kong(value) {
        source.fault(
            Place::Entry(0),
            "no \"consumers\", \"keyauth_credentials\" or \"data\" of Kong's",
        );
    }
    source
}

/// The ACL group of a consumer, if it is in one alone.
fn group(consumer: &Members) -> Option<String> {
    let mut groups = elements(consumer.get("acls")).filter_map(|(_, acl)| text(acl?, "group"));
    match (groups.next(), groups.next()) {
        (Some(group), None) => Some(group.to_owned()),
        _ => None,
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
    // Seconds from its making on.
    if let Some(ttl) = credential.get("ttl").and_then(Value::as_i64).filter(|ttl| *ttl > 0) {
        let made = credential.get("created_at").and_then(Value::as_i64);
        let made = made.unwrap_or_else(|| Timestamp::now().as_second());
        found.expires =
            Timestamp::from_second(made.saturating_add(ttl)).ok().map(|end| end.to_string());
        if found.expires.is_none() {
            source.fault(place, "a \"ttl\" that ends at no date");
            return;
        }
    }
    source.found.push(found);
}
