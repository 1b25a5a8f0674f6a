//! Connections, and which answer a request gets.

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::chat::{ChatRequest, Completion};
use crate::echo;
use crate::error::ApiError;
use crate::http::{read_body, read_head, ReadError, Request, Response, Version};
use crate::options::Pace;

/// What the threads share.
struct Engine {
    listener: TcpListener,
    pace: Pace,
    /// Threads that wait for a connection.
    idle: AtomicUsize,
}

/// Serves for ever. A thread serves one connection at a time and then takes the next, so there are
/// as many threads as there were ever connections at once, and none is started per request.
pub(crate) fn serve(listener: TcpListener, pace: Pace) -> Result<(), String> {
    let engine = Arc::new(Engine { listener, pace, idle: AtomicUsize::new(1) });
    serve_connections(&engine);
    Err("cannot start a thread".to_owned())
}

/// Returns only when the system refuses another thread, and nobody would be left to accept.
fn serve_connections(engine: &Arc<Engine>) {
    loop {
        let Ok((connection, _)) = engine.listener.accept() else {
            // Out of file descriptors, most likely: some are given back when a connection ends.
            thread::sleep(Duration::from_millis(10));
            continue;
        };
        if engine.idle.fetch_sub(1, Ordering::Relaxed) == 1 {
            let successor = Arc::clone(engine);
            engine.idle.fetch_add(1, Ordering::Relaxed);
            let started = thread::Builder::new().spawn(move || serve_connections(&successor));
            if started.is_err() {
                return;
            }
        }
        serve_connection(engine.pace, &connection);
        engine.idle.fetch_add(1, Ordering::Relaxed);
    }
}

/// Answers request after request. An I/O error means that the client is gone: nobody to tell.
fn serve_connection(pace: Pace, connection: &TcpStream) {
    // Without it a small write waits for the acknowledgement of the one before (Nagle).
    if connection.set_nodelay(true).is_err() {
        return;
    }
    let mut input = BufReader::with_capacity(16 * 1024, connection);
    let mut output = connection;

    loop {
        let request = match next_request(&mut input, &mut output) {
            Ok(Some(request)) => request,
            Err(ReadError::Refused { status, message }) => {
                let error =
                    ApiError { status, message: message.to_owned(), param: None, code: None };
                // We close anyway, and the version is unknown.
                let _ = output.write_all(&error.response().encode(Version::Http11, false, false));
                return;
            }
            Ok(None) | Err(ReadError::Gone) => return,
        };
        match answer(&request, pace, &mut output) {
            Ok(true) => {}
            Ok(false) | Err(_) => return,
        }
    }
}

fn next_request(
    input: &mut BufReader<&TcpStream>,
    output: &mut impl Write,
) -> Result<Option<Request>, ReadError> {
    let Some(head) = read_head(input)? else {
        return Ok(None);
    };
    if head.expects_continue() {
        output.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    read_body(input, head).map(Some)
}

/// Sends the answer; tells whether the connection may go on.
fn answer(request: &Request, pace: Pace, output: &mut impl Write) -> std::io::Result<bool> {
    let keeps_alive = request.keeps_alive();
    let response = match route(request, pace) {
        Ok(Answer::Whole(response)) => response,
        Ok(Answer::Streamed(chat, pace)) => {
            // Without chunks, only the end of the connection ends the answer.
            let keeps_alive = keeps_alive && request.version == Version::Http11;
            Completion::new(&chat, pace).stream(output, request.version, keeps_alive)?;
            return Ok(keeps_alive);
        }
        Err(error) => error.response(),
    };
    output.write_all(&response.encode(request.version, request.is_head(), keeps_alive))?;
    Ok(keeps_alive)
}

#[derive(Debug)]
enum Answer {
    Whole(Response),
    Streamed(ChatRequest, Pace),
}

fn route(request: &Request, pace: Pace) -> Result<Answer, ApiError> {
    let is_get = matches!(request.method.as_slice(), b"GET" | b"HEAD");
    let path = request.path();

    match path {
        b"/health" if is_get => {
            Ok(Answer::Whole(Response::json("200 OK", json!({"status": "ok"}).to_string())))
        }
        b"/v1/models" if is_get => Ok(Answer::Whole(models())),
        b"/v1/chat/completions" if request.method == b"POST" => {
            let pace = pace_of(request, pace)?;
            let chat = ChatRequest::parse(&request.body)?;
            Ok(if chat.is_streamed() {
                Answer::Streamed(chat, pace)
            } else {
                Answer::Whole(Completion::new(&chat, pace).response())
            })
        }
        b"/health" | b"/v1/models" | b"/v1/chat/completions" => Err(ApiError {
            status: "405 Method Not Allowed",
            message: format!("Not allowed here: {}.", String::from_utf8_lossy(&request.method)),
            param: None,
            code: Some("method_not_allowed"),
        }),
        _ if path == b"/echo" || path.starts_with(b"/echo/") => {
            Ok(Answer::Whole(echo::answer(request)))
        }
        _ => Err(ApiError {
            status: "404 Not Found",
            message: format!("There is nothing at {}.", String::from_utf8_lossy(path)),
            param: None,
            code: Some("unknown_url"),
        }),
    }
}

/// The only model listed; a completion is given under whatever name it was asked for.
fn models() -> Response {
    let model = json!({"id": "mock", "object": "model", "created": 0, "owned_by": "mock-engine"});
    Response::json("200 OK", json!({"object": "list", "data": [model]}).to_string())
}

/// The pace that the request's headers ask for.
fn pace_of(request: &Request, default: Pace) -> Result<Pace, ApiError> {
    let number = |name: &'static str| -> Result<Option<u64>, ApiError> {
        let Some(value) = request.header(name) else {
            return Ok(None);
        };
        let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        number.map(Some).ok_or_else(|| {
            ApiError::bad_request(None, format!("The header {name} is not a whole number."))
        })
    };
    let milliseconds = |name| Ok(number(name)?.map(Duration::from_millis));

    Ok(Pace {
        latency: milliseconds("X-Mock-Latency-Ms")?.unwrap_or(default.latency),
        token_delay: milliseconds("X-Mock-Token-Delay-Ms")?.unwrap_or(default.token_delay),
        tokens: number("X-Mock-Tokens")?.unwrap_or(default.tokens),
    })
}
