//! The members of the object that is the data of an event, where they stand, so that one can be taken out
//! or put in while all other bytes stay as they are.

use std::ops::Range;

use memchr::memmem::Finder;

use super::sse::{Piece, Sse};
use crate::json::{plain_string, quote_or_bracket, split_at_special};

/// The members of an object. Positions are offsets in the event.
#[derive(Debug, Default)]
pub(super) struct Members {
    members: Vec<Member>,
    /// Where its closing brace is.
    close: Option<usize>,
}

#[derive(Debug, Default)]
struct Member {
    /// The key, between its quotes.
    key: Range<usize>,
    /// From the key's quote to the end of the value.
    whole: Range<usize>,
    /// The comma after it.
    comma: Option<usize>,
}

/// Where in the object the reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Key,
    InKey,
    Colon,
    /// In a value, so many containers deep.
    Value(u32),
    InString(u32),
    End,
}

impl Members {
    /// The members of the data of `event`: whole, in JSON that has been read before.
    pub(super) fn of(event: &[u8]) -> Self {
        let mut members = Self::default();
        let (mut sse, mut next, mut at) = (Sse::new(), 0, At::Start);
        while let Some(piece) = sse.next_piece(event, &mut next) {
            if let Piece::Data(range) = piece {
                at = members.read(event, range, at);
            }
        }
        members
    }

    fn read(&mut self, event: &[u8], data: Range<usize>, at: At) -> At {
        let (mut state, mut here) = (at, data.start);
        let end = data.end;
        while let Some(rest) = event.get(here..end).filter(|rest| !rest.is_empty()) {
            let byte = rest.first().copied().unwrap_or_default();
            match (state, byte) {
                (At::End, _) => return At::End,
                (At::InKey | At::InString(_), _) => {
                    // A string has no raw line feed, so it ends in this line, but for an escape.
                    let Some((run, special, _)) = split_at_special(rest) else { return state };
                    here += run.len();
                    if special == b'\\' {
                        here += 2;
                        continue;
                    }
                    state = match state {
                        At::InString(depth) => {
                            self.touch(here);
                            At::Value(depth)
                        }
                        _ => {
                            self.end_key(here);
                            At::Colon
                        }
                    };
                }
                (At::Start, b'{') => state = At::Key,
                (At::Key, b'"') => {
                    self.begin(here);
                    state = At::InKey;
                }
                (At::Key | At::Value(0), b'}') => {
                    self.close = Some(here);
                    return At::End;
                }
                (At::Colon, b':') => state = At::Value(0),
                (At::Value(0), b',') => {
                    if let Some(member) = self.members.last_mut() {
                        member.comma = Some(here);
                    }
                    state = At::Key;
                }
                (At::Value(depth), b'"') => {
                    // Most strings are whole and without escapes.
                    match rest.get(1..).and_then(plain_string) {
                        Some((string, _)) => {
                            here += string.len() + 1;
                            self.touch(here);
                        }
                        None => state = At::InString(depth),
                    }
                }
                (At::Value(depth), b'{' | b'[') => {
                    state = At::Value(depth.saturating_add(1));
                }
                (At::Value(depth), b'}' | b']') => {
                    self.touch(here);
                    state = At::Value(depth.saturating_sub(1));
                }
                (_, b' ' | b'\t' | b'\n' | b'\r') => {}
                _ => self.touch(here),
            }
            here += 1;
        }
        state
    }

    fn begin(&mut self, at: usize) {
        self.members.push(Member { key: at + 1..at + 1, whole: at..at + 1, comma: None });
    }

    fn end_key(&mut self, at: usize) {
        if let Some(member) = self.members.last_mut() {
            member.key.end = at;
        }
    }

