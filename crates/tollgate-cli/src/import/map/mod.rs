//! An nginx.conf whose `map` has the keys, as in nginx-conf/migrate-from-map.conf.

use std::collections::{HashMap, HashSet};

use super::doubt::{denies, is_of_others, permits, says_no, says_yes};
use super::nginx::{configuration, variable, Configuration, Map};
use super::source::{Found, Secret, Source, SourcePlace};
use crate::escape::shown;

/// Headers whose maps hold no keys. Others that are not called like a key are told of.
const PUBLIC: [&str; 14] = [
    "$http_accept",
    "$http_accept_encoding",
    "$http_accept_language",
    "$http_connection",
    "$http_content_type",
    "$http_host",
    "$http_origin",
    "$http_referer",
    "$http_sec_websocket_protocol",
    "$http_upgrade",
    "$http_user_agent",
    "$http_x_forwarded_for",
    "$http_x_forwarded_host",
    "$http_x_forwarded_proto",
];

/// `has_client`: all keys are those of a client that the command line names.
pub(super) fn read(text: &str, wanted: Option<&str>, has_client: bool) -> Source {
    let mut source = Source::default();
    let configuration = match configuration(text) {
        Ok(configuration) => configuration,
        Err((line, message)) => {
            source.fault(SourcePlace::Line(line), message);
            return source;
        }
    };
    source.files = configuration.files.clone();
    let files = &configuration.files;
    let maps = &configuration.maps;
    let wanted = wanted.map(|name| variable(&format!("${}", name.trim_start_matches('$'))));
    let (of_keys, others): (Vec<&Map>, Vec<&Map>) = maps.iter().partition(|map| match &wanted {
        Some(wanted) => map.from == *wanted,
        None => is_of_credentials(&map.from),
    });
    // Without a map, the keys are where conditions are.
    let compared =
        || configuration.comparisons.iter().filter(|(_, from, _)| is_of_credentials(from));
    if of_keys.is_empty() && compared().next().is_some() {
        for (line, ..) in compared() {
            source.fault(
                SourcePlace::Line(*line),
                "a condition that compares a credential, which is not read: if it lets a key in, import that \
                 as a line NAME=key:tier",
            );
        }
    } else if of_keys.is_empty() {
        let what = match wanted {
            Some(_) => "no map goes by that variable",
            None => "no map goes by a header, an argument or a cookie that is called like a key",
        };
        let way_out = way_out(&configuration, wanted.is_some());
        source.fault(SourcePlace::Line(1), format!("{what}{way_out}"));
    }
    if of_keys.is_empty() {
        for line in &configuration.basic {
            source.fault(
                SourcePlace::Line(*line),
                "passwords of Basic authentication, which are no keys: make keys for those users with \"tollgate \
                 key create\"",
            );
        }
    }
    for map in &of_keys {
        // What a key gets is no client.
        if is_of_others(&map.to) && !has_client {
            let is_known = |other: &&Map| other.from == map.from && !is_of_others(&other.to);
            let to = shown(&map.to);
            match of_keys.iter().any(is_known) {
                true => source.notes.push(format!(
                    "{}: the map to {to} was not read, as that is not called like a client",
                    files.line(map.line)
                )),
                false => source.fault(
                    SourcePlace::Line(map.line),
                    format!(
                        "a map to {to}, which is not called like a client: if its values are clients, call it \
                         $client; if all keys are those of one, add --client NAME"
                    ),
                ),
            }
            continue;
        }
        take(&mut source, map, &Clients::new(maps, &map.to), has_client);
        note_where_keys_are_sent(&mut source, &map.from);
    }
    refuse_compared(&mut source, &configuration);
    if !source.found.is_empty() {
        source.notes.push(
            "nginx's map ignores the case of keys; Tollgate does not: a client must send its key as it \
             stands there"
                .to_owned(),
        );
    }
    if wanted.is_none() {
        for map in others.iter().filter(|map| may_be_of_credentials(&map.from)) {
            source.notes.push(format!(
                "{}: the map of {} was not read, as that is not called like a key: if it holds \
                 keys, import it with --map-variable",
                files.line(map.line),
                shown(&map.from)
            ));
        }
    }
    for (line, from) in configuration.geos.iter().filter(|(_, from)| of_request(from).is_some()) {
        let from = shown(from);
        source.notes.push(format!("{}: the geo of {from} was not read", files.line(*line)));
    }
    if let Some(included) = unread(&configuration) {
        source.notes.push(format!(
            "files that are included were not read ({included}), which may hold keys, or refuse some of these: \
             {WHOLE}"
        ));
    }
    source
}

