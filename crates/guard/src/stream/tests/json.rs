//! Texts that are JSON themselves: arguments of tools.

use super::*;

fn run_json<'t>(guard: &Arc<StreamGuard>, pieces: impl IntoIterator<Item = &'t str>) -> Outcome {
    run_as(guard, Quoting::Json, pieces)
}

/// What is shown of a text, however it is cut in two, or in single characters.
fn shown(text: &str) -> String {
    let guard = &GUARDS[0].1;
    let expected = run_json(guard, [text]);
    for (at, _) in text.char_indices() {
        let (first, second) = text.split_at(at);
        assert_eq!(run_json(guard, [first, second]), expected, "cut at {at}: {text}");
    }
    assert_eq!(run_json(guard, text.split_inclusive(|_| true)), expected, "{text}");
    expected.out
}

#[test]
fn what_is_masked_leaves_json() {
    for (text, masked) in [
        (r#"{"to":"ana@x.org","n":1}"#, r#"{"to":"[EMAIL]","n":1}"#),
        // A backslash belongs to what it escapes.
        (r#"{"text":"Hi\nana@x.org\n"}"#, r#"{"text":"Hi\n[EMAIL]\n"}"#),
        (r#"{"text":"\u0061na\u0040x.org\\"}"#, r#"{"text":"[EMAIL]\\"}"#),
        (
            r#"["4111\u00201111 1111 1111", "\ud83d\ude00 4111111111111111"]"#,
            r#"["[CARD]", "\ud83d\ude00 [CARD]"]"#,
        ),
        // What isn't in a string, becomes one.
        (r#"{"card":4111111111111111}"#, r#"{"card":"[CARD]"}"#),
        (
            r#"{"card":-4111111111111111, "x":4111111111111112}"#,
            r#"{"card":"[CARD]", "x":4111111111111112}"#,
        ),
        (r#"[4111111111111111.5,true]"#, r#"["[CARD]",true]"#),
        // What goes over several strings.
        (
            r#"{"§a":"b\"c","d":12,"e":"","f§":"g"}"#,
            r#"{"[QUOTED]":"[QUOTED]","[QUOTED]":"[QUOTED]","[QUOTED]":"","[QUOTED]":"g"}"#,
        ),
        // What is no JSON.
        ("ana@x.org \"", "\"[EMAIL]\" \""),
        ("\\", "\\"),
        ("{\"a\":\"\\u00", "{\"a\":\"\\u00"),
        (
            r#"{"a":"\x \ud83d \ud83dx \ude00 \uzzzz ana@x.org"}"#,
            r#"{"a":"\x \ud83d \ud83dx \ude00 \uzzzz [EMAIL]"}"#,
        ),
    ] {
        assert_eq!(shown(text), masked);
    }
}

#[test]
fn a_number_is_shown_when_it_has_ended() {
    let mut channel = Channel::new(Arc::clone(&GUARDS[0].1), Quoting::Json);
    for (piece, shown) in [
        ("{\"n\": ", "{\"n\": "),
        ("1", ""),
        ("2.5", ""),
        (", \"t\":", "12.5, \"t\":"),
        ("tr", ""),
        ("ue}", "true}"),
    ] {
        let mut out = String::new();
        assert_eq!(channel.push(piece, None, &mut out, &mut Vec::new()), Verdict::Pass);
        assert_eq!(out, shown, "after {piece:?}");
    }
}

/// Arguments of tools, with values in them.
fn documents() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        texts().prop_map(Value::from),
        hiding_texts().prop_map(Value::from),
        Just(Value::from(4_111_111_111_111_111_u64)),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[a-z§\"\\\\]{0,6}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_was_json_stays_json(
        document in documents(),
        cuts in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..20), 4),
    ) {
        let text = document.to_string();
        let guard = &GUARDS[0].1;
        let expected = run_json(guard, [text.as_str()]);
        let masked: Result<serde_json::Value, _> = serde_json::from_str(&expected.out);
        prop_assert!(masked.is_ok(), "{} became {}", text, expected.out);
        if expected.found.is_empty() {
            prop_assert_eq!(&expected.out, &text);
        }
        for cuts in cuts {
            prop_assert_eq!(&run_json(guard, cut(&text, &cuts)), &expected);
        }
    }
}
