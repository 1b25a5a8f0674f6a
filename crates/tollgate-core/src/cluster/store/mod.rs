//! What the store does with a call, as a pure function: the model that `exchange.lua` must equal.
//!
//! The store sells leases. Of each limit it keeps how much is used, and an account of each incarnation
//! that speaks of it: what it has drawn, and what it holds. Always, when it sells,
//!
//! ```text
//! used + what all hold <= capacity
//! ```
//!
//! What is held doesn't drain: it begins to when the node reports that it was spent. So over any
//! interval of the store's time no more is admitted than `capacity + rate x time`, whatever is lost or
//! late on the way.
//!
//! Accounts count by what a node says in absolute numbers. A node that isn't heard of for
//! [`DEAD_US`] loses its account: of a bucket, what it held counts as used, and of slots as free. That of
//! a budget stays for [`FORGET_US`], as what is held of it doesn't drain either: a node that
//! comes back finds it as it was.
//!
//! Where the store has lost its data, nodes notice by the number of the shard's *life*, and say what
//! they know. Until all of them had time for it ([`GRACE_US`]), nothing is sold.

mod account;
mod level;
mod limit;

use std::collections::HashMap;

use super::message::{Answer, Call, Incarnation, Line, Outcome, StoreId};
use limit::{Asking, Limit};

/// How long an incarnation that says nothing keeps what it holds, in microseconds of the store's time.
pub const DEAD_US: u64 = 5_000_000;
/// How long it keeps its account of a budget.
pub const FORGET_US: u64 = 60_000_000;
/// How long a wish that wasn't granted counts, in microseconds.
pub const WISH_US: u64 = 1_000_000;
/// How long nothing is sold after the data were lost, in microseconds: every node that holds something
/// says so each second.
pub const GRACE_US: u64 = 1_500_000;
/// How many incarnations have an account of one limit at most.
pub const MAX_ACCOUNTS: usize = 256;
/// How long a limit is kept after it is full again and nobody alive holds anything, in microseconds.
pub const KEEP_US: u64 = DEAD_US + 1_000_000;
/// How long a budget is kept after its period, in microseconds.
pub const KEEP_BUDGET_US: u64 = 3_600_000_000;

/// What a real store executes, as Redis and Valkey do: its KEYS and its ARGV are those of a [`Call`].
pub const SCRIPT: &str = include_str!("../exchange.lua");

/// The data of one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    life: Option<Life>,
    limits: HashMap<StoreId, Limit>,
}

/// From when to when the data are those of one life of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    /// When it began, which is its number as well.
    number: u64,
    /// When it became known that data had been there before; 0: it hasn't.
    reborn_us: u64,
}

impl Life {
    fn is_in_grace(self, now_us: u64) -> bool {
        self.reborn_us > 0 && now_us < self.reborn_us + GRACE_US
    }
}

impl Store {
    /// Executes a call at the store's time `now_us`, and says what the node is told. `life` is what the
    /// node has heard of the shard's life; 0: nothing.
    pub fn exchange(&mut self, call: &Call<'_>, life: u64, now_us: u64) -> Answer {
        let message = call.message();
        if now_us > message.latest_us {
            let life = self.life.map_or(0, |life| life.number);
            return Answer { now_us, life, outcome: Outcome::Stale };
        }
        let life = self.lead_life(life, now_us);
        let grace_us =
            if life.is_in_grace(now_us) { life.reborn_us + GRACE_US - now_us } else { 0 };
        let asking =
            Asking { incarnation: message.incarnation, seq: message.seq, now_us, grace_us };
        let sold = call.lines().map(|line| {
            let mut limit = self.limits.get(&line.id).cloned();
            // As it is said: before the message was.
            let heard_us = line.heard_us.min(message.latest_us.saturating_sub(1));
            let line = Line { heard_us, ..line.cut() };
            let sold = Limit::exchange(&mut limit, &line, asking);
            if let Some(limit) = limit {
                self.limits.insert(line.id, limit);
            }
            sold
        });
        let outcome = Outcome::Done(sold.collect());
        Answer { now_us, life: life.number, outcome }
    }

    /// The life of the data, after one who speaks has heard of the life `heard`.
    fn lead_life(&mut self, heard: u64, now_us: u64) -> Life {
        let mut life = self.life.unwrap_or(Life { number: now_us, reborn_us: 0 });
        let is_another = heard != 0 && heard != life.number;
        if is_another && life.reborn_us == 0 {
            life.reborn_us = now_us;
        }
        self.life = Some(life);
        life
    }

    /// Drops what the real store would have dropped by now: limits whose time to live is over.
    pub fn expire(&mut self, now_us: u64) {
        self.limits.retain(|_, limit| limit.expires_us() > now_us);
    }

    /// How many limits it keeps.
    #[must_use]
    pub fn limits(&self) -> usize {
        self.limits.len()
    }

    /// What is used of a limit, and what all nodes hold of it, as it was written last.
    #[must_use]
    pub fn used_and_leased(&self, id: StoreId) -> Option<(u64, u64)> {
        self.limits.get(&id).map(Limit::used_and_leased)
    }

    /// What one incarnation has leased of a limit, as it was written last.
    #[must_use]
    pub fn leased(&self, id: StoreId, incarnation: Incarnation) -> u64 {
        self.limits.get(&id).map_or(0, |limit| limit.leased(incarnation))
    }

    /// For how many microseconds a limit is kept from when it was written.
    #[must_use]
    pub fn keep_us(&self, id: StoreId) -> Option<u64> {
        self.limits.get(&id).map(Limit::keep_us)
    }
}

#[cfg(test)]
mod tests;
