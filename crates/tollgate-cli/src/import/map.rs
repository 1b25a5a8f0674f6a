//! An nginx.conf whose `map` has the keys, as in nginx-conf/migrate-from-map.conf.

use std::collections::HashMap;

use super::{Found, Place, Secret, Source};
use crate::escape::shown;

/// A word of a configuration, or what ends a directive, or begins or ends a block.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// A `map` block.
#[derive(Debug)]
struct Map {
    line: usize,
    from: String,
    to: String,
    /// Line, key and value.
    entries: Vec<(usize, String, String)>,
    /// What nginx would refuse, and where.
    faults: Vec<(usize, &'static str)>,
}

/// What a configuration has that matters here.
#[derive(Debug, Default)]
struct Configuration {
    maps: Vec<Map>,
    /// The files that it includes elsewhere than in a map.
    includes: Vec<String>,
}

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

pub(super) fn read(text: &str, wanted: Option<&str>) -> Source {
    let mut source = Source::default();
    let configuration = match configuration(text) {
        Ok(configuration) => configuration,
        Err((line, message)) => {
            source.fault(Place::Line(line), message);
            return source;
        }
    };
    let maps = &configuration.maps;
    let wanted = wanted.map(|name| variable(&format!("${}", name.trim_start_matches('$'))));
    let (of_keys, others): (Vec<&Map>, Vec<&Map>) = maps.iter().partition(|map| match &wanted {
        Some(wanted) => map.from == *wanted,
        None => is_of_credentials(&map.from),
    });
    if of_keys.is_empty() {
        let message = match wanted {
            Some(_) => "no map goes by that variable",
            None => {
                "no map goes by a header, an argument or a cookie that is called like a key: name its \
                 variable with --map-variable"
            }
        };
        source.fault(Place::Line(1), message);
    }
    for map in &of_keys {
        take(&mut source, map, &tiers(maps, &map.to));
        note_where_keys_are_sent(&mut source, &map.from);
    }
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
                "line {}: the map of {} was not read, as that is not called like a key: if it holds \
                 keys, import it with --map-variable",
                map.line,
                shown(&map.from)
            ));
        }
    }
    if !configuration.includes.is_empty() {
        source.notes.push(format!(
            "files that are included were not read ({}): \"nginx -T\" prints all in one",
            shown(&configuration.includes.join(", "))
        ));
    }
    source
}

