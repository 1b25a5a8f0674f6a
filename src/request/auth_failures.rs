//! ACCESS: wrong credentials are counted, and so are questions about credentials until they are answered.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::decision::Reason;
use tollgate_core::limits::{Ask, Exceeded, Refused, Standing, Subject};
use tollgate_core::metrics::{Counter, Part};

use crate::clock::now;
use crate::conf::rules::{Bucket, LimitRule};
use crate::keys::introspection::Suspicion;
use crate::observed;
use crate::request::admit::{Admission, Shortage};
use crate::request::report::LimitReport;
use crate::request::suspicion::Counted;
use crate::zone::member;

impl Admission<'_, '_> {
    /// Whether the address (or whatever the rules' keys are) has presented too many wrong
    /// credentials. Comes before any cryptography. What those for whom there is no room did, whoever
    /// they are, is held against none of them before its credential was looked at.
    pub(crate) fn check_auth_failures(&self) -> Result<(), Shortage> {
        let mut worst = None;
        let mut rules = self.failure_rules().peekable();
        // Nearly everywhere there is none.
        if rules.peek().is_none() {
            return Ok(());
        }
        let now = now();
        for rule in rules {
            let check = |subject: &Subject<'_>| {
                let keys = (0..).map_while(|width| self.zone.failures_key(subject, width));
                let mut keys = keys.take_while(|key| !self.zone.is_rest(subject, *key));
                let Some(key) = keys.find(|key| self.zone.has_room(*key, now)) else { return };
                for limit in &rule.auth_failures {
                    let mut standings = Vec::new();
                    let ask = self.request(key, limit);
                    if let Err(refused) = self.zone.check(&[ask], now, &mut standings) {
                        self.note_failures(&mut worst, limit, refused, &standings);
                    }
                }
            };
            self.with_subject(rule, None, check);
        }
        worst.map_or(Ok(()), Err)
    }

    /// Counts a wrong credential, unless that was done when its provider was asked.
    ///
    /// # Errors
    ///
    /// It was one too many; it can't be more than that which it is.
    pub(crate) fn count_auth_failure(&self) -> Result<(), Shortage> {
        let suspicion = self.state.borrow_mut().suspicion.take();
        if suspicion.is_some_and(|suspicion| suspicion.stands()) {
            return Ok(());
        }
        self.take_failures(&mut Vec::new())
    }

    /// Counts a credential as a wrong one before its provider is asked, so that no more questions are
    /// open at once than failures are left.
    pub(crate) fn suspect(&self) -> Result<Rc<dyn Suspicion>, Shortage> {
        let mut taken = Vec::new();
        if let Err(shortage) = self.take_failures(&mut taken) {
            self.zone.give_back(&taken, now());
            return Err(shortage);
        }
        let suspicion = Rc::new(Counted::new(taken, Rc::clone(self.mapped)));
        self.state.borrow_mut().suspicion = Some(Rc::clone(&suspicion));
        Ok(suspicion)
    }

    /// Takes a failure from each limit, whether or not one of them is spent, and adds what was taken.
    fn take_failures(&self, taken: &mut Vec<Ask>) -> Result<(), Shortage> {
        let now = now();
        member::note_changed();
        let mut worst = None;
        for rule in self.failure_rules() {
            let mut take = |subject: &Subject<'_>| {
                for limit in &rule.auth_failures {
                    for width in 0.. {
                        let Some(key) = self.zone.failures_key(subject, width) else { break };
                        let (mut ask, mut standings) = ([self.request(key, limit)], Vec::new());
                        let (seats, holder) = (&mut Vec::new(), None);
                        let zone = self.zone;
                        match zone.reserve(&mut ask, now, self.lock, holder, &mut standings, seats)
                        {
                            Ok(()) => taken.extend(ask),
                            Err(Refused::ZoneFull(_)) => {
                                observed::count(Counter::ZoneFull(Part::Area(key.area())));
                                continue;
                            }
                            Err(refused) => {
                                self.note_failures(&mut worst, limit, refused, &standings);
                            }
                        }
                        if zone.is_rest(subject, key) {
                            self.say_crowded(&rule.name);
                        }
                        break;
                    }
                }
            };
            self.with_subject(rule, None, &mut take);
        }
        worst.map_or(Ok(()), Err)
    }

    /// Keeps the shortage that lasts longest.
    fn note_failures(
        &self,
        worst: &mut Option<Shortage>,
        limit: &Bucket,
        refused: Refused,
        standings: &[Standing],
    ) {
        let Refused::Exceeded(Exceeded { wait_nanos, .. }) = refused else { return };
        if worst.as_ref().is_none_or(|worst| wait_nanos > worst.wait_nanos) {
            let report = standings.first().map(|standing| LimitReport {
                label: Arc::clone(&limit.label),
                standing: *standing,
                is_own: false,
                is_money: false,
            });
            let reason = Reason::AuthFailuresExceeded;
            *worst = Some(Shortage { reason, wait_nanos, report, detail: None });
        }
    }

    fn failure_rules(&self) -> impl Iterator<Item = &Rc<LimitRule>> {
        self.policy.limits.iter().filter(|rule| !rule.auth_failures.is_empty())
    }
}
