//! Bodies, and what they name.

use super::*;
use crate::multipart::{ContentType, FormReader};
use proptest::prelude::*;

fn read(engine: Engine, body: &str) -> Result<Mentions, Unread> {
    let mut whole = References::new(engine);
    whole.read(body.as_bytes());
    let whole = whole.finish();
    let mut single = References::new(engine);
    body.as_bytes().chunks(1).for_each(|byte| single.read(byte));
    assert_eq!(single.finish(), whole, "{body}");
    whole
}

fn named(body: &str) -> Vec<(Kind, String)> {
    let mentions = read(Engine::OpenAi, body).unwrap();
    let text = |id: Box<[u8]>| String::from_utf8(id.into()).unwrap();
    mentions.named.into_iter().map(|(kind, id)| (kind, text(id))).collect()
}

fn one(kind: Kind, id: &str) -> Vec<(Kind, String)> {
    vec![(kind, id.to_owned())]
}

#[test]
fn objects_are_found_wherever_they_are_named() {
    for (body, kind) in [
        (r#"{"previous_response_id":"a"}"#, Kind::Response),
        (r#"{"conversation":"a"}"#, Kind::Conversation),
        (r#"{"conversation":{"id":"a"}}"#, Kind::Conversation),
        (r#"{"input_file_id":"a"}"#, Kind::File),
        (
            r#"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"a"}]}]}"#,
            Kind::File,
        ),
        (r#"{"messages":[{"content":[{"type":"file","file":{"file_id":"a"}}]}]}"#, Kind::File),
        (r#"{"messages":[{"content":[{"source":{"type":"file","file_id":"a"}}]}]}"#, Kind::File),
        (
            r#"{"requests":[{"params":{"messages":[{"content":[{"source":{"file_id":"a"}}]}]}}]}"#,
            Kind::File,
        ),
        (r#"{"tools":[{"container":{"type":"auto","file_ids":["a"]}}]}"#, Kind::File),
        (r#"{"tools":[{"container":"a"}]}"#, Kind::Container),
        (r#"{"tools":[{"vector_store_ids":["a"]}]}"#, Kind::VectorStore),
        (r#"{"vector_store_ids":"a"}"#, Kind::VectorStore),
        (r#"{"input":[{"type":"item_reference","id":"a"}]}"#, Kind::Item),
        (r#"{"input":[{"id":"a","type":"item_reference"}]}"#, Kind::Item),
        (r#"{"input":[{"id":"a"}]}"#, Kind::Item),
        (r#"{"items":[{"id":"a"}]}"#, Kind::Item),
        (r#"{"input":[{"type":"image_generation_call","id":"a"}]}"#, Kind::Item),
        (r#"{"input":[{"type":"reasoning","id":"a","summary":[]}]}"#, Kind::Item),
        (r#"{"items":[{"type":"image_generation_call","id":"a"}]}"#, Kind::Item),
        (r#"{"input":[{"type":"of_tomorrow","id":"a"}]}"#, Kind::Item),
        // To a reader that folds case, or takes the first or the last of several.
        (r#"{"input":[{"type":"item_reference","id":"a","Type":"message"}]}"#, Kind::Item),
        (r#"{"input":[{"Type":"item_reference","id":"a","type":"message"}]}"#, Kind::Item),
        (r#"{"input":[{"Type":"message","id":"a"}]}"#, Kind::Item),
        (r#"{"input":[{"type\ud800":"message","id":"a"}]}"#, Kind::Item),
        (r#"{"input":[{"id":"a","type":"message","type":"item_reference"}]}"#, Kind::Item),
        (r#"{"input":[{"id":"a","type":"item_reference","type":"message"}]}"#, Kind::Item),
        (r#"{"input":[{"id":"a","type":"message","type":null}]}"#, Kind::Item),
        (r#"{"input":[{"id":"a","type":"message","type":["x"]}]}"#, Kind::Item),
        (r#"{"input":{"id":"a"}}"#, Kind::Item),
        (r#"{"input":[[{"id":"a"}]]}"#, Kind::Item),
        (
            r#"{"prompt":{"id":"p","variables":{"input":{"type":"input_file","file_id":"a"}}}}"#,
            Kind::File,
        ),
        (r#"{"prompt":{"variables":{"metadata":{"file_id":"a"}}}}"#, Kind::File),
        (r#"{"PROMPT":{"Variables":{"schema":{"file_id":"a"}}}}"#, Kind::File),
        (r#"{"input_reference":{"file_id":"a"}}"#, Kind::File),
        (r#"{"images":[{"file_id":"a"}]}"#, Kind::File),
        (r#"{"training_file":"a","validation_file":null}"#, Kind::File),
        (r#"{"validation_file":"a"}"#, Kind::File),
        (r#"{"video":{"id":"a"}}"#, Kind::Video),
    ] {
        assert_eq!(named(body), one(kind, "a"), "{body}");
    }
}

#[test]
fn every_occurrence_in_every_spelling_counts() {
    let twice = named(r#"{"previous_response_id":"a","previous_response_id":"b"}"#);
    assert_eq!(twice, [(Kind::Response, "a".to_owned()), (Kind::Response, "b".to_owned())]);
    for body in [
        r#"{"PREVIOUS_Response_id":"a"}"#,
        r#"{"previou\u017f_response_id":"a"}"#,
        r#"{"\u0070revious_response_id":"\u0061"}"#,
        r#"{"previous\ud800_response_id":"a"}"#,
        "\u{feff}{\"previous_response_id\":\"a\"}",
    ] {
        assert_eq!(named(body), one(Kind::Response, "a"), "{body}");
    }
    let long = "r".repeat(200);
    assert_eq!(
        named(&format!(r#"{{"previous_response_id":"{long}"}}"#)),
        one(Kind::Response, &long)
    );
}

#[test]
fn what_can_be_no_id_is_nobodys() {
    let long = "r".repeat(257);
    for id in [&*long, r"a\ud800", ""] {
        let body = format!(r#"{{"previous_response_id":"{id}"}}"#);
        assert_eq!(named(&body), one(Kind::Response, ""), "{body}");
    }
    assert_eq!(named(r#"{"conversation_ids":["a b"]}"#), one(Kind::Stream, ""));
    assert_eq!(named(r#"{"conversation_ids":["a::m"]}"#), one(Kind::Stream, "a"));
}

#[test]
fn a_container_that_is_yet_to_be_made_is_nobodys_and_one_that_is_there_is_somebodys() {
    for (container, there) in [("auto", false), ("", false), ("cntr_1", true), ("autos", true)] {
        let body =
            format!(r#"{{"tools":[{{"type":"code_interpreter","container":"{container}"}}]}}"#);
        let wanted = if there { one(Kind::Container, container) } else { vec![] };
        assert_eq!(named(&body), wanted, "{container}");
    }
    // Of other kinds, that is a name like any other.
    assert_eq!(named(r#"{"previous_response_id":"auto"}"#), one(Kind::Response, "auto"));
}

#[test]
fn what_clients_and_models_write_is_theirs() {
    for body in [
        r#"{"previous_response_id":null}"#,
        r#"{"metadata":{"file_id":"a"}}"#,
        r#"{"tools":[{"parameters":{"properties":{"file_id":{"type":"string"}}}}]}"#,
        r#"{"messages":[{"content":[{"type":"tool_use","id":"t","input":{"file_id":"a"}}]}]}"#,
        r#"{"input":"file_id"}"#,
        r#"{"input":[{"type":"message","id":"msg_1","content":[]}]}"#,
        r#"{"input":[{"role":"user","content":"x"}]}"#,
        r#"{"input":[{"type":"function_call","id":"fc_1","call_id":"c","arguments":"{}"}]}"#,
        r#"{"prompt":{"id":"p","variables":{"file_id":"x","input":"y"}}}"#,
        r#"{"messages":[{"content":[{"type":"video","video":"x"}]}]}"#,
        r#"{"tools":[{"container":{"type":"auto"}}]}"#,
        "{}",
        "",
    ] {
        assert_eq!(named(body), [], "{body}");
    }
    let plain =
        read(Engine::Vllm, r#"{"messages":[{"content":[{"file_id":"a"}]}],"input":[{"id":"a"}]}"#);
    assert_eq!(plain.unwrap().named, []);
}

#[test]
fn store_and_chosen_ids_are_noted() {
    let of = |body: &str| read(Engine::Vllm, body).unwrap();
    assert_eq!(of(r#"{"store":true}"#).store, Some(true));
    assert_eq!(of(r#"{"store":false}"#).store, Some(false));
    assert_eq!(of(r#"{"store":null}"#).store, None);
    assert!(of(r#"{"request_id":"resp_1"}"#).chooses_id);
    assert!(of(r#"{"request_id":1}"#).chooses_id);
    assert!(!of(r#"{"request_id":null}"#).chooses_id);
    assert!(!of(r#"{"metadata":{"request_id":"x"}}"#).chooses_id);
}

#[test]
fn what_is_no_json_object_is_not_taken() {
    for body in ["[]", "{", "{}x", "1", "\"x\"", "{\"a\":\u{0}}", " "] {
        assert_eq!(read(Engine::OpenAi, body), Err(Unread::NotJson), "{body}");
    }
    let many = format!(r#"{{"file_ids":[{}"a"]}}"#, r#""a","#.repeat(512));
    assert_eq!(read(Engine::OpenAi, &many), Err(Unread::TooMany));
}

proptest! {
    #[test]
    fn an_id_is_found_whatever_is_around_it(
        before in "[ -!#-\\[\\]-~]{0,20}", depth in 0_usize..20, id in "[a-z0-9_]{1,80}", cut in 1_usize..50,
    ) {
        let (open, close) = ("[{\"x\":".repeat(depth), "}]".repeat(depth));
        let body = format!(
            r#"{{"a":"{before}","content":{open}{{"file_id":"{id}"}}{close},"b":[1,2,{{}}]}}"#
        );
        let mut references = References::new(Engine::OpenAi);
        body.as_bytes().chunks(cut).for_each(|part| references.read(part));
        let mentions = references.finish().unwrap();
        prop_assert_eq!(mentions.named, vec![(Kind::File, id.as_bytes().into())]);
    }
}

#[test]
fn objects_are_found_in_the_parts_of_a_form() {
    let read = |engine, name: &str, file: &str, text: &str| {
        let kind = ContentType::of([&b"multipart/form-data; boundary=b"[..]]);
        let Ok(ContentType::Form(boundary)) = kind else { panic!("{kind:?}") };
        let mut reader = FormReader::new(&boundary);
        let header = format!("Content-Disposition: form-data; name=\"{name}\"{file}");
        reader.read(format!("--b\r\n{header}\r\n\r\n{text}\r\n--b--").as_bytes());
        Mentions::of_form(&reader.finish().unwrap(), engine).map(|mentions| mentions.named)
    };
    let file = "; filename=\"f\"";
    for (name, kind) in [
        ("input_reference[file_id]", Kind::File),
        ("images[0][file_id]", Kind::File),
        ("image[][FILE_ID]", Kind::File),
        ("file_ids[]", Kind::File),
        ("file_ids[1]", Kind::File),
        ("file_ids[first]", Kind::File),
        ("video", Kind::Video),
        ("video[id]", Kind::Video),
        ("video.id", Kind::Video),
        ("conversation", Kind::Conversation),
    ] {
        let expected = vec![(kind, Box::from(&b"a"[..]))];
        assert_eq!(read(Engine::OpenAi, name, "", "a"), Ok(expected), "{name}");
        assert_eq!(read(Engine::OpenAi, name, "", &"a".repeat(5000)), Err(Unread::NoId), "{name}");
    }
    for (name, file) in [("video", file), ("image", file), ("model", ""), ("metadata[file_id]", "")]
    {
        assert_eq!(read(Engine::OpenAi, name, file, "a"), Ok(vec![]), "{name}");
    }
    assert_eq!(read(Engine::OpenAi, "file_id", file, "a"), Err(Unread::NoId));
    assert_eq!(read(Engine::Vllm, "file_id", "", "a"), Ok(vec![]));
}
