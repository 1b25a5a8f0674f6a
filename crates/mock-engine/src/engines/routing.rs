//! Which endpoint a server finds for a path, by its own rules: a gateway that compares otherwise lets
//! requests through unread.

use super::answer::Made;
use super::call::{Call, Endpoint, Make};
use super::error::Failure;
use crate::engine::Engine;
use crate::http::{Request, Response};

/// What a server does with a path.
pub(super) enum Routed {
    To(Make),
    /// Not found, not allowed, or somewhere else.
    Elsewhere(Response),
}

/// What a path is among the endpoints.
enum Found {
    Endpoint(Make),
    /// The path is there, with other methods.
    OtherMethod,
    Nothing,
}

/// `endpoints` are those that the engine has.
pub(super) fn route(engine: Engine, endpoints: &[Endpoint], request: &Request) -> Routed {
    let raw = request.path();
    let decoded = percent_decoded(raw);
    match engine {
        Engine::Vllm | Engine::Sglang | Engine::Transformers => {
            fastapi(endpoints, request, &decoded)
        }
        Engine::LlamaCpp => match find(endpoints, &request.method, &decoded, |a, b| a == b) {
            Found::Endpoint(make) => Routed::To(make),
            Found::OtherMethod | Found::Nothing => Routed::Elsewhere(Response::json(
                404,
                r#"{"error":{"message":"File Not Found","type":"not_found_error","code":404}}"#,
            )),
        },
        // axum compares the path as it was sent.
        Engine::Tgi => match find(endpoints, &request.method, raw, |a, b| a == b) {
            Found::Endpoint(make) => Routed::To(make),
            Found::OtherMethod => Routed::Elsewhere(text(405, "")),
            Found::Nothing => Routed::Elsewhere(text(404, "")),
        },
        Engine::Ollama => gin(endpoints, request, &decoded),
    }
}

/// Starlette's patterns end in `$`, which in Python also matches before a final newline.
fn fastapi(endpoints: &[Endpoint], request: &Request, path: &[u8]) -> Routed {
    let same = |path: &[u8], pattern: &[u8]| {
        path == pattern || path.strip_suffix(b"\n").is_some_and(|path| path == pattern)
    };
    match find(endpoints, &request.method, path, same) {
        Found::Endpoint(make) => Routed::To(make),
        Found::OtherMethod => {
            Routed::Elsewhere(Response::json(405, r#"{"detail":"Method Not Allowed"}"#))
        }
        Found::Nothing => match toggled(path) {
            Some(other) if !matches!(find(endpoints, b"", &other, same), Found::Nothing) => {
                Routed::Elsewhere(redirect(307, request, &other))
            }
            _ => Routed::Elsewhere(Response::json(404, r#"{"detail":"Not Found"}"#)),
        },
    }
}

fn gin(endpoints: &[Endpoint], request: &Request, path: &[u8]) -> Routed {
    let same = |path: &[u8], pattern: &[u8]| path == pattern;
    match find(endpoints, &request.method, path, same) {
        Found::Endpoint(make) => Routed::To(make),
        Found::OtherMethod => Routed::Elsewhere(text(405, "405 method not allowed")),
        Found::Nothing => match toggled(path) {
            Some(other) if !matches!(find(endpoints, b"", &other, same), Found::Nothing) => {
                let status = if request.method == b"GET" { 301 } else { 307 };
                Routed::Elsewhere(redirect(status, request, &other))
            }
            _ => Routed::Elsewhere(text(404, "404 page not found")),
        },
    }
}

fn text(status: u16, body: &str) -> Response {
    Response::new(status, "text/plain; charset=utf-8", body)
}

/// To the path that is there.
fn redirect(status: u16, request: &Request, path: &[u8]) -> Response {
    let mut response = text(status, "");
    let host = request.header("Host").unwrap_or_default();
    let (host, path) = (String::from_utf8_lossy(host), String::from_utf8_lossy(path));
    response.location = Some(format!("http://{host}{path}"));
    response
}

/// The path with a final slash more, or less.
fn toggled(path: &[u8]) -> Option<Vec<u8>> {
    match path.strip_suffix(b"/") {
        Some(b"") | None if path == b"/" => None,
        Some(shorter) => Some(shorter.to_vec()),
        None => Some([path, b"/"].concat()),
    }
}

fn find(
    endpoints: &[Endpoint],
    method: &[u8],
    path: &[u8],
    same: impl Fn(&[u8], &[u8]) -> bool,
) -> Found {
    let here = |endpoint: &&Endpoint| same(path, &with_segments_of(path, endpoint.1));
    let mut found = Found::Nothing;
    for endpoint in endpoints.iter().filter(here) {
        if endpoint.0.as_bytes() == method || (method == b"HEAD" && endpoint.0 == "GET") {
            return Found::Endpoint(endpoint.2);
        }
        found = Found::OtherMethod;
    }
    found
}

/// The pattern, with the path's own segments where it takes any.
fn with_segments_of(path: &[u8], pattern: &str) -> Vec<u8> {
    let mut segments = path.split(|&byte| byte == b'/');
    let filled: Vec<&[u8]> = pattern
        .split('/')
        .map(|wanted| match segments.next() {
            Some(segment) if wanted.starts_with('{') && !segment.is_empty() => segment,
            _ => wanted.as_bytes(),
        })
        .collect();
    filled.join(&b'/')
}

fn percent_decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or_default());
                rest = after.get(2..).unwrap_or_default();
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

/// An endpoint that is there, and says so.
pub(super) fn empty(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::text(200, "text/plain; charset=utf-8", ""))
}
