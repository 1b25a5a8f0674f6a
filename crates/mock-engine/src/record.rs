//! What tests ask about afterwards: how generations ended, and which bodies came.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{json, Value};

use crate::peer::Ended;

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

/// Shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Record {
    counts: Mutex<Counts>,
    bodies: Mutex<Bodies>,
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

    /// Counts a generation that begins.
    pub(crate) fn start(&self) -> Running<'_> {
        held(&self.counts).started += 1;
        Running { record: self, ended: Cell::new(false) }
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
    /// Counted as finished.
    ended: Cell<bool>,
}

impl Running<'_> {
    /// Counts tokens that are about to be sent.
    pub(crate) fn sends(&self, tokens: u64) {
        held(&self.record.counts).tokens_sent += tokens;
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

    #[test]
    fn a_generation_ends_once() {
        let record = Record::default();
        let (finished, late) = (record.start(), record.start());
        let (gone, cut, _open) = (record.start(), record.start(), record.start());
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
