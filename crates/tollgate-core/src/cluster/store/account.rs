//! What the store knows of one incarnation and one limit.

use super::WISH_US;
use crate::cluster::message::{Incarnation, Line};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) incarnation: Incarnation,
    /// The last message that counted.
    pub(super) seq: u64,
    /// From when on, by the node's own numbers, `drawn` and `adjust` count.
    pub(super) born: u64,
    pub(super) drawn: u64,
    pub(super) adjust: i64,
    pub(super) leased: u64,
    /// What it wanted and didn't get.
    pub(super) wish: u64,
    /// When it spoke last.
    pub(super) seen_us: u64,
}

impl Account {
    pub(super) fn is_wishing(&self, now_us: u64) -> bool {
        self.wish > 0 && now_us.saturating_sub(self.seen_us) < WISH_US
    }

    /// What of a line hasn't been counted yet: drawn, and adjusted.
    pub(super) fn news(account: Option<&Self>, line: &Line) -> (u64, i64) {
        match account {
            Some(account) if account.born == line.born => {
                (line.drawn.saturating_sub(account.drawn), line.adjust - account.adjust)
            }
            // It counts anew, and nothing of it was counted here.
            Some(_) => (line.drawn, line.adjust),
            None => {
                let adjust = line.adjust - line.acked_adjust;
                // Perhaps this was given back already, in an account that is gone.
                let adjust = if line.in_doubt { adjust.max(0) } else { adjust };
                (line.drawn - line.acked_drawn, adjust)
            }
        }
    }
}
