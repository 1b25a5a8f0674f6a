//! The models that a request names outside of its body: in its path, and in its query.

use std::borrow::Cow;

use super::naming::without_slashes_at_end;
use super::Engine;
use crate::llm::request::MAX_MODEL_LEN;
use crate::path::up_to_query;

/// Behind these segments of a path stands a model, as Azure and LiteLLM have it.
const MARKS: [&[u8]; 2] = [b"deployments", b"engines"];

/// What Docker Model Runner has there instead, before the version of the API: the engine that it is to ask.
const RUNNERS: [&[u8]; 5] = [b"llama.cpp", b"vllm", b"sglang", b"mlx", b"diffusers"];

/// What a query says of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InQuery<'q> {
    /// Nothing.
    Nothing,
    /// It names this one, to all who read it.
    One(Cow<'q, str>),
    /// It names one, or several, but not everybody reads the same.
    Unclear,
}

/// The model that `path` of a page of one model names: what the engine reads, which unescapes it as nginx did.
/// `None`: it can't be the name of one, or not everybody reads the same.
#[must_use]
pub fn model_in_path(path: &[u8]) -> Option<&str> {
    let name = std::str::from_utf8(path.get(before_model(path)?..)?).ok()?;
    let is_one = is_name(name) && !name.ends_with('/') && !name.contains(['?', '#']);
    is_one.then_some(name)
}

/// The models that the path of a request with a body names beside it, as Azure's and LiteLLM's have it:
/// `/openai/deployments/{model}/chat/completions`, `/engines/{model}/completions`. The engine may go by that.
/// LiteLLM takes all segments up to the end of the path for the name, others the first. What is no text, is an
/// empty name.
#[must_use]
pub fn models_before_end(engine: Engine, path: &[u8]) -> Vec<&str> {
    let mut found = Vec::new();
    let shortest = MARKS.iter().map(|mark| b"//".len() + mark.len()).min();
    if shortest.is_some_and(|shortest| path.len() < shortest) {
        return found;
    }
    let path = without_slashes_at_end(path);
    let is_mark = |segment: &[u8]| MARKS.iter().any(|mark| segment.eq_ignore_ascii_case(mark));
    let mut behind = 0;
    for segment in path.split(|&byte| byte == b'/') {
        behind += segment.len() + 1;
        if !is_mark(segment) {
            continue;
        }
        let Some(rest) = path.get(behind..) else { continue };
        let Some(name) = before_end(engine, path, rest) else { continue };
        let first = name.split(|&byte| byte == b'/').next().unwrap_or_default();
        for name in [first, name] {
            let name = std::str::from_utf8(name).unwrap_or_default();
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

/// What stands in `rest`, the end of `path`, before the end that is of the engine's API.
fn before_end<'p>(engine: Engine, path: &[u8], rest: &'p [u8]) -> Option<&'p [u8]> {
    let row = engine.read(path);
    let segments = row.map_or(1, |row| {
        let segments = row.path.split('/').skip(1);
        segments.skip_while(|segment| is_version(segment.as_bytes())).count()
    });
    let without_last = |path: &'p [u8], count: usize| {
        let mut ends = path.iter().enumerate().rev().filter(|(_, byte)| **byte == b'/');
        let end = ends.nth(count.saturating_sub(1)).map(|(at, _)| at);
        end.and_then(|end| path.get(..end))
    };
    // What is no more than the API's own end may be a model, and a shorter one.
    let name = without_last(rest, segments).or_else(|| without_last(rest, 1))?;
    let last = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if !is_version(last) {
        return Some(name);
    }
    let name = without_last(name, 1)?;
    (!RUNNERS.contains(&name)).then_some(name)
}

fn is_version(segment: &[u8]) -> bool {
    matches!(segment, [b'v', digit] if digit.is_ascii_digit())
}

/// What the query of a request says of the model, as llama.cpp's router goes by it: `?model=x`.
#[must_use]
pub fn model_in_query(query: &[u8]) -> InQuery<'_> {
    let mut found = InQuery::Nothing;
    if query.is_empty() {
        return found;
    }
    for part in query.split(|byte| matches!(byte, b'&' | b';')) {
        let end = part.iter().position(|&byte| byte == b'=').unwrap_or(part.len());
        let (name, value) = part.split_at(end);
        if !is_model(&decoded(name)) {
            continue;
        }
        let value = value.strip_prefix(b"=").unwrap_or_default();
        // Some read a "+" as a blank, and some end a part at ";".
        let is_clear =
            found == InQuery::Nothing && !query.contains(&b';') && !value.contains(&b'+');
        found = match text(decoded(value)).filter(|_| is_clear) {
            Some(name) if is_name(&name) && !name.contains('%') => InQuery::One(name),
            _ => return InQuery::Unclear,
        };
    }
    found
}

/// Whether the name of a parameter may be taken for `model`.
fn is_model(name: &[u8]) -> bool {
    let name = name.trim_ascii();
    let name = name.split(|&byte| byte == b'[').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"model")
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// With each `%XX` as what it stands for.
fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let escaped = match (byte, after) {
            (b'%', [high, low, ..]) => digit(high)
                .zip(digit(low))
                .and_then(|(high, low)| u8::try_from(high * 16 + low).ok()),
            _ => None,
        };
        out.push(escaped.unwrap_or(*byte));
        rest = match escaped {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    Cow::Owned(out)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_MODEL_LEN && !name.contains(char::is_control)
}

