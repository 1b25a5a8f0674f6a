//! What tests ask about afterwards: how generations ended, and which bodies came.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{json, Value};

use crate::http::Request;
use crate::peer::Ended;
use crate::shelf::Shelf;

/// Bodies kept, and their bytes together: the older ones go first.
const MAX_BODIES: usize = 1024;
const MAX_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    started: u64,
    finished: u64,
    aborted: u64,
    cut: u64,
    tokens_sent: u64,
}

#[derive(Debug)]
struct Body {
    request_id: Option<Vec<u8>>,
    bytes: Arc<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Bodies {
    /// In order of arrival.
    held: VecDeque<Body>,
    /// The sum of their lengths.
    bytes: usize,
}

/// What the engine's own counters would say: of all that it generated, and of each request.
#[derive(Debug, Default)]
struct Made {
    input: u64,
    output: u64,
    /// The latest, in order of arrival: id, input, output.
    requests: VecDeque<(Vec<u8>, u64, u64)>,
}

/// A response in the background.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) ready: Instant,
    /// What is told of it until then, and from then on.
    pub(crate) before: String,
    pub(crate) after: String,
}

/// Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What clients keep, where no engine is named.
    pub(crate) shelf: Shelf,
    counts: Mutex<Counts>,
    bodies: Mutex<Bodies>,
    made: Mutex<Made>,
    stored: Mutex<HashMap<String, Stored>>,
    /// Streams that go on without their client, by its id.
    conversations: Mutex<HashMap<Vec<u8>, Arc<Vec<u8>>>>,
}

impl Record {
    pub(crate) fn stats(&self) -> Value {
        let counts = *held(&self.counts);
        let ended = counts.finished + counts.aborted + counts.cut;
        json!({
            "started": counts.started,
            "active": counts.started - ended,
            "finished": counts.finished,
            "aborted": counts.aborted,
            "cut": counts.cut,
            "tokens_sent": counts.tokens_sent,
        })
    }

    /// Counts a generation that begins, with what it takes in.
    pub(crate) fn start(&self, request: &Request, input: u64) -> Running<'_> {
        held(&self.counts).started += 1;
        self.makes(request, input, 0);
        let request_id = request.header("X-Request-ID").map(<[u8]>::to_vec);
        Running { record: self, request_id, made: Cell::new(0), ended: Cell::new(false) }
    }

    /// Counts what a request makes the engine do.
    pub(crate) fn makes(&self, request: &Request, input: u64, output: u64) {
        self.add(request.header("X-Request-ID"), input, output);
    }

    fn add(&self, request_id: Option<&[u8]>, input: u64, output: u64) {
        let mut made = held(&self.made);
        made.input += input;
        made.output += output;
        let Some(id) = request_id else { return };
        if let Some(one) = made.requests.iter_mut().rev().find(|one| one.0 == id) {
            one.1 += input;
            one.2 += output;
            return;
        }
        made.requests.push_back((id.to_vec(), input, output));
        if made.requests.len() > MAX_BODIES {
            made.requests.pop_front();
        }
    }

    /// Input and output of all requests.
    pub(crate) fn made(&self) -> (u64, u64) {
        let made = held(&self.made);
        (made.input, made.output)
    }

    /// Input and output of a request.
    pub(crate) fn made_for(&self, request_id: &[u8]) -> Option<(u64, u64)> {
        let made = held(&self.made);
        made.requests.iter().rev().find(|one| one.0 == request_id).map(|one| (one.1, one.2))
    }

    pub(crate) fn store(&self, id: String, response: Stored) {
        held(&self.stored).insert(id, response);
    }

    /// What is to be told now of a response in the background.
    pub(crate) fn stored(&self, id: &str) -> Option<String> {
        let stored = held(&self.stored);
        let response = stored.get(id)?;
        let is_ready = response.ready <= Instant::now();
        Some(if is_ready { &response.after } else { &response.before }.clone())
    }

    pub(crate) fn keep_conversation(&self, id: &[u8], bytes: Vec<u8>) {
        held(&self.conversations).insert(id.to_vec(), Arc::new(bytes));
    }

    pub(crate) fn conversation(&self, id: &[u8]) -> Option<Arc<Vec<u8>>> {
        held(&self.conversations).get(id).map(Arc::clone)
    }

    pub(crate) fn forget_conversation(&self, id: &[u8]) {
        held(&self.conversations).remove(id);
    }

    pub(crate) fn keep_body(&self, request_id: Option<&[u8]>, bytes: Arc<Vec<u8>>) {
        let mut bodies = held(&self.bodies);
        bodies.bytes += bytes.len();
        bodies.held.push_back(Body { request_id: request_id.map(<[u8]>::to_vec), bytes });
        while bodies.held.len() > MAX_BODIES || bodies.bytes > MAX_BYTES {
            let Some(oldest) = bodies.held.pop_front() else { break };
            bodies.bytes -= oldest.bytes.len();
        }
    }

    pub(crate) fn last_body(&self) -> Option<Arc<Vec<u8>>> {
        held(&self.bodies).held.back().map(|body| Arc::clone(&body.bytes))
    }

    pub(crate) fn body_of(&self, request_id: &[u8]) -> Option<Arc<Vec<u8>>> {
        let bodies = held(&self.bodies);
        let found =
            bodies.held.iter().rev().find(|body| body.request_id.as_deref() == Some(request_id));
        found.map(|body| Arc::clone(&body.bytes))
    }
}

