//! JSON objects (RFC 8259) whose member names are distinct at every depth.
//!
//! RFC 7515 section 4 and RFC 7519 section 4 demand distinct names and let a parser keep the last
//! one; where two parsers keep different ones, the same signed bytes mean two things. So we refuse.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

use crate::surrogate;

/// The members of the object that `json` consists of, or `None` where it is anything else: another
/// type, not UTF-8, followed by more, nested too deeply (128), or with a name twice in one object.
///
/// Halves of surrogate pairs, which other parsers take, are [`MARK`](crate::surrogate::MARK)s: a name that is
/// cut in the middle of an emoji is no reason to refuse a token.
pub(crate) fn parse(json: &[u8]) -> Option<Map<String, Value>> {
    let parsed = serde_json::from_slice(json).or_else(|error| match surrogate::marked(json) {
        Some(marked) => serde_json::from_slice(&marked),
        None => Err(error),
    });
    match parsed.ok()? {
        Distinct(Value::Object(members)) => Some(members),
        Distinct(_) => None,
    }
}

/// The members of the object that `json` consists of, whatever their values are; `None` where it is anything
/// else, or has a name twice.
pub(crate) fn raw_members(json: &[u8]) -> Option<Vec<(String, &RawValue)>> {
    serde_json::from_slice(json).ok().map(|RawMembers(members)| members)
}

struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for RawMembers<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawMembersVisitor).map(Self)
    }
}

struct RawMembersVisitor;

impl<'de> Visitor<'de> for RawMembersVisitor {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with distinct member names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut members, mut names) = (Vec::new(), HashSet::new());
        while let Some((name, value)) = entries.next_entry::<String, &RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom("duplicate member"));
            }
            members.push((name, value));
        }
        Ok(members)
    }
}

struct Distinct(Value);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctVisitor).map(Self)
    }
}

struct DistinctVisitor;

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with distinct member names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Distinct(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, Distinct(value))) = entries.next_entry::<String, _>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_is_parsed_as_serde_json_does() {
        let json = r#" {"s":"x\u00e9","n":null,"b":true,"i":-3,"u":18446744073709551615,"f":1.5,
            "a":[1,{"k":2}],"o":{"k":{"k":1}}} "#;
        let expected: Value = serde_json::from_str(json).unwrap();
        assert_eq!(Value::Object(parse(json.as_bytes()).unwrap()), expected);
    }

    #[test]
    fn name_twice_in_one_object_is_refused_at_every_depth() {
        for json in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":null}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"o":{"a":1,"a":2}}"#,
            r#"{"l":[{"a":1,"a":2}]}"#,
        ] {
            assert!(parse(json.as_bytes()).is_none(), "{json}");
        }
        assert!(parse(br#"{"a":1,"A":1,"o":{"a":1}}"#).is_some());
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for json in [
            &b""[..],
            b"null",
            b"[]",
            b"\"x\"",
            b"{} {}",
            b"{}x",
            b"{} \0",
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":1e999}",
            b"{\"a\":NaN}",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":\"\n\"}",
        ] {
            assert!(parse(json).is_none(), "{json:?}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_a_mark() {
        let members = parse(br#"{"a":"x\ud800","b\udc00":1,"c":"\ud83d\ude00"}"#).unwrap();
        assert_eq!(members.get("a"), Some(&Value::from("x\u{ffff}")));
        assert_eq!(members.get("b\u{ffff}"), Some(&Value::from(1)));
        assert_eq!(members.get("c"), Some(&Value::from("\u{1f600}")));
        // Two names of which nobody knows whether they are one.
        assert!(parse(br#"{"a\ud800":1,"a\udfff":2}"#).is_none());
    }

    #[test]
    fn raw_members_are_those_of_one_object_whatever_is_in_them() {
        let names = |json: &str| {
            let members = raw_members(json.as_bytes())?;
            Some(
                members
                    .into_iter()
                    .map(|(name, value)| format!("{name}:{}", value.get()))
                    .collect(),
            )
        };
        let members: Vec<String> =
            names(r#" {"a":{"x":1,"x":2}, "b": [1e999,"\ud800"] ,"c":null} "#).unwrap();
        assert_eq!(members, [r#"a:{"x":1,"x":2}"#, r#"b:[1e999,"\ud800"]"#, "c:null"]);
        for json in ["", "[]", "{", r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, "{}x", r#"{"a":}"#]
        {
            assert!(names(json).is_none(), "{json}");
        }
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(raw_members(deep.as_bytes()).is_some());
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(100).as_bytes()).is_some());
        assert!(parse(nested(200).as_bytes()).is_none());
        assert!(parse(nested(1_000_000).as_bytes()).is_none());
    }
}
