//! Where a request names its model, if its body isn't one of those that are read for their tokens; and what
//! tells of models.

use super::named::before_model;
use super::{Engine, Kind, Row};
use crate::llm::Endpoint;
use crate::path::up_to_query;

/// Where a request names its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// In the member `model` of its body, which is JSON.
    Body,
    /// In the part `model` of its body, which is a form with files.
    Form,
    /// In either, as its `Content-Type` says.
    FormOrBody,
    /// In its path: [`model_in_path`](super::named::model_in_path).
    Path,
    /// Nowhere: it is for no model, or says which by an id that the engine gave it.
    Nowhere,
    /// Where it is not read: in a file, a WebSocket.
    Unread,
    /// Nobody knows: it is in no table.
    Unknown,
}

/// What tells of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A list: of OpenAI's API, of Ollama's, or of both in one (llama.cpp).
    Models,
    /// One of OpenAI's API.
    Model,
    /// One of Ollama's API, and what it was made of.
    Show,
    /// The one that is served (SGLang).
    About,
    /// No page, but an error that may say that there is no such model, and which ones there are.
    Missing,
}

/// The paths of pages, by their end: as with what is read, a prefix of the operator's may be before it.
const PAGES: [(&[u8], Page); 6] = [
    (b"/models", Page::Models),
    (b"/api/tags", Page::Models),
    (b"/api/ps", Page::Models),
    (b"/api/show", Page::Show),
    (b"/model_info", Page::About),
    (b"/get_model_info", Page::About),
];

/// What makes the model work, or would, and has a body like those that are read: `model` in an object.
const LIKE_READ: [&str; 7] = [
    "/v1/audio/speech",
    "/v1/images/generations",
    "/v1/moderations",
    "/v1/responses/compact",
    "/v1/complete",
    "/v1/systemone",
    "/cohere/v2/chat",
];

/// What makes the model work, or would, and is sent as a form with files.
const FORMS: [&str; 3] =
    ["/v1/audio/transcriptions", "/audio/transcriptions", "/v1/audio/translations"];

/// The same, which may be sent as JSON as well.
const FORMS_OR_LIKE_READ: [&str; 3] = ["/v1/images/edits", "/v1/images/variations", "/v1/videos"];

/// What is done to one model, which is the member `model` of a body in JSON and nothing else. (Ollama takes `name`
/// where there is no `model`, which then is refused.)
const DONE_TO_ONE: [&str; 7] = [
    "/api/pull",
    "/api/push",
    "/api/delete",
    "/models/load",
    "/models/unload",
    "/v1/assistants",
    "/v1/assistants/{id}",
];

/// By which a router of engines finds the one that it asks.
const ROUTED: [&str; 1] = ["/v1/chat/completions/control"];

/// Where a request names its model, whose body is of the form `form` if it is read. What its query names, is
/// looked at besides: [`model_in_query`](super::named::model_in_query).
#[must_use]
pub fn naming(engine: Engine, method: &[u8], path: &[u8], form: Option<Endpoint>) -> Naming {
    if form.is_some() {
        return Naming::Body;
    }
    match method {
        b"OPTIONS" => Naming::Nowhere,
        b"GET" | b"HEAD" => match page(method, path) {
            Some(Page::Model) => Naming::Path,
            // It is of whatever model is served, which the client may not know.
            Some(Page::About) => Naming::Unread,
            Some(_) => Naming::Nowhere,
            // A WebSocket, or something of operators.
            None if engine.gets_work_done(path) => Naming::Unread,
            None => Naming::Nowhere,
        },
        _ if page(method, path) == Some(Page::Show) => Naming::Body,
        _ => match engine.row(method, path) {
            None => Naming::Unknown,
            Some(row) => match row.kind {
                Kind::Counts => Naming::Body,
                Kind::Generates | Kind::Prefill if LIKE_READ.contains(&row.path) => Naming::Body,
                Kind::Generates if FORMS.contains(&row.path) => Naming::Form,
                Kind::Generates if FORMS_OR_LIKE_READ.contains(&row.path) => Naming::FormOrBody,
                Kind::Admin | Kind::Stores if DONE_TO_ONE.contains(&row.path) => Naming::Body,
                Kind::Others if ROUTED.contains(&row.path) => Naming::Unread,
                // What operators do, may be done to any model: by its name, a path, a list, or to all of them.
                Kind::Generates | Kind::Prefill | Kind::Admin => Naming::Unread,
                Kind::Reads | Kind::Stores | Kind::Info | Kind::Others => Naming::Nowhere,
            },
        },
    }
}

