//! What clients keep at the server, by ids: responses, chats, files, batches, conversations. As with real
//! servers, whoever knows an id reaches what it names.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{json, Value};

use crate::error::ApiError;
use crate::http::{Request, Response};

/// Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    number: u64,
    /// By collection and id.
    objects: BTreeMap<(&'static str, String), Object>,
}

#[derive(Debug)]
struct Object {
    json: Value,
    /// What is in a file, or in a conversation.
    content: Vec<u8>,
}

const RESPONSES: &str = "/v1/responses";
const CHATS: &str = "/v1/chat/completions";
const FILES: &str = "/v1/files";
const BATCHES: &str = "/v1/batches";
const MESSAGE_BATCHES: &str = "/v1/messages/batches";
const CONVERSATIONS: &str = "/v1/conversations";

/// The collections: path, what the ids begin with, and what an object of it says that it is.
const COLLECTIONS: [(&str, &str, &str); 6] = [
    (RESPONSES, "resp_", "response"),
    (CHATS, "chatcmpl-", "chat.completion"),
    (FILES, "file-", "file"),
    (BATCHES, "batch_", "batch"),
    (MESSAGE_BATCHES, "msgbatch_", "message_batch"),
    (CONVERSATIONS, "conv_", "conversation"),
];

type Outcome = Result<Response, ApiError>;

impl Shelf {
    /// Keeps the answer to a request, if that asks for it: a response unless it says otherwise, a chat if it
    /// does.
    pub(crate) fn keep(&self, path: &[u8], body: &[u8], answer: &str) {
        let Some(collection) = [RESPONSES, CHATS].into_iter().find(|one| one.as_bytes() == path)
        else {
            return;
        };
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let store = asked.get("store").and_then(Value::as_bool);
        let json: Value = serde_json::from_str(answer).unwrap_or_default();
        let id = json.get("id").and_then(Value::as_str).map(str::to_owned);
        if let Some(id) = id.filter(|_| store.unwrap_or(collection == RESPONSES)) {
            let content = body.to_vec();
            self.held().objects.insert((collection, id), Object { json, content });
        }
    }

    /// Whether a request names a response before it that isn't there.
    pub(crate) fn lacks_previous(&self, body: &[u8]) -> Option<ApiError> {
        let asked: Value = serde_json::from_slice(body).ok()?;
        let id = asked.get("previous_response_id")?.as_str()?.to_owned();
        let is_there = self.held().objects.contains_key(&(RESPONSES, id.clone()));
        (!is_there).then(|| ApiError {
            status: 400,
            message: format!("Previous response with id '{id}' not found."),
            param: Some("previous_response_id"),
            code: Some("previous_response_not_found"),
        })
    }

    /// The answer to a request for a collection or what is in it; `None`: it is for something else.
    pub(crate) fn answer(&self, request: &Request) -> Option<Outcome> {
        let path = std::str::from_utf8(request.path()).ok()?;
        // The longest name first: one is within another.
        let (collection, prefix, kind) = *COLLECTIONS
            .iter()
            .filter(|(name, ..)| path.strip_prefix(name).is_some_and(is_end))
            .max_by_key(|(name, ..)| name.len())?;
        let rest = path.strip_prefix(collection)?;
        let mut segments = rest.split('/').filter(|segment| !segment.is_empty());
        let (id, part) = (segments.next(), segments.next());
        let method = request.method.as_slice();
        Some(match (id, part, method) {
            (None, _, b"POST") => self.make(collection, prefix, kind, &request.body),
            (None, _, b"GET" | b"HEAD") => self.list(collection),
            (Some(id), None, b"GET" | b"HEAD" | b"POST") => self.show(collection, id),
            (Some(id), None, b"DELETE") => self.remove(collection, id, kind),
            (Some(id), Some("cancel"), b"POST") => self.show(collection, id),
            (Some(id), Some("content" | "results"), b"GET") => self.content(collection, id),
            (Some(id), Some(_), b"GET" | b"POST") => self
                .content(collection, id)
                .map(|_| json_of(&json!({"object": "list", "data": []}))),
            _ => Err(ApiError {
                status: 405,
                message: "Not allowed here.".to_owned(),
                param: None,
                code: Some("method_not_allowed"),
            }),
        })
    }

    fn make(&self, collection: &'static str, prefix: &str, kind: &str, body: &[u8]) -> Outcome {
        let mut kept = self.held();
        kept.number += 1;
        let id = format!("{prefix}kept-{}", kept.number);
        let mut json = json!({"id": id, "object": kind, "bytes": body.len()});
        if collection == BATCHES {
            let asked: Value = serde_json::from_slice(body).unwrap_or_default();
            let input = asked.get("input_file_id").and_then(Value::as_str).unwrap_or_default();
            if !kept.objects.contains_key(&(FILES, input.to_owned())) {
                return Err(not_found(input));
            }
            let output = format!("file-kept-out-{}", kept.number);
            let of_output = json!({"id": output, "object": "file"});
            let content = format!("what came of {id}").into_bytes();
            kept.objects.insert((FILES, output.clone()), Object { json: of_output, content });
            json = json!({
                "id": id, "object": kind, "input_file_id": input, "output_file_id": output,
                "error_file_id": null, "status": "completed",
            });
        }
        let made = match json.get_mut("output_file_id") {
            // It isn't there at once.
            Some(output) => {
                let late = output.take();
                let made = json.clone();
                if let Some(output) = json.get_mut("output_file_id") {
                    *output = late;
                }
                made
            }
            None => json.clone(),
        };
        kept.objects.insert((collection, id), Object { json, content: body.to_vec() });
        Ok(json_of(&made))
    }