/// How to have all files of a configuration read.
const WHOLE: &str =
    "to have all of it read, as root: nginx -T | tollgate key import - --file KEYS.json";

/// The files that are included, and were not read.
fn unread(configuration: &Configuration) -> Option<String> {
    let is_any = !configuration.includes.is_empty() && !configuration.files.is_dump();
    is_any.then(|| shown(&configuration.includes.join(", ")))
}

/// Where the map may be that was not found.
fn way_out(configuration: &Configuration, has_variable: bool) -> String {
    match (unread(configuration), has_variable) {
        (Some(included), _) => {
            format!("; the files that are included were not read ({included}): {WHOLE}")
        }
        (None, true) => String::new(),
        (None, false) => {
            let of_request =
                configuration.maps.iter().filter(|map| may_be_of_credentials(&map.from));
            let variables: Vec<String> = of_request.map(|map| shown(&map.from)).collect();
            match variables.is_empty() {
                true => ", nor by any other that might hold keys".to_owned(),
                false => format!(
                    ": if it is one of {}, name it with --map-variable",
                    variables.join(", ")
                ),
            }
        }
    }
}

/// What a request says, by a variable of nginx.
fn of_request(variable: &str) -> Option<&str> {
    ["$http_", "$arg_", "$cookie_"].iter().find_map(|kind| variable.strip_prefix(kind))
}

/// Whether what a map goes by is called like a credential. Others go by headers as well: what
/// `$http_accept` or `$http_upgrade` is compared with, is public.
fn is_of_credentials(variable: &str) -> bool {
    of_request(variable).is_some_and(|name| {
        !name.contains('$')
            && ["auth", "key", "token", "secret"].iter().any(|word| name.contains(word))
    })
}

fn may_be_of_credentials(variable: &str) -> bool {
    of_request(variable).is_some() && !PUBLIC.contains(&variable)
}

/// The tier of each client: of maps from the clients' variable to `$TIER_client`, those that name it.
fn tiers(maps: &[Map], clients: &str) -> HashMap<String, Option<String>> {
    let mut tiers: HashMap<String, Option<String>> = HashMap::new();
    for map in maps.iter().filter(|map| map.from == clients) {
        let Some(tier) = map.to.strip_prefix('$').and_then(|to| to.strip_suffix("_client")) else {
            continue;
        };
        for (_, client, value) in &map.entries {
            if client != "default" && !value.is_empty() {
                tiers
                    .entry(client.clone())
                    .and_modify(|known| *known = None)
                    .or_insert_with(|| Some(tier.to_owned()));
            }
        }
    }
    tiers
}

/// What other maps say of the clients.
struct Clients {
    tiers: HashMap<String, Option<String>>,
    /// Maps that say who is let in: the line, and who.
    permitted: Vec<(usize, HashSet<String>)>,
    /// Clients to whom a map says no, and its line.
    denied: HashMap<String, usize>,
}

impl Clients {
    fn new(maps: &[Map], variable: &str) -> Self {
        let mut clients =
            Self { tiers: tiers(maps, variable), permitted: Vec::new(), denied: HashMap::new() };
        let others = maps.iter().filter(|map| map.from == variable && !map.to.ends_with("_client"));
        for map in others {
            let default = map.default();
            let named = || map.entries.iter().filter(|(_, _, value)| value != default);
            for (_, client, value) in named() {
                // Nothing is how a limit is switched off, or a tier.
                if denies(&map.to) || (!value.is_empty() && says_no(value)) {
                    clients.denied.entry(client.clone()).or_insert(map.line);
                }
            }
            if permits(&map.to) && says_no(default) {
                let who = named().map(|(_, client, _)| client.clone()).collect();
                clients.permitted.push((map.line, who));
            }
        }
        clients
    }

    /// The line of a map by which this client is refused.
    fn refused_by(&self, client: &str) -> Option<usize> {
        let unlisted = || self.permitted.iter().find(|(_, who)| !who.contains(client));
        self.denied.get(client).copied().or_else(|| unlisted().map(|(line, _)| *line))
    }
}