/// Which page of models is asked for, in any spelling that a server might take for it.
#[must_use]
pub fn page(method: &[u8], path: &[u8]) -> Option<Page> {
    let is_get = matches!(method, b"GET" | b"HEAD");
    let of = |path: &[u8]| {
        let path = without_slashes_at_end(path);
        let mut pages = PAGES.iter().filter(|(end, _)| is_end(path, end));
        let page = pages.next().map(|(_, page)| *page);
        match page {
            // Ollama and SGLang are asked by POST; GET is harmless, and answers nothing.
            Some(Page::Show) => page,
            Some(_) if is_get => page,
            None if is_get && before_model(path).is_some() => Some(Page::Model),
            _ => None,
        }
    };
    of(path).or_else(|| of(up_to_query(path)?))
}

impl Engine {
    /// The line that a request is for, in any spelling of its path that is taken for it; the longest, and of
    /// these the one that names most.
    fn row(self, method: &[u8], path: &[u8]) -> Option<&'static Row> {
        let path = without_slashes_at_end(path);
        let rows = self.table().rows.iter().filter(|row| row.methods.contain(method));
        rows.filter(|row| ends_with(path, row.path)).max_by_key(|row| {
            let segments = || row.path.split('/').skip(1);
            let named = segments().filter(|segment| !segment.starts_with('{')).count();
            (segments().count(), named, row.path.len())
        })
    }

    /// Whether a GET of any spelling of `path` has the model work, or is for operators to do.
    fn gets_work_done(self, path: &[u8]) -> bool {
        let here = |engine: &Self| *engine == self || self == Self::OpenAi;
        let paths = [Some(path), up_to_query(path)];
        let rows = Self::ALL.into_iter().filter(here).flat_map(|engine| engine.table().rows);
        rows.filter(|row| matches!(row.kind, Kind::Generates | Kind::Prefill | Kind::Admin))
            .filter(|row| row.methods.contain(b"GET"))
            .any(|row| {
                paths.iter().flatten().any(|path| {
                    let path = without_slashes_at_end(path);
                    ends_with(path, row.path)
                        || row.path.strip_prefix("/v1").is_some_and(|end| ends_with(path, end))
                })
            })
    }
}

/// Whether the last segments of `path` are those of a row, in which `{...}` stands for any but an empty one.
fn ends_with(path: &[u8], row: &str) -> bool {
    // Of the root nothing is left.
    if row == "/" {
        return path.is_empty();
    }
    let mut segments = path.rsplit(|&byte| byte == b'/');
    row.as_bytes().rsplit(|&byte| byte == b'/').all(|expected| match segments.next() {
        // What is before the first slash of the row, may be anything before it in the path.
        Some(_) if expected.is_empty() => true,
        Some(segment) if expected.starts_with(b"{") => !segment.is_empty(),
        Some(segment) => segment.eq_ignore_ascii_case(expected),
        None => false,
    })
}

pub(super) fn without_slashes_at_end(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or_default()
}