/// The records are whole after each statement: a panic elsewhere makes them no worse.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A generation that has started. Whoever reads the last byte of an answer and then the counts is
/// to find it there, so tokens and ends are counted just before the bytes go out.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    record: &'a Record,
    request_id: Option<Vec<u8>>,
    /// Tokens of output so far.
    made: Cell<u64>,
    /// Counted as finished.
    ended: Cell<bool>,
}

impl Running<'_> {
    /// Counts tokens that are about to be sent.
    pub(crate) fn sends(&self, tokens: u64) {
        held(&self.record.counts).tokens_sent += tokens;
        self.made_all_of(self.made.get().saturating_add(tokens));
    }

    /// Counts tokens as made, whether or not they are sent, up to so many.
    pub(crate) fn made_all_of(&self, tokens: u64) {
        let more = tokens.saturating_sub(self.made.replace(self.made.get().max(tokens)));
        if more > 0 {
            self.record.add(self.request_id.as_deref(), 0, more);
        }
    }

    /// Counts it as finished, before its end mark is sent.
    pub(crate) fn finishes(&self) {
        if !self.ended.replace(true) {
            held(&self.record.counts).finished += 1;
        }
    }

    /// Counts it as cut or aborted, also if its end mark was what could not be sent.
    pub(crate) fn ends_early(self, why: Ended) {
        let mut counts = held(&self.record.counts);
        if self.ended.get() {
            counts.finished -= 1;
        }
        match why {
            Ended::Gone => counts.aborted += 1,
            Ended::Cut => counts.cut += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(id: &str) -> Request {
        let text = format!("POST / HTTP/1.1\r\nX-Request-ID: {id}\r\n\r\n");
        let mut input = text.as_bytes();
        let head = crate::http::read_head(&mut input).unwrap().unwrap();
        crate::http::read_body(&mut input, head).unwrap()
    }

    #[test]
    fn what_was_made_is_told_for_each_request() {
        let record = Record::default();
        let (first, second) = (request("a"), request("b"));
        let running = record.start(&first, 7);
        running.sends(2);
        running.sends(1);
        running.made_all_of(3);
        running.made_all_of(5);
        record.makes(&second, 1, 2);
        assert_eq!(record.made_for(b"a"), Some((7, 5)));
        assert_eq!(record.made_for(b"b"), Some((1, 2)));
        assert_eq!(record.made_for(b"c"), None);
        assert_eq!(record.made(), (8, 7));
    }

    #[test]
    fn a_generation_ends_once() {
        let record = Record::default();
        let request = request("a");
        let start = || record.start(&request, 7);
        let (finished, late) = (start(), start());
        let (gone, cut, _open) = (start(), start(), start());
        finished.sends(3);
        finished.finishes();
        finished.finishes();
        late.finishes();
        late.ends_early(Ended::Gone);
        gone.ends_early(Ended::Gone);
        cut.ends_early(Ended::Cut);
        assert_eq!(
            record.stats(),
            json!({
                "started": 5, "active": 1, "finished": 1, "aborted": 2, "cut": 1, "tokens_sent": 3
            })
        );
    }

    #[test]
    fn bodies_are_found_by_request_id_and_the_latest_counts() {
        let record = Record::default();
        assert_eq!(record.last_body(), None);
        for (id, body) in [(Some("a"), "1"), (Some("b"), "2"), (Some("a"), "3"), (None, "4")] {
            record.keep_body(id.map(str::as_bytes), Arc::new(body.into()));
        }
        assert_eq!(*record.last_body().unwrap(), b"4");
        assert_eq!(*record.body_of(b"a").unwrap(), b"3");
        assert_eq!(*record.body_of(b"b").unwrap(), b"2");
        assert_eq!(record.body_of(b"c"), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let record = Record::default();
        for number in 0..=MAX_BODIES {
            record.keep_body(Some(number.to_string().as_bytes()), Arc::new(vec![0]));
        }
        assert_eq!(record.body_of(b"0"), None);
        assert!(record.body_of(b"1").is_some());

        record.keep_body(None, Arc::new(vec![0; MAX_BYTES]));
        assert_eq!(record.body_of(b"1024"), None);
        assert_eq!(record.last_body().unwrap().len(), MAX_BYTES);
    }
}
