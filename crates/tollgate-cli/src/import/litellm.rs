//! Keys of LiteLLM: rows of its table `LiteLLM_VerificationToken`, or what its `/key/list` answers.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use serde_json::Value;
use tollgate_core::pattern::Pattern;
use tollgate_core::rfc3339;

use super::doubt;
use super::json::{first, is_off, objects, text, Members};
use super::source::{Found, Secret, Source, SourcePlace};
use crate::time::date_of;

/// Limits of a key, which Tollgate has in tiers.
const LIMITS: [&str; 10] = [
    "max_budget",
    "budget_duration",
    "budget_id",
    "model_max_budget",
    "tpm_limit",
    "rpm_limit",
    "model_tpm_limit",
    "model_rpm_limit",
    "max_parallel_requests",
    "litellm_budget_table",
];

/// How many keys have what is not taken over.
#[derive(Default)]
struct Left {
    limits: usize,
    teams: usize,
}

/// What `/key/list` answers with unless it is asked for more.
const BARE: &str = "no object, and so nothing that says whose key it is: export the keys with \
                    /key/list?return_full_object=true, or as rows of LiteLLM_VerificationToken";

pub(super) fn read(value: &Value) -> Source {
    let mut source = Source::default();
    let list = match value {
        Value::Array(_) => Some(value),
        value => ["keys", "data"].into_iter().find_map(|name| value.get(name)),
    };
    let mut left = Left::default();
    for (place, members) in objects(&mut source, list, BARE) {
        // Whoever signs in to LiteLLM's pages has such a key for a day.
        if members.get("team_id").and_then(Value::as_str) == Some("litellm-dashboard") {
            source.skip("a session of LiteLLM's own pages");
            continue;
        }
        match key(place, members) {
            Ok(found) => {
                left.count(members);
                source.found.push(found);
            }
            Err(message) => source.fault(place, message),
        }
    }
    if list.is_none_or(Value::is_null) {
        source.fault(
            SourcePlace::Whole,
            "no array of keys, neither by itself nor as \"keys\" or \"data\"",
        );
    }
    let pages = value.get("total_pages").and_then(Value::as_u64).unwrap_or(1);
    if pages > 1 {
        source.notes.push(format!("this is one of {pages} pages: import the others as well"));
    }
    left.tell(&mut source);
    source
}

impl Left {
    fn count(&mut self, members: &Members) {
        let metadata = metadata(members).ok().flatten();
        let has = |name: &str| {
            is_set(members.get(name))
                || is_set(metadata.as_ref().and_then(|metadata| metadata.get(name)))
        };
        self.limits += usize::from(LIMITS.iter().any(|name| has(name)));
        self.teams += usize::from(is_set(members.get("team_id")));
    }

    fn tell(&self, source: &mut Source) {
        for (count, message) in [
            (
                self.limits,
                "keys have budgets or rate limits of their own, which are not taken over: tiers have \
                 them (tollgate_tier)",
            ),
            (self.teams, "keys belong to teams, which become their tenants; their models and limits are not in the export"),
        ] {
            source.note(count, message);
        }
    }
}

/// Neither absent nor empty.
fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Array(elements)) => !elements.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// What is said of a key beside its columns. Some databases export it as text.
fn metadata(members: &Members) -> Result<Option<Cow<'_, Members>>, &'static str> {
    match members.get("metadata") {
        None | Some(Value::Null) => Some(None),
        Some(Value::Object(metadata)) => Some(Some(Cow::Borrowed(metadata))),
        Some(Value::String(text)) if text.trim().is_empty() => Some(None),
        Some(Value::String(text)) => serde_json::from_str(text).map(|m| Some(Cow::Owned(m))).ok(),
        Some(_) => None,
    }
    .ok_or("\"metadata\" is no object, so that its tier can't be told")
}