fn is_end(path: &[u8], end: &[u8]) -> bool {
    let start = path.len().checked_sub(end.len());
    start.and_then(|start| path.get(start..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::engines::route::classify;

    fn of(engine: Engine, method: &str, path: &str) -> Naming {
        let form = classify(method.as_bytes(), path.as_bytes(), engine).0;
        naming(engine, method.as_bytes(), path.as_bytes(), form)
    }

    #[test]
    fn each_request_names_its_model_where_it_is_looked_for() {
        use Engine::{Anthropic, LlamaCpp, Ollama, OpenAi, Sglang, Tgi, Vllm};
        for (engine, method, path, expected) in [
            (Vllm, "POST", "/v1/chat/completions", Naming::Body),
            (Vllm, "POST", "/tokenize", Naming::Body),
            (Vllm, "POST", "/gpu/Tokenize/", Naming::Body),
            (Vllm, "POST", "/v1/messages/count_tokens", Naming::Body),
            (Ollama, "POST", "/api/show", Naming::Body),
            (OpenAi, "POST", "/x/api/show", Naming::Body),
            (OpenAi, "POST", "/v1/images/generations", Naming::Body),
            (OpenAi, "POST", "/v1/audio/transcriptions", Naming::Form),
            (OpenAi, "GET", "/v1/audio/transcriptions", Naming::Nowhere),
            (LlamaCpp, "POST", "/x/audio/transcriptions/", Naming::Form),
            (Tgi, "POST", "/v1/audio/transcriptions", Naming::Unknown),
            (OpenAi, "POST", "/v1/images/edits", Naming::FormOrBody),
            (OpenAi, "POST", "/v1/videos", Naming::FormOrBody),
            (OpenAi, "POST", "/v1/videos/edits", Naming::Unread),
            (OpenAi, "POST", "/v1/videos/video_1/remix", Naming::Unread),
            (OpenAi, "POST", "/v1/batches", Naming::Unread),
            (Anthropic, "POST", "/v1/messages/batches", Naming::Unread),
            (Tgi, "POST", "/v2/models/x/versions/1/infer", Naming::Unread),
            (Vllm, "GET", "/v1/realtime", Naming::Unread),
            (Vllm, "GET", "/x/REALTIME/", Naming::Unread),
            (OpenAi, "GET", "/v1/responses", Naming::Unread),
            (Vllm, "POST", "/whatever", Naming::Unknown),
            (Vllm, "PUT", "/v1/chat/completions", Naming::Unknown),
            (Vllm, "DELETE", "/v1/models/x", Naming::Unknown),
            (OpenAi, "DELETE", "/v1/models/x", Naming::Unread),
            (Tgi, "POST", "/custom", Naming::Unknown),
            (Tgi, "POST", "//", Naming::Body),
            (Ollama, "POST", "/api/copy", Naming::Unread),
            (Ollama, "POST", "/x/API/Create/", Naming::Unread),
            (Ollama, "POST", "/api/pull", Naming::Body),
            (Ollama, "POST", "/api/push", Naming::Body),
            (Ollama, "DELETE", "/api/delete", Naming::Body),
            (LlamaCpp, "POST", "/models/load", Naming::Body),
            (LlamaCpp, "POST", "/models/unload", Naming::Body),
            (LlamaCpp, "POST", "/models", Naming::Unread),
            (LlamaCpp, "DELETE", "/models", Naming::Unread),
            (LlamaCpp, "POST", "/v1/chat/completions/control", Naming::Unread),
            (LlamaCpp, "GET", "/cors-proxy", Naming::Unread),
            (LlamaCpp, "GET", "/props", Naming::Nowhere),
            (Vllm, "POST", "/v1/load_lora_adapter", Naming::Unread),
            (Vllm, "DELETE", "/adapters/x", Naming::Unread),
            (Sglang, "POST", "/load_lora_adapter", Naming::Unread),
            (Vllm, "GET", "/v1/models/x", Naming::Path),
            (Vllm, "GET", "/v1/models", Naming::Nowhere),
            (Vllm, "GET", "/v1/models/", Naming::Nowhere),
            (Vllm, "POST", "/ping", Naming::Nowhere),
            (OpenAi, "POST", "/v1/files", Naming::Nowhere),
            (OpenAi, "POST", "/v1/responses/resp_1/cancel", Naming::Nowhere),
            (OpenAi, "DELETE", "/v1/responses/resp_1", Naming::Nowhere),
            (LlamaCpp, "GET", "/health", Naming::Nowhere),
            (Sglang, "GET", "/model_info", Naming::Unread),
            (Sglang, "OPTIONS", "/whatever", Naming::Nowhere),
        ] {
            assert_eq!(of(engine, method, path), expected, "{engine:?} {method} {path}");
        }
    }

    #[test]
    fn every_line_has_an_answer() {
        // What the model works for, or what is done to it, is never said to be for none.
        for engine in Engine::ALL {
            for row in engine.table().rows {
                let path = row.path.replace(['{', '}'], "x");
                for method in ["GET", "POST", "PUT", "DELETE"] {
                    if row.methods.contain(method.as_bytes())
                        && matches!(
                            row.kind,
                            Kind::Generates | Kind::Prefill | Kind::Counts | Kind::Admin
                        )
                    {
                        let found = of(engine, method, &path);
                        assert_ne!(found, Naming::Nowhere, "{engine:?} {method} {path}");
                    }
                }
            }
        }
    }

    #[test]
    fn pages_are_known_in_any_spelling() {
        for (path, expected) in [
            ("/v1/models", Some(Page::Models)),
            ("/x/V1/Models//", Some(Page::Models)),
            ("/models", Some(Page::Models)),
            ("/v1/models?x", Some(Page::Models)),
            ("/api/tags", Some(Page::Models)),
            ("/api/ps", Some(Page::Models)),
            ("/api/show", Some(Page::Show)),
            ("/get_model_info", Some(Page::About)),
            ("/v1/models/a/b", Some(Page::Model)),
            ("/models/a", Some(Page::Model)),
            ("/v1/mymodels", None),
            ("/v1/chat/completions", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(page(b"GET", path.as_bytes()), expected, "{path}");
            let posted = expected.filter(|page| *page == Page::Show);
            assert_eq!(page(b"POST", path.as_bytes()), posted, "{path}");
        }
    }
}
