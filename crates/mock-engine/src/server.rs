//! Connections, and the requests on them.

use std::collections::VecDeque;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::engine;
use crate::error::{ApiError, Dialect};
use crate::http::{read_body, read_head, ReadError, Request, Version};
use crate::options::Pace;
use crate::peer::Connection;
use crate::record::Record;
use crate::routes;

/// Enough for the deepest JSON that serde_json reads, and little for thousands of threads.
const STACK_BYTES: usize = 512 * 1024;

/// What the threads share.
struct Engine {
    pace: Pace,
    engine: Option<engine::Engine>,
    record: Record,
    queue: Mutex<Queue>,
    /// Told of each connection in the queue.
    arrival: Condvar,
}

/// Connections that no thread serves yet.
#[derive(Default)]
struct Queue {
    connections: VecDeque<TcpStream>,
    /// Threads that wait for a connection, or are about to.
    idle: usize,
}

impl Engine {
    /// It is whole between any two statements that hold it.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves for ever. This thread only accepts, as the system's own queue is short, and a connection
/// that finds it full has to try again a second later.
pub(crate) fn serve(
    listener: &TcpListener,
    pace: Pace,
    engine: Option<engine::Engine>,
) -> Result<(), String> {
    let engine = Arc::new(Engine {
        pace,
        engine,
        record: Record::default(),
        queue: Mutex::default(),
        arrival: Condvar::new(),
    });
    if !start_thread(&engine) {
        return Err("cannot start a thread".to_owned());
    }
    loop {
        if let Ok((connection, _)) = listener.accept() {
            engine.queue().connections.push_back(connection);
            engine.arrival.notify_one();
        } else {
            // Out of file descriptors, most likely: some are given back when a connection ends.
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Starts a thread that serves connections; false if the system refuses another one.
fn start_thread(engine: &Arc<Engine>) -> bool {
    engine.queue().idle += 1;
    let shared = Arc::clone(engine);
    let started = thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || serve_connections(&shared))
        .is_ok();
    if !started {
        engine.queue().idle -= 1;
    }
    started
}

/// A thread serves one connection at a time and then takes the next, and the last idle one starts
/// another: so there are as many as there were ever connections at once, and none is started per
/// request. Where no more can be started, connections wait for a thread that is done.
fn serve_connections(engine: &Arc<Engine>) {
    loop {
        let mut queue = engine.queue();
        let connection = loop {
            if let Some(connection) = queue.connections.pop_front() {
                break connection;
            }
            queue = engine.arrival.wait(queue).unwrap_or_else(PoisonError::into_inner);
        };
        queue.idle -= 1;
        let is_last = queue.idle == 0;
        drop(queue);
        if is_last {
            start_thread(engine);
        }
        serve_connection(engine, &connection);
        drop(connection);
        engine.queue().idle += 1;
    }
}

/// Answers request after request. An I/O error means that the client is gone: nobody to tell.
fn serve_connection(engine: &Engine, connection: &TcpStream) {
    // Without it a small write waits for the acknowledgement of the one before (Nagle).
    if connection.set_nodelay(true).is_err() {
        return;
    }
    let mut input = BufReader::with_capacity(16 * 1024, connection);
    let mut output = connection;

    loop {
        let mut request = match next_request(&mut input, &mut output) {
            Ok(Some(request)) => request,
            Err(ReadError::Refused { status, message }) => {
                let error =
                    ApiError { status, message: message.to_owned(), param: None, code: None };
                let response = error.response(Dialect::OpenAi);
                // We close anyway, and the version is unknown.
                let _ = output.write_all(&response.encode(Version::Http11, false, false));
                return;
            }
            Ok(None) | Err(ReadError::Gone) => return,
        };
        let mut peer = Connection(connection);
        match routes::answer(&mut request, engine.pace, engine.engine, &engine.record, &mut peer) {
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
