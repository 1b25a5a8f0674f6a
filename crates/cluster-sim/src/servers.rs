//! The store: a server, and one that follows it some exchanges behind and takes over when it fails.

use std::collections::VecDeque;

use tollgate_core::cluster::message::{Answer, Call, Incarnation, Outcome, Shards, StoreId};
use tollgate_core::cluster::store::Store;

use crate::mistakes::Mistake;

/// Where the store's time begins: 2026-12-02T12:00:00Z, in the middle of every period.
pub const START_US: u64 = 1_796_212_800_000_000;

/// The servers of a store.
#[derive(Debug)]
pub struct Servers {
    server: Store,
    /// What it was before each of the last calls, and what they sold and counted of each limit.
    tail: VecDeque<(Store, Vec<(StoreId, u64)>)>,
    /// How many calls the follower lags behind at most.
    lag: usize,
    /// The store's clock, less the time that really passed.
    offset_us: i64,
    mistake: Option<Mistake>,
    /// For a mistake.
    newest: u64,
    /// How many calls it executed, of how many lines, and how many were late.
    pub calls: u64,
    /// Lines in them.
    pub lines: u64,
    /// Calls that came after their time.
    pub stale: u64,
}

impl Servers {
    /// Of which one follows by `lag` calls; with a mistake, to see that it is noticed.
    #[must_use]
    pub fn new(lag: usize, mistake: Option<Mistake>) -> Self {
        let (server, tail) = (Store::default(), VecDeque::new());
        Self { server, tail, lag, offset_us: 0, mistake, newest: 0, calls: 0, lines: 0, stale: 0 }
    }

    /// The store's clock, when so many microseconds have really passed.
    #[must_use]
    pub fn now_us(&self, real_us: u64) -> u64 {
        START_US.saturating_add(real_us).saturating_add_signed(self.offset_us)
    }

    /// Its clock steps.
    pub fn step_clock(&mut self, by_us: i64) {
        self.offset_us += by_us;
    }

    /// Executes a call.
    pub fn execute(&mut self, call: &Call<'_>, life: u64, real_us: u64) -> Answer {
        let now_us = match self.mistake {
            // The clock that the node guessed in place of its own.
            Some(Mistake::StoreClockIgnored) => call.message().latest_us,
            _ => self.now_us(real_us),
        };
        let before = (self.lag > 0).then(|| self.server.clone());
        let answer = match self.mistake {
            Some(Mistake::OrderIgnored) => self.execute_out_of_order(call, life, now_us),
            _ => self.server.exchange(call, life, now_us),
        };
        self.calls += 1;
        self.lines += call.lines().len() as u64;
        match &answer.outcome {
            Outcome::Stale => self.stale += 1,
            Outcome::Done(sold) => {
                if let Some(before) = before {
                    let who = call.message().incarnation;
                    let counted = call.lines().zip(sold).map(|(line, sold)| {
                        // A node that holds more than the store knew, as requests in flight keep their places, has
                        // bought that by saying so.
                        let held = self.server.leased(line.id, who);
                        let more = held.saturating_sub(before.leased(line.id, who));
                        // What was new of what was drawn is at most what wasn't acknowledged.
                        (line.id, more.max(sold.grant) + (line.drawn - line.acked_drawn))
                    });
                    let counted = counted.collect();
                    self.tail.push_back((before, counted));
                    if self.tail.len() > self.lag {
                        self.tail.pop_front();
                    }
                }
            }
        }
        answer
    }

    /// As if it were the newest message.
    fn execute_out_of_order(&mut self, call: &Call<'_>, life: u64, now_us: u64) -> Answer {
        let mut message = call.message().clone();
        self.newest += 1;
        message.seq = self.newest;
        message.lines = call.lines().copied().collect();
        let calls = Call::all(&message, Shards::ONE);
        self.server.exchange(calls.first().unwrap_or(call), life, now_us)
    }

    /// The server fails, and the one that follows takes over: the last calls are lost. Gives what they had sold and
    /// counted of each limit.
    pub fn fail_over(&mut self) -> Vec<(StoreId, u64)> {
        let mut lost = Vec::new();
        for (index, (before, counted)) in self.tail.drain(..).enumerate() {
            if index == 0 {
                self.server = before;
            }
            lost.extend(counted);
        }
        lost
    }

    /// All data are lost.
    pub fn lose_all(&mut self) {
        self.server = Store::default();
        self.tail.clear();
    }

    /// Drops what lived too long.
    pub fn expire(&mut self, real_us: u64) {
        self.server.expire(self.now_us(real_us));
    }

    /// What one node has leased of a limit.
    #[must_use]
    pub fn leased(&self, id: StoreId, incarnation: Incarnation) -> u64 {
        self.server.leased(id, incarnation)
    }

    /// What is used of a limit, and what is leased.
    #[must_use]
    pub fn used_and_leased(&self, id: StoreId) -> Option<(u64, u64)> {
        self.server.used_and_leased(id)
    }

    /// How many limits are kept.
    #[must_use]
    pub fn limits(&self) -> usize {
        self.server.limits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::cluster::message::{Line, Message, Terms};

    /// What is lost with the last call, in which a node says that it holds so many places and wants some.
    fn lost(held: u64, want: u64) -> u64 {
        let mut servers = Servers::new(1, None);
        let line = Line {
            id: StoreId([7; 16]),
            terms: Terms::Slots { limit: 5 },
            born: 1,
            drawn: 0,
            adjust: 0,
            acked_drawn: 0,
            acked_adjust: 0,
            in_doubt: false,
            held,
            want,
            known: 0,
            heard_us: 0,
            reset: false,
        };
        let message = Message {
            incarnation: Incarnation::from_random(1 << 11),
            seq: 1,
            latest_us: START_US + 1_000,
            lines: vec![line],
        };
        for call in Call::all(&message, Shards::ONE) {
            servers.execute(&call, 0, 0);
        }
        servers.fail_over().into_iter().map(|(_, n)| n).sum()
    }

    #[test]
    fn places_that_a_node_says_it_holds_are_lost_like_those_that_it_was_sold() {
        assert_eq!(lost(0, 3), 3);
        assert_eq!(lost(3, 0), 3);
        assert_eq!(lost(3, 5), 5);
        assert_eq!(lost(0, 0), 0);
    }
}