/// How much of `path` is before the name of a model. The first that fits counts: what the operator has
/// before the engine's paths, is hardly called so, and the longer name fits no pattern that the shorter
/// one doesn't fit as well.
pub(super) fn before_model(path: &[u8]) -> Option<usize> {
    let behind = |start: &[u8]| {
        let found = path.windows(start.len()).position(|part| part.eq_ignore_ascii_case(start))?;
        let at = found + start.len();
        path.get(at..).is_some_and(|rest| !rest.is_empty()).then_some(at)
    };
    behind(b"/v1/models/").or_else(|| behind(b"/models/"))
}

/// What the request says of the model beside its body: the query, and what stands in the path behind a `?` that was
/// encoded, for those who decode it first.
#[must_use]
pub fn model_in_queries<'q>(path: &'q [u8], query: &'q [u8]) -> InQuery<'q> {
    let hidden = up_to_query(path).and_then(|start| path.get(start.len() + 1..));
    match (model_in_query(query), hidden.map_or(InQuery::Nothing, model_in_query)) {
        (found, InQuery::Nothing) => found,
        _ => InQuery::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_beside_that_of_the_body_are_seen() {
        for (path, expected) in [
            ("/openai/deployments/gpt/chat/completions", &["gpt"][..]),
            ("/openai/deployments/gpt/chat/completions/", &["gpt"]),
            ("/x/Engines/a b/completions", &["a b"]),
            ("/deployments//completions", &[""]),
            ("/v1/chat/completions", &[]),
            ("/v1/engines", &[]),
            ("/engines/completions", &[]),
            ("/my-engines/x/completions", &[]),
            // LiteLLM has no more before that end.
            ("/engines/chat/completions", &["chat"]),
            ("/engines/a/b/chat/completions", &["a", "a/b"]),
            ("/engines/a/deployments/b/chat/completions", &["a", "a/deployments/b", "b"]),
            ("/deployments/a/engines/b/embeddings", &["a", "a/engines/b", "b"]),
            ("/engines/a/b/whatever", &["a", "a/b"]),
            // Docker Model Runner
            ("/engines/v1/chat/completions", &[]),
            ("/engines/llama.cpp/v1/chat/completions", &[]),
            ("/engines/vllm/v1/embeddings", &[]),
            ("/engines/vllm/embeddings", &["vllm"]),
            ("/engines/secret/v1/chat/completions", &["secret"]),
            ("/engines/secret/llama.cpp/v1/chat/completions", &["secret", "secret/llama.cpp"]),
            ("/engines/v1/secret/chat/completions", &["v1", "v1/secret"]),
        ] {
            assert_eq!(models_before_end(Engine::OpenAi, path.as_bytes()), expected, "{path}");
        }
        assert_eq!(models_before_end(Engine::OpenAi, b"/engines/\xff/completions"), [""]);
    }

    #[test]
    fn the_model_of_a_path_is_what_the_engine_reads() {
        for (path, expected) in [
            ("/v1/models/llama", Some("llama")),
            ("/V1/MODELS/org/llama", Some("org/llama")),
            ("/gpu/v1/models/a b", Some("a b")),
            ("/models/llama", Some("llama")),
            ("/v1/models/x/v1/models/y", Some("x/v1/models/y")),
            ("/v1/models/llama/", None),
            ("/v1/models/llama?x", None),
            ("/v1/models/llama#x", None),
            ("/v1/models/a\nb", None),
            ("/v1/models/", None),
            ("/v1/models", None),
        ] {
            assert_eq!(model_in_path(path.as_bytes()), expected, "{path}");
        }
        assert_eq!(model_in_path(b"/v1/models/\xff"), None);
        let long = format!("/v1/models/{}", "a".repeat(257));
        assert_eq!(model_in_path(long.as_bytes()), None);
    }

    #[test]
    fn the_model_of_a_query_is_what_all_read() {
        let one = |name: &str| InQuery::One(Cow::Owned(name.to_owned()));
        for (query, expected) in [
            ("", InQuery::Nothing),
            ("autoload=true&models=x&mode=l&a=model", InQuery::Nothing),
            ("model=llama", one("llama")),
            ("autoload=true&model=org%2Fllama:8b", one("org/llama:8b")),
            ("%6dodel=llama", one("llama")),
            (" Model =llama", one("llama")),
            ("model[]=llama", one("llama")),
            ("model=a&model=a", InQuery::Unclear),
            ("model=a&MODEL=b", InQuery::Unclear),
            ("model=a;x=b", InQuery::Unclear),
            ("x=a;model=b", InQuery::Unclear),
            ("model", InQuery::Unclear),
            ("model=", InQuery::Unclear),
            ("model=a+b", InQuery::Unclear),
            ("model=a%2500", InQuery::Unclear),
            ("model=a%00", InQuery::Unclear),
            ("model=%ff", InQuery::Unclear),
            ("model=a%", InQuery::Unclear),
        ] {
            assert_eq!(model_in_query(query.as_bytes()), expected, "{query}");
        }
        assert_eq!(model_in_queries(b"/props", b"model=a"), one("a"));
        assert_eq!(model_in_queries(b"/props?model=a", b""), InQuery::Unclear);
        assert_eq!(model_in_queries(b"/props?x", b"model=a"), one("a"));
    }
}
