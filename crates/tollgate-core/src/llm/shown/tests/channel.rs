//! A channel that looks for two words.

use std::sync::Arc;

use tollgate_guard::finding::RuleIndex;
use tollgate_guard::stream::{Leak, LeakRule, Quoting, StreamGuard, Verdict};
use tollgate_guard::vault::Vault;

pub(crate) const MASKED: RuleIndex = 0;
pub(crate) const BLOCKED: RuleIndex = 1;

pub(crate) const CARD: &str = "4111-é-\"1111";
/// The same as it is written in JSON.
const WRITTEN_CARD: &str = "4111-é-\\\"1111";
pub(crate) const LABEL: &str = "[CARD]";
pub(crate) const SECRET: &str = "open sesame";

#[derive(Debug)]
pub(crate) struct Channel {
    held: String,
    is_blocked: bool,
    has_finished: bool,
}

impl Channel {
    pub(crate) fn new(_guard: Arc<StreamGuard>, _quoting: Quoting) -> Self {
        Self { held: String::new(), is_blocked: false, has_finished: false }
    }

    pub(crate) fn with_leak(self, _leak: Arc<Leak>, _rule: LeakRule) -> Self {
        self
    }

    pub(crate) fn push(
        &mut self,
        piece: &str,
        _vault: Option<&Vault>,
        out: &mut String,
        found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        self.held.push_str(piece);
        self.read(out, found);
        if self.is_blocked {
            return Verdict::Block(BLOCKED);
        }
        // The longest end that a word could begin with.
        let begins = |end: &str| CARD.starts_with(end) || SECRET.starts_with(end);
        let mut ends = self.held.char_indices().map(|(at, _)| at);
        let cut = ends.find(|at| self.held.get(*at..).is_some_and(begins));
        let rest = self.held.split_off(cut.unwrap_or(self.held.len()));
        out.push_str(&self.held);
        self.held = rest;
        Verdict::Pass
    }

    fn read(&mut self, out: &mut String, found: &mut Vec<(RuleIndex, u8)>) {
        loop {
            let card = self.held.find(CARD).map(|at| (at, MASKED, CARD.len()));
            let written = self.held.find(WRITTEN_CARD).map(|at| (at, MASKED, WRITTEN_CARD.len()));
            let secret = self.held.find(SECRET).map(|at| (at, BLOCKED, 0));
            let Some((at, rule, len)) = card.into_iter().chain(written).chain(secret).min() else {
                return;
            };
            found.push((rule, 90));
            out.push_str(self.held.get(..at).unwrap());
            if rule == BLOCKED {
                self.is_blocked = true;
                return;
            }
            out.push_str(LABEL);
            self.held.drain(..at + len);
        }
    }

    pub(crate) fn finish(
        &mut self,
        _vault: Option<&Vault>,
        out: &mut String,
        _found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        assert!(!self.has_finished, "it was finished twice");
        self.has_finished = true;
        out.push_str(&std::mem::take(&mut self.held));
        Verdict::Pass
    }

    pub(crate) fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }
}