/// A condition may let a key in, or refuse one that a map knows: it can't be told.
fn refuse_compared(source: &mut Source, configuration: &Configuration) {
    for (line, from, text) in &configuration.comparisons {
        if !is_of_credentials(from) || text.is_empty() {
            continue;
        }
        let key = bearer(text).unwrap_or(text);
        let is_it =
            |found: &Found| matches!(&found.secret, Secret::Key(k) if k.eq_ignore_ascii_case(key));
        let known: Vec<SourcePlace> =
            source.found.iter().filter(|found| is_it(found)).map(|found| found.place).collect();
        if known.is_empty() {
            source.notes.push(format!(
                "{}: a condition compares {} with a text, which was not read: if it is a key that \
                 is let in, import it as a line NAME=key:tier",
                configuration.files.line(*line),
                shown(from)
            ));
        }
        source.found.retain(|found| !is_it(found));
        for place in known {
            source.fault(
                place,
                format!(
                    "a key that the condition in {} treats in its own way: is it refused there?",
                    configuration.files.line(*line)
                ),
            );
        }
    }
}

fn take(source: &mut Source, map: &Map, clients: &Clients, has_client: bool) {
    let default = map.default();
    if denies(&map.to) || says_yes(default) {
        let message = "a map of keys that are refused, by its name or its default: take it out";
        source.fault(SourcePlace::Line(map.line), message);
        return;
    }
    let has_masks = map.entries.iter().any(|(_, key, _)| key == "hostnames");
    for (line, key, client) in &map.entries {
        let place = SourcePlace::Line(*line);
        match key.as_str() {
            "default" => {
                if !says_no(client) {
                    source.notes.push(format!(
                        "{}: the map has a client for requests without one of its keys; Tollgate \
                         refuses them",
                        source.place(place)
                    ));
                }
                continue;
            }
            "hostnames" | "volatile" => continue,
            "include" => {
                source.fault(
                    place,
                    "a file that the map includes, and that may hold keys: put its lines in place of this \
                     one, or import what \"nginx -T\" prints",
                );
                continue;
            }
            key if key.starts_with('~') => {
                source.fault(place, "a regular expression, which is no key");
                continue;
            }
            key if has_masks && (key.starts_with(['.', '*']) || key.ends_with(".*")) => {
                source.fault(place, "a mask of names, which is no key");
                continue;
            }
            _ => {}
        }
        if client.is_empty() {
            source.skip("a value that is empty, and so no client");
            continue;
        }
        if client == default {
            source.skip(
                "a value that requests without a key have as well, and so a key not in force",
            );
            continue;
        }
        if says_no(client) {
            source.fault(
                place,
                "a value that says no, and so a key that may not be in force: put its client there, or take \
                 it out",
            );
            continue;
        }
        if says_yes(client) && !has_client {
            source.fault(
                place,
                "a value that says yes, and not whose key it is: put its client there, or add --client NAME",
            );
            continue;
        }
        if let Some(line) = clients.refused_by(client) {
            let message =
                format!("a key of a client whom the map in {} says no to", source.files.line(line));
            source.fault(place, message);
            continue;
        }
        if client.contains('$') {
            source.skip("a value with a variable, and so no client");
            continue;
        }
        // A backslash before a first character that would mean something else.
        let key = key.strip_prefix('\\').unwrap_or(key);
        let key = match map.from.as_str() {
            "$http_authorization" | "$http_proxy_authorization" => match bearer(key) {
                Ok(key) => key,
                Err(reason) => {
                    source.skip(reason);
                    continue;
                }
            },
            _ => key,
        };
        let mut found = Found::new(place, Secret::Key(key.to_owned()), client.clone());
        found.tier = clients.tiers.get(client).cloned().flatten();
        source.found.push(found);
    }
    for (line, message) in &map.faults {
        source.fault(SourcePlace::Line(*line), *message);
    }
    if map.entries.is_empty() && map.faults.is_empty() {
        source.fault(SourcePlace::Line(map.line), "a map without entries");
    }
}

/// What is behind the scheme; or why Tollgate would take nothing of it.
fn bearer(value: &str) -> Result<&str, &'static str> {
    match value.split_once(' ') {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("Bearer") => Ok(key.trim_start()),
        Some(_) => Err("a credential of another scheme than Bearer"),
        None => Err("an Authorization without a scheme, which Tollgate refuses"),
    }
}

/// Tollgate reads two headers, unless it is told otherwise.
fn note_where_keys_are_sent(source: &mut Source, variable: &str) {
    let header = variable.strip_prefix("$http_").map(|name| name.replace('_', "-"));
    match header.as_deref() {
        Some("authorization" | "x-api-key") => {}
        Some(header) => source.notes.push(format!(
            "clients send these keys in the header {0}: add \"tollgate_api_key_header {0};\"",
            shown(header)
        )),
        None => source.notes.push(format!(
            "Tollgate reads keys from headers, and not from {}: clients must send them there",
            shown(variable)
        )),
    }
}

#[cfg(test)]
mod tests;
