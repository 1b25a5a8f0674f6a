//! The questions about one request to one classifier.

use std::cell::{Cell, RefCell};
use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

use tollgate_core::guards::classifier::memory::{Asker, Digest, Verdicts};
use tollgate_core::guards::classifier::question::question;
use tollgate_core::guards::classifier::verdict::verdicts;
use tollgate_core::guards::classifier::windows::Window;
use tollgate_core::guards::classifier::{Failure, Verdict};
use tollgate_core::llm::texts::Place;

use super::lane;
use super::Wait;
use crate::clock::mono_now;
use crate::conf::guards::InputClassifier;
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

/// The questions about one request to one classifier.
pub(super) struct Inquiry {
    asked: Rc<InputClassifier>,
    client: Box<str>,
    /// What nobody has been asked about yet.
    open: RefCell<VecDeque<(Window, Digest)>>,
    deadline: u64,
    found: Rc<Found>,
}

/// What has been answered.
struct Found {
    topic: Topic,
    /// How many questions are not.
    in_flight: Cell<usize>,
    refused: Cell<Option<Place>>,
    failed: Cell<Option<Failed>>,
    /// The highest score.
    score: Cell<Option<u8>>,
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        lane::leave(self.asked.id, &self.client);
    }
}

impl Found {
    /// Notes what is said of the text that stands there.
    fn note(&self, place: Place, verdict: Verdict) {
        self.score.set(self.score.get().max(verdict.score));
        if verdict.is_refused && self.refused.get().is_none() {
            self.refused.set(Some(place));
        }
    }

    /// Notes why there is no verdict. What is the text's doing, counts more.
    fn fail(&self, failed: Failed) {
        let before = self.failed.get().map(|failed| failed.failure);
        if before != Some(Failure::Undecided) {
            self.failed.set(Some(failed));
        }
    }
}

/// Why there is no verdict.
#[derive(Clone, Copy)]
struct Failed {
    failure: Failure,
    is_late: bool,
    place: Option<Place>,
}

/// What comes next.
pub(super) enum Move {
    /// Waiting for answers, or for the turn to ask.
    Wait(Wait),
    /// The request may pass.
    Passes,
    /// The text that stands there is refused.
    Refused(Place),
    /// The classifier doesn't say; and where, if it is about a text.
    NotJudged { failure: Failure, is_late: bool, place: Option<Place> },
}

fn now_ms() -> u64 {
    mono_now().0 / 1_000_000
}

impl Inquiry {
    /// About these texts, of which some may have been judged before.
    pub(super) fn new(
        r: Request<'_>,
        asked: &Rc<InputClassifier>,
        client: &str,
        windows: Vec<Window>,
    ) -> Self {
        let now = now_ms();
        // An internal location is one of the server that a request is in.
        let server = r.server();
        let asker = Asker { classifier: asked.id, server, client };
        let found = Rc::new(Found {
            topic: Topic::new(),
            in_flight: Cell::new(0),
            refused: Cell::new(None),
            failed: Cell::new(None),
            score: Cell::new(None),
        });
        let open = VERDICTS.with(|verdicts| {
            let (mut open, mut seen) = (VecDeque::new(), HashSet::new());
            for window in windows {
                let digest = verdicts.digest(asker, &window.text);
                // What is said twice is judged once.
                if !seen.insert(digest) {
                    continue;
                }
                match verdicts.get(digest, now) {
                    Some(known) => found.note(window.place, known),
                    None => open.push_back((window, digest)),
                }
            }
            open
        });
        let timeout = asked.classifier.timeout_ms.saturating_mul(1_000_000);
        Self {
            asked: Rc::clone(asked),
            client: client.into(),
            open: RefCell::new(open),
            deadline: mono_now().0.saturating_add(timeout),
            found,
        }
    }

    /// The highest score that was given so far.
    pub(super) fn score(&self) -> Option<u8> {
        self.found.score.get()
    }

