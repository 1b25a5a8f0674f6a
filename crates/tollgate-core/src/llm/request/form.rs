//! What a form with files asks for: sounds that are written down, pictures and videos that are changed.
//!
//! Its parts are what members are to JSON, so they are judged by the same names. Nothing of them is metered.

use std::ops::Range;

use super::edits::Edits;
use super::names::equals_folded;
use super::quantity::Quantity;
use super::uses::{Uses, UsesOfForm};
use super::{parse, LlmRequest, RequestError, MAX_CHOICES, MAX_MODEL_LEN};
use crate::llm::{Endpoint, Engine};
use crate::multipart::{Boundary, Part};

/// The form in which a body is read of which nothing but the model matters.
pub const MODEL_ALONE: Endpoint = Endpoint::Embeddings;

/// Names of parts on which something is decided, each of which may be there once.
const DECIDED: [&str; 6] =
    ["model", "n", "max_completion_tokens", "max_tokens", "max_output_tokens", "max_new_tokens"];

/// What a form asks for.
#[derive(Debug)]
pub struct FormRequest {
    /// As if it had come as JSON: the model, the number of answers, and the bound of the output, if one is given.
    pub request: LlmRequest,
    /// What else it uses.
    pub uses: Uses,
    /// Where its model is named.
    pub place: ModelPlace,
}

/// Where a form names its model, in bytes from its beginning; `None`: it doesn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPlace(Option<Range<usize>>);

impl FormRequest {
    /// What these parts say, of a form that `engine` gets.
    ///
    /// # Errors
    /// Names on which something is decided are there twice or in another spelling, or have a value that they can't have.
    pub fn of(parts: &[Part], engine: Engine) -> Result<Self, RequestError> {
        let mut request = parse(b"{}", MODEL_ALONE, engine)?;
        let mut place = ModelPlace(None);
        let mut seen = [false; DECIDED.len()];
        let mut uses = UsesOfForm::default();
        for part in parts {
            let base = part.names().next().unwrap_or_default();
            let decided = DECIDED.iter().position(|name| equals_folded(base.as_bytes(), name));
            let name = decided.and_then(|index| DECIDED.get(index)).copied();
            let (Some(name), Some(seen)) = (name, decided.and_then(|index| seen.get_mut(index)))
            else {
                uses.read(part);
                continue;
            };
            // Some make a list of `model[]`.
            if *part.name != *name {
                return Err(RequestError::MisspeltKey(name));
            }
            if std::mem::replace(seen, true) {
                return Err(RequestError::DuplicateKey(name));
            }
            let bad = || RequestError::BadValue(name);
            let text = text(part).ok_or_else(bad)?;
            match name {
                "model" => {
                    if text.len() > MAX_MODEL_LEN || text.contains(char::is_control) {
                        return Err(bad());
                    }
                    request.model = Some(text.into());
                    place = ModelPlace(Some(part.at..part.at + part.len));
                }
                "n" => {
                    let count = number(text).filter(|count| (1..=MAX_CHOICES).contains(count));
                    request.choices = count.ok_or_else(bad)?;
                    request.count_member = Quantity::of(name);
                }
                _ => {
                    // To some engines, 0 says that there is none.
                    let bound = number(text).ok_or_else(bad)?.checked_sub(1);
                    let bound = bound.map_or(u64::MAX, |bound| bound + 1);
                    if request.output_bound.is_none_or(|before| bound > before) {
                        request.output_bound = Some(bound);
                        request.bound_member = Quantity::of(name);
                    }
                }
            }
        }
        Ok(Self { request, uses: uses.finish(), place })
    }
}

impl ModelPlace {
    /// Has the form name `model`. `None`: it can't be written there.
    #[must_use]
    pub fn name(&self, boundary: &Boundary, model: &str) -> Option<Edits> {
        let delimiter = boundary.delimiter();
        if memchr::memmem::find(model.as_bytes(), &delimiter).is_some() {
            return None;
        }
        let mut edits = Edits::default();
        match &self.0 {
            Some(range) => edits.add(range.clone(), model.as_bytes().to_vec()),
            None => {
                const HEADER: &[u8] = b"\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n";
                edits.add(0..0, [&delimiter, HEADER, model.as_bytes(), b"\r\n"].concat());
            }
        }
        Some(edits)
    }
}

/// What a part says; `None`: it is a file, or no text, or a long one.
fn text(part: &Part) -> Option<&str> {
    let is_text = !part.is_file && part.is_whole();
    std::str::from_utf8(&part.text).ok().filter(|_| is_text)
}

/// Only as everybody reads it.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}
