//! Placeholders, as models write them: in other cases, and in the escapes of what they write them into.

use crate::vault::{Kind, Value, Vault, LAST_NUMBER};

/// How the brackets of a placeholder are written. What takes its place, is written in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `<EMAIL_1>`, or in Markdown `\<EMAIL\_1\>`, or `\<EMAIL_1>` if its value never stood behind a backslash.
    Plain,
    /// `&lt;EMAIL_1&gt;`
    Html,
    /// `\u003cEMAIL_1\u003e`
    Json,
}

/// What a text begins with.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading<'v> {
    /// No placeholder of the vault.
    Other,
    /// What may become one.
    Beginning,
    /// One of so many bytes, for this value.
    Placeholder {
        /// How long it is, in bytes.
        length: usize,
        /// How its brackets are written.
        form: Form,
        /// What it stands for.
        value: &'v str,
    },
}

/// The brackets: what opens, and what may close.
const BRACKETS: [(Form, &str, &[&str]); 4] = [
    (Form::Plain, "<", &[">"]),
    (Form::Plain, "\\<", &["\\>", ">"]),
    (Form::Html, "&lt;", &["&gt;"]),
    (Form::Json, "\\u003c", &["\\u003e"]),
];

impl Vault {
    /// Where the next placeholder may begin in a text, from this place on.
    #[must_use]
    pub fn next_bracket(text: &str, from: usize) -> Option<usize> {
        let rest = text.as_bytes().get(from..)?;
        memchr::memchr3(b'<', b'&', b'\\', rest).map(|at| from + at)
    }

    /// What the text begins with.
    #[must_use]
    pub fn read(&self, text: &str) -> Reading<'_> {
        let mut reading = Reading::Other;
        for (form, open, close) in BRACKETS {
            let name = match Rest::after(text, open) {
                Rest::Is(name) => name,
                Rest::Beginning => {
                    reading = Reading::Beginning;
                    continue;
                }
                Rest::Other => continue,
            };
            for kind in &self.kinds {
                match kind.value_behind(name, close) {
                    (Rest::Is(behind), Some(value)) => {
                        let length = text.len() - behind.len();
                        let is_markdown = || text.split_at(length).0.ends_with("\\>");
                        // The backslash is the client's own, and the placeholder begins behind it.
                        if value.follows_backslash && open == "\\<" && !is_markdown() {
                            return Reading::Other;
                        }
                        return Reading::Placeholder { length, form, value: &value.text };
                    }
                    (Rest::Beginning, _) => reading = Reading::Beginning,
                    _ => {}
                }
            }
        }
        reading
    }
}

/// What is behind something in a text.
#[derive(Clone, Copy)]
enum Rest<'t> {
    /// This is.
    Is(&'t str),
    /// Nothing: the text ends before.
    Beginning,
    /// The text has something else there.
    Other,
}

impl<'t> Rest<'t> {
    /// What is behind this word, in any case.
    fn after(text: &'t str, word: &str) -> Self {
        match text.as_bytes().get(..word.len()) {
            Some(begins) if begins.eq_ignore_ascii_case(word.as_bytes()) => {
                text.get(word.len()..).map_or(Self::Other, Self::Is)
            }
            Some(_) => Self::Other,
            None => match word.as_bytes().get(..text.len()) {
                Some(word) if word.eq_ignore_ascii_case(text.as_bytes()) => Self::Beginning,
                _ => Self::Other,
            },
        }
    }

    /// What is behind this name, of which underscores may have a backslash before them, as in Markdown.
    fn after_name(mut text: &'t str, name: &str) -> Self {
        for (index, part) in name.split('_').enumerate() {
            if index > 0 {
                text = match Self::after(text, "_") {
                    Self::Is(rest) => rest,
                    Self::Beginning => return Self::Beginning,
                    Self::Other => match Self::after(text, "\\_") {
                        Self::Is(rest) => rest,
                        other => return other,
                    },
                };
            }
            text = match Self::after(text, part) {
                Self::Is(rest) => rest,
                other => return other,
            };
        }
        Self::Is(text)
    }
}

impl Kind {
    /// Reads label, number and closing bracket, and what they stand for.
    fn value_behind<'t>(&self, text: &'t str, close: &[&str]) -> (Rest<'t>, Option<&Value>) {
        let digits = match Rest::after_name(text, &self.name) {
            Rest::Is(digits) => digits,
            other => return (other, None),
        };
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, behind) = digits.split_at_checked(length).unwrap_or((digits, ""));
        if digits.starts_with('0') || digits.len() > 5 {
            return (Rest::Other, None);
        }
        let number: u32 = digits.parse().unwrap_or(0);
        if behind.is_empty() {
            let rest = if self.has_number_from(number) { Rest::Beginning } else { Rest::Other };
            return (rest, None);
        }
        let Some(value) = self.values.get(&number) else {
            return (Rest::Other, None);
        };
        let mut is_beginning = false;
        for close in close {
            match Rest::after(behind, close) {
                Rest::Is(behind) => return (Rest::Is(behind), Some(value)),
                Rest::Beginning => is_beginning = true,
                Rest::Other => {}
            }
        }
        (if is_beginning { Rest::Beginning } else { Rest::Other }, None)
    }

    /// Whether a number begins with these digits. 0 stands for none.
    fn has_number_from(&self, digits: u32) -> bool {
        if digits == 0 {
            return true;
        }
        let (mut first, mut last) = (digits, digits);
        while first <= LAST_NUMBER {
            if self.values.range(first..=last).next().is_some() {
                return true;
            }
            (first, last) = (first * 10, last * 10 + 9);
        }
        false
    }
}

/// What looks like a placeholder in a text, whatever its label and its brackets: labels and numbers.
pub(super) fn lookalikes(text: &str) -> impl Iterator<Item = (String, u32)> + '_ {
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-' | b'\\');
    let mut from = 0;
    std::iter::from_fn(move || loop {
        let at = Vault::next_bracket(text, from)?;
        from = at + 1;
        let rest = text.get(at..).unwrap_or_default();
        let name = BRACKETS.iter().find_map(|(_, open, _)| match Rest::after(rest, open) {
            Rest::Is(name) => Some(name),
            _ => None,
        });
        let Some(name) = name else { continue };
        let length = name.bytes().take(128).take_while(|c| is_name(*c)).count();
        let name = name.get(..length).unwrap_or_default();
        // What closes in JSON begins like a name.
        let name =
            name.split("\\u").next().unwrap_or_default().trim_end_matches('\\').replace('\\', "");
        if let Some((label, number)) = name.rsplit_once('_') {
            if let Ok(number @ 1..=LAST_NUMBER) = number.parse::<u32>() {
                return Some((label.to_owned(), number));
            }
        }
    })
}
