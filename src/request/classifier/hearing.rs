//! What classifiers say of an answer, while it comes: what they have not judged waits.

use std::rc::Rc;

use tollgate_core::audit::GuardFindings;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::classifier::gate::{Gate, Said, Shape};
use tollgate_core::guards::Action;

use super::inquiry::{Inquiry, Move};
use super::{cause_of, not_judged, refused};
use crate::conf::guards::Guards;
use crate::conf::judge::Judge;
use crate::keys::waiting::{self, Topic, Waiting};
use crate::per_worker::{random_key, PerWorker};
use crate::types::Request;

/// What a text that is told again is known by.
static KEY: PerWorker<[u8; 16]> = PerWorker::new(random_key);

/// An answer that classifiers judge.
pub(crate) struct Hearing {
    gate: Gate,
    judges: Vec<Asked>,
    topic: Topic,
    /// There while an answer of theirs is waited for.
    waiting: Option<Waiting>,
    /// Whether anything comes of what they say, beside counting it.
    is_binding: bool,
}

/// One of them.
struct Asked {
    judge: Rc<Judge>,
    /// `None`: it isn't asked any more.
    inquiry: Option<Inquiry<u64>>,
}

impl Hearing {
    /// Of an answer for this client, if there is anybody to judge it. In a dry run (`is_binding` is `false`) nothing
    /// comes of that.
    pub(crate) fn new(guards: &Guards, client: &str, is_binding: bool) -> Option<Box<Self>> {
        if guards.judges.is_empty() {
            return None;
        }
        let shape = |judge: &Rc<Judge>| Shape {
            window: judge.classifier.answer_window,
            most: judge.classifier.max_windows,
            blocks: is_binding && judge.classifier.action == Action::Block,
        };
        let topic = Topic::new();
        let asked = |judge: &Rc<Judge>| Asked {
            judge: Rc::clone(judge),
            inquiry: Some(Inquiry::new(judge, client, topic)),
        };
        Some(Box::new(Self {
            gate: Gate::new(guards.judges.iter().map(shape), KEY.with(|key| *key)),
            judges: guards.judges.iter().map(asked).collect(),
            topic,
            waiting: None,
            is_binding,
        }))
    }

    /// Texts have come, and bytes with them.
    pub(crate) fn hear(&mut self, said: Vec<(Said, String)>, bytes: &[u8]) {
        for (of, text) in said {
            self.gate.say(of, &text);
        }
        self.gate.put(bytes);
    }

    /// No more comes.
    pub(crate) fn finish(&mut self) {
        self.gate.finish();
    }

    /// Asks what is to be asked, and adds to `out` what may go on by now: why nothing more may, if that is so.
    pub(crate) fn go_on(
        &mut self,
        r: Request<'_>,
        found: &mut GuardFindings,
        out: &mut Vec<u8>,
    ) -> Result<(), Detail> {
        let mut deadline: Option<u64> = None;
        let mut judged = Ok(());
        for index in 0..self.judges.len() {
            match self.ask(r, index, found) {
                Ok(None) => {}
                Ok(Some(until)) => {
                    deadline = Some(deadline.map_or(until, |deadline| deadline.min(until)));
                }
                Err(detail) => judged = judged.and(Err(detail)),
            }
        }
        self.gate.take_passed(out);
        if judged.is_err() {
            self.close();
            return judged;
        }
        match deadline {
            None => self.waiting = None,
            Some(deadline) if self.waiting.is_none() => {
                let paused = r.pause();
                self.waiting = paused.map(|it| waiting::pause(self.topic, deadline, it));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Asks one of them; when its answer is too late, if one is waited for.
    fn ask(
        &mut self,
        r: Request<'_>,
        index: usize,
        found: &mut GuardFindings,
    ) -> Result<Option<u64>, Detail> {
        let Some(asked) = self.judges.get_mut(index) else { return Ok(None) };
        let Some(inquiry) = &asked.inquiry else { return Ok(None) };
        let judge = Rc::clone(&asked.judge);
        let next = match self.gate.is_too_much(index) {
            true => None,
            false => {
                let cuts = self.gate.take_cuts(index).into_iter();
                inquiry.add(r, cuts.map(|cut| (cut.round, cut.text)));
                let next = inquiry.go_on(r, None);
                if let Some(score) = inquiry.score() {
                    found.note_score(&judge.rule, score);
                }
                for round in inquiry.take_passed() {
                    self.gate.judged(index, round);
                }
                Some(next)
            }
        };
        let judged = match next {
            Some(Move::Wait(wait)) => return Ok(Some(wait.deadline)),
            Some(Move::Passes) => return Ok(None),
            Some(Move::Refused(_)) => refused(&judge, found, None),
            Some(Move::NotJudged { failure, is_late, .. }) => {
                not_judged(&judge, found, cause_of(failure, is_late), None)
            }
            None => not_judged(&judge, found, Cause::TooLongToJudge, None),
        };
        // Whatever it says of the rest, comes to the same.
        asked.inquiry = None;
        match judged {
            Err(unfit) if self.is_binding => Err(unfit.detail),
            _ => {
                self.gate.dismiss(index);
                Ok(None)
            }
        }
    }

    /// The answer goes no further.
    pub(crate) fn close(&mut self) {
        self.gate.close();
        self.judges.iter_mut().for_each(|asked| asked.inquiry = None);
        self.waiting = None;
    }

    /// What was waited for may be there.
    pub(crate) fn wakes(&mut self) {
        self.waiting = None;
    }

    /// Whether a part of the answer waits for them.
    pub(crate) fn is_waiting(&self) -> bool {
        self.gate.is_waiting()
    }

    /// Whether so much waits that no more is to be read.
    pub(crate) fn is_full(&self) -> bool {
        self.gate.is_full()
    }
}
