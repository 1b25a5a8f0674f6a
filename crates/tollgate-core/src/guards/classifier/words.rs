//! The line `classifier` of a `tollgate_guard` block.

use tollgate_guard::finding::Action;

use super::{Classifier, Format, Side};

/// How nginx reads the times and sizes of its configuration.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    /// A time, in milliseconds.
    pub time_ms: fn(&str) -> Option<u64>,
    /// A size, in bytes.
    pub size: fn(&str) -> Option<usize>,
}

/// The name of one that is given none.
const NAME: &str = "classifier";

const DEFAULT_TIMEOUT_MS: u64 = 1000;
const DEFAULT_CACHE_MS: u64 = 60_000;
const DEFAULT_WINDOWS: usize = 1024;
const DEFAULT_ANSWER_WINDOW: usize = 1 << 10;

/// Reads `classifier URI input ...`, without the first word.
///
/// # Errors
///
/// What is wrong, and what to write instead, in words for an operator.
pub fn line(words: &[&str], units: Units) -> Result<Classifier, String> {
    let Some((&uri, rest)) = words.split_first() else {
        return Err("the internal location is missing".to_owned());
    };
    if !uri.starts_with('/') || uri.contains(['?', '#', '$']) {
        return Err(format!(
            "invalid location \"{}\"; it takes the path of an internal location, such as \"/_classify\", without \
             arguments and variables",
            uri.escape_debug()
        ));
    }
    let mut line = Words::default();
    for word in rest {
        line.take(word, units)?;
    }
    line.finish(uri)
}

#[derive(Default)]
struct Words<'w> {
    sides: Vec<Side>,
    action: Option<Action>,
    /// Those with a value, by their names.
    given: Vec<&'static str>,
    format: Option<Format>,
    name: Option<&'w str>,
    model: Option<&'w str>,
    threshold: Option<u8>,
    classes: Vec<usize>,
    entities: Vec<Box<str>>,
    language: Option<&'w str>,
    timeout_ms: Option<u64>,
    allows_on_failure: Option<bool>,
    window: Option<usize>,
    max_windows: Option<usize>,
    cache_ms: Option<u64>,
}

/// All that take a value.
const PARAMETERS: [&str; 12] = [
    "format",
    "name",
    "model",
    "threshold",
    "class",
    "entities",
    "language",
    "timeout",
    "on_failure",
    "window",
    "windows",
    "cache",
];

impl<'w> Words<'w> {
    fn take(&mut self, word: &'w str, units: Units) -> Result<(), String> {
        let twice = || Err(format!("\"{word}\" is said twice; once is enough"));
        match word {
            "input" | "output" => {
                let side = if word == "input" { Side::Request } else { Side::Answer };
                if self.sides.contains(&side) {
                    return twice();
                }
                self.sides.push(side);
            }
            "block" | "log" => {
                let action = if word == "block" { Action::Block } else { Action::Log };
                match self.action.replace(action) {
                    None => {}
                    Some(before) if before == action => return twice(),
                    Some(_) => {
                        return Err(
                            "\"block\" and \"log\" are both said; keep one of them".to_owned()
                        )
                    }
                }
            }
            "mask" | "tokenize" => {
                return Err(format!(
                    "\"{word}\": a classifier judges texts as a whole; use \"block\" or \"log\""
                ))
            }
            _ => {
                let known = word.split_once('=').and_then(|(name, value)| {
                    PARAMETERS.iter().find(|known| **known == name).map(|name| (*name, value))
                });
                let Some((name, value)) = known else {
                    return Err(format!(
                        "unknown \"{}\"; known are input, output, block, log, {}=",
                        word.escape_debug(),
                        PARAMETERS.join("=, ")
                    ));
                };
                if self.given.contains(&name) {
                    return Err(format!("\"{name}=\" is given twice"));
                }
                self.given.push(name);
                self.set(name, value, units).ok_or_else(|| {
                    format!("invalid \"{}\"; {}", word.escape_debug(), expected(name))
                })?;
            }
        }
        Ok(())
    }

