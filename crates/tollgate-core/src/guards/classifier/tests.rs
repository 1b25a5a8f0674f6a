use proptest::prelude::*;
use serde_json::{json, Value};
use tollgate_guard::finding::Action;

use super::question::question;
use super::verdict::verdicts;
use super::words::{line, Units};
use super::{Classifier, Failure, Format, Side};

fn time_ms(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    Some(number.parse::<u64>().ok()? * unit)
}

fn size(text: &str) -> Option<usize> {
    match text.strip_suffix('k') {
        Some(number) => Some(number.parse::<usize>().ok()? << 10),
        None => text.parse().ok(),
    }
}

fn read(text: &str) -> Result<Classifier, String> {
    let words: Vec<_> = text.split(' ').filter(|word| !word.is_empty()).collect();
    line(&words, Units { time_ms, size })
}

fn made(text: &str) -> Classifier {
    read(text).unwrap()
}

#[test]
fn line_of_the_least_words_has_defaults() {
    let classifier = made("/_classify input");
    assert_eq!(
        classifier,
        Classifier {
            sides: vec![Side::Request],
            uri: "/_classify".into(),
            name: "classifier".into(),
            format: Format::Moderation,
            model: None,
            threshold: None,
            classes: Vec::new(),
            entities: Vec::new(),
            language: "en".into(),
            timeout_ms: 1000,
            allows_on_failure: false,
            action: Action::Block,
            window: 8192,
            answer_window: 1024,
            max_windows: 1024,
            cache_ms: 60_000,
        }
    );
    let classifier = made("/_c input timeout=300ms on_failure=deny");
    assert_eq!((classifier.timeout_ms, classifier.allows_on_failure), (300, false));
    // What only counts, doesn't stop anybody.
    assert!(made("/_c input log").allows_on_failure);
    assert_eq!(made("/_c input format=classify").window, 1024);
    assert_eq!(made("/_c input format=presidio").threshold, Some(50));
}

#[test]
fn line_says_all_there_is() {
    let classifier = made(
        "/_p input log format=presidio name=names threshold=85 entities=PERSON,LOCATION language=de timeout=2s \
         on_failure=allow window=2k windows=12 cache=5m",
    );
    assert_eq!(&*classifier.name, "names");
    assert_eq!(classifier.entities, ["PERSON".into(), "LOCATION".into()]);
    assert_eq!((&*classifier.language, classifier.threshold), ("de", Some(85)));
    assert_eq!((classifier.window, classifier.max_windows), (2048, 12));
    assert_eq!((classifier.cache_ms, classifier.action), (300_000, Action::Log));
    let classifier = made("/_p input format=classify class=2,1 model=meta-llama/Prompt-Guard-86M");
    assert_eq!(classifier.classes, [2, 1]);
    assert_eq!(classifier.model.as_deref(), Some("meta-llama/Prompt-Guard-86M"));
}