    /// Asks what is to be asked, and says how it stands.
    pub(super) fn go_on(&self, r: Request<'_>, score: Option<u8>) -> Move {
        if let Some(place) = self.found.refused.get() {
            return Move::Refused(place);
        }
        if let Some(Failed { failure, is_late, place }) = self.found.failed.get() {
            return Move::NotJudged { failure, is_late, place };
        }
        let is_done = || self.open.borrow().is_empty() && self.found.in_flight.get() == 0;
        if is_done() {
            return Move::Passes;
        }
        if is_over(self.deadline) {
            return Move::NotJudged { failure: Failure::Unavailable, is_late: true, place: None };
        }
        while self.found.in_flight.get() < AT_A_TIME && !self.open.borrow().is_empty() {
            let Some(place) = lane::Place::take(self.asked.id, &self.client) else {
                if self.found.in_flight.get() == 0 {
                    lane::wait(self.asked.id, &self.client, self.found.topic);
                }
                break;
            };
            if self.ask(r, score, place).is_none() {
                count(&self.asked.classifier.uri, Asked::Error);
                self.asked.fail("it can't be asked: nginx has no connection or memory left");
                let failure = Failure::Unavailable;
                return Move::NotJudged { failure, is_late: false, place: None };
            }
        }
        Move::Wait(Wait { topic: self.found.topic, deadline: self.deadline })
    }

    /// Asks about the next texts. `None`: nginx can't.
    fn ask(&self, r: Request<'_>, score: Option<u8>, lane: lane::Place) -> Option<()> {
        let asked = &self.asked;
        let batch = self.next_batch();
        let texts: Vec<&str> = batch.iter().map(|(window, _)| &*window.text).collect();
        let body = question(&asked.classifier, &texts);
        let score = score.map(|score| score.to_string());
        let mut lines = vec![(QUESTION_LINE, &b"classifier"[..])];
        lines.extend(score.as_ref().map(|score| (SCORE_LINE, score.as_bytes())));
        let left_ms = self.deadline.saturating_sub(mono_now().0).div_ceil(1_000_000);
        let about: Vec<(Place, Digest)> =
            batch.iter().map(|(window, digest)| (window.place, *digest)).collect();
        let (classifier, found, topic) =
            (Rc::clone(asked), Rc::clone(&self.found), self.found.topic);
        let on_outcome = Box::new(move |outcome: Outcome<'_>| {
            classifier.learn(&found, &about, &outcome);
            found.in_flight.set(found.in_flight.get().saturating_sub(1));
            found.topic.wake();
            drop(lane);
        });
        r.ask(Ask {
            uri: &asked.classifier.uri,
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

    fn next_batch(&self) -> Vec<(Window, Digest)> {
        let mut open = self.open.borrow_mut();
        let (mut batch, mut len) = (Vec::new(), 0_usize);
        while let Some((window, _)) = open.front() {
            len = len.saturating_add(window.text.len());
            let is_full = batch.len() >= self.asked.classifier.format.batch() || len > MAX_TEXT;
            if is_full && !batch.is_empty() {
                break;
            }
            batch.extend(open.pop_front());
        }
        batch
    }
}

impl InputClassifier {
    /// Takes an answer about these texts.
    fn learn(&self, found: &Found, about: &[(Place, Digest)], outcome: &Outcome<'_>) {
        let uri = &self.classifier.uri;
        let first = about.first().map(|(place, _)| *place);
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
                        found.fail(Failed { failure, is_late: false, place: first });
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
                found.fail(Failed { failure, is_late: false, place: None });
                return;
            }
        };
        let counted = Asked::failed(outcome);
        let is_late = counted == Asked::TimedOut;
        count(uri, counted);
        let place = first.filter(|_| failure == Failure::Undecided);
        found.fail(Failed { failure, is_late, place });
        self.fail(&problem);
    }

    fn note(&self, found: &Found, about: &[(Place, Digest)], said: &[Verdict]) {
        count(&self.classifier.uri, Asked::Answered);
        if self.is_failing.replace(false) {
            cycle_warn(format_args!(
                "tollgate: \"{}\" (classifier of tollgate_guard {}) answers again",
                self.classifier.uri, self.guard
            ));
        }
        let now = now_ms();
        VERDICTS.with(|verdicts| {
            for ((place, digest), verdict) in about.iter().zip(said) {
                verdicts.put(*digest, *verdict, now, self.classifier.cache_ms);
                found.note(*place, *verdict);
            }
        });
    }

    fn fail(&self, problem: &str) {
        if self.is_failing.replace(true) {
            return;
        }
        let effect = match self.classifier.allows_on_failure {
            true => "requests pass without its verdict",
            false => "requests are refused",
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
