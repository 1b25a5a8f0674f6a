//! What goes on: bytes that came, and labels or values in the place of others.

use crate::stream::{escapes, Quoting};

/// Where a text is written to.
///
/// In JSON, quotes, brackets and commas stay where they are. What is left out of strings is replaced in each one, what
/// is left out of a number or a name outside of strings, is all of it, and becomes a string.
pub(super) struct Shown {
    quoting: Quoting,
    json: Json,
}

#[derive(Default)]
struct Json {
    in_string: bool,
    token: Token,
    /// What takes the place of what is left out now.
    instead: String,
    /// Whether it was written in this string.
    is_written: bool,
}

/// A number, or a name, outside of strings.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Token {
    #[default]
    None,
    /// It has begun, and was shown.
    Shown,
    /// It was replaced: its rest is left out.
    Replaced,
}

/// The longest number or name that is replaced as a whole.
const LONGEST_TOKEN: usize = 256;

impl Shown {
    pub(super) fn new(quoting: Quoting) -> Self {
        Self { quoting, json: Json::default() }
    }

    /// How many bytes at the end of this are of a number or a name that may go on. It must be shown as a whole, if at all.
    pub(super) fn unfinished(&self, came: &str) -> usize {
        if self.quoting == Quoting::Plain {
            return 0;
        }
        let mut json =
            Json { in_string: self.json.in_string, token: self.json.token, ..Json::default() };
        let length = json.walk(came, |_, _| {});
        let token = came.get(came.len() - length..).unwrap_or_default();
        let has_begun_before = length == came.len() && self.json.token != Token::None;
        // What is no JSON, isn't waited for.
        let is_none = length > LONGEST_TOKEN || !token.is_ascii() || token.contains('\\');
        if has_begun_before || is_none {
            0
        } else {
            length
        }
    }

    /// Shows what came.
    pub(super) fn show(&mut self, came: &str, out: &mut String) {
        match self.quoting {
            Quoting::Plain => out.push_str(came),
            Quoting::Json => {
                self.json.walk(came, |c, part| {
                    if part != Part::Replaced {
                        out.push(c);
                    }
                });
            }
        }
    }

    /// Shows this instead of what follows and is left out.
    pub(super) fn replace(&mut self, by: &str, out: &mut String) {
        match self.quoting {
            Quoting::Plain => out.push_str(by),
            Quoting::Json => {
                self.json.instead.clear();
                escapes::json(by, &mut self.json.instead);
                self.json.is_written = false;
            }
        }
    }

    /// Leaves out what came.
    pub(super) fn leave_out(&mut self, came: &str, out: &mut String) {
        if self.quoting == Quoting::Json {
            self.json.leave_out(came, out);
        }
    }
}

/// What a character of JSON is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is between values, or the quote of a string.
    Structure,
    /// Of a string.
    Text,
    /// Of a number or a name.
    Token,
    /// Of one that was replaced.
    Replaced,
}

impl Json {
    /// Calls with each character. How many bytes at the end are of a number or a name that was shown by now.
    fn walk(&mut self, came: &str, mut call: impl FnMut(char, Part)) -> usize {
        let mut token = 0;
        let mut is_escaped = false;
        for c in came.chars() {
            let part = self.part(c, &mut is_escaped);
            call(c, part);
            if part == Part::Token {
                self.token = Token::Shown;
                token += c.len_utf8();
            } else {
                token = 0;
            }
        }
        token
    }

    fn leave_out(&mut self, came: &str, out: &mut String) {
        let mut is_escaped = false;
        for c in came.chars() {
            match self.part(c, &mut is_escaped) {
                Part::Structure => {
                    out.push(c);
                    self.is_written &= !self.in_string;
                }
                Part::Text => {
                    if !self.is_written {
                        out.push_str(&self.instead);
                        self.is_written = true;
                    }
                }
                Part::Token => {
                    if self.token == Token::None {
                        out.push('"');
                        out.push_str(&self.instead);
                        out.push('"');
                    }
                    self.token = Token::Replaced;
                }
                Part::Replaced => {}
            }
        }
    }

    /// What the next character is. An escape comes in one piece.
    fn part(&mut self, c: char, is_escaped: &mut bool) -> Part {
        if self.in_string {
            if std::mem::take(is_escaped) {
                return Part::Text;
            }
            match c {
                '"' => {
                    self.in_string = false;
                    return Part::Structure;
                }
                '\\' => *is_escaped = true,
                _ => {}
            }
            return Part::Text;
        }
        match c {
            '"' => {
                self.in_string = true;
                self.token = Token::None;
                Part::Structure
            }
            '{' | '}' | '[' | ']' | ',' | ':' | ' ' | '\t' | '\r' | '\n' => {
                self.token = Token::None;
                Part::Structure
            }
            _ if self.token == Token::Replaced => Part::Replaced,
            _ => Part::Token,
        }
    }
}
