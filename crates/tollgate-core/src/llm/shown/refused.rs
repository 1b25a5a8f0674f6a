//! How an answer ends that may not be shown any further.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::form::Form;

/// What a client is told in the place of what it may not see: a JSON document. Hardly any answer needs it, so it is
/// written only then.
pub struct Refusal(Box<dyn Fn() -> Cow<'static, str>>);

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").finish_non_exhaustive()
    }
}

impl Refusal {
    /// The document that `write` returns.
    pub fn new(write: impl Fn() -> Cow<'static, str> + 'static) -> Self {
        Self(Box::new(write))
    }

    pub(super) fn body(&self) -> Cow<'static, str> {
        self.0()
    }
}

impl From<&'static str> for Refusal {
    fn from(body: &'static str) -> Self {
        Self::new(move || body.into())
    }
}

/// The event that tells so, in the form in which the stream's clients know errors. `body` is the refusal as a
/// JSON document, `number` that of the event, if events have one.
pub(super) fn event(body: &str, form: Form, number: Option<u64>) -> Vec<u8> {
    let body = body.replace(['\r', '\n'], " ");
    let event = match (form, number) {
        (Form::Messages, _) => format!("event: error\ndata: {body}\n\n"),
        (_, Some(number)) => match of_responses(&body, number) {
            Some(error) => format!("event: error\ndata: {error}\n\n"),
            None => format!("data: {body}\n\n"),
        },
        _ => format!("data: {body}\n\n"),
    };
    event.into_bytes()
}

/// Responses has the members of the error beside the type and the number of the event.
fn of_responses(body: &str, number: u64) -> Option<Value> {
    let body: Value = serde_json::from_str(body).ok()?;
    let error = body.get("error")?;
    let member = |name: &str| error.get(name).cloned().unwrap_or(Value::Null);
    Some(serde_json::json!({
        "type": "error",
        "code": member("code"),
        "message": member("message"),
        "param": member("param"),
        "sequence_number": number,
    }))
}

/// The line that tells so.
pub(super) fn line(body: &str) -> Vec<u8> {
    let mut line = body.replace(['\r', '\n'], " ").into_bytes();
    line.push(b'\n');
    line
}
