//! Which answer a request gets.

use std::sync::Arc;

use serde_json::json;

use crate::api::{Answer, Endpoint};
use crate::body::send_whole;
use crate::controls::Controls;
use crate::echo;
use crate::engine::Engine;
use crate::engines::{Call, Failure, Made, Scripted};
use crate::error::{ApiError, Dialect};
use crate::http::{Request, Response, Version};
use crate::options::Pace;
use crate::peer::{Ended, Peer};
use crate::record::{Record, Running};
use crate::stream::Stream;

/// Sends the answer; tells whether the connection may go on. Takes the body of a POST away from
/// the request, into the record.
pub(crate) fn answer(
    request: &mut Request,
    pace: Pace,
    engine: Option<Engine>,
    record: &Record,
    peer: &mut dyn Peer,
) -> Result<bool, Ended> {
    let keeps_alive = request.keeps_alive();
    let named = request.header("X-Mock-Engine").and_then(|name| std::str::from_utf8(name).ok());
    let engine = named.and_then(Engine::of).or(engine);
    let is_own = request.path().starts_with(b"/_mock/") || request.path().starts_with(b"/echo");
    if let Some(engine) = engine.filter(|_| !is_own) {
        return as_engine(engine, request, pace, record, peer);
    }
    let (error, dialect) = match Endpoint::of(request.path()) {
        Some(endpoint) if request.method == b"POST" => {
            let body = Arc::new(std::mem::take(&mut request.body));
            record.keep_body(request.header("X-Request-ID"), Arc::clone(&body));
            match generate(endpoint, request, &body, pace, record, peer) {
                Ok(sent) => return sent,
                Err(error) => (error, endpoint.dialect()),
            }
        }
        Some(endpoint) if request.path() != b"/v1/chat/completions" || request.method != b"GET" => {
            (not_allowed(request), endpoint.dialect())
        }
        _ => match record.shelf.answer(request).unwrap_or_else(|| fixed(request, record)) {
            Ok(response) => {
                peer.write_all(&response.encode(request.version, request.is_head(), keeps_alive))?;
                return Ok(keeps_alive);
            }
            Err(error) => (error, Dialect::OpenAi),
        },
    };
    let response = error.response(dialect);
    peer.write_all(&response.encode(request.version, request.is_head(), keeps_alive))?;
    Ok(keeps_alive)
}

/// Answers a request to an API. The outer error is for the client, and still to be sent.
fn generate(
    endpoint: Endpoint,
    request: &Request,
    body: &[u8],
    pace: Pace,
    record: &Record,
    peer: &mut dyn Peer,
) -> Result<Result<bool, Ended>, ApiError> {
    let controls = Controls::of(request, pace)?;
    if let Some(status) = controls.status {
        if let Err(gone) = peer.wait(controls.latency) {
            return Ok(Err(gone));
        }
        let message = "As X-Mock-Status asked for.".to_owned();
        return Err(ApiError { status, message, param: None, code: None });
    }
    if let Some(error) = record.shelf.lacks_previous(body) {
        return Err(error);
    }
    let answer = endpoint.answer(body, &controls)?;
    record.shelf.keep(request.path(), body, &answer.whole());

    let running = record.start(request, answer.input());
    let sent = send(answer.as_ref(), request, &controls, &running, peer);
    Ok(ended(sent, answer.as_ref(), request, &controls, running))
}

/// Counts the end of a generation; tells whether the connection may go on.
fn ended(
    sent: Result<(), Ended>,
    answer: &dyn Answer,
    request: &Request,
    controls: &Controls,
    running: Running<'_>,
) -> Result<bool, Ended> {
    match sent {
        // An event may carry more than one token.
        Ok(()) => running.made_all_of(answer.tokens()),
        Err(why) => running.ends_early(why),
    }
    // Without chunks, only the end of the connection ends an answer of unknown length.
    let has_end =
        request.version == Version::Http11 || answer.format().is_none() && controls.split.is_none();
    sent.map(|()| has_end && request.keeps_alive())
}

/// Answers as a real server does.
fn as_engine(
    engine: Engine,
    request: &mut Request,
    pace: Pace,
    record: &Record,
    peer: &mut dyn Peer,
) -> Result<bool, Ended> {
    let body = Arc::new(std::mem::take(&mut request.body));
    if request.method == b"POST" {
        record.keep_body(request.header("X-Request-ID"), Arc::clone(&body));
    }
    let keeps_alive = request.keeps_alive();
    let response = match Controls::of(request, pace) {
        Err(error) => error.response(Dialect::OpenAi),
        Ok(controls) => {
            let call = Call { engine, request, controls: &controls, record, body: &body };
            match made(&call, peer)? {
                Made::Fixed(response) => response,
                Made::Generated(answer) => return run(&call, &answer, peer),
            }
        }
    };
    peer.write_all(&response.encode(request.version, request.is_head(), keeps_alive))?;
    Ok(keeps_alive)
}