/// What restricts a key must be understood: left out, it would permit more than before.
fn key(place: SourcePlace, members: &Members) -> Result<Found, &'static str> {
    let secret = secret(members).ok_or("no \"token\" that is a key (sk-...) or its SHA-256")?;
    let names = ["key_alias", "user_id", "team_alias", "team_id", "key_name"];
    let client = first(members, &names)
        .ok_or("no name for a client: no key_alias, user_id, team_alias or team_id")?;
    let mut found = Found::new(place, secret, client.to_owned());
    found.models = models(members.get("models"))?;
    found.is_disabled = is_off(members)? || is_off_by_owner(members);
    found.expires = match members.get("expires") {
        None | Some(Value::Null) => None,
        Some(expires) => Some(
            expires.as_str().and_then(|text| date(text.trim())).ok_or("\"expires\" is no date")?,
        ),
    };
    found.tenant = text(members, "team_id").map(str::to_owned);
    found.created = text(members, "created_at").and_then(|text| date(text.trim()));
    let metadata = metadata(members)?;
    if metadata.as_deref().is_some_and(is_off_by_note) {
        return Err(
            "\"metadata\" says that it isn't in force: take the entry out, or correct that",
        );
    }
    found.tier = match metadata.as_ref().and_then(|metadata| metadata.get("tier")) {
        None | Some(Value::Null) => None,
        Some(tier) => Some(tier.as_str().ok_or("\"tier\" in \"metadata\" is no text")?.to_owned()),
    };
    if found.tier.as_deref().is_some_and(doubt::says_no) {
        return Err("a \"tier\" in \"metadata\" that says no: is the key in force?");
    }
    let budget = members.get("litellm_budget_table").and_then(Value::as_object);
    if is_exhausted(members) || budget.is_some_and(is_exhausted) {
        return Err("a key that may do nothing there: a limit of 0, or a budget that is spent");
    }
    found.lost = lost(members, metadata.as_deref())?;
    Ok(found)
}

/// Whether its team, organisation or user is blocked, as joined rows tell.
fn is_off_by_owner(members: &Members) -> bool {
    let is = |value: Option<&Value>| value.and_then(Value::as_bool) == Some(true);
    ["team", "organization", "org", "user"].iter().any(|owner| {
        is(members.get(&format!("{owner}_blocked")))
            || is(members.get(*owner).and_then(|owner| owner.get("blocked")))
    })
}

/// Whether people have written down that it is off: other words there may mean anything.
fn is_off_by_note(metadata: &Members) -> bool {
    let is = |name: &str, state: bool| metadata.get(name).and_then(Value::as_bool) == Some(state);
    ["blocked", "disabled", "revoked", "deleted"].iter().any(|name| is(name, true))
        || ["enabled", "active"].iter().any(|name| is(name, false))
        || first(metadata, &["status", "state"]).is_some_and(doubt::says_no)
}

/// Whether nothing can be done with it: of a limit nothing is left, and it isn't filled again.
fn is_exhausted(members: &Members) -> bool {
    const LIMITS: [&str; 4] = ["max_budget", "tpm_limit", "rpm_limit", "max_parallel_requests"];
    let number = |name: &str| members.get(name).and_then(Value::as_f64);
    let is_spent =
        number("max_budget").zip(number("spend")).is_some_and(|(all, spent)| spent >= all);
    LIMITS.iter().any(|name| number(name).is_some_and(|limit| limit <= 0.0))
        || (is_spent && !is_set(members.get("budget_duration")))
}

