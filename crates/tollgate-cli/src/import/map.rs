//! An nginx.conf whose `map` has the keys, as in nginx-conf/migrate-from-map.conf.

use std::collections::HashMap;

use super::{Found, Place, Secret, Source};

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
}

pub(super) fn read(text: &str, variable: Option<&str>) -> Source {
    let mut source = Source::default();
    let maps = match maps(text) {
        Ok(maps) => maps,
        Err(line) => {
            source
                .fault(Place::Line(line), "no nginx configuration: a quote or a block doesn't end");
            return source;
        }
    };
    let variable = variable.map(|name| format!("${}", name.trim_start_matches('$')));
    let holds_keys = |map: &&Map| match &variable {
        Some(variable) => map.from == *variable,
        None => is_of_credentials(&map.from),
    };
    let of_keys: Vec<&Map> = maps.iter().filter(holds_keys).collect();
    if of_keys.is_empty() {
        let message = match variable {
            Some(_) => "no map goes by that variable",
            None => {
                "no map goes by a header, an argument or a cookie that is called like a key: name its \
                 variable with --map-variable"
            }
        };
        source.fault(Place::Line(1), message);
    }
    for map in &of_keys {
        take(&mut source, map, &tiers(&maps, &map.to));
    }
    if !source.found.is_empty() {
        source.notes.push(
            "nginx's map ignores the case of keys; Tollgate does not: a client must send its key as it \
             stands there"
                .to_owned(),
        );
    }
    source
}

/// Whether what a map goes by is called like a credential. Others go by headers as well: what
/// `$http_accept` or `$http_upgrade` is compared with, is public.
fn is_of_credentials(variable: &str) -> bool {
    let name = ["$http_", "$arg_", "$cookie_"].iter().find_map(|kind| variable.strip_prefix(kind));
    name.is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        !name.contains('$')
            && ["auth", "key", "token", "secret"].iter().any(|word| name.contains(word))
    })
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
    for (line, key, client) in &map.entries {
        let place = Place::Line(*line);
        match key.as_str() {
            "default" | "hostnames" | "volatile" => continue,
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
                Some(key) => key,
                None => {
                    source.skip("a credential of another scheme than Bearer");
                    continue;
                }
            },
            _ => key,
        };
        let mut found = Found::new(place, Secret::Key(key.to_owned()), client.clone());
        found.tier = tiers.get(client).cloned().flatten();
        source.found.push(found);
    }
    if map.entries.is_empty() {
        source.fault(Place::Line(map.line), "a map without entries");
    }
}

/// What is behind the scheme.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| key.trim_start())
}

/// All `map` blocks; or the line that can't be understood.
fn maps(text: &str) -> Result<Vec<Map>, usize> {
    let mut maps = Vec::new();
    let mut words: Vec<(usize, String)> = Vec::new();
    // The map that is open, and at which depth.
    let mut open: Option<(usize, Map)> = None;
    let mut depth = 0usize;
    for (line, token) in tokens(text)? {
        match token {
            Token::Word(word) => words.push((line, word)),
            Token::Open => {
                depth += 1;
                if let [(line, name), (_, from), (_, to)] = words.as_slice() {
                    if name == "map" && open.is_none() {
                        let (from, to) = (from.clone(), to.clone());
                        open = Some((depth, Map { line: *line, from, to, entries: Vec::new() }));
                    }
                }
                words.clear();
            }
            Token::End => {
                if let (Some((_, map)), [(line, key), rest @ ..]) = (&mut open, words.as_slice()) {
                    let value = rest.first().map(|(_, value)| value.clone()).unwrap_or_default();
                    map.entries.push((*line, key.clone(), value));
                }
                words.clear();
            }
            Token::Close => {
                if let Some((_, map)) = open.take_if(|(at, _)| *at == depth) {
                    maps.push(map);
                }
                depth = depth.checked_sub(1).ok_or(line)?;
                words.clear();
            }
        }
    }
    match depth {
        0 => Ok(maps),
        _ => Err(text.lines().count()),
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
                        '\\' => escaped(&mut word, chars.next().ok_or(start)?, quote),
                        c => {
                            line += usize::from(c == '\n');
                            word.push(c);
                        }
                    }
                }
                tokens.push((start, Token::Word(word)));
            }
            c => {
                let mut word = String::from(c);
                // `${name}` is part of a word.
                let mut braces = 0usize;
                while let Some(c) = chars.next_if(|c| {
                    !(c.is_whitespace()
                        || *c == ';'
                        || (*c == '{' && !word.ends_with('$'))
                        || (*c == '}' && braces == 0))
                }) {
                    match c {
                        '{' => braces += 1,
                        '}' => braces -= 1,
                        _ => {}
                    }
                    match c {
                        '\\' => match chars.next() {
                            Some(next) => escaped(&mut word, next, '"'),
                            None => return Err(line),
                        },
                        c => word.push(c),
                    }
                }
                tokens.push((line, Token::Word(word)));
            }
        }
    }
    Ok(tokens)
}

/// As nginx reads a backslash: before quotes and itself it goes, before some letters it means a control
/// character, else it stays.
fn escaped(word: &mut String, c: char, quote: char) {
    match c {
        't' => word.push('\t'),
        'r' => word.push('\r'),
        'n' => word.push('\n'),
        '"' | '\'' | '\\' => word.push(c),
        c if c == quote => word.push(c),
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
