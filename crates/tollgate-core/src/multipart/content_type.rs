//! What the `Content-Type` of a request says of its body.

use super::Fault;

/// What a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// A form with files.
    Form(Boundary),
    /// JSON.
    Json,
    /// Something else, or nothing is said.
    Other,
}

/// What separates the parts of a form: as RFC 2046 has it, without blanks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Boundary(Box<str>);

/// The longest boundary of RFC 2046, in bytes.
const MAX_BOUNDARY: usize = 70;

impl Boundary {
    /// With the hyphens that are before it.
    #[must_use]
    pub fn delimiter(&self) -> Vec<u8> {
        [b"--", self.0.as_bytes()].concat()
    }
}

impl ContentType {
    /// What the values of all such lines of a request say.
    ///
    /// # Errors
    /// It may be a form, and servers could look for different boundaries in it, or read its texts in different
    /// charsets.
    pub fn of<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Result<Self, Fault> {
        let mut values = values.into_iter();
        let (Some(value), more) = (values.next(), values.next()) else { return Ok(Self::Other) };
        if let Some(more) = more {
            let is_form = values.chain([value, more]).any(has_form);
            return if is_form { Err(Fault::ContentType) } else { Ok(Self::Other) };
        }
        let (kind, parameters) = split(value);
        if kind.eq_ignore_ascii_case(b"multipart/form-data") {
            return boundary(parameters).map(Self::Form).ok_or(Fault::ContentType);
        }
        if has_form(value) {
            return Err(Fault::ContentType);
        }
        let is_json = kind.eq_ignore_ascii_case(b"application/json")
            && Parameters(parameters)
                .all(|one| one.is_some_and(|(name, value)| is_utf8(name, value)));
        Ok(if is_json { Self::Json } else { Self::Other })
    }
}

/// Whether somebody might take it for a form with files.
fn has_form(value: &[u8]) -> bool {
    value.windows(10).any(|part| part.eq_ignore_ascii_case(b"multipart/"))
}

fn boundary(parameters: &[u8]) -> Option<Boundary> {
    let mut boundary = None;
    for parameter in Parameters(parameters) {
        let (name, value) = parameter?;
        if name.eq_ignore_ascii_case(b"boundary") && boundary.is_none() {
            boundary = Some(value);
        } else if !is_utf8(name, value) {
            return None;
        }
    }
    let is_good = |boundary: &&[u8]| {
        let is_mark = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(byte);
        (1..=MAX_BOUNDARY).contains(&boundary.len()) && boundary.iter().all(is_mark)
    };
    let boundary = boundary.filter(is_good)?;
    Some(Boundary(std::str::from_utf8(boundary).ok()?.into()))
}

/// Whether a parameter says what is so without it.
pub(super) fn is_utf8(name: &[u8], value: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"charset") && value.eq_ignore_ascii_case(b"utf-8")
}

/// The first word of a value, and its parameters with the semicolons before them.
pub(super) fn split(value: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (kind, parameters) = value.split_at_checked(end).unwrap_or((value, &[]));
    (kind.trim_ascii_end(), parameters)
}

/// Parameters, each with its semicolon, as names and values; `None`: what follows could be read in two ways.
pub(super) struct Parameters<'v>(pub(super) &'v [u8]);

impl<'v> Iterator for Parameters<'v> {
    type Item = Option<(&'v [u8], &'v [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = parameter(self.0);
        self.0 = next.map_or(&[], |(_, rest)| rest);
        Some(next.map(|(parameter, _)| parameter))
    }
}

type Parameter<'v> = (&'v [u8], &'v [u8]);

/// The first parameter, and what follows it.
fn parameter(text: &[u8]) -> Option<(Parameter<'_>, &[u8])> {
    let text = blanks(text.strip_prefix(b";")?);
    let (name, text) = text.split_at_checked(token_len(text))?;
    let text = text.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    let (value, rest) = match text.strip_prefix(b"\"") {
        None => text.split_at_checked(token_len(text)).filter(|(value, _)| !value.is_empty())?,
        Some(text) => {
            let (value, rest) = text.split_at_checked(memchr::memchr(b'"', text)?)?;
            // To some it hides the quote; some have values end at a semicolon.
            let is_plain = !value.ends_with(b"\\") && !hides_parameter(value);
            (is_plain.then_some(value)?, rest.get(1..)?)
        }
    };
    let rest = blanks(rest);
    (rest.is_empty() || rest.starts_with(b";")).then_some(((name, value), rest))
}

/// Whether somebody who doesn't know quotes sees a parameter in a value.
fn hides_parameter(value: &[u8]) -> bool {
    memchr::memchr(b';', value)
        .is_some_and(|at| value.get(at..).is_some_and(|rest| rest.contains(&b'=')))
}

fn blanks(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    text.get(end..).unwrap_or_default()
}

/// How many bytes at the beginning are those of a token (RFC 9110).
pub(super) fn token_len(text: &[u8]) -> usize {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    text.iter().position(|byte| !is_token(byte)).unwrap_or(text.len())
}