/// What it may not do there, and might here.
fn lost(members: &Members, metadata: Option<&Members>) -> Result<Vec<&'static str>, &'static str> {
    let mut lost = Vec::new();
    match members.get("allowed_routes") {
        None | Some(Value::Null) => {}
        Some(Value::Array(routes)) => {
            // What Tollgate is in front of.
            let is_usual = |route: &Value| route == "llm_api_routes" || route == "openai_routes";
            if !routes.iter().all(is_usual) {
                lost.push("allowed_routes");
            }
        }
        Some(_) => return Err("\"allowed_routes\" is no array"),
    }
    if members
        .get("key_type")
        .and_then(Value::as_str)
        .is_some_and(|kind| ["management", "read_only"].contains(&kind))
    {
        return Err("a key for managing LiteLLM, and not for models");
    }
    const MEMBERS: [&str; 4] = ["guardrails", "enforced_params", "allowed_ips", "allowed_cidrs"];
    for name in MEMBERS {
        let is = is_set(members.get(name)) || is_set(metadata.and_then(|all| all.get(name)));
        if is {
            lost.push(name);
        }
    }
    let is_unknown = |name: &String| {
        ["denied_", "blocked_", "forbidden_", "restricted_"].iter().any(|s| name.starts_with(s))
    };
    if members.iter().any(|(name, value)| is_unknown(name) && is_set(Some(value))) {
        lost.push("something that is denied to it");
    }
    Ok(lost)
}

/// LiteLLM stores the SHA-256 of a key, and calls it `token`.
fn secret(members: &Members) -> Option<Secret> {
    let token = first(members, &["token", "key", "api_key"])?;
    let is_hash = token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_hash {
        true => Some(Secret::Hash(token.to_owned())),
        // `sk-...abcd` is what is shown of a key.
        false if token.starts_with("sk-") && !token.contains("...") => {
            Some(Secret::Key(token.to_owned()))
        }
        false => None,
    }
}

/// No models, or one of LiteLLM's words for all of them, is no restriction.
fn models(value: Option<&Value>) -> Result<Option<Vec<String>>, &'static str> {
    let models = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(models)) => models,
        Some(_) => return Err("\"models\" is no array"),
    };
    let names: Option<Vec<String>> =
        models.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    let names = names.ok_or("\"models\" has an element that is no text")?;
    // LiteLLM's word for none.
    if names.iter().any(|name| name == "no-default-models") {
        return Err("a key that may use no model there");
    }
    let is_all = |name: &String| {
        matches!(name.as_str(), "all-team-models" | "all-proxy-models" | "*" | "all-models")
    };
    if !names.iter().any(is_all) && names.iter().any(|name| Pattern::of_models(name).is_err()) {
        return Err("\"models\" has an element that is no pattern of models here");
    }
    Ok((!names.is_empty() && !names.iter().any(is_all)).then_some(names))
}

