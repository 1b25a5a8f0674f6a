//! The questions about one request, or about its answer, to one classifier.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use tollgate_core::guards::classifier::memory::{Asker, Verdicts};
use tollgate_core::guards::classifier::question::question;
use tollgate_core::guards::classifier::verdict::verdicts;
use tollgate_core::guards::classifier::{Failure, Side, Verdict};
use tollgate_core::guards::digest::Digest;

use super::lane;
use super::Wait;
use crate::clock::mono_now;
use crate::conf::judge::Judge;
use crate::keys::question::{count, Asked};
use crate::keys::waiting::{is_over, Topic};
use crate::per_worker::{random_key, PerWorker};
use crate::types::Request;
use nginx::log::{cycle_error, cycle_warn};
use nginx::request::headers::HeaderName;
use nginx::subrequest::{is_compressed, Ask, Outcome, Sent, COMPRESSED};

/// The header of a question, by which one that comes back is known.
pub(super) const QUESTION: &str = "x-tollgate-question";
const QUESTION_LINE: HeaderName = HeaderName::new("X-Tollgate-Question", QUESTION);

/// What the guards' own rules have found.
const SCORE_LINE: HeaderName =
    HeaderName::new("X-Tollgate-Injection-Score", "x-tollgate-injection-score");

/// How many questions about one request there may be at a time.
const AT_A_TIME: usize = 4;

/// The most text in one question, in bytes, unless a single window has more.
const MAX_TEXT: usize = 128 << 10;

/// Verdicts that a worker remembers: about 1 MiB if all of them are in use.
const REMEMBERED: usize = 32_768;

static VERDICTS: PerWorker<Verdicts> = PerWorker::new(|| Verdicts::new(REMEMBERED, random_key()));

/// The questions about one request, or its answer, to one classifier. Each text has a key.
pub(super) struct Inquiry<K: Copy> {
    judge: Rc<Judge>,
    client: Box<str>,
    /// What nobody has been asked about yet.
    open: RefCell<VecDeque<Open<K>>>,
    /// Until when the questions that were asked are waited for.
    until: Cell<u64>,
    found: Rc<Found<K>>,
}

/// A text that nobody has been asked about.
struct Open<K> {
    /// Those of the text, which may have been said several times.
    keys: Vec<K>,
    text: Box<str>,
    digest: Digest,
    /// When its verdict is too late, in nanoseconds of the monotonic clock.
    deadline: u64,
}

/// What has been answered.
struct Found<K: Copy> {
    topic: Topic,
    /// How many questions are not.
    in_flight: Cell<usize>,
    refused: Cell<Option<K>>,
    /// Those that pass.
    passed: RefCell<Vec<K>>,
    failed: Cell<Option<Failed<K>>>,
    /// The highest score.
    score: Cell<Option<u8>>,
}

impl<K: Copy> Drop for Inquiry<K> {
    fn drop(&mut self) {
        lane::leave(self.judge.id, &self.client);
    }
}

impl<K: Copy> Found<K> {
    /// Notes what is said of the text with these keys.
    fn note(&self, keys: &[K], verdict: Verdict) {
        self.score.set(self.score.get().max(verdict.score));
        match verdict.is_refused {
            false => self.passed.borrow_mut().extend_from_slice(keys),
            true if self.refused.get().is_none() => self.refused.set(keys.first().copied()),
            true => {}
        }
    }

    /// Notes why there is no verdict. What is the text's doing, counts more.
    fn fail(&self, failed: Failed<K>) {
        let before = self.failed.get().map(|failed| failed.failure);
        if before != Some(Failure::Undecided) {
            self.failed.set(Some(failed));
        }
    }
}

/// Why there is no verdict.
#[derive(Clone, Copy)]
struct Failed<K> {
    failure: Failure,
    is_late: bool,
    key: Option<K>,
}

/// What comes next.
pub(super) enum Move<K> {
    /// Waiting for answers, or for the turn to ask.
    Wait(Wait),
    /// All that was asked about may pass.
    Passes,
    /// The text with this key is refused.
    Refused(K),
    /// The classifier doesn't say; and of what, if it is about a text.
    NotJudged { failure: Failure, is_late: bool, key: Option<K> },
}

fn now_ms() -> u64 {
    mono_now().0 / 1_000_000
}

