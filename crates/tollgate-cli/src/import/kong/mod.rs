//! Keys of Kong's key-auth plugin: a declarative configuration, or pages of the Admin API.

mod plugins;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::doubt;
use super::json::{elements, first, is_off, objects, text, Members};
use super::source::{Found, Secret, Source, SourcePlace};
use plugins::{check_tags, name_of, names_of, Plugins};

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
    let mut left = Left::default();
    for (place, consumer) in &listed {
        let Some(name) = name_of(consumer) else {
            source.fault(*place, "a consumer without username, custom_id and id");
            continue;
        };
        skip_others(&mut source, |list| consumer.get(list));
        // The place is that of the consumer.
        let credentials = consumer.get("keyauth_credentials");
        if credentials.is_some_and(|list| !list.is_array() && !list.is_null()) {
            source.fault(*place, "\"keyauth_credentials\" is no array");
        }
        for (_, credential) in elements(credentials) {
            match credential {
                Some(credential) => {
                    let owner = Owner { reference: name, consumer: Some(consumer) };
                    take(&mut source, *place, credential, owner, &consumers, &mut left);
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
            let owner = Owner { reference, consumer };
            take(&mut source, place, credential, owner, &consumers, &mut left);
        }
    }
    if ["next", "offset"].iter().any(|name| value.get(name).is_some_and(|next| !next.is_null())) {
        source.notes.push("more pages follow this one: import them as well".to_owned());
    }
    left.tell(&mut source);
    consumers.plugins.tell(&mut source);
    if value.get("data").is_some() && !source.found.is_empty() {
        source.notes.push(
            "keys alone don't tell what restricts their consumers (plugins, groups, tags): Kong's whole \
             configuration does"
                .to_owned(),
        );
    }
    if !is_kong(value) {
        source.fault(
            SourcePlace::Whole,
            "no \"consumers\", \"keyauth_credentials\" or \"data\" of Kong's",
        );
    }
    source
}

/// Whose a credential is: what it says of that, and the consumer, if it is there.
#[derive(Clone, Copy)]
struct Owner<'v> {
    reference: &'v str,
    consumer: Option<&'v Members>,
}

/// How many keys have what is not taken over, or not exactly.
#[derive(Default)]
struct Left {
    ending: usize,
    limited: usize,
    several_groups: usize,
    tagged: usize,
    off: usize,
}

impl Left {
    fn tell(&self, source: &mut Source) {
        for (count, message) in [
            (
                self.ending,
                "keys have a \"ttl\", and end that long after they were made; what Kong tells is what was left \
                 of it, so that they may end too early: see \"tollgate key list\", and \"tollgate key edit \
                 --expires\"",
            ),
            (
                self.limited,
                "keys are of consumers with rate limits of their own, which are not taken over: tiers have \
                 them (tollgate_tier)",
            ),
            (
                self.several_groups,
                "keys are of consumers in several groups, none of which is their tier then: what only some of \
                 the groups may do is not taken over",
            ),
            (self.tagged, "keys, or their consumers, have tags, which are not taken over"),
            (self.off, "keys are of consumers whose requests Kong refuses: they are disabled"),
        ] {
            source.note(count, message);
        }
    }
}

struct Consumers<'v> {
    /// By id and by name, as credentials refer to them.
    of: HashMap<&'v str, &'v Members>,
    /// Groups that stand by themselves, by what they say of the consumer.
    groups: HashMap<&'v str, Vec<&'v str>>,
    plugins: Plugins<'v>,
}

impl<'v> Consumers<'v> {
    fn new(source: &mut Source, value: &'v Value, listed: &[(SourcePlace, &'v Members)]) -> Self {
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
        Self { of, groups, plugins: Plugins::new(source, value) }
    }

    /// The ACL groups of a consumer.
    fn groups(&self, owner: Owner<'v>) -> Vec<&'v str> {
        let own = owner.consumer.map(|consumer| elements(consumer.get("acls")));
        let own = own.into_iter().flatten().filter_map(|(_, acl)| text(acl?, "group"));
        let names = names_of(owner.consumer, owner.reference);
        let others = names.into_iter().filter_map(|name| self.groups.get(name)).flatten().copied();
        let mut groups: Vec<&str> = own.chain(others).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
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

fn take<'v>(
    source: &mut Source,
    place: SourcePlace,
    credential: &Members,
    owner: Owner<'v>,
    consumers: &Consumers<'v>,
    left: &mut Left,
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
    let client = owner.consumer.and_then(name_of).unwrap_or(owner.reference);
    let mut found = Found::new(place, Secret::Key(key.to_owned()), client.to_owned());
    let off = [Some(credential), owner.consumer].into_iter().flatten().map(is_off);
    match (end(credential), off.collect::<Result<Vec<bool>, _>>()) {
        (Ok(end), Ok(off)) => {
            found.expires = end;
            let made = credential.get("created_at").and_then(Value::as_i64);
            let made = made.and_then(|made| Timestamp::from_second(made).ok());
            found.created = made.map(|made| made.to_string());
            found.is_disabled = off.contains(&true);
        }
        (Err(message), _) | (_, Err(message)) => {
            source.fault(place, message);
            return;
        }
    }
    let tagged = || [Some(credential), owner.consumer].into_iter().flatten();
    if !tagged().all(|members| check_tags(place, source, members)) {
        return;
    }
    let groups = consumers.groups(owner);
    if consumers.plugins.refuse(&groups) || groups.iter().any(|g| doubt::says_no(g)) {
        source.fault(place, "a key of a consumer who is refused there for its groups");
        return;
    }
    if let [group] = groups.as_slice() {
        found.tier = Some((*group).to_owned());
    }
    let names = names_of(owner.consumer, owner.reference);
    let restrictions = consumers.plugins.restrict(&names, owner.consumer);
    let was_on = !found.is_disabled;
    left.limited += usize::from(restrictions.hold_for(&mut found) || is_grouped(owner.consumer));
    left.off += usize::from(was_on && found.is_disabled);
    left.ending += usize::from(ends_by_age(credential));
    left.several_groups += usize::from(groups.len() > 1);
    let is_set = |members: &Members| {
        members.get("tags").and_then(Value::as_array).is_some_and(|tags| !tags.is_empty())
    };
    left.tagged += usize::from(tagged().any(is_set));
    source.found.push(found);
}

/// Whether it is in a group of consumers, which have limits of their own.
fn is_grouped(consumer: Option<&Members>) -> bool {
    let groups = consumer.and_then(|consumer| consumer.get("groups"));
    elements(groups).next().is_some()
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
mod tests;