/// With an offset, or, as out of a database, without: UTC then.
fn date(text: &str) -> Option<String> {
    if let Some(moment) = rfc3339::parse(text) {
        return Some(date_of(moment));
    }
    let moment: Timestamp = match text.parse() {
        Ok(moment) => moment,
        Err(_) => text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(Timestamp::from_second(moment.as_second()).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn row(member: &str, value: Value) -> Source {
        let mut row = json!({"token": "sk-secret-0123456789", "user_id": "a"});
        row[member] = value;
        read(&json!([row]))
    }

    #[test]
    fn what_may_restrict_a_key_is_never_passed_over() {
        for (member, bad, good) in [
            ("expires", json!(1_700_000_000), json!(null)),
            ("expires", json!("soon"), json!(null)),
            ("models", json!("{gpt-4o}"), json!([])),
            ("models", json!(["gpt-4o", 5]), json!(null)),
            ("blocked", json!("true"), json!(null)),
            ("blocked", json!(1), json!(false)),
            ("metadata", json!({"tier": 1}), json!({"tier": null})),
            ("metadata", json!("no json"), json!("{}")),
            ("metadata", json!([]), json!("")),
        ] {
            let source = row(member, bad);
            assert!(source.faults.len() == 1 && source.found.is_empty(), "{member}");
            let source = row(member, good);
            assert!(source.faults.is_empty() && source.found.len() == 1, "{member}");
            let found = &source.found[0];
            assert!(found.expires.is_none() && found.models.is_none() && !found.is_disabled);
        }
    }

    #[test]
    fn metadata_may_be_text() {
        let source = row("metadata", json!("{\"tier\":\"pro\",\"model_rpm_limit\":{\"m\":1}}"));
        assert_eq!(source.found[0].tier.as_deref(), Some("pro"));
        assert_eq!(source.notes.len(), 1, "{:?}", source.notes);
    }

    proptest! {
        #[test]
        fn no_value_panics_or_shows_the_key(
            member in prop::sample::select(
                &["token", "models", "expires", "blocked", "metadata", "max_budget"][..]),
            value in prop::sample::select(vec![
                json!(null), json!("sk-secret-1"), json!(-1), json!(1.5e300), json!([["secret"]]),
                json!({"tier": ["secret"]}),
            ]),
        ) {
            let source = row(member, value);
            let said = format!("{:?}{:?}{:?}", source.faults, source.notes, source.skipped);
            prop_assert!(!said.contains("secret"), "{}", said);
        }
    }

    #[test]
    fn what_a_key_may_not_do_is_never_passed_over() {
        for (member, value) in [
            ("allowed_routes", json!(["/chat/completions"])),
            ("allowed_routes", json!(["llm_api_routes", "info_routes"])),
            ("metadata", json!({"guardrails": ["pii"]})),
            ("metadata", json!({"enforced_params": ["user"]})),
            ("allowed_ips", json!(["10.0.0.1"])),
            ("denied_models", json!(["gpt-4o"])),
        ] {
            assert_eq!(row(member, value).found[0].lost.len(), 1, "{member}");
        }
        for (member, value) in [
            ("allowed_routes", json!([])),
            ("allowed_routes", json!(["llm_api_routes"])),
            ("metadata", json!({"guardrails": []})),
            ("allowed_cache_controls", json!(["no-cache"])),
            ("permissions", json!({})),
            ("rpm_limit", json!(1)),
        ] {
            let source = row(member, value);
            assert!(source.faults.is_empty() && source.found[0].lost.is_empty(), "{member}");
        }
    }

    #[test]
    fn key_that_may_do_nothing_is_none() {
        for (member, value) in [
            ("max_budget", json!(0)),
            ("max_budget", json!(0.5)),
            ("rpm_limit", json!(0)),
            ("max_parallel_requests", json!(0)),
            ("key_type", json!("management")),
            ("models", json!(["no-default-models"])),
            ("allowed_routes", json!("/chat")),
            ("status", json!("revoked")),
            ("enabled", json!("no")),
            ("deleted_at", json!("2026-01-01T00:00:00Z")),
            ("metadata", json!({"status": "revoked"})),
            ("metadata", json!({"disabled": true})),
            ("metadata", json!({"active": false})),
            ("metadata", json!({"tier": "blocked"})),
            ("litellm_budget_table", json!({"max_budget": 0})),
        ] {
            let row = json!([{"token": "sk-secret-0123456789", "user_id": "a", "spend": 0.5, member: value}]);
            let source = read(&row);
            assert!(source.faults.len() == 1 && source.found.is_empty(), "{row}");
        }
        // A budget that is filled again isn't spent for good.
        let row = json!([{"token": "sk-secret-0123456789", "user_id": "a", "spend": 5, "max_budget": 1,
            "budget_duration": "30d"}]);
        assert_eq!(read(&row).found.len(), 1);
        for (member, value) in [("disabled", true), ("enabled", false), ("revoked", true)] {
            assert!(self::row(member, json!(value)).found[0].is_disabled, "{member}");
        }
        for (member, value) in
            [("team_blocked", json!(true)), ("team", json!({"blocked": true, "team_id": "t"}))]
        {
            assert!(self::row(member, value).found[0].is_disabled, "{member}");
        }
        for metadata in [json!({"status": "trial", "active": true}), json!({"state": "CA"})] {
            let source = self::row("metadata", metadata);
            assert!(source.faults.is_empty() && !source.found[0].is_disabled);
        }
        assert_eq!(self::row("deleted_at", json!(null)).found.len(), 1);
        let source = self::row("team_id", json!("litellm-dashboard"));
        assert!(source.found.is_empty() && source.faults.is_empty() && source.skipped.len() == 1);
    }
}
