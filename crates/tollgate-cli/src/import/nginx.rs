//! nginx.conf, as far as keys may be in it.

use tollgate_doctor::conf::dump::is_said;
use tollgate_doctor::conf::token::{tokens, Token};

use super::dump::Files;

/// A `map` block.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) line: usize,
    pub(super) from: String,
    pub(super) to: String,
    /// Line, key and value.
    pub(super) entries: Vec<(usize, String, String)>,
    /// What nginx would refuse, and where.
    pub(super) faults: Vec<(usize, &'static str)>,
}

/// What a configuration has that matters here.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    pub(super) maps: Vec<Map>,
    /// What conditions (`if`) compare with what: the line, the variable and the text.
    pub(super) comparisons: Vec<(usize, String, String)>,
    /// Blocks of `geo`: the line, and the variable that they go by.
    pub(super) geos: Vec<(usize, String)>,
    /// The files that it includes elsewhere than in a map, and that may hold one.
    pub(super) includes: Vec<String>,
    /// Where `auth_basic_user_file` stands.
    pub(super) basic: Vec<usize>,
    /// The files that it is made of.
    pub(super) files: Files,
}

/// What a configuration has; or the line that can't be understood, and why.
pub(super) fn configuration(text: &str) -> Result<Configuration, (usize, &'static str)> {
    let mut found = Configuration { files: Files::of(text), ..Configuration::default() };
    let cleared;
    let text = match found.files.is_dump() {
        true => {
            let lines = text.lines().map(|line| if is_said(line) { "" } else { line });
            cleared = lines.collect::<Vec<_>>().join("\n");
            &cleared
        }
        false => text,
    };
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
                    ([(line, name), (_, from), _], None) if name == "geo" => {
                        found.geos.push((*line, variable(from)));
                    }
                    ([(line, name), condition @ ..], None) if name == "if" => {
                        found.comparisons.extend(comparison(*line, condition));
                    }
                    _ => {}
                }
                words.clear();
            }
            Token::End => {
                match (&mut open, words.as_slice()) {
                    (Some((at, map)), words) if *at == depth => map.add(words),
                    (None, [(_, name), (_, file)])
                        if name == "include" && !is_without_keys(file) =>
                    {
                        found.includes.push(file.clone());
                    }
                    (None, [(line, name), ..]) if name == "auth_basic_user_file" => {
                        found.basic.push(*line);
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
    for map in &mut found.maps {
        map.take_included(text, &found.files)?;
    }
    match depth {
        0 => Ok(found),
        _ => Err((text.lines().count(), UNENDED)),
    }
}

const UNENDED: &str = "no nginx configuration: a quote or a block doesn't end";

impl Map {
    /// What it makes of a request without one of its keys.
    pub(super) fn default(&self) -> &str {
        let default = self.entries.iter().find(|(_, key, _)| key == "default");
        default.map_or("", |(_, _, value)| value)
    }

    /// Puts the entries of files that it includes, and that are there, in place of their names.
    fn take_included(&mut self, text: &str, files: &Files) -> Result<(), (usize, &'static str)> {
        for (line, key, file) in std::mem::take(&mut self.entries) {
            let lines = files.lines_of(&file).filter(|_| key == "include");
            let Some((start, end)) = lines else {
                self.entries.push((line, key, file));
                continue;
            };
            let before = start.saturating_sub(1);
            let lines = text.lines().skip(before).take(end.saturating_sub(start));
            let part = lines.collect::<Vec<_>>().join("\n");
            let mut words: Vec<(usize, String)> = Vec::new();
            for (line, token) in tokens(&part).map_err(|line| (line + before, UNENDED))? {
                match token {
                    Token::Word(word) => words.push((line + before, word)),
                    Token::End => {
                        self.add(&words);
                        words.clear();
                    }
                    Token::Open | Token::Close => {
                        self.faults.push((line + before, "a block inside of a map"));
                    }
                }
            }
        }
        Ok(())
    }

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

/// Files of packages that hold no map: Debian's nginx.conf includes them.
fn is_without_keys(file: &str) -> bool {
    const NAMES: [&str; 7] = [
        "mime.types",
        "fastcgi.conf",
        "fastcgi_params",
        "proxy_params",
        "scgi_params",
        "uwsgi_params",
        "modules-enabled/*.conf",
    ];
    NAMES.iter().any(|name| {
        file.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    })
}

/// A variable as nginx knows it: by any case, and with or without braces.
pub(super) fn variable(word: &str) -> String {
    let name = word.strip_prefix("${").and_then(|name| name.strip_suffix('}'));
    match name {
        Some(name) if !name.contains(['$', '{']) => format!("${}", name.to_ascii_lowercase()),
        _ => word.to_ascii_lowercase(),
    }
}

/// What is compared in `($variable = text)`.
fn comparison(line: usize, words: &[(usize, String)]) -> Option<(usize, String, String)> {
    let words: Vec<&str> =
        words.iter().map(|(_, word)| word.as_str()).filter(|w| *w != ")").collect();
    let [first, "=" | "!=", text, ..] = words.as_slice() else {
        return None;
    };
    let first = first.strip_prefix('(').filter(|first| first.starts_with('$'))?;
    Some((line, variable(first), text.strip_suffix(')').unwrap_or(text).to_owned()))
}
