//! What a page is asked for, and as what it is wanted.

use std::fmt;

use crate::accept::{Liking, Range};
use crate::clients::{Query, Sort, MAX_LIMIT};
use crate::principal::MAX_NAME_LEN;

/// How many clients there are on a page, unless it says otherwise.
const LIMIT: usize = 50;
/// More clients than there are.
const MAX_OFFSET: usize = 1_000_000_000;

/// What is wrong with a query: the parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryError(&'static str);

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(name) = self;
        match *name {
            "offset" => write!(f, "\"offset\" is a number up to {MAX_OFFSET}"),
            "limit" => write!(f, "\"limit\" is a number up to {MAX_LIMIT}"),
            "sort" => {
                let names: Vec<_> = Sort::ALL.into_iter().map(Sort::as_str).collect();
                write!(f, "\"sort\" is one of {}", names.join(", "))
            }
            name => write!(f, "\"{name}\" is a text in UTF-8, of {MAX_NAME_LEN} bytes at most"),
        }
    }
}

impl std::error::Error for QueryError {}

impl QueryError {
    /// As JSON.
    #[must_use]
    pub fn to_json(self) -> Vec<u8> {
        serde_json::json!({ "error": self.to_string() }).to_string().into_bytes()
    }
}

/// The clients that a query string asks for: by `offset`, `limit`, `sort` and `search`, of which the last one of a name
/// counts. Other parameters may be for somebody else.
///
/// # Errors
///
/// A value that can't be meant.
pub fn clients(query: &[u8]) -> Result<Query, QueryError> {
    let mut wanted = Query { limit: LIMIT, ..Query::default() };
    for parameter in query.split(|byte| *byte == b'&') {
        let mut parts = parameter.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match name {
            b"offset" => wanted.offset = number("offset", value, MAX_OFFSET)?,
            b"limit" => wanted.limit = number("limit", value, MAX_LIMIT)?,
            b"sort" => {
                let sort = std::str::from_utf8(value).ok().and_then(Sort::parse);
                wanted.sort = sort.ok_or(QueryError("sort"))?;
            }
            b"search" => wanted.search = text("search", value)?,
            _ => {}
        }
    }
    Ok(wanted)
}

fn number(name: &'static str, value: &[u8], max: usize) -> Result<usize, QueryError> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value);
    let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    number.filter(|number| *number <= max).ok_or(QueryError(name))
}

/// What a form sends (application/x-www-form-urlencoded).
fn text(name: &'static str, value: &[u8]) -> Result<String, QueryError> {
    let bytes = decoded(value).ok_or(QueryError(name))?;
    let text = String::from_utf8(bytes).map_err(|_| QueryError(name))?;
    if text.len() > MAX_NAME_LEN {
        return Err(QueryError(name));
    }
    Ok(text)
}

/// `None`: a `%` without two hexadecimal digits behind it.
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = value;
    let mut bytes = Vec::new();
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match (first, behind) {
            (b'%', [high, low, behind @ ..]) => (hex(*high)? << 4 | hex(*low)?, behind),
            (b'%', _) => return None,
            (b'+', behind) => (b' ', behind),
            (byte, behind) => (*byte, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    Some(bytes)
}

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For whoever looks at it in a browser.
    Html,
}

impl Form {
    /// The form that these values of `Accept` ask for: JSON, unless HTML is liked better.
    pub fn of<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut html, mut json) = (Liking::default(), Liking::default());
        for range in accept.into_iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let range = Range::of(range);
            html.hear(&range, (b"text", b"html"), b"");
            json.hear(&range, (b"application", b"json"), b"");
        }
        match html.thousandths > json.thousandths {
            true => Self::Html,
            false => Self::Json,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(accept: &str) -> Form {
        Form::of([accept.as_bytes()])
    }

    #[test]
    fn browsers_get_html_and_programs_get_json() {
        let chromium =
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let safari = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [
            chromium,
            safari,
            "text/html",
            "TEXT/HTML ; q=0.2",
            "text/*",
            "text/html;q=1.000, */*;q=0.999",
        ] {
            assert_eq!(form(accept), Form::Html, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/html, application/json",
            "application/*, text/html;q=0.9",
            "text/html;q=0",
            "text/html;q=0.3, */*;q=0.4",
            "image/png",
            "text/htmlx",
            "text",
            "text/html;q=x",
            "text/html;q=0, text/*",
        ] {
            assert_eq!(form(accept), Form::Json, "{accept}");
        }
        assert_eq!(Form::of([]), Form::Json);
        assert_eq!(Form::of([&b"*/*;q=0.1"[..], b"text/html"]), Form::Html);
    }

    #[test]
    fn clients_are_asked_for_by_part_order_and_name() {
        let asked = |query: &str| clients(query.as_bytes());
        let default = Query { limit: 50, ..Query::default() };
        assert_eq!(asked(""), Ok(default.clone()));
        assert_eq!(asked("token=x&offse=1&=&&search"), Ok(default.clone()));
        let all = "offset=100&limit=20&sort=cost&search=a+b%26%C3%A9%25";
        let search = "a b&\u{e9}%".to_owned();
        assert_eq!(asked(all), Ok(Query { offset: 100, limit: 20, sort: Sort::Cost, search }));
        assert_eq!(asked("limit=0&sort=used&limit=1000"), Ok(Query { limit: 1000, ..default }));
    }

    #[test]
    fn query_that_can_not_be_meant_is_an_error() {
        for query in [
            "offset=-1",
            "offset=",
            "offset=1000000001",
            "offset=99999999999999999999999",
            "limit=1001",
            "limit=x",
            "limit=+1",
            "sort=",
            "sort=budget",
            "sort=Used",
            "search=%",
            "search=%4",
            "search=%zz",
            "search=%ff",
        ] {
            let name = query.split('=').next().unwrap();
            let error = clients(query.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(&format!("\"{name}\" is ")), "{query}: {error}");
        }
        let long = |len| format!("search={}", "%41".repeat(len));
        assert_eq!(clients(long(256).as_bytes()).unwrap().search.len(), 256);
        let error = clients(long(257).as_bytes()).unwrap_err();
        let json: serde_json::Value = serde_json::from_slice(&error.to_json()).unwrap();
        assert_eq!(json["error"], "\"search\" is a text in UTF-8, of 256 bytes at most");
    }

    proptest! {
        #[test]
        fn no_query_panics_or_asks_for_too_much(query: Vec<u8>) {
            if let Ok(query) = clients(&query) {
                prop_assert!(query.limit <= MAX_LIMIT && query.search.len() <= MAX_NAME_LEN);
            }
        }

        #[test]
        fn no_header_panics(values: Vec<Vec<u8>>) {
            let _ = Form::of(values.iter().map(Vec::as_slice));
        }
    }
}
