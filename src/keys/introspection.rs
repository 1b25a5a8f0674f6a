//! Opaque tokens: their provider is asked what they are worth (`tollgate_introspection_request`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::decision::Reason;
use tollgate_core::introspection::{question, verdict, Verdict, MAX_NEGATIVE_SECS};
use tollgate_core::jwt::{ClaimMap, Policy, TokenError};
use tollgate_core::principal::Principal;

use crate::clock::wall_clock;
use crate::keys::live::next_id;
use crate::keys::memory::TOKENS;
use crate::keys::question::{self, Asked};
use crate::keys::waiting::Topic;
use crate::types::Request;
use nginx::log::{cycle_error, cycle_warn};
use nginx::subrequest::{is_compressed, Ask, Outcome, Sent, COMPRESSED, WITHIN_MS};

/// A provider that tells what tokens are worth.
pub(crate) struct Introspector {
    uri: String,
    policy: Policy,
    /// For how long an answer is remembered, in seconds; 0: not at all.
    cache_secs: i64,
    /// Tells its tokens from those of others in the worker's cache.
    id: u64,
    /// What is being asked, by token.
    asked: RefCell<HashMap<Box<[u8]>, Rc<Inquiry>>>,
    /// The last answer was none, and that was said.
    is_failing: Cell<bool>,
}

/// One question, and what came of it: for all requests with that token.
#[derive(Debug)]
pub(crate) struct Inquiry {
    topic: Topic,
    answer: RefCell<Option<Answer>>,
}

#[derive(Debug)]
enum Answer {
    Verdict(Verdict),
    /// The provider failed.
    None,
}

/// What a credential is suspected of until its provider has answered.
pub(crate) trait Suspicion {
    /// It is not known to be wrong after all.
    fn clear(&self);
}

/// What is called before a question about a credential is asked, and may refuse it.
pub(crate) type Consent<'c> = &'c dyn Fn() -> Result<Rc<dyn Suspicion>, Reason>;

/// What a request gets.
pub(crate) enum Finding {
    Judged(Result<Arc<Principal>, TokenError>),
    /// It has to wait.
    Wait(Topic, Rc<Inquiry>),
    /// It may not be asked about.
    Refused(Reason),
    /// The provider doesn't say.
    Unavailable,
}

impl Introspector {
    pub(crate) fn new(uri: &str, policy: Policy, cache_secs: i64) -> Self {
        Self {
            uri: uri.to_owned(),
            policy,
            cache_secs,
            id: next_id(),
            asked: RefCell::default(),
            is_failing: Cell::new(false),
        }
    }

    /// What the operator calls it.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Which claims hold what.
    pub(crate) fn claims(&self) -> &ClaimMap {
        &self.policy.claims
    }

    /// What the token is worth: remembered, as `inquiry` has it, or to be asked for by this request,
    /// if there is one that `asks`, and what is called before that agrees.
    pub(crate) fn judge(
        self: &Rc<Self>,
        token: &[u8],
        inquiry: Option<&Inquiry>,
        asks: Option<(Request<'_>, Consent<'_>)>,
    ) -> Finding {
        if token.is_empty() || token.len() > self.policy.max_len {
            return Finding::Judged(Err(TokenError::TooLong));
        }
        let now = wall_clock();
        match inquiry.map(|inquiry| inquiry.answer.borrow()).as_deref() {
            Some(Some(Answer::Verdict(Verdict::Bad(error)))) => {
                return Finding::Judged(Err(*error));
            }
            Some(Some(Answer::Verdict(Verdict::Good(token)))) => {
                let judged = token.check_time(now).map(|()| Arc::clone(token.principal()));
                return Finding::Judged(judged);
            }
            Some(Some(Answer::None)) => return Finding::Unavailable,
            Some(None) | None => {}
        }
        if let Some(known) = TOKENS.with(|tokens| tokens.get(self.id, token, now)) {
            return Finding::Judged(known);
        }
        let asked = self.asked.borrow().get(token).cloned();
        match (asked, asks) {
            (Some(inquiry), _) => Finding::Wait(inquiry.topic, inquiry),
            (None, Some((r, before))) => match before() {
                Ok(suspicion) => self.ask(r, token, suspicion),
                Err(reason) => Finding::Refused(reason),
            },
            (None, None) => Finding::Unavailable,
        }
    }