impl<K: Copy + 'static> Inquiry<K> {
    /// Nothing is asked yet. What there is to be told, is told to `topic`.
    pub(super) fn new(judge: &Rc<Judge>, client: &str, topic: Topic) -> Self {
        let found = Rc::new(Found {
            topic,
            in_flight: Cell::new(0),
            refused: Cell::new(None),
            passed: RefCell::default(),
            failed: Cell::new(None),
            score: Cell::new(None),
        });
        Self {
            judge: Rc::clone(judge),
            client: client.into(),
            open: RefCell::default(),
            until: Cell::new(0),
            found,
        }
    }

    /// About these texts, of which some may have been judged before.
    pub(super) fn add(&self, r: Request<'_>, texts: impl IntoIterator<Item = (K, Box<str>)>) {
        let now = now_ms();
        // An internal location is one of the server that a request is in.
        let server = r.server();
        let asker = Asker { classifier: self.judge.id, server, client: &self.client };
        let timeout = self.judge.classifier.timeout_ms.saturating_mul(1_000_000);
        let deadline = mono_now().0.saturating_add(timeout);
        let mut open = self.open.borrow_mut();
        VERDICTS.with(|verdicts| {
            let mut seen: HashMap<Digest, usize> = HashMap::new();
            for (key, text) in texts {
                let digest = verdicts.digest(asker, &text);
                // What is said twice is judged once.
                let before = seen.get(&digest).and_then(|index| open.get_mut(*index));
                if let Some(before) = before {
                    before.keys.push(key);
                } else if let Some(known) = verdicts.get(digest, now) {
                    self.found.note(&[key], known);
                } else {
                    seen.insert(digest, open.len());
                    open.push_back(Open { keys: vec![key], text, digest, deadline });
                }
            }
        });
    }

    /// The highest score that was given so far.
    pub(super) fn score(&self) -> Option<u8> {
        self.found.score.get()
    }

    /// The keys of texts that pass, and weren't told yet.
    pub(super) fn take_passed(&self) -> Vec<K> {
        self.found.passed.take()
    }

    /// Asks what is to be asked, and says how it stands.
    pub(super) fn go_on(&self, r: Request<'_>, score: Option<u8>) -> Move<K> {
        if let Some(key) = self.found.refused.get() {
            return Move::Refused(key);
        }
        if let Some(Failed { failure, is_late, key }) = self.found.failed.get() {
            return Move::NotJudged { failure, is_late, key };
        }
        let deadline = match self.open.borrow().front() {
            Some(first) => first.deadline,
            None if self.found.in_flight.get() == 0 => return Move::Passes,
            None => self.until.get(),
        };
        if is_over(deadline) {
            return Move::NotJudged { failure: Failure::Unavailable, is_late: true, key: None };
        }
        while self.found.in_flight.get() < AT_A_TIME && !self.open.borrow().is_empty() {
            let Some(place) = lane::Place::take(self.judge.id, &self.client) else {
                if self.found.in_flight.get() == 0 {
                    lane::wait(self.judge.id, &self.client, self.found.topic);
                }
                break;
            };
            if self.ask(r, score, place).is_none() {
                count(&self.judge.classifier.uri, Asked::Error);
                self.judge.fail("it can't be asked: nginx has no connection or memory left");
                let failure = Failure::Unavailable;
                return Move::NotJudged { failure, is_late: false, key: None };
            }
        }
        Move::Wait(Wait { topic: self.found.topic, deadline })
    }

    /// Asks about the next texts. `None`: nginx can't.
    fn ask(&self, r: Request<'_>, score: Option<u8>, lane: lane::Place) -> Option<()> {
        let judge = &self.judge;
        let batch = self.next_batch();
        let texts: Vec<&str> = batch.iter().map(|open| &*open.text).collect();
        let body = question(&judge.classifier, judge.side, &texts);
        let score = score.map(|score| score.to_string());
        let mut lines = vec![(QUESTION_LINE, &b"classifier"[..])];
        lines.extend(score.as_ref().map(|score| (SCORE_LINE, score.as_bytes())));
        let deadline = batch.first().map_or(0, |open| open.deadline);
        let left_ms = deadline.saturating_sub(mono_now().0).div_ceil(1_000_000);
        self.until.set(self.until.get().max(deadline));
        let about: Vec<(Vec<K>, Digest)> =
            batch.into_iter().map(|open| (open.keys, open.digest)).collect();
        let (asked, found, topic) = (Rc::clone(judge), Rc::clone(&self.found), self.found.topic);
        let on_outcome = Box::new(move |outcome: Outcome<'_>| {
            asked.learn(&found, &about, &outcome);
            found.in_flight.set(found.in_flight.get().saturating_sub(1));
            found.topic.wake();
            drop(lane);
        });
        r.ask(Ask {
            uri: &judge.classifier.uri,
            sent: Some(Sent { body: &body, kind: b"application/json", lines: &lines }),
            within_ms: left_ms,
            is_refetch: false,
            is_awaited: Box::new(move || topic.is_awaited()),
            gives_way: true,
            on_outcome,
        })?;
        self.found.in_flight.set(self.found.in_flight.get().saturating_add(1));
        Some(())
    }

    fn next_batch(&self) -> Vec<Open<K>> {
        let mut open = self.open.borrow_mut();
        let (mut batch, mut len) = (Vec::new(), 0_usize);
        while let Some(next) = open.front() {
            len = len.saturating_add(next.text.len());
            let is_full = batch.len() >= self.judge.classifier.format.batch() || len > MAX_TEXT;
            if is_full && !batch.is_empty() {
                break;
            }
            batch.extend(open.pop_front());
        }
        batch
    }
}

