//! Identity providers: the key sets that they publish, for which the worker asks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::jwt::{
    AlgorithmSet, Binding, KeyError, KeySet, Lifetime, Move, Newer, RemoteKeys,
};

use crate::clock::mono_now;
use crate::keys::live;
use crate::keys::question::{self, Asked};
use crate::keys::waiting::Topic;
use crate::types::Request;
use nginx::log::{cycle_error, cycle_info, cycle_warn};
use nginx::subrequest::{is_compressed, Ask, Outcome, COMPRESSED, WITHIN_MS};

/// Of how many keys of one set is told that they are not used: whoever publishes them is somebody else.
const TOLD: usize = 10;

/// The key set of a provider (`tollgate_jwt_key_request`), as this worker knows it.
pub(crate) struct KeyProvider {
    uri: String,
    /// Whose tokens the keys are for.
    binding: Binding,
    algorithms: Option<AlgorithmSet>,
    keys: RefCell<RemoteKeys>,
    /// What the set in use was made of.
    answer: RefCell<Vec<u8>>,
    /// Tells the tokens that were verified with the set in use from others.
    id: Cell<u64>,
    topic: Topic,
}

/// What a request gets.
pub(crate) enum Keys {
    /// This set, under this number.
    Set(u64, Arc<KeySet>),
    /// It has to wait.
    Wait(Topic),
    /// There is none.
    Unavailable,
}

fn now_ms() -> u64 {
    mono_now().0 / 1_000_000
}

impl KeyProvider {
    pub(crate) fn new(
        uri: &str,
        binding: Binding,
        algorithms: Option<AlgorithmSet>,
        lifetime: Lifetime,
    ) -> Self {
        Self {
            uri: uri.to_owned(),
            binding,
            algorithms,
            keys: RefCell::new(RemoteKeys::new(lifetime)),
            answer: RefCell::default(),
            id: Cell::new(live::next_id()),
            topic: Topic::new(),
        }
    }

    /// What the operator calls it.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// The number of the set in use.
    pub(crate) fn id(&self) -> u64 {
        self.id.get()
    }

    /// The set to verify a token with. Whoever `asks` may be the one who asks the provider.
    pub(crate) fn keys(self: &Rc<Self>, asks: Option<Request<'_>>) -> Keys {
        let step = self.keys.borrow().look(now_ms());
        match step {
            Move::Use { keys, ask } => {
                if let Some(r) = asks.filter(|_| ask) {
                    // If that fails, the set is good for some time yet.
                    let _ = self.ask(r, false);
                }
                Keys::Set(self.id.get(), keys)
            }
            // A set without keys isn't to come out of nginx's cache again.
            Move::Wait { ask } => self.wait(asks.filter(|_| ask), self.is_withdrawn()),
            Move::Unavailable => Keys::Unavailable,
        }
    }