    fn ask(self: &Rc<Self>, r: Request<'_>, token: &[u8], suspicion: Rc<dyn Suspicion>) -> Finding {
        let inquiry = Rc::new(Inquiry { topic: Topic::new(), answer: RefCell::new(None) });
        let (this, theirs, doubt) = (Rc::clone(self), Rc::clone(&inquiry), Rc::clone(&suspicion));
        let about: Box<[u8]> = token.into();
        let on_outcome = Box::new(move |outcome: Outcome<'_>| {
            this.asked.borrow_mut().remove(&about);
            let answer = this.learn(&about, &outcome);
            let is_bad = matches!(answer, Answer::Verdict(Verdict::Bad(_)));
            if !is_bad && !matches!(outcome, Outcome::Abandoned) {
                doubt.clear();
            }
            *theirs.answer.borrow_mut() = Some(answer);
            theirs.topic.wake();
        });
        let topic = inquiry.topic;
        let asked = r.ask(Ask {
            uri: &self.uri,
            sent: Some(Sent {
                body: &question(token),
                kind: b"application/x-www-form-urlencoded",
                lines: &[],
            }),
            within_ms: WITHIN_MS,
            is_refetch: false,
            is_awaited: Box::new(move || topic.is_awaited()),
            gives_way: true,
            on_outcome,
        });
        match asked {
            Some(()) => {
                self.asked.borrow_mut().insert(token.into(), Rc::clone(&inquiry));
                Finding::Wait(topic, inquiry)
            }
            None => {
                suspicion.clear();
                question::count(&self.uri, Asked::Error);
                self.fail("it can't be asked: nginx has no connection or memory left");
                Finding::Unavailable
            }
        }
    }

    fn learn(&self, token: &[u8], outcome: &Outcome<'_>) -> Answer {
        let now = wall_clock();
        let problem = match outcome {
            Outcome::Abandoned => return Answer::None,
            Outcome::TooLong => "its answer is longer than 256 KiB".to_owned(),
            Outcome::Astray => "its answer has an X-Accel-Redirect".to_owned(),
            Outcome::Incomplete | Outcome::Late => {
                "it doesn't answer, or not to the end".to_owned()
            }
            Outcome::Answer { status: 200, body } => match verdict(body, &self.policy, now) {
                Some(verdict) => {
                    question::count(&self.uri, Asked::Answered);
                    if self.is_failing.replace(false) {
                        cycle_warn(format_args!(
                            "tollgate: \"{}\" (tollgate_introspection_request) answers again",
                            self.uri
                        ));
                    }
                    let (known, secs) = match &verdict {
                        Verdict::Good(token) => (Ok(token), self.cache_secs),
                        Verdict::Bad(error) => {
                            (Err(*error), self.cache_secs.min(MAX_NEGATIVE_SECS))
                        }
                    };
                    TOKENS.with(|tokens| tokens.insert_for(self.id, token, known, now, secs));
                    return Answer::Verdict(verdict);
                }
                None if is_compressed(body) => COMPRESSED.to_owned(),
                None => "its answer is no json object with a boolean \"active\"".to_owned(),
            },
            Outcome::Answer { status, .. } => format!("it answers with the status {status}"),
        };
        question::count(&self.uri, Asked::failed(outcome));
        self.fail(&problem);
        Answer::None
    }

    fn fail(&self, problem: &str) {
        if !self.is_failing.replace(true) {
            cycle_error(format_args!(
                "tollgate: nothing about a token from \"{}\" (tollgate_introspection_request): {problem}; \
                 until it answers, such tokens are refused",
                self.uri
            ));
        }
    }
}