impl Judge {
    /// Takes an answer about these texts.
    fn learn<K: Copy>(&self, found: &Found<K>, about: &[(Vec<K>, Digest)], outcome: &Outcome<'_>) {
        let uri = &self.classifier.uri;
        let first = about.first().and_then(|(keys, _)| keys.first().copied());
        let (failure, problem) = match outcome {
            Outcome::Answer { status, body } => {
                match verdicts(&self.classifier, *status, body, about.len()) {
                    Ok(verdicts) => {
                        self.note(found, about, &verdicts);
                        return;
                    }
                    Err(Failure::Undecided) => {
                        // It does answer. What it says is no verdict, and that is for the text's sake.
                        let failure = Failure::Undecided;
                        found.fail(Failed { failure, is_late: false, key: first });
                        count(uri, Asked::Error);
                        return;
                    }
                    Err(failure) => {
                        (failure, unusable(self.classifier.format.name(), *status, body))
                    }
                }
            }
            // So long a list of what was found is the text's doing.
            Outcome::TooLong => {
                (Failure::Undecided, "its answer is longer than 256 KiB".to_owned())
            }
            Outcome::Astray => {
                (Failure::Unavailable, "its answer has an X-Accel-Redirect".to_owned())
            }
            Outcome::Late => (Failure::Unavailable, "it doesn't answer in time".to_owned()),
            Outcome::Incomplete => {
                (Failure::Unavailable, "it doesn't answer, or not to the end".to_owned())
            }
            Outcome::Abandoned => {
                let failure = Failure::Unavailable;
                found.fail(Failed { failure, is_late: false, key: None });
                return;
            }
        };
        let counted = Asked::failed(outcome);
        let is_late = counted == Asked::TimedOut;
        count(uri, counted);
        let key = first.filter(|_| failure == Failure::Undecided);
        found.fail(Failed { failure, is_late, key });
        self.fail(&problem);
    }

    fn note<K: Copy>(&self, found: &Found<K>, about: &[(Vec<K>, Digest)], said: &[Verdict]) {
        count(&self.classifier.uri, Asked::Answered);
        if self.is_failing.replace(false) {
            cycle_warn(format_args!(
                "tollgate: \"{}\" (classifier of tollgate_guard {}) answers again",
                self.classifier.uri, self.guard
            ));
        }
        let now = now_ms();
        VERDICTS.with(|verdicts| {
            for ((keys, digest), verdict) in about.iter().zip(said) {
                verdicts.put(*digest, *verdict, now, self.classifier.cache_ms);
                found.note(keys, *verdict);
            }
        });
    }

    fn fail(&self, problem: &str) {
        if self.is_failing.replace(true) {
            return;
        }
        let effect = match (self.classifier.allows_on_failure, self.side) {
            (true, Side::Request) => "requests pass without its verdict",
            (false, Side::Request) => "requests are refused",
            (true, Side::Answer) => "answers pass without its verdict",
            (false, Side::Answer) => "answers are cut off",
        };
        cycle_error(format_args!(
            "tollgate: no verdict from \"{}\" (classifier of tollgate_guard {}): {problem}; until it answers, {effect}",
            self.classifier.uri, self.guard
        ));
    }
}

/// What is wrong with an answer.
fn unusable(format: &str, status: u16, body: &[u8]) -> String {
    match status {
        200 if is_compressed(body) => COMPRESSED.to_owned(),
        200 => format!("its answer is not that of format={format}"),
        status => format!("it answers with the status {status}"),
    }
}
