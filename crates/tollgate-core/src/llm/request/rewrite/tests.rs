use proptest::prelude::*;
use serde_json::{json, Map, Value};

use super::*;

fn apply(rewrite: &Rewrite<'_>, body: &str) -> String {
    String::from_utf8(rewrite.edits().apply(body.as_bytes()).unwrap()).unwrap()
}

fn rewrite(body: &str) -> Rewrite<'_> {
    Rewrite::new(body.as_bytes()).unwrap()
}

#[test]
fn everything_else_stays_byte_for_byte() {
    let body = "\u{feff} { \"a\" : 1.0e0 , \"model\":\"x\\u0041\",\"z\":[ \"}\\\"\" , {} ] }\n";
    let mut set = rewrite(body);
    set.set("model", b"\"y\"");
    assert_eq!(apply(&set, body), body.replace("\"x\\u0041\"", "\"y\""));
    let mut added = rewrite(body);
    added.set("salt", b"\"s\"");
    assert_eq!(apply(&added, body), body.replace("{ \"a\"", "{\"salt\":\"s\", \"a\""));
    assert!(rewrite(body).edits().is_empty());
    assert_eq!(rewrite(body).get("model"), Some(&b"\"x\\u0041\""[..]));
}

#[test]
fn commas_fit_whatever_goes() {
    let body = r#"{"a":1, "b":2 ,"c":3}"#;
    for (gone, left) in [
        (&["a"][..], r#"{"b":2 ,"c":3}"#),
        (&["b"], r#"{"a":1, "c":3}"#),
        (&["c"], r#"{"a":1, "b":2}"#),
        (&["b", "c"], r#"{"a":1}"#),
        (&["a", "b"], r#"{"c":3}"#),
        (&["a", "b", "c"], "{}"),
    ] {
        let mut rewrite = rewrite(body);
        gone.iter().for_each(|name| rewrite.remove(name));
        assert_eq!(apply(&rewrite, body), left);
        rewrite.set("n", b"0");
        let with: Value = serde_json::from_str(&apply(&rewrite, body)).unwrap();
        assert_eq!(with.get("n"), Some(&json!(0)), "{left}");
    }
}

#[test]
fn settings_are_set_wherever_their_object_is_and_made_where_it_is_not() {
    for (body, expected) in [
        (r#"{"options":{"a":1,"num_predict":9}}"#, r#"{"options":{"a":1,"num_predict":5}}"#),
        (r#"{"options":{"a":1}}"#, r#"{"options":{"num_predict":5,"a":1}}"#),
        (r#"{"options":{}}"#, r#"{"options":{"num_predict":5}}"#),
        (r#"{"options":null}"#, r#"{"options":{"num_predict":5}}"#),
        ("{}", r#"{"options":{"num_predict":5}}"#),
    ] {
        let mut rewrite = rewrite(body);
        rewrite.set_in("options", "num_predict", b"5");
        assert_eq!(apply(&rewrite, body), expected);
    }
    let body = r#"{"options":{"a":1,"b":{"c":2}},"d":[]}"#;
    let mut rewrite = rewrite(body);
    rewrite.remove_unknown_in("options", |name| name == "b");
    rewrite.remove_unknown(|name| name == "options");
    assert_eq!(apply(&rewrite, body), r#"{"options":{"b":{"c":2}}}"#);
    assert_eq!(rewrite.get_in("options", "b"), Some(&br#"{"c":2}"#[..]));
}

#[test]
fn what_is_no_object_is_not_rewritten() {
    for body in ["", "[]", "1", "{", r#"{"a"}"#, r#"{"a":"#, r#"{"a":1"#, r#"{"a":"b}"#, r#"{a:1}"#]
    {
        assert!(Rewrite::new(body.as_bytes()).is_none(), "{body}");
    }
}

#[test]
fn a_name_that_is_no_text_is_unknown() {
    let body = r#"{"\ud800":1,"a":2}"#;
    let mut rewrite = rewrite(body);
    rewrite.remove_unknown(|_| true);
    assert_eq!(apply(&rewrite, body), r#"{"a":2}"#);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        "[a-c\"\\\\{}\\[\\],: \u{e9}]{0,6}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-e]", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
        ]
    })
}

proptest! {
    #[test]
    fn a_rewritten_body_says_what_it_should(
        members in prop::collection::vec(("[a-e\"]", value()), 0..6),
        pretty in any::<bool>(),
        removed in prop::collection::vec("[a-e\"]", 0..3),
        set in prop::collection::vec(("[a-e\"]", value()), 0..3),
    ) {
        let whole: Map<String, Value> = members.into_iter().collect();
        let body = match pretty {
            true => serde_json::to_string_pretty(&whole).unwrap(),
            false => serde_json::to_string(&whole).unwrap(),
        };
        let mut expected = whole.clone();
        let mut rewrite = rewrite(&body);
        for name in &removed {
            expected.remove(name);
            rewrite.remove(name);
        }
        for (name, json) in &set {
            expected.insert(name.clone(), json.clone());
            rewrite.set(name, json.to_string().as_bytes());
        }
        let changed: Map<String, Value> = serde_json::from_str(&apply(&rewrite, &body)).unwrap();
        prop_assert_eq!(changed, expected);
    }
}