    fn list(&self, collection: &'static str) -> Outcome {
        let kept = self.held();
        let all = kept.objects.iter().filter(|((of, _), _)| *of == collection);
        let data: Vec<&Value> = all.map(|(_, object)| &object.json).collect();
        Ok(json_of(&json!({"object": "list", "data": data, "has_more": false})))
    }

    fn show(&self, collection: &'static str, id: &str) -> Outcome {
        let kept = self.held();
        let object = kept.objects.get(&(collection, id.to_owned())).ok_or_else(|| not_found(id))?;
        Ok(json_of(&object.json))
    }

    fn content(&self, collection: &'static str, id: &str) -> Outcome {
        let kept = self.held();
        let object = kept.objects.get(&(collection, id.to_owned())).ok_or_else(|| not_found(id))?;
        Ok(Response::new(200, "application/octet-stream", object.content.clone()))
    }

    fn remove(&self, collection: &'static str, id: &str, kind: &str) -> Outcome {
        let removed = self.held().objects.remove(&(collection, id.to_owned()));
        removed.ok_or_else(|| not_found(id))?;
        Ok(json_of(&json!({"id": id, "object": kind, "deleted": true})))
    }

    /// What is kept is whole after each statement: a panic elsewhere makes it no worse.
    fn held(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('/')
}

fn json_of(value: &Value) -> Response {
    Response::json(200, value.to_string())
}

fn not_found(id: &str) -> ApiError {
    ApiError {
        status: 404,
        message: format!("No such object: {id}."),
        param: Some("id"),
        code: Some("not_found"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(shelf: &Shelf, text: &str) -> Option<(u16, Value)> {
        let mut input = text.as_bytes();
        let head = crate::http::read_head(&mut input).unwrap().unwrap();
        let request = crate::http::read_body(&mut input, head).unwrap();
        Some(match shelf.answer(&request)? {
            Ok(made) => (made.status, serde_json::from_slice(&made.body).unwrap_or_default()),
            Err(error) => (error.status, Value::Null),
        })
    }

    fn line(method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\n\r\n")
    }

    #[test]
    fn what_is_made_is_there_until_it_is_removed() {
        let shelf = Shelf::default();
        let (_, file) = ask(&shelf, &line("POST", "/v1/files")).unwrap();
        let id = file["id"].as_str().unwrap().to_owned();
        let body = json!({"input_file_id": id}).to_string();
        let post =
            format!("POST /v1/batches HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (_, batch) = ask(&shelf, &post).unwrap();
        assert_eq!(batch["output_file_id"], Value::Null);
        let at = format!("/v1/batches/{}", batch["id"].as_str().unwrap());
        let (_, batch) = ask(&shelf, &line("GET", &at)).unwrap();
        let output = format!("/v1/files/{}", batch["output_file_id"].as_str().unwrap());
        assert_eq!(ask(&shelf, &line("GET", &output)).unwrap().0, 200);
        let at = format!("/v1/files/{id}");
        assert_eq!(ask(&shelf, &line("DELETE", &at)).unwrap().1["deleted"], true);
        assert_eq!(ask(&shelf, &line("GET", &at)).unwrap().0, 404);
        assert_eq!(ask(&shelf, &line("GET", "/v1/files")).unwrap().1["data"][0]["object"], "file");
        assert_eq!(ask(&shelf, &line("GET", "/v1/models")), None);
        assert_eq!(ask(&shelf, &line("PUT", "/v1/files")).unwrap().0, 405);
    }

    #[test]
    fn answers_are_kept_where_that_is_asked_for() {
        let shelf = Shelf::default();
        for (path, store, kept) in [
            (RESPONSES, "{}", true),
            (RESPONSES, r#"{"store":false}"#, false),
            (CHATS, "{}", false),
            (CHATS, r#"{"store":true}"#, true),
        ] {
            shelf.keep(path.as_bytes(), store.as_bytes(), r#"{"id":"x"}"#);
            let (status, _) = ask(&shelf, &line("GET", &format!("{path}/x"))).unwrap();
            assert_eq!(status == 200, kept, "{path} {store}");
            let _ = ask(&shelf, &line("DELETE", &format!("{path}/x")));
        }
        let previous = br#"{"previous_response_id":"resp_1"}"#;
        assert!(shelf.lacks_previous(previous).is_some());
        shelf.keep(RESPONSES.as_bytes(), b"{}", r#"{"id":"resp_1"}"#);
        assert!(shelf.lacks_previous(previous).is_none());
        assert!(shelf.lacks_previous(b"{}").is_none());
    }
}