    /// The value at hand goes up to `at`, and maybe on.
    fn touch(&mut self, at: usize) {
        if let Some(member) = self.members.last_mut() {
            member.whole.end = at + 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Where the closing brace is, if the object is whole.
    pub(super) fn close(&self) -> Option<usize> {
        self.close
    }

    /// The member `key` as it is written.
    pub(super) fn find<'a>(&self, event: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
        let member =
            self.members.iter().find(|member| event.get(member.key.clone()) == Some(key))?;
        event.get(member.whole.clone())
    }

    /// What to take out of the event so that it has no member `key`, in order.
    pub(super) fn without(&self, event: &[u8], key: &[u8]) -> Vec<Range<usize>> {
        let mut cuts: Vec<Range<usize>> = Vec::new();
        // The comma before the member, which goes with it if a member before it stays.
        let mut comma = None;
        for member in &self.members {
            if event.get(member.key.clone()) == Some(key) {
                let end = match (comma, member.comma) {
                    (None, Some(after)) => after + 1,
                    _ => member.whole.end,
                };
                cuts.push(comma.unwrap_or(member.whole.start)..end);
                comma = comma.and(member.comma);
            } else {
                comma = member.comma;
            }
        }
        cuts
    }
}

/// What to take out of an event.
#[derive(Debug)]
pub(super) enum Cuts {
    One([Range<usize>; 1]),
    /// In order.
    Many(Vec<Range<usize>>),
}

impl Cuts {
    /// Of `event`, all members with the key that `token` is, in its quotes.
    pub(super) fn of(event: &[u8], token: &Finder<'_>) -> Self {
        match cut_of_last(event, token) {
            Some(cut) => Self::One([cut]),
            None => {
                let quoted = token.needle();
                let key = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
                Self::Many(Members::of(event).without(event, key))
            }
        }
    }

