//! Paths, in the spellings that clients have for them.

use super::*;
use crate::llm::engines::Kind as RowKind;

fn of(method: &str, path: &str) -> Access {
    Access::of(Engine::OpenAi, None, method.as_bytes(), path.as_bytes())
}

fn names(path: &str) -> Vec<(Kind, String)> {
    let mut all = Vec::new();
    let kept = named(path.as_bytes(), |kind, id| {
        all.push((kind, String::from_utf8(id.to_vec()).unwrap()));
        Ok::<(), ()>(())
    });
    kept.unwrap();
    all
}

fn both(a: (Kind, &str), b: (Kind, &str)) -> [(Kind, String); 2] {
    [(a.0, a.1.to_owned()), (b.0, b.1.to_owned())]
}

#[test]
fn an_id_is_found_in_any_spelling_of_what_is_around_it() {
    for path in [
        "/v1/responses/resp_1",
        "/responses/resp_1",
        "/llm/V1/Responses/resp_1/",
        "/v1/responses/resp_1/cancel",
        "/v1/responses/resp_1/input_items",
        "/v1/responses/resp_1/whatever/comes/next",
        "/files/v1/responses/resp_1",
    ] {
        assert_eq!(names(path), [(Kind::Response, "resp_1".to_owned())], "{path}");
        for method in ["GET", "HEAD", "POST", "DELETE", "PUT", "FOO"] {
            assert!(of(method, path).names, "{method} {path}");
        }
    }
    for (path, kind) in [
        ("/v1/chat/completions/a/messages", Kind::Chat),
        ("/v1/files/a/content", Kind::File),
        ("/v1/batches/a/cancel", Kind::Batch),
        ("/v1/messages/batches/a/results", Kind::Batch),
        ("/v1/conversations/a/items/b", Kind::Conversation),
        ("/v1/videos/a/content", Kind::Video),
        ("/v1/containers/a/files/b/content", Kind::Container),
        ("/v1/vector_stores/a/files/b", Kind::VectorStore),
    ] {
        assert_eq!(names(path), [(kind, "a".to_owned())], "{path}");
    }
}

#[test]
fn all_ids_of_a_doubtful_path_count() {
    assert_eq!(names("/files/a/responses/b"), both((Kind::File, "a"), (Kind::Response, "b")));
    assert_eq!(names("/v1/responses/a?b"), both((Kind::Response, "a?b"), (Kind::Response, "a")));
    assert_eq!(names("/v1/responses/A"), [(Kind::Response, "A".to_owned())], "ids keep their case");
}

#[test]
fn whoever_decodes_again_is_thought_of() {
    for path in [
        "/v1/files%2fa",
        "/v1/files%252Fa",
        "/v1/%66iles/a",
        "/v1/files%2525252fa",
        "/v1%2ffiles%2fa",
    ] {
        assert_eq!(names(path).last(), Some(&(Kind::File, "a".to_owned())), "{path}");
        assert!(of("GET", path).names, "{path}");
    }
    assert_eq!(names("/v1/files/%61"), both((Kind::File, "%61"), (Kind::File, "a")));
    assert!(of("GET", "/v1/file%73").lists);
    assert_eq!(names("/v1/files/100%zz").len(), 1);
}

#[test]
fn operations_are_no_ids_where_they_end_the_path() {
    for path in
        ["/v1/responses/compact", "/v1/responses/input_tokens", "/v1/chat/completions/render"]
    {
        assert!(names(path).is_empty(), "{path}");
    }
    assert!(of("POST", "/v1/responses/compact").refers);
    assert!(of("POST", "/v1/messages/count_tokens").refers);
    for path in ["/v1/videos/edits", "/x/videos/extensions/"] {
        let access = of("POST", path);
        assert!(names(path).is_empty() && access.refers && access.may_be_form, "{path}");
        assert_eq!(access.takes.id, Some(Kind::Video), "{path}");
    }
    assert_eq!(names("/v1/videos/a/edits").len(), 1);
    assert_eq!(names("/v1/responses/compact/cancel").len(), 1);
}

#[test]
fn what_names_objects_is_read() {
    for (path, may_be_form) in [
        ("/v1/videos", true),
        ("/v1/images/edits", true),
        ("/v1/images/generations", true),
        ("/v1/fine_tuning/jobs", false),
        ("/v1/threads", false),
        ("/v1/threads/t/messages", false),
        ("/v1/assistants", false),
        ("/v1/evals/e/runs", false),
        ("/v1/batches", false),
        // Some server decodes again.
        ("/v1/batches%2f..%2fimages?x", false),
    ] {
        let access = of("POST", path);
        assert_eq!((access.refers, access.may_be_form), (true, may_be_form), "{path}");
        assert!(!of("GET", path).refers, "{path}");
    }
    assert!(!of("POST", "/v1/files").refers && !of("POST", "/v1/audio/speech").refers);
}

#[test]
fn collections_are_listed_by_all_but_a_post() {
    for path in
        ["/v1/files", "/v1/batches/", "/v1/messages/batches", "/v1/chat/completions", "/v1/files?"]
    {
        for method in ["GET", "HEAD", "DELETE", "PUT"] {
            assert!(of(method, path).lists, "{method} {path}");
        }
    }
    for (path, kind, refers) in [
        ("/v1/files", Kind::File, false),
        ("/v1/batches", Kind::Batch, true),
        ("/v1/messages/batches", Kind::Batch, true),
        ("/v1/conversations", Kind::Conversation, true),
        ("/v1/videos", Kind::Video, true),
    ] {
        let access = of("POST", path);
        assert_eq!((access.takes.id, access.refers), (Some(kind), refers), "{path}");
        assert!(!access.reaches(), "{path}");
    }
}

