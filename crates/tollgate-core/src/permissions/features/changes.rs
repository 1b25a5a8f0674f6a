//! What of a body is changed so that it asks for nothing beyond what it may.

use crate::llm::request::members;
use crate::llm::request::rewrite::Rewrite;
use crate::llm::request::uses::known::{is_known, is_known_setting};
use crate::llm::{Engine, LlmRequest};

/// The changes of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The most tokens of output, in each member that says more, or nothing at all.
    pub bound: Option<u64>,
    /// Members that the engine doesn't know go.
    pub strips_unknown: bool,
    /// The answer is not to be kept.
    pub says_no_store: bool,
}

impl Changes {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes them in the body that `request` was read from.
    pub fn make(&self, rewrite: &mut Rewrite<'_>, request: &LlmRequest, engine: Engine) {
        let form = request.endpoint;
        if self.strips_unknown {
            rewrite.remove_unknown(|name| is_known(form, engine, name));
            for object in members::settings_of(form, engine) {
                rewrite.remove_unknown_in(object, |name| is_known_setting(form, object, name));
            }
        }
        if self.says_no_store {
            rewrite.set("store", b"false");
        }
        if let Some(most) = self.bound {
            bound(rewrite, request, engine, most);
        }
    }
}

/// Lets each bound of the output be `most` that is larger, or none; puts one in where there is none.
fn bound(rewrite: &mut Rewrite<'_>, request: &LlmRequest, engine: Engine, most: u64) {
    let json = most.to_string().into_bytes();
    let bounds = members::bounds_of(request.endpoint, engine);
    let mut unbounded: Vec<(Option<&str>, &str)> = Vec::new();
    for objects in bounds.chunk_by(|one, other| one.0 == other.0) {
        let mut is_there = false;
        for (object, name) in objects {
            let value = match object {
                Some(object) => rewrite.get_in(object, name),
                None => rewrite.get(name),
            };
            match value {
                None | Some(b"null") => {}
                Some(value) => {
                    is_there = true;
                    if !is_within(value, most, engine) {
                        set(rewrite, *object, name, &json);
                    }
                }
            }
        }
        // Engines know the first one, whichever they are.
        unbounded.extend(objects.first().filter(|_| !is_there));
    }
    for (object, name) in unbounded {
        set(rewrite, object, name, &json);
    }
}

fn set(rewrite: &mut Rewrite<'_>, object: Option<&str>, name: &str, json: &[u8]) {
    match object {
        Some(object) => rewrite.set_in(object, name, json),
        None => rewrite.set(name, json),
    }
}

/// Whether a bound is one, and no larger. 0 is none to Ollama, and maybe to engines that aren't known.
fn is_within(value: &[u8], most: u64, engine: Engine) -> bool {
    let takes_zero =
        matches!(engine, Engine::Vllm | Engine::Sglang | Engine::LlamaCpp | Engine::Tgi);
    let value = std::str::from_utf8(value).ok().and_then(|value| value.parse::<u64>().ok());
    value.is_some_and(|value| value <= most && (value > 0 || takes_zero))
}
