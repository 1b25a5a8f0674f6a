//! The lines of a `tollgate_guard` block.

use tollgate_guard::finding::Action;
use tollgate_guard::settings::{What, Wish};

use super::Roles;
use crate::llm::texts::Role;

/// Which texts a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those of requests.
    Input,
    /// Those of answers.
    Output,
}

impl Direction {
    /// The name of its directive.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// What is looked for.
    Wish(Wish),
    /// The terms in a file.
    List {
        /// Its name in logs and metrics.
        name: Box<str>,
        /// The file.
        path: Box<str>,
        /// What is done.
        action: Action,
    },
    /// Parts of the system prompt.
    Leak(Action),
}

/// The longest name of a pattern or a list, in bytes.
const MAX_NAME: usize = 64;

/// Reads `input WHAT ... ACTION` or `output WHAT ... ACTION`, without the first word.
///
/// # Errors
///
/// What is wrong, and what to write instead, in words for an operator.
pub fn line(direction: Direction, words: &[&str]) -> Result<Line, String> {
    let Some((&kind, rest)) = words.split_first() else {
        return Err("what to look for is missing".to_owned());
    };
    let mut line = Words::default();
    let takes_text = matches!(kind, "pattern" | "list");
    for (index, &word) in rest.iter().enumerate() {
        if takes_text && index == 0 {
            line.kinds.push(word);
        } else {
            line.take(word)?;
        }
    }
    let action = line.action.ok_or_else(|| {
        format!(
            "\"{}\" says not what to do; add \"block\", \"mask\", {}\"log\"",
            words.join(" "),
            {
                match direction {
                    Direction::Input => "\"tokenize\" or ",
                    Direction::Output => "or ",
                }
            }
        )
    })?;
    check(direction, kind, action)?;
    line.finish(kind, action)
}

/// The words of a line behind its kind.
#[derive(Default)]
struct Words<'w> {
    kinds: Vec<&'w str>,
    action: Option<Action>,
    threshold: Option<u8>,
    name: Option<&'w str>,
}

impl<'w> Words<'w> {
    fn take(&mut self, word: &'w str) -> Result<(), String> {
        if let Some(action) = action(word) {
            return match self.action.replace(action) {
                None => Ok(()),
                Some(before) => Err(format!(
                    "\"{}\" and \"{word}\" are both said; keep one of them",
                    before.name()
                )),
            };
        }
        match word.split_once('=') {
            Some(("threshold", number)) => {
                let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
                let parsed = number.parse().ok().filter(|n| is_number && (1..=100).contains(n));
                let threshold = parsed.ok_or_else(|| {
                    format!("invalid \"{}\"; it takes 1 to 100", word.escape_debug())
                })?;
                set(&mut self.threshold, threshold, "threshold")
            }
            Some(("name", name)) => {
                let is_plain =
                    |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
                    return Err(format!(
                        "invalid \"{}\"; a name has 1 to {MAX_NAME} letters, digits, \"-\" and \"_\"",
                        word.escape_debug()
                    ));
                }
                set(&mut self.name, name, "name")
            }
            _ => {
                self.kinds.push(word);
                Ok(())
            }
        }
    }

    fn finish(self, kind: &str, action: Action) -> Result<Line, String> {
        let Self { kinds, threshold, name, .. } = self;
        let only_text = |what: &str| match kinds.as_slice() {
            [text] if !text.is_empty() => Ok(Box::from(*text)),
            [] | [_] => Err(format!("\"{kind}\" takes {what}, which is missing")),
            [_, more, ..] => {
                Err(format!("\"{}\" is one word too many in \"{kind}\"", more.escape_debug()))
            }
        };
        let named = || {
            let example = if kind == "list" { "terms" } else { "codename" };
            name.map(Box::from).ok_or_else(|| {
                format!("\"{kind}\" needs a name for the log; add \"name={example}\"")
            })
        };
        if let (Some(_), false) = (name, matches!(kind, "pattern" | "list")) {
            return Err(format!(
                "\"name=\" is for \"pattern\" and \"list\", and not for \"{kind}\""
            ));
        }
        if threshold.is_some() && !matches!(kind, "pii" | "secrets" | "injection") {
            return Err(format!(
                "\"threshold=\" is for \"pii\", \"secrets\" and \"injection\", and not for \"{kind}\""
            ));
        }
        let names = || kinds.iter().map(|kind| Box::from(*kind)).collect();
        let what = match kind {
            "pii" => What::Pii(names()),
            "secrets" => What::Secrets(names()),
            "pattern" => What::Pattern { name: named()?, pattern: only_text("a pattern")? },
            "list" => return Ok(Line::List { name: named()?, path: only_text("a file")?, action }),
            "injection" | "leak" => {
                if let Some(more) = kinds.first() {
                    return Err(format!(
                        "\"{}\" is one word too many in \"{kind}\"",
                        more.escape_debug()
                    ));
                }
                match kind {
                    "leak" => return Ok(Line::Leak(action)),
                    _ => What::Injection,
                }
            }
            other => {
                return Err(format!(
                    "unknown \"{}\"; known are pii, secrets, pattern, list, injection (of input) and leak (of output)",
                    other.escape_debug()
                ))
            }
        };
        Ok(Line::Wish(Wish { what, action, threshold }))
    }
}

fn set<T>(field: &mut Option<T>, value: T, name: &str) -> Result<(), String> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("\"{name}=\" is given twice")),
    }
}

fn action(word: &str) -> Option<Action> {
    let all = [Action::Log, Action::Mask, Action::Tokenize, Action::Block];
    all.into_iter().find(|action| action.name() == word)
}

/// Refuses what can't be done.
fn check(direction: Direction, kind: &str, action: Action) -> Result<(), String> {
    let is_input = direction == Direction::Input;
    match (kind, action) {
        ("injection", _) if !is_input => {
            Err("\"injection\" is looked for in what goes to the model; write \"input injection\""
                .to_owned())
        }
        ("leak", _) if is_input => {
            Err("\"leak\" is looked for in what comes from the model; write \"output leak\""
                .to_owned())
        }
        ("injection", Action::Mask | Action::Tokenize) => Err(
            "\"injection\" has no place in a text that could be masked; use \"block\" or \"log\""
                .to_owned(),
        ),
        (_, Action::Tokenize) if !is_input => {
            Err("\"tokenize\" is for input, whose values come back in the answer; use \"mask\""
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// Reads `roles ROLE...`, without the first word.
///
/// # Errors
///
/// A role that is not known, or twice there.
pub fn roles(words: &[&str]) -> Result<Roles, String> {
    words.iter().try_fold(Roles::NONE, |roles, word| {
        let role = Role::NAMED.into_iter().find(|role| role.name() == *word);
        match role {
            Some(role) if roles.has(role) => Err(format!("\"{word}\" is given twice")),
            Some(role) => Ok(roles.with(role)),
            None => Err(format!(
                "unknown role \"{}\"; known are system, user, assistant and tool",
                word.escape_debug()
            )),
        }
    })
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