    /// `None`: it can't have this value.
    fn set(&mut self, name: &str, value: &'w str, units: Units) -> Option<()> {
        match name {
            "format" => {
                self.format = Some(Format::ALL.into_iter().find(|format| format.name() == value)?);
            }
            "name" => self.name = Some(is_name(value, 64).then_some(value)?),
            "model" => self.model = Some(is_plain(value, 256).then_some(value)?),
            "threshold" => self.threshold = Some(number(value, 1, 100)?.try_into().ok()?),
            "class" => {
                for class in value.split(',') {
                    let class = number(class, 0, 999)?;
                    (!self.classes.contains(&class)).then(|| self.classes.push(class))?;
                }
            }
            "entities" => {
                for entity in value.split(',') {
                    is_name(entity, 64).then(|| self.entities.push(entity.into()))?;
                }
            }
            "language" => self.language = Some(is_name(value, 16).then_some(value)?),
            "timeout" => {
                let is_fit = |ms: &u64| (10..=30_000).contains(ms);
                self.timeout_ms = Some((units.time_ms)(value).filter(is_fit)?);
            }
            "on_failure" => {
                self.allows_on_failure = Some(match value {
                    "allow" => true,
                    "deny" => false,
                    _ => return None,
                });
            }
            "window" => {
                let is_fit = |size: &usize| (256..=65_536).contains(size);
                self.window = Some((units.size)(value).filter(is_fit)?);
            }
            "windows" => self.max_windows = Some(number(value, 1, 4096)?),
            "cache" => {
                let is_fit = |ms: &u64| *ms <= 3_600_000;
                self.cache_ms = Some((units.time_ms)(value).filter(is_fit)?);
            }
            _ => return None,
        }
        Some(())
    }

    fn finish(self, uri: &str) -> Result<Classifier, String> {
        if self.sides.is_empty() {
            return Err(
                "it is not said what is judged; add \"input\", \"output\" or both".to_owned()
            );
        }
        let format = self.format.unwrap_or(Format::Moderation);
        let action = self.action.unwrap_or(Action::Block);
        let only_for = |name: &str, formats: &[Format]| {
            if !self.given.contains(&name) || formats.contains(&format) {
                return Ok(());
            }
            let formats: Vec<_> = formats.iter().map(|format| format.name()).collect();
            Err(format!(
                "\"{name}=\" is for format={}, and not for format={}",
                formats.join(" and format="),
                format.name()
            ))
        };
        only_for("threshold", &[Format::Moderation, Format::Classify, Format::Presidio])?;
        only_for("model", &[Format::Moderation, Format::LlamaGuard, Format::Classify])?;
        only_for("class", &[Format::Classify])?;
        only_for("entities", &[Format::Presidio])?;
        only_for("language", &[Format::Presidio])?;
        if format == Format::LlamaGuard && self.model.is_none() {
            return Err(
                "format=llama-guard needs the name of the model; add \"model=NAME\"".to_owned()
            );
        }
        if action == Action::Log && self.allows_on_failure == Some(false) {
            return Err(
                "\"on_failure=deny\" has no effect with \"log\", which lets every request pass; leave one of them \
                 out"
                .to_owned(),
            );
        }
        Ok(Classifier {
            sides: self.sides,
            uri: uri.into(),
            name: self.name.unwrap_or(NAME).into(),
            format,
            model: self.model.map(Box::from),
            threshold: self.threshold.or(format.threshold()),
            classes: self.classes,
            entities: self.entities,
            language: self.language.unwrap_or("en").into(),
            timeout_ms: self.timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS),
            allows_on_failure: self.allows_on_failure.unwrap_or(action == Action::Log),
            action,
            window: self.window.unwrap_or(format.window()),
            answer_window: self.window.unwrap_or(DEFAULT_ANSWER_WINDOW),
            max_windows: self.max_windows.unwrap_or(DEFAULT_WINDOWS),
            cache_ms: self.cache_ms.unwrap_or(DEFAULT_CACHE_MS),
        })
    }
}

/// What a parameter takes.
fn expected(name: &str) -> &'static str {
    match name {
        "format" => "it takes moderation, llama-guard, classify or presidio",
        "name" => "a name has 1 to 64 letters, digits, \"-\" and \"_\"",
        "model" => "it takes 1 to 256 characters, without blanks, quotes and variables",
        "threshold" => "it takes 1 to 100",
        "class" => "it takes numbers of classes from 0 on, such as 1 or 1,2",
        "entities" => "it takes names such as PERSON,LOCATION",
        "language" => "it takes a code such as en",
        "timeout" => "it takes 10ms to 30s",
        "on_failure" => "it takes deny or allow",
        "window" => "it takes 256 to 64k",
        "windows" => "it takes 1 to 4096",
        _ => "it takes a time up to 1h, or 0",
    }
}

fn is_name(text: &str, max_len: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !text.is_empty() && text.len() <= max_len && text.bytes().all(is_plain)
}

fn is_plain(text: &str, max_len: usize) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'$');
    !text.is_empty() && text.len() <= max_len && text.bytes().all(is_plain)
}

fn number(text: &str, least: usize, most: usize) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && (least..=most).contains(number))
}