/// A variable as nginx knows it: by any case, and with or without braces.
fn variable(word: &str) -> String {
    let name = word.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
    match name {
        Some(name) if !name.contains(['$', '{']) => format!("${}", name.to_ascii_lowercase()),
        _ => word.to_ascii_lowercase(),
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

fn take(source: &mut Source, map: &Map, tiers: &HashMap<String, Option<String>>) {
    let has_masks = map.entries.iter().any(|(_, key, _)| key == "hostnames");
    for (line, key, client) in &map.entries {
        let place = Place::Line(*line);
        match key.as_str() {
            "default" => {
                if !client.is_empty() {
                    source.notes.push(format!(
                        "{place}: the map has a client for requests without one of its keys; Tollgate \
                         refuses them"
                    ));
                }
                continue;
            }
            "hostnames" | "volatile" => continue,
            "include" => {
                source.fault(
                    place,
                    "a file that the map includes, and that may hold keys: put its lines in place of this \
                     one",
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
        found.tier = tiers.get(client).cloned().flatten();
        source.found.push(found);
    }
    for (line, message) in &map.faults {
        source.fault(Place::Line(*line), *message);
    }
    if map.entries.is_empty() && map.faults.is_empty() {
        source.fault(Place::Line(map.line), "a map without entries");
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

/// All `map` blocks; or the line that can't be understood, and why.
fn configuration(text: &str) -> Result<Configuration, (usize, &'static str)> {
    let mut found = Configuration::default();
    let mut words: Vec<(usize, String)> = Vec::new();
    // The map that is open, and at which depth.
    let mut open: Option<(usize, Map)> = None;
    let mut depth = 0usize;
    for (line, token) in tokens(text).map_err(|line| (line, UNENDED))? {
        match token {
            Token::Word(word) => words.push((line, word)),
            Token::Open => {
                depth += 1;
                match (words.as_slice(), &mut open) {
                    (_, Some((_, map))) => map.faults.push((line, "a block inside of a map")),
                    ([(line, name), (_, from), (_, to)], None) if name == "map" => {
                        let (from, to) = (variable(from), variable(to));
                        let (entries, faults) = (Vec::new(), Vec::new());
                        open = Some((depth, Map { line: *line, from, to, entries, faults }));
                    }
                    ([(line, name), rest @ ..], None)
                        if name == "map" && rest.iter().any(|(_, word)| word.starts_with('$')) =>
                    {
                        return Err((*line, "a map has one source and one variable"))
                    }
                    _ => {}
                }
                words.clear();
            }
            Token::End => {
                match (&mut open, words.as_slice()) {
                    (Some((at, map)), words) if *at == depth => map.add(words),
                    (None, [(_, name), (_, file)]) if name == "include" => {
                        found.includes.push(file.clone());
                    }
                    _ => {}
                }
                words.clear();
            }
            Token::Close => {
                if let Some((_, mut map)) = open.take_if(|(at, _)| *at == depth) {
                    if let [(line, _), ..] = words.as_slice() {
                        map.faults.push((*line, "an entry without a semicolon behind it"));
                    }
                    found.maps.push(map);
                }
                depth = depth.checked_sub(1).ok_or((line, UNENDED))?;
                words.clear();
            }
        }
    }
    match depth {
        0 => Ok(found),
        _ => Err((text.lines().count(), UNENDED)),
    }
}

const UNENDED: &str = "no nginx configuration: a quote or a block doesn't end";

impl Map {
    /// An entry: a key and a value, or one of two words that stand alone.
    fn add(&mut self, words: &[(usize, String)]) {
        match words {
            [(line, key), (_, value)] => self.entries.push((*line, key.clone(), value.clone())),
            [(line, key)] if key == "hostnames" || key == "volatile" => {
                self.entries.push((*line, key.clone(), String::new()));
            }
            [(line, _), ..] => self.faults.push((*line, "an entry that is not a key and a value")),
            [] => {}
        }
    }
}

/// The words and marks of a configuration, with their lines.
fn tokens(text: &str) -> Result<Vec<(usize, Token)>, usize> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => line += 1,
            c if c.is_whitespace() => {}
            '#' => while chars.next_if(|c| *c != '\n').is_some() {},
            ';' => tokens.push((line, Token::End)),
            '{' => tokens.push((line, Token::Open)),
            '}' => tokens.push((line, Token::Close)),
            quote @ ('"' | '\'') => {
                let start = line;
                let mut word = String::new();
                loop {
                    match chars.next().ok_or(start)? {
                        c if c == quote => break,
                        '\\' => {
                            let next = chars.next().ok_or(start)?;
                            line += usize::from(next == '\n');
                            escaped(&mut word, next);
                        }
                        c => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                    }
                }
                tokens.push((start, Token::Word(word)));
            }
            c => {
                let start = line;
                let mut word = String::new();
                let mut next = Some(c);
                // A brace behind a dollar is that of `${name}`; one that closes is as any other
                // character here.
                let mut is_variable;
                while let Some(c) = next {
                    if c == '\\' {
                        let escapee = chars.next().ok_or(line)?;
                        line += usize::from(escapee == '\n');
                        escaped(&mut word, escapee);
                    } else {
                        word.push(c);
                    }
                    is_variable = c == '$';
                    next = chars.next_if(|c| {
                        !(c.is_whitespace() || *c == ';' || (*c == '{' && !is_variable))
                    });
                }
                tokens.push((start, Token::Word(word)));
            }
        }
    }
    Ok(tokens)
}

/// As nginx reads a backslash: before quotes and itself it goes, before some letters it means a control
/// character, else it stays.
fn escaped(word: &mut String, c: char) {
    match c {
        't' => word.push('\t'),
        'r' => word.push('\r'),
        'n' => word.push('\n'),
        '"' | '\'' | '\\' => word.push(c),
        c => word.extend(['\\', c]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<(String, String, Option<String>)> {
        let source = read(text, None);
        assert!(source.faults.is_empty(), "{:?}", source.faults);
        let found = source.found.into_iter().map(|found| {
            let Secret::Key(key) = found.secret else { panic!("a hash") };
            (key, found.client, found.tier)
        });
        found.collect()
    }

    #[test]
    fn maps_of_headers_are_read_with_the_tiers_of_their_clients() {
        let text = r#"
            http { # the map "of" keys {
                map $http_authorization $who {
                    default "";
                    'bearer one\'s key' acme;
                    "Bearer two"  zenith;  "Basic abc" x;
                    "Bearer three" "";
                }
                map $who $pro_client { default ""; zenith $who; acme ""; }
                map $http_upgrade $connection_upgrade { default upgrade; "" close; }
                map $http_accept $kind { "application/json" json; }
                map $http_x_api_key$host $both { "public" c; }
                map $http_x_api_key $other { \default strange; "a;{}b" last; }
                server { location / { return 200 "map $x $y { }"; } }
            }"#;
        let key = |key: &str, client: &str, tier: Option<&str>| {
            (key.to_owned(), client.to_owned(), tier.map(str::to_owned))
        };
        assert_eq!(
            found(text),
            [
                key("one's key", "acme", None),
                key("two", "zenith", Some("pro")),
                key("default", "strange", None),
                key("a;{}b", "last", None),
            ]
        );
    }

    #[test]
    fn what_is_no_map_of_keys_is_a_fault_with_its_line() {
        for (text, line) in [
            ("server { }", 1),
            ("map $http_x $y {\n \"a\" b;", 2),
            ("map $http_x_key $y {\n ~^a b;\n }", 2),
            ("map $http_x_key $y {\n include keys.map;\n }", 2),
            ("map $http_x_key $y { \"a b; }", 1),
            ("map $http_accept $y { \"text/html\" a; }", 1),
            ("\n}", 2),
        ] {
            let source = read(text, None);
            assert_eq!(
                source.faults.first().map(|(place, _)| *place),
                Some(Place::Line(line)),
                "{text}"
            );
        }
        assert_eq!(read("map $host $y { a b; }", Some("host")).found.len(), 1);
    }

    /// Places of faults, and keys in between that were understood.
    fn faults(text: &str) -> Vec<usize> {
        let source = read(text, None);
        let lines = source.faults.iter().map(|(place, _)| match place {
            Place::Line(line) | Place::Entry(line) => *line,
            Place::Whole => 0,
        });
        lines.collect()
    }

    #[test]
    fn entries_that_nginx_would_refuse_are_not_passed_over() {
        let map = |entries: &str| format!("map $http_x_key $y {{\nkey-1 a;\n{entries}}}\n");
        assert!(faults(&map("")).is_empty());
        for entries in
            ["key-2 b\n", "key-2;\n", "key-2 b c;\n", "\"key-2\"b c;\n", "key-2 { b c; }\n"]
        {
            assert_eq!(faults(&map(entries)), [3], "{entries}");
        }
        assert_eq!(faults("map $http_x_key {\nkey-1 a;\n}"), [1]);
        assert_eq!(faults("map $http_x_key $y {\nhostnames;\n*.key-1 a;\nkey-2 b;\n}"), [3]);
        assert!(faults("map $http_x_key $y {\n*.key-1 a;\nkey-2 b;\n}").is_empty());
    }

    #[test]
    fn words_are_those_of_nginx() {
        let text = "map ${http_X_Key} $y { a}b c; ${x}d e; \\\"f g; h\\ti j; }";
        let keys: Vec<_> = found(text).into_iter().map(|(key, _, _)| key).collect();
        assert_eq!(keys, ["a}b", "${x}d", "\"f", "h\ti"]);
        // A line that ends in a word counts as well.
        assert_eq!(faults("map $http_x_key $y {\n\"a\\\nb\" c;\n~d e;\n}"), [4]);
    }

    #[test]
    fn what_was_not_read_is_said() {
        let notes = |text: &str| read(text, None).notes.join("; ");
        let map = "map $http_authorization $y { \"Bearer key\" a; }";
        assert!(!notes(map).contains("line"), "{}", notes(map));
        for (more, said) in [
            ("\ninclude conf.d/*.conf;", "(conf.d/*.conf): \"nginx -T\""),
            ("\nmap $http_x_gate $z { key b; }", "line 2: the map of $http_x_gate was not read"),
            ("\nmap $http_x_token $z { key b; }", "\"tollgate_api_key_header x-token;\""),
            ("\nmap $arg_key $z { key b; }", "headers, and not from $arg_key"),
            ("\nmap $http_x_key $z {\ndefault b;\nkey c;\n}", "line 3: the map has a client for"),
        ] {
            let notes = notes(&format!("{map}{more}"));
            assert!(notes.contains(said), "{notes}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ -~\n]{0,200}") {
            let _ = read(&text, None);
            let _ = super::super::env::read(&text);
            let _ = super::super::plain::read(&text, "c");
        }

        #[test]
        fn pieces_of_a_configuration_never_panic(
            pieces in prop::collection::vec(
                prop_oneof!["map ", "\\$http_x_key ", "\\$y ", "\\{", "\\}", ";", "\"", "\\\\", "#", "\n", "a ", "\\$\\{"], 0..40),
        ) {
            let _ = read(&pieces.concat(), None);
        }
    }
}