/// What the server makes of a request.
fn made(call: &Call<'_>, peer: &mut dyn Peer) -> Result<Made, Ended> {
    let make = match call.engine.endpoint(call.request) {
        Ok(make) => make,
        Err(response) => return Ok(Made::Fixed(response)),
    };
    let made = match call.controls.status {
        Some(status) => {
            peer.wait(call.controls.latency)?;
            let message = "As X-Mock-Status asked for.".to_owned();
            Err(Failure::Api(ApiError { status, message, param: None, code: None }))
        }
        None => make(call),
    };
    Ok(made.unwrap_or_else(|failure| Made::Fixed(failure.response(call))))
}

/// Sends a generated answer.
fn run(call: &Call<'_>, answer: &Scripted, peer: &mut dyn Peer) -> Result<bool, Ended> {
    let Call { engine, request, controls, record, .. } = *call;
    let conversation = request.header("X-Conversation-Id").filter(|_| engine.goes_on_alone());
    if let Some((id, text)) = conversation.zip(answer.text()) {
        record.keep_conversation(id, text.into_bytes());
    }
    let running = record.start(request, answer.input);
    let sent = send(answer, request, controls, &running, peer);
    let is_whole = answer.format().is_none();
    if sent == Err(Ended::Gone) && engine.goes_on_alone() && (is_whole || conversation.is_some()) {
        running.made_all_of(answer.output);
    }
    ended(sent, answer, request, controls, running)
}

fn send(
    answer: &dyn Answer,
    request: &Request,
    controls: &Controls,
    running: &Running<'_>,
    peer: &mut dyn Peer,
) -> Result<(), Ended> {
    if let Some(format) = answer.format() {
        let mut stream = Stream::begin(peer, request, controls, running, format)?;
        answer.stream(&mut stream)?;
        stream.finish()
    } else {
        let response = Response::json(200, answer.whole());
        send_whole(peer, request, controls, running, response, answer.tokens())
    }
}

/// Everything that is not an API's.
fn fixed(request: &Request, record: &Record) -> Result<Response, ApiError> {
    let is_get = matches!(request.method.as_slice(), b"GET" | b"HEAD");
    let path = request.path();
    let kept = |body: Option<Arc<Vec<u8>>>| match body {
        Some(body) => Ok(Response::new(200, "application/octet-stream", body.to_vec())),
        None => Err(not_found(path)),
    };

    if path == b"/echo" || path.starts_with(b"/echo/") {
        return Ok(echo::answer(request));
    }
    match path {
        b"/health" if is_get => Ok(Response::json(200, json!({"status": "ok"}).to_string())),
        b"/v1/models" if is_get => Ok(models()),
        b"/_mock/made" if is_get => made_json(Some(record.made())),
        b"/_mock/stats" if is_get => Ok(Response::json(200, record.stats().to_string())),
        b"/_mock/last-body" if is_get => kept(record.last_body()),
        b"/health" | b"/v1/models" | b"/_mock/stats" | b"/_mock/last-body" => {
            Err(not_allowed(request))
        }
        _ if path.starts_with(b"/_mock/made/") && is_get => {
            made_json(record.made_for(path.strip_prefix(b"/_mock/made/").unwrap_or_default()))
        }
        _ => match path.strip_prefix(b"/_mock/body/") {
            Some(request_id) if is_get => kept(record.body_of(request_id)),
            Some(_) => Err(not_allowed(request)),
            None => Err(not_found(path)),
        },
    }
}

/// What the engine's own counters say.
fn made_json(made: Option<(u64, u64)>) -> Result<Response, ApiError> {
    let (input, output) = made.ok_or_else(|| not_found(b"/_mock/made"))?;
    Ok(Response::json(200, json!({"input": input, "output": output}).to_string()))
}

/// The only model listed; a completion is given under whatever name it was asked for.
fn models() -> Response {
    let model = json!({"id": "mock", "object": "model", "created": 0, "owned_by": "mock-engine"});
    Response::json(200, json!({"object": "list", "data": [model]}).to_string())
}

fn not_found(path: &[u8]) -> ApiError {
    ApiError {
        status: 404,
        message: format!("There is nothing at {}.", String::from_utf8_lossy(path)),
        param: None,
        code: Some("unknown_url"),
    }
}

fn not_allowed(request: &Request) -> ApiError {
    ApiError {
        status: 405,
        message: format!("Not allowed here: {}.", String::from_utf8_lossy(&request.method)),
        param: None,
        code: Some("method_not_allowed"),
    }
}