    pub(super) fn all(&self) -> &[Range<usize>] {
        match self {
            Self::One(cut) => cut,
            Self::Many(cuts) => cuts,
        }
    }
}

/// The only cut where the member is the last one, as in the chunks of most engines, and its value `null`
/// or an object. `None`: it may be otherwise.
///
/// In JSON a quote begins a string or ends one, unless it has a backslash before it, and behind its end
/// is no letter: so what is found behind a comma is a string. The brace that is the last byte of all is
/// that of the outermost object.
fn cut_of_last(event: &[u8], token: &Finder<'_>) -> Option<Range<usize>> {
    let at = token.find(event)?;
    // With its comma.
    let start = at.checked_sub(1).filter(|before| event.get(*before) == Some(&b','))?;
    let value = at + token.needle().len() + 1;
    if event.get(value - 1) != Some(&b':') {
        return None;
    }
    let rest = event.get(value..)?;
    let len = match rest.first()? {
        b'n' if rest.starts_with(b"null") => b"null".len(),
        b'{' => object_len(rest)?,
        _ => return None,
    };
    (rest.get(len..)?.trim_ascii_end() == b"}").then(|| start..value + len)
}

/// The length of the object that `json` begins with, if its strings have no escapes.
fn object_len(json: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        let rest = json.get(at..)?;
        let next = quote_or_bracket(rest)?;
        at += next + 1;
        match rest.get(next)? {
            b'"' => at += plain_string(json.get(at..)?)?.0.len() + 1,
            b'{' | b'[' => depth = depth.checked_add(1)?,
            _ => depth = depth.checked_sub(1)?,
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// What is left of `event` without the `cuts`, which are in order.
pub(super) fn kept<'a>(
    event: &'a [u8],
    cuts: &'a [Range<usize>],
) -> impl Iterator<Item = Range<usize>> + use<'a> {
    let starts = std::iter::once(0).chain(cuts.iter().map(|cut| cut.end));
    let ends = cuts.iter().map(|cut| cut.start).chain([event.len()]);
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn without_usage(event: &str) -> String {
        let event = event.as_bytes();
        let parts = |cuts: &[Range<usize>]| -> Vec<u8> {
            kept(event, cuts).flat_map(|range| event[range].to_vec()).collect()
        };
        let slowly = parts(&Members::of(event).without(event, b"usage"));
        let quickly = parts(Cuts::of(event, &Finder::new("\"usage\"")).all());
        assert_eq!(quickly.escape_ascii().to_string(), slowly.escape_ascii().to_string());
        String::from_utf8(slowly).unwrap()
    }

    #[test]
    fn a_member_is_taken_out_with_one_comma() {
        for (event, expected) in [
            (r#"data: {"a":1,"usage":{"b":[1,{}]},"c":"}"}"#, r#"data: {"a":1,"c":"}"}"#),
            (r#"data: {"usage":null,"c":{"usage":1}}"#, r#"data: {"c":{"usage":1}}"#),
            (r#"data: {"c":["\"usage\":",2],"usage":{}}"#, r#"data: {"c":["\"usage\":",2]}"#),
            (r#"data: {"usage":0}"#, "data: {}"),
            (r#"data: {"usage":0,"usage":"1","a":2,"usage":3}"#, r#"data: {"a":2}"#),
            (
                r#"data:{ "a" : "\\" , "usage" : 12 , "b" : true }"#,
                r#"data:{ "a" : "\\"  , "b" : true }"#,
            ),
            (
                "event: x\ndata: {\"a\":1,\ndata: \"usage\":\ndata: {}\ndata: ,\"b\":2}\n\n",
                "event: x\ndata: {\"a\":1\ndata: ,\"b\":2}\n\n",
            ),
            (r#"data: {"a":1}"#, r#"data: {"a":1}"#),
            ("data: {\"a\":1,\"usage\":null}\n\n", "data: {\"a\":1}\n\n"),
            (r#"data: {"a":1,"usage":{"b":[{"c":"}"}],"d":{}}}"#, r#"data: {"a":1}"#),
            (r#"data: {"a":1,"usage":{"b":"\""}}"#, r#"data: {"a":1}"#),
            (r#"data: {"usage":1,"a":1,"usage":null}"#, r#"data: {"a":1}"#),
            (r#"data: {"a":{"b":1,"usage":null}}"#, r#"data: {"a":{"b":1,"usage":null}}"#),
            (r#"data: {"a":1,"b,\"usage":null}"#, r#"data: {"a":1,"b,\"usage":null}"#),
            ("id: ,\"usage\":null}\ndata: {\"a\":1}\n", "id: ,\"usage\":null}\ndata: {\"a\":1}\n"),
            ("data: {\"a\":1,\"usage\":null}\nid: 5\n\n", "data: {\"a\":1}\nid: 5\n\n"),
            ("data: [DONE]", "data: [DONE]"),
            (": comment", ": comment"),
        ] {
            assert_eq!(without_usage(event), expected);
        }
    }

    #[test]
    fn members_are_found_as_they_are_written() {
        let event = br#"data: {"a":1,"timings":{"x":[1, "}"]} ,"b":"c"}"#;
        let members = Members::of(event);
        assert_eq!(members.find(event, b"timings"), Some(&br#""timings":{"x":[1, "}"]}"#[..]));
        assert_eq!(members.find(event, b"b"), Some(&br#""b":"c""#[..]));
        assert_eq!(members.find(event, b"x"), None);
        assert_eq!(members.close(), Some(event.len() - 1));
        assert_eq!(Members::of(br#"data: {"a":{"#).close(), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-z\"\\\\{},:\\[\\] \\n]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("usage|[a-c\"]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn all_other_members_stay(
            members in prop::collection::vec(("usage|[a-d\"]", value()), 0..6), pretty: bool,
        ) {
            let object: Map<String, Value> = members.into_iter().collect();
            let json = match pretty {
                true => serde_json::to_string_pretty(&object).unwrap(),
                false => serde_json::to_string(&object).unwrap(),
            };
            let event: String = json.split('\n').map(|line| format!("data: {line}\n")).collect();
            let edited = without_usage(&event);
            let data: Vec<_> =
                edited.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
            let mut expected = object;
            expected.remove("usage");
            let left: Map<String, Value> = serde_json::from_str(&data.join("\n")).unwrap();
            prop_assert_eq!(left, expected);
        }
    }
}