#[test]
fn what_makes_no_sense_is_refused_with_the_way_out() {
    for (text, expected) in [
        ("", "the internal location is missing"),
        ("_c input", "it takes the path of an internal location"),
        ("/_c?x=1 input", "without arguments and variables"),
        ("/$c input", "without arguments and variables"),
        ("/_c", "add \"input\""),
        ("/_c input input", "said twice"),
        ("/_c block", "add \"input\", \"output\" or both"),
        ("/_c output output", "\"output\" is said twice"),
        ("/_c input block log", "keep one of them"),
        ("/_c input block block", "said twice"),
        ("/_c input mask", "use \"block\" or \"log\""),
        ("/_c input magic", "unknown \"magic\"; known are input"),
        ("/_c input magic=1", "unknown \"magic=1\""),
        ("/_c input format=magic", "it takes moderation, llama-guard, classify or presidio"),
        ("/_c input format=classify format=classify", "given twice"),
        ("/_c input format=llama-guard", "add \"model=NAME\""),
        (
            "/_c input format=llama-guard model=a threshold=5",
            "\"threshold=\" is for format=moderation and",
        ),
        ("/_c input format=presidio model=a", "\"model=\" is for"),
        ("/_c input class=1", "\"class=\" is for format=classify, and not for format=moderation"),
        ("/_c input entities=PERSON", "\"entities=\" is for format=presidio"),
        ("/_c input language=de", "\"language=\" is for format=presidio"),
        ("/_c input threshold=0", "it takes 1 to 100"),
        ("/_c input threshold=101", "it takes 1 to 100"),
        ("/_c input threshold=+5", "it takes 1 to 100"),
        ("/_c input threshold=", "it takes 1 to 100"),
        ("/_c input format=classify class=1,1", "numbers of classes"),
        ("/_c input format=classify class=1000", "numbers of classes"),
        ("/_c input format=classify class=", "numbers of classes"),
        ("/_c input format=presidio entities=A,,B", "names such as PERSON"),
        ("/_c input name=a/b", "a name has 1 to 64"),
        ("/_c input model=a\"b", "it takes 1 to 256 characters"),
        ("/_c input model=$model", "it takes 1 to 256 characters"),
        ("/_c input timeout=9ms", "it takes 10ms to 30s"),
        ("/_c input timeout=31s", "it takes 10ms to 30s"),
        ("/_c input timeout=soon", "it takes 10ms to 30s"),
        ("/_c input on_failure=maybe", "it takes deny or allow"),
        ("/_c input log on_failure=deny", "\"on_failure=deny\" has no effect with \"log\""),
        ("/_c input window=255", "it takes 256 to 64k"),
        ("/_c input window=65k", "it takes 256 to 64k"),
        ("/_c input windows=0", "it takes 1 to 4096"),
        ("/_c input windows=4097", "it takes 1 to 4096"),
        ("/_c input cache=2h", "a time up to 1h"),
    ] {
        let problem = read(text).unwrap_err();
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

fn asked(classifier: &str, texts: &[&str]) -> Value {
    serde_json::from_slice(&question(&made(classifier), Side::Request, texts)).unwrap()
}

#[test]
fn questions_are_what_the_servers_take() {
    let odd = "\"a\"\n\u{202e}\\ <b>";
    assert_eq!(asked("/_c input", &[odd]), json!({"input": odd}));
    assert_eq!(
        asked("/_c input model=omni-moderation-latest", &["a", "b"]),
        json!({"model": "omni-moderation-latest", "input": ["a", "b"]})
    );
    assert_eq!(asked("/_c input format=classify", &["a", "b"]), json!({"input": ["a", "b"]}));
    assert_eq!(
        asked("/_c input format=llama-guard model=guard", &["a"]),
        json!({"model": "guard", "messages": [{"role": "user", "content": "a"}], "temperature": 0, "max_tokens": 32})
    );
    assert_eq!(
        asked("/_c input format=presidio", &["a"]),
        json!({"text": "a", "language": "en", "score_threshold": 0.5})
    );
    assert_eq!(
        asked("/_c input format=presidio entities=PERSON threshold=85 language=de", &["a", "b"]),
        json!({"text": ["a", "b"], "language": "de", "score_threshold": 0.85, "entities": ["PERSON"]})
    );
}

fn said(classifier: &str, answer: &Value, count: usize) -> Result<Vec<bool>, Failure> {
    let answer = answer.to_string();
    let verdicts = verdicts(&made(classifier), 200, answer.as_bytes(), count)?;
    Ok(verdicts.into_iter().map(|verdict| verdict.is_refused).collect())
}

const UNAVAILABLE: Result<Vec<bool>, Failure> = Err(Failure::Unavailable);

#[test]
fn moderation_is_read_by_flag_or_by_scores() {
    let result = |flagged: Value, scores: Value| json!({"flagged": flagged, "categories": {}, "category_scores": scores});
    let answer = |results: Value| json!({"id": "modr-1", "model": "m", "results": results});
    let calm = result(json!(false), json!({"hate": 0.01, "violence": 0.49, "illicit": null}));
    let wild = result(json!(true), json!({"hate": 0.57, "violence": 0.1}));
    let both = answer(json!([calm, wild]));
    assert_eq!(said("/_c input", &both, 2), Ok(vec![false, true]));
    assert_eq!(said("/_c input threshold=57", &both, 2), Ok(vec![false, true]));
    assert_eq!(said("/_c input threshold=58", &both, 2), Ok(vec![false, false]));
    assert_eq!(said("/_c input threshold=40", &both, 2), Ok(vec![true, true]));
    // Fewer or more of them would be those of other texts.
    assert_eq!(said("/_c input", &both, 1), UNAVAILABLE);
    assert_eq!(said("/_c input", &both, 3), UNAVAILABLE);
    for results in [
        json!([result(json!("false"), json!({}))]),
        json!([result(json!(null), json!({}))]),
        json!([{}]),
        json!([null]),
        json!({"flagged": false}),
        json!(null),
    ] {
        assert_eq!(said("/_c input", &answer(results), 1), UNAVAILABLE);
    }
    for scores in [
        json!({}),
        json!({"a": null}),
        json!({"a": "0.1"}),
        json!({"a": 1.5}),
        json!([0.1]),
        json!(null),
    ] {
        let answer = answer(json!([result(json!(false), scores)]));
        assert_eq!(said("/_c input threshold=50", &answer, 1), UNAVAILABLE);
    }
}

#[test]
fn llama_guard_says_safe_or_unsafe_and_nothing_else() {
    let guard = "/_c input format=llama-guard model=g";
    let answer = |content: Value| {
        json!({"object": "chat.completion", "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]})
    };
    for content in ["safe", "\n\nsafe", " safe\n"] {
        assert_eq!(said(guard, &answer(json!(content)), 1), Ok(vec![false]), "{content:?}");
    }
    for content in ["unsafe\nS1", "\n\nunsafe\nS1,S10", "unsafe", "unsafe S2"] {
        assert_eq!(said(guard, &answer(json!(content)), 1), Ok(vec![true]), "{content:?}");
    }
    for content in [
        "",
        "Safe",
        "safely",
        "safe, as I was told",
        "safe\nunsafe\nS1",
        "I can't judge that",
        "unsafely",
        "S1",
    ] {
        let undecided = Err(Failure::Undecided);
        assert_eq!(said(guard, &answer(json!(content)), 1), undecided, "{content:?}");
    }
    assert_eq!(said(guard, &answer(json!(null)), 1), Err(Failure::Undecided));
    for answer in [json!({"choices": []}), json!({"error": {}}), json!([])] {
        assert_eq!(said(guard, &answer, 1), UNAVAILABLE);
    }
}

#[test]
fn classes_have_probabilities() {
    let one = |index: usize, probs: Value| {
        let label = json!("LABEL_0");
        json!({"index": index, "label": label, "probs": probs, "num_classes": 2})
    };
    let answer = |data: Value| json!({"id": "classify-1", "object": "list", "data": data});
    let two = answer(json!([one(0, json!([0.9, 0.1])), one(1, json!([0.42, 0.58]))]));
    assert_eq!(said("/_c input format=classify", &two, 2), Ok(vec![false, true]));
    assert_eq!(said("/_c input format=classify threshold=10", &two, 2), Ok(vec![true, true]));
    assert_eq!(said("/_c input format=classify threshold=59", &two, 2), Ok(vec![false, false]));
    assert_eq!(said("/_c input format=classify class=0", &two, 2), Ok(vec![true, false]));
    // Prompt Guard of the first version: harmless, injection, jailbreak.
    let three = answer(json!([one(0, json!([0.3, 0.4, 0.3]))]));
    assert_eq!(said("/_c input format=classify", &three, 1), Ok(vec![true]));
    assert_eq!(said("/_c input format=classify class=2", &three, 1), Ok(vec![false]));
    assert_eq!(said("/_c input format=classify class=1,2", &three, 1), Ok(vec![true]));
    assert_eq!(said("/_c input format=classify class=3", &three, 1), UNAVAILABLE);
    let single = answer(json!([one(0, json!([0.7]))]));
    assert_eq!(said("/_c input format=classify", &single, 1), Ok(vec![true]));
    for data in [
        json!([one(1, json!([0.9, 0.1]))]),
        json!([one(0, json!([]))]),
        // No probabilities, but what they are made of.
        json!([one(0, json!([3.1, -2.7]))]),
        json!([one(0, json!(["0.9"]))]),
        json!([{"index": 0, "label": "LABEL_0"}]),
        json!([]),
    ] {
        assert_eq!(said("/_c input format=classify", &answer(data), 1), UNAVAILABLE);
    }
}

#[test]
fn presidio_lists_what_it_finds() {
    let found = |score: f64| json!({"analysis_explanation": null, "end": 10, "entity_type": "PERSON", "score": score, "start": 0});
    let presidio = "/_c input format=presidio threshold=85";
    assert_eq!(said(presidio, &json!([]), 1), Ok(vec![false]));
    assert_eq!(said(presidio, &json!([found(0.4), found(0.85)]), 1), Ok(vec![true]));
    assert_eq!(said(presidio, &json!([found(0.84)]), 1), Ok(vec![false]));
    assert_eq!(said(presidio, &json!([[], [found(1.0)]]), 2), Ok(vec![false, true]));
    for (answer, count) in [
        (json!([[], []]), 1),
        (json!([[]]), 2),
        (json!([found(0.1)]), 2),
        (json!([{"entity_type": "PERSON"}]), 1),
        (json!([{"score": 0.1}]), 1),
        (json!({"error": "No text provided"}), 1),
    ] {
        assert_eq!(said(presidio, &answer, count), UNAVAILABLE, "{answer}");
    }
}

#[test]
fn verdicts_have_the_highest_score() {
    let score = |classifier: &str, answer: &str| {
        let verdicts = verdicts(&made(classifier), 200, answer.as_bytes(), 1).unwrap();
        verdicts.first().and_then(|verdict| verdict.score)
    };
    let moderation = r#"{"results":[{"flagged":true,"category_scores":{"a":0.1,"b":0.579}}]}"#;
    assert_eq!(score("/_c input", moderation), Some(57));
    assert_eq!(score("/_c input threshold=90", moderation), Some(57));
    assert_eq!(score("/_c input", r#"{"results":[{"flagged":true}]}"#), None);
    let classify = r#"{"data":[{"index":0,"probs":[0.0,0.6,0.6]}]}"#;
    assert_eq!(score("/_c input format=classify", classify), Some(100));
    let presidio = r#"[{"entity_type":"A","score":0.3},{"entity_type":"B","score":0.85}]"#;
    assert_eq!(score("/_c input format=presidio", presidio), Some(85));
    assert_eq!(score("/_c input format=presidio", "[]"), Some(0));
    let guard = r#"{"choices":[{"message":{"content":"unsafe"}}]}"#;
    assert_eq!(score("/_c input format=llama-guard model=g", guard), None);
}

proptest! {
    /// Whatever is answered, there is a verdict for each text or none.
    #[test]
    fn verdicts_are_as_many_as_texts(
        answer in r#"[\[{"]{0,3}(results|data|flagged|probs|index|score|entity_type|choices|[:,\]\[{}"0-9.e-]){0,40}"#,
        count in 1_usize..4,
        format in 0_usize..4,
    ) {
        let words = ["", "format=classify", "format=presidio", "format=llama-guard model=g"];
        let classifier = made(&format!("/_c input {}", words[format]));
        if let Ok(verdicts) = verdicts(&classifier, 200, answer.as_bytes(), count) {
            prop_assert!(verdicts.len() == count || format == 3);
        }
    }
}

#[test]
fn other_statuses_are_no_verdicts() {
    let classifier = made("/_c input");
    let body = br#"{"results":[{"flagged":false}]}"#;
    assert!(verdicts(&classifier, 200, body, 1).is_ok());
    for status in [400, 413, 422] {
        assert_eq!(verdicts(&classifier, status, body, 1), Err(Failure::Undecided));
    }
    for status in [0, 201, 204, 302, 401, 403, 404, 429, 500, 502, 503, 504] {
        assert_eq!(verdicts(&classifier, status, body, 1), Err(Failure::Unavailable));
    }
    for body in [&b""[..], b"{", b"\xff", b"<!DOCTYPE html>", &[b'['; 100_000]] {
        assert_eq!(verdicts(&classifier, 200, body, 1), Err(Failure::Unavailable));
    }
}