#[test]
fn what_is_nobodys_has_nothing_to_judge() {
    for (method, path) in [
        ("GET", "/v1/models"),
        ("GET", "/v1/models/org/model"),
        ("GET", "/health"),
        ("POST", "/tokenize"),
        ("POST", "/v1/stream"),
        ("GET", "/"),
        ("GET", "/filesystem/x"),
    ] {
        assert!(of(method, path).is_none(), "{method} {path}");
    }
}

#[test]
fn forms_make_and_name_what_their_engine_keeps() {
    let of = |engine, form| Access::of(engine, Some(form), b"POST", b"/x/files/y");
    let response = of(Engine::Vllm, Endpoint::Responses);
    assert_eq!((response.takes.id, response.refers), (Some(Kind::Response), true));
    assert!(!response.names);
    assert_eq!(of(Engine::OpenAi, Endpoint::Chat).takes.id, Some(Kind::Chat));
    assert!(of(Engine::Vllm, Endpoint::Chat).is_none());
    assert!(of(Engine::Anthropic, Endpoint::Messages).refers);
    assert!(of(Engine::LlamaCpp, Endpoint::Responses).refers);
    assert_eq!(response.kept(Some(false)).id, None);
    assert_eq!(response.kept(None).id, Some(Kind::Response));
    let chat = of(Engine::OpenAi, Endpoint::Chat);
    assert_eq!(
        [None, Some(false), Some(true)].map(|store| chat.kept(store).id),
        [None, None, Some(Kind::Chat)]
    );
}

/// A line that is added to a table, and not known here, would be open to everybody.
#[test]
fn whatever_a_table_says_is_kept_is_judged() {
    for engine in Engine::ALL {
        let rows = engine.table().rows.iter().filter(|row| row.kind == RowKind::Stores);
        for row in rows {
            let path: Vec<&str> = row
                .path
                .split('/')
                .map(|segment| if segment.starts_with('{') { "x" } else { segment })
                .collect();
            let path = path.join("/");
            for method in ["GET", "POST", "DELETE"] {
                let is_its = row.methods.contain(method.as_bytes());
                let access = Access::of(engine, None, method.as_bytes(), path.as_bytes());
                let is_judged = match row.path.contains('{') {
                    true => access.names,
                    false => access.lists || access.takes.id.is_some(),
                };
                assert!(!is_its || is_judged, "{engine:?} {method} {path}");
            }
        }
    }
}

#[test]
fn a_delete_removes_what_its_end_names() {
    let of = |method: &str, path: &'static str| removed(method.as_bytes(), path.as_bytes());
    assert_eq!(of("DELETE", "/v1/files/a"), Some((Kind::File, &b"a"[..])));
    assert_eq!(of("DELETE", "/v1/files/a/"), Some((Kind::File, &b"a"[..])));
    assert_eq!(of("GET", "/v1/files/a"), None);
    assert_eq!(of("DELETE", "/v1/conversations/a/items/b"), None);
    assert_eq!(of("DELETE", "/v1/files"), None);
}

#[test]
fn streams_are_named_by_query_or_body() {
    for (method, path, expected) in [
        ("GET", "/v1/stream", Streams::Query),
        ("DELETE", "/x/V1/Stream/", Streams::Query),
        ("POST", "/v1/streams/lookup", Streams::Body),
        ("GET", "/v1/streams", Streams::None),
    ] {
        let found = of(method, path);
        assert_eq!(found.streams, expected, "{method} {path}");
        // What names them in a body is read in it.
        assert_eq!(found.refers, expected == Streams::Body, "{method} {path}");
    }
}

#[test]
fn what_an_answer_about_an_object_says_is_taken_where_it_names_others() {
    for (method, path, expected) in [
        ("POST", "/v1/videos/a/remix", Takes { id: Some(Kind::Video), ..Takes::default() }),
        ("GET", "/v1/videos/a/remix", Takes::default()),
        ("GET", "/v1/videos/a", Takes::default()),
        ("GET", "/v1/batches/a", Takes { files: true, ..Takes::default() }),
        ("POST", "/v1/batches/a/cancel", Takes { files: true, ..Takes::default() }),
        ("GET", "/v1/responses/a/input_items", Takes { items: true, ..Takes::default() }),
        ("POST", "/v1/conversations/a/items", Takes { items: true, ..Takes::default() }),
        ("GET", "/v1/files/a", Takes::default()),
    ] {
        assert_eq!(of(method, path).takes, expected, "{method} {path}");
    }
}

#[test]
fn calls_are_joined_in_realtime_alone() {
    for path in ["/v1/realtime", "/realtime", "/v1/realtime/calls"] {
        assert!(of("GET", path).joins_calls && of("POST", path).joins_calls, "{path}");
    }
    for path in ["/v1/realtime/client_secrets", "/v1/calls", "/v1/chat/completions"] {
        assert!(!of("POST", path).joins_calls, "{path}");
    }
}
