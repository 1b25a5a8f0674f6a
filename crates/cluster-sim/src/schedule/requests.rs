//! Requests come, wait, go on and end.

use super::*;

impl World<'_> {
    /// A request of a load, and the next one of it.
    pub(super) fn arrive(&mut self, index: usize) {
        let Some(load) = self.plan.loads.get(index).copied() else { return };
        if self.now_us >= self.plan.busy_until_us {
            return;
        }
        let next_us = self.now_us + 1 + micros(self.random.gap(load.gap_us));
        self.queue.plan(next_us, Event::Arrive(index));
        let Some(limit) = self.plan.limits.get(load.limit) else { return };
        let n = match limit.grants {
            Grants::Slots(_) => 1,
            Grants::Bucket(_) | Grants::Budget(_) => 1 + self.random.below(load.most),
        };
        self.ask(index, &load, n * limit.unit());
    }

    fn ask(&mut self, index: usize, load: &Load, n: u64) {
        let Some(limit) = self.plan.limits.get(load.limit) else { return };
        let now = self.mono(load.node, self.now_us);
        let mut clock_us = self.now_us;
        let Some(place) = self.places.get_mut(load.node) else { return };
        let Some(alive) = place.node.as_mut() else { return };
        // It is stopped after it has taken something, and looks at the clock when it goes on.
        let pause_us = std::mem::take(&mut place.pauses_in_request_us);
        if pause_us > 0 {
            clock_us += pause_us;
            place.paused_until_us = clock_us;
            self.end_us = self.end_us.max(clock_us + QUIET_US);
        }
        let read_us = match self.mistake {
            Some(Mistake::SpentAfterExpiry) => self.now_us,
            _ => clock_us,
        };
        let clock = MonoNanos(place.ahead_ns + read_us * 1_000);
        let outcome = alive.request(limit, n, now, clock);
        self.go_on(index, load, outcome, clock_us);
    }

    fn go_on(&mut self, index: usize, load: &Load, outcome: Outcome, at_us: u64) {
        let node = load.node;
        match outcome {
            Outcome::Admitted(reserved) => self.admit(load, reserved, at_us),
            Outcome::Waits(reserved, round) => {
                self.report.waited += 1;
                self.requests += 1;
                let since_us = self.now_us;
                let waiting = Waiting {
                    limit: load.limit,
                    reserved,
                    round,
                    rounds: 1,
                    since_us,
                    is_unheard: false,
                    load: index,
                };
                self.waiting.insert((node, self.requests), waiting);
                self.look_later(node, self.requests);
            }
            Outcome::Exceeded | Outcome::Unavailable => self.report.refused += 1,
        }
    }

    fn look_later(&mut self, node: usize, waiting: u64) {
        let run = self.places.get(node).map_or(0, |place| place.run);
        let at_us = self.now_us + (self.plan.exchange_us / 4).max(5_000);
        self.queue.plan(at_us, Event::Look { node, run, waiting });
    }

    /// A request that waits looks whether there is news.
    pub(super) fn look(&mut self, node: usize, number: u64) {
        let Some(mut waiting) = self.waiting.remove(&(node, number)) else { return };
        let now = self.mono(node, self.now_us);
        let since = self.mono(node, waiting.since_us);
        let (Some(limit), Some(load)) =
            (self.plan.limits.get(waiting.limit), self.plan.loads.get(waiting.load).copied())
        else {
            return;
        };
        let Some(alive) = self.places.get_mut(node).and_then(|place| place.node.as_mut()) else {
            return;
        };
        let waited_us = self.now_us - waiting.since_us;
        let most_us = longest_wait(self.plan.exchange_us * 1_000) / 1_000;
        waiting.is_unheard |= waited_us >= most_us && alive.is_unheard(since);
        let note = (waited_us, waiting.since_us, waiting.is_unheard);
        if alive.is_lost(now) {
            let n = waiting.reserved.n;
            alive.abandon(waiting.reserved, now);
            self.note_gift(node, waiting.limit, n);
            self.note_wait(node, note);
            return self.ask(waiting.load, &load, n);
        }
        let is_answered = alive.is_answered(&waiting.reserved, waiting.round);
        if is_answered && alive.try_again(limit, &mut waiting.reserved, now) {
            self.note_wait(node, note);
            return self.admit(&load, waiting.reserved, self.now_us);
        }
        let next = (is_answered && waiting.rounds < ROUNDS && waited_us < most_us)
            .then(|| alive.wait_on(limit, &waiting.reserved))
            .flatten();
        match next {
            Some(round) => (waiting.round, waiting.rounds) = (round, waiting.rounds + 1),
            None if !is_answered && (waited_us < most_us || alive.is_unheard(since)) => {}
            None => {
                let n = waiting.reserved.n;
                alive.abandon(waiting.reserved, now);
                self.note_gift(node, waiting.limit, n);
                self.report.refused += 1;
                return self.note_wait(node, note);
            }
        }
        self.waiting.insert((node, number), waiting);
        self.look_later(node, number);
    }

    /// What a request gives back of the node's own limit, though some of it may have drained, that limit lets pass once
    /// more: which counts only where the node decides alone.
    fn note_gift(&mut self, node: usize, limit: usize, n: u64) {
        let now_us = self.real_us();
        let units = self.plan.limits.get(limit).map_or(0, |limit| n / limit.unit());
        let alone = self.alone.get_mut(node).and_then(|limits| limits.get_mut(limit));
        if let Some(bound) = alone {
            bound.give_back(units, now_us);
        }
    }

    /// By which a node goes that is alone: its own clock, which never steps.
    pub(super) fn real_us(&self) -> u64 {
        START_US + self.now_us
    }

    fn note_wait(&mut self, node: usize, (waited_us, since_us, is_unheard): (u64, u64, bool)) {
        // A stopped process can't let anybody go.
        if self.places.get(node).is_some_and(|place| place.paused_until_us >= since_us) {
            return;
        }
        self.report.longest_wait_us = self.report.longest_wait_us.max(waited_us);
        let longest = longest_wait(self.plan.exchange_us * 1_000);
        let longest = if is_unheard { longest.max(LOST) } else { longest };
        let most_us = longest / 1_000 + (self.plan.exchange_us / 4).max(5_000);
        if waited_us > most_us {
            self.report.broken.push(format!(
                "a request waited for {waited_us} us, and at most {most_us} are stated"
            ));
        }
    }

    fn admit(&mut self, load: &Load, reserved: Reserved, at_us: u64) {
        let node = load.node;
        let Some(limit) = self.plan.limits.get(load.limit) else { return };
        self.report.admitted += 1;
        self.requests += 1;
        let units = reserved.n / limit.unit();
        let is_alone = reserved.is_alone();
        if is_alone {
            let weight = self.weight();
            let now_us = self.real_us();
            let alone = self.alone.get_mut(node).and_then(|limits| limits.get_mut(load.limit));
            if let Some(bound) = alone.filter(|_| !matches!(limit.grants, Grants::Slots(_))) {
                // One request may be larger than the share.
                bound.admit((units * weight).min(limit.terms().capacity()), now_us);
            }
        } else if at_us > self.now_us {
            self.queue.plan(at_us, Event::Counted { limit: load.limit, n: units });
        } else {
            self.count(load.limit, units);
        }
        let used =
            if self.random.percent(load.refunds) { self.random.below(units + 1) } else { units };
        let used = used * limit.unit();
        let running = Running { limit: load.limit, reserved, used, is_alone, is_orphan: false };
        self.running.insert((node, self.requests), running);
        let run = self.places.get(node).map_or(0, |place| place.run);
        let end_us = at_us + micros(self.random.gap(load.takes_us)).min(5 * SECOND);
        self.queue.plan(end_us, Event::Finished { node, run, request: self.requests });
    }

    /// How often counts what a node gives away by itself.
    fn weight(&self) -> u64 {
        match self.plan.on_loss {
            OnLoss::Share { nodes } => nodes.get().into(),
            OnLoss::Local | OnLoss::Deny => 1,
        }
    }

    /// So much was admitted, now.
    pub(super) fn count(&mut self, limit: usize, n: u64) {
        if matches!(self.plan.limits.get(limit).map(|limit| limit.grants), Some(Grants::Slots(_))) {
            (0..self.plan.nodes).for_each(|node| self.find_orphans(node, limit));
        }
        let now_us = self.servers.now_us(self.now_us);
        if let Some(bound) = self.bounds.get_mut(limit) {
            bound.admit(n, now_us);
        }
    }

    pub(super) fn finish(&mut self, node: usize, request: u64) {
        let Some(running) = self.running.remove(&(node, request)) else { return };
        let now = self.mono(node, self.now_us);
        let limit = self.plan.limits.get(running.limit);
        let is_place = limit.is_some_and(|limit| matches!(limit.grants, Grants::Slots(_)));
        let now_us = self.servers.now_us(self.now_us);
        let bound = self.bounds.get_mut(running.limit);
        if let Some(bound) = bound.filter(|_| is_place && !running.is_orphan && !running.is_alone) {
            bound.give_back(1, now_us);
        }
        if !is_place {
            let weight = if running.is_alone { self.weight() } else { 1 };
            let back = (running.reserved.n - running.used) * weight;
            self.note_gift(node, running.limit, back);
        }
        let Some(alive) = self.places.get_mut(node).and_then(|place| place.node.as_mut()) else {
            return;
        };
        if !alive.settle(running.reserved, running.used, now) && !is_place {
            self.report.broken.push("a settlement found no entry".to_owned());
        }
    }
}