    /// Whether the provider has withdrawn all of its keys.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.keys.borrow().is_withdrawn()
    }

    /// What to do about a token that may be signed with a newer key; `None`: it is refused.
    pub(crate) fn newer_keys(self: &Rc<Self>, newer: Newer, r: Request<'_>) -> Option<Keys> {
        let step = self.keys.borrow_mut().look_for_newer(newer, now_ms())?;
        let ask = matches!(step, Move::Wait { ask: true });
        Some(self.wait(Some(r).filter(|_| ask), true))
    }

    fn wait(self: &Rc<Self>, asks: Option<Request<'_>>, is_refetch: bool) -> Keys {
        match asks.map(|r| self.ask(r, is_refetch)) {
            None | Some(Some(())) => Keys::Wait(self.topic),
            Some(None) => Keys::Unavailable,
        }
    }

    fn ask(self: &Rc<Self>, r: Request<'_>, is_refetch: bool) -> Option<()> {
        let (this, topic) = (Rc::clone(self), self.topic);
        let on_outcome = Box::new(move |outcome: Outcome<'_>| {
            this.learn(&outcome);
            this.topic.wake();
        });
        let is_awaited = Box::new(move || topic.is_awaited());
        let asked = r.ask(Ask {
            uri: &self.uri,
            sent: None,
            within_ms: WITHIN_MS,
            is_refetch,
            is_awaited,
            gives_way: false,
            on_outcome,
        });
        match asked {
            Some(()) => self.keys.borrow_mut().asked(now_ms()),
            None => {
                question::count(&self.uri, Asked::Error);
                self.fail("it can't be asked: nginx has no connection or memory left");
            }
        }
        asked
    }

    fn learn(&self, outcome: &Outcome<'_>) {
        let problem = match outcome {
            // The worker ends. Whoever comes all the same is refused, and not kept waiting.
            Outcome::Abandoned => {
                self.keys.borrow_mut().failed(now_ms());
                return;
            }
            Outcome::TooLong => "its answer is longer than 256 KiB".to_owned(),
            Outcome::Astray => "its answer has an X-Accel-Redirect".to_owned(),
            Outcome::Incomplete | Outcome::Late => {
                "it doesn't answer, or not to the end".to_owned()
            }
            Outcome::Answer { status: 200, body } => match self.take(body) {
                Ok(()) => return question::count(&self.uri, Asked::Answered),
                Err(error) if error.is_of_set() => {
                    question::count(&self.uri, Asked::Answered);
                    return self.withdraw(&error);
                }
                Err(_) if is_compressed(body) => COMPRESSED.to_owned(),
                Err(error) => format!("its answer {error}"),
            },
            Outcome::Answer { status, .. } => format!("it answers with the status {status}"),
        };
        question::count(&self.uri, Asked::failed(outcome));
        self.fail(&problem);
    }

    fn fail(&self, problem: &str) {
        if self.keys.borrow_mut().failed(now_ms()) {
            let rest = match self.keys.borrow().last() {
                Some(_) => "; the keys of before are used for some time yet",
                None => "; tokens can't be verified",
            };
            cycle_error(format_args!(
                "tollgate: no keys from \"{}\" (tollgate_jwt_key_request): {problem}{rest}",
                self.uri
            ));
        }
    }

    /// Takes the set out of use, as the provider has another one, which holds no key for us.
    fn withdraw(&self, error: &KeyError) {
        self.id.set(live::next_id());
        live::came_into_use(self.id.get());
        if self.keys.borrow_mut().withdrawn(now_ms()) {
            cycle_error(format_args!(
                "tollgate: no keys from \"{}\" (tollgate_jwt_key_request): its answer {error}; it has no key that \
                 can be used, so those of before aren't any longer, and tokens can't be verified",
                self.uri
            ));
        }
    }

    /// Takes a set into use.
    fn take(&self, body: &[u8]) -> Result<(), KeyError> {
        let last = self.keys.borrow().last().cloned();
        let is_same = *self.answer.borrow() == body;
        let keys = match last.filter(|_| is_same) {
            Some(keys) => keys,
            None => {
                let keys = KeySet::from_jwks(body, &self.binding)?;
                keys.check(self.algorithms.as_ref())?;
                if keys.has_untried() {
                    cycle_warn(format_args!(
                        "tollgate: the keys from \"{}\" (tollgate_jwt_key_request) have no \"kid\", and are \
                         more than are tried for a token: the last of them verify nothing",
                        self.uri
                    ));
                }
                self.tell_notes(keys.notes());
                *self.answer.borrow_mut() = body.to_vec();
                self.id.set(live::next_id());
                live::came_into_use(self.id.get());
                Arc::new(keys)
            }
        };
        if self.keys.borrow_mut().succeeded(keys, now_ms()) {
            cycle_warn(format_args!(
                "tollgate: keys from \"{}\" (tollgate_jwt_key_request) are there again",
                self.uri
            ));
        }
        Ok(())
    }

    /// Tells which keys of a set are not used, and why, and what else is odd: of a set once.
    fn tell_notes(&self, notes: &[KeyError]) {
        for note in notes.iter().take(TOLD) {
            let rest = if note.is_remark() { "" } else { "; that key is not used" };
            let text = format_args!(
                "tollgate: keys from \"{}\" (tollgate_jwt_key_request): {note}{rest}",
                self.uri
            );
            match note.is_mistake() {
                true => cycle_warn(text),
                false => cycle_info(text),
            }
        }
        let more = notes.len().saturating_sub(TOLD);
        if more > 0 {
            cycle_warn(format_args!(
                "tollgate: {more} more keys from \"{}\" (tollgate_jwt_key_request) are odd or not used",
                self.uri
            ));
        }
    }
}
