//! Keys of LiteLLM: rows of its table `LiteLLM_VerificationToken`, or what its `/key/list` answers.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use serde_json::Value;

use super::json::{first, objects, text, Members};
use super::{Found, Secret, Source};

/// Limits of a key, which Tollgate has in tiers.
const LIMITS: [&str; 5] =
    ["max_budget", "tpm_limit", "rpm_limit", "max_parallel_requests", "budget_duration"];

/// What `/key/list` answers with unless it is asked for more.
const BARE: &str = "no object, and so nothing that says whose key it is: export the keys with \
                    /key/list?return_full_object=true, or as rows of LiteLLM_VerificationToken";

pub(super) fn read(value: &Value) -> Source {
    let mut source = Source::default();
    let list = match value {
        Value::Array(_) => Some(value),
        value => ["keys", "data"].into_iter().find_map(|name| value.get(name)),
    };
    let mut limited = 0;
    for (place, members) in objects(&mut source, list, BARE) {
        limited +=
            usize::from(LIMITS.iter().any(|name| members.get(*name).is_some_and(|v| !v.is_null())));
        let Some(secret) = secret(members) else {
            source.fault(place, "no \"token\" that is a key (sk-...) or its SHA-256");
            continue;
        };
        let names = ["key_alias", "user_id", "team_alias", "team_id", "key_name"];
        let Some(client) = first(members, &names) else {
            source
                .fault(place, "no name for a client: no key_alias, user_id, team_alias or team_id");
            continue;
        };
        let mut found = Found::new(place, secret, client.to_owned());
        found.tier = members
            .get("metadata")
            .and_then(|metadata| metadata.get("tier").and_then(Value::as_str).map(str::to_owned));
        found.is_disabled = members.get("blocked") == Some(&Value::Bool(true));
        found.models = models(members);
        if let Some(expires) = text(members, "expires") {
            match date(expires) {
                Some(date) => found.expires = Some(date),
                None => {
                    source.fault(place, "\"expires\" is no date");
                    continue;
                }
            }
        }
        source.found.push(found);
    }
    if list.and_then(Value::as_array).is_none() {
        source.fault(
            super::Place::Entry(0),
            "no array of keys, neither by itself nor as \"keys\" or \"data\"",
        );
    }
    let pages = value.get("total_pages").and_then(Value::as_u64).unwrap_or(1);
    if pages > 1 {
        source.notes.push(format!("this is one of {pages} pages: import the others as well"));
    }
    if limited > 0 {
        source.notes.push(format!(
            "{limited} keys have budgets or rate limits of their own, which are not taken over: tiers \
             have them (tollgate_tier)"
        ));
    }
    source
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
fn models(members: &Members) -> Option<Vec<String>> {
    let names: Vec<String> = members
        .get("models")?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let is_all = |name: &String| {
        matches!(name.as_str(), "all-team-models" | "all-proxy-models" | "*" | "all-models")
    };
    (!names.is_empty() && !names.iter().any(is_all)).then_some(names)
}

/// With an offset, or, as out of a database, without: UTC then.
fn date(text: &str) -> Option<String> {
    let moment: Timestamp = match text.parse() {
        Ok(moment) => moment,
        Err(_) => text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp(),
    };
    Some(Timestamp::from_second(moment.as_second()).ok()?.to_string())
}
