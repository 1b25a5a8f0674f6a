//! What goes wrong.

use super::*;
use tollgate_core::cluster::store::{DEAD_US, GRACE_US};

impl World<'_> {
    pub(super) fn begin(&mut self, index: usize) {
        if self.places.get(index).is_none_or(|place| place.node.is_some()) {
            return;
        }
        let incarnation = self.random.bits();
        let now = self.mono(index, self.now_us);
        let exchange = self.plan.exchange_us * 1_000;
        let setup = Setup { words: WORDS, exchange, on_loss: self.plan.on_loss };
        let Ok(node) = Node::new(setup, incarnation, now) else {
            return self.report.broken.push("a node had too little memory".to_owned());
        };
        for (limit, id) in node.names(&self.plan.limits, now).into_iter().enumerate() {
            self.names.insert(id, limit);
        }
        let Some(place) = self.places.get_mut(index) else { return };
        place.node = Some(node);
        place.run += 1;
        place.answers.clear();
        place.heard_us.fill(0);
        let run = place.run;
        // Its memory is new, and with it its own limits.
        let real_us = self.real_us();
        let alone = self.alone.get_mut(index);
        alone.into_iter().flatten().for_each(|bound| bound.begin_anew(real_us));
        self.queue.plan(self.now_us, Event::Tick { node: index, run });
    }

    pub(super) fn fail(&mut self, fault: Fault) {
        let now_us = self.now_us;
        let place = |world: &mut Self, node: usize, change: &dyn Fn(&mut Place)| {
            if let Some(place) = world.places.get_mut(node) {
                change(place);
            }
        };
        if let Fault::Pause(_, time)
        | Fault::Crash(_, time)
        | Fault::Partition(_, time)
        | Fault::Down(time) = fault
        {
            self.disturb(now_us + time);
        }
        match fault {
            Fault::Pause(node, time) => {
                place(self, node, &|place| place.paused_until_us = now_us + time)
            }
            Fault::PauseInRequest(node, time) => {
                place(self, node, &|place| place.pauses_in_request_us = time)
            }
            Fault::Partition(node, time) => {
                place(self, node, &|place| place.cut_until_us = now_us + time)
            }
            Fault::Crash(node, time) => {
                self.crash(node);
                self.queue.plan(now_us + time, Event::Begin { node });
            }
            Fault::Thread(node) => place(self, node, &|place| {
                if let Some(alive) = &mut place.node {
                    alive.replace_thread();
                }
            }),
            Fault::Down(time) => {
                self.is_down = true;
                self.queue.plan(now_us + time, Event::StoreUp);
            }
            Fault::FailOver => {
                for (id, n) in self.servers.fail_over() {
                    let limit = self.names.get(&id).copied();
                    if let Some(bound) = limit.and_then(|limit| self.bounds.get_mut(limit)) {
                        bound.allowance.lost_tail += n;
                    }
                }
            }
            Fault::LoseAll => {
                self.allow(|allowance| &mut allowance.lost_data, true);
                self.servers.lose_all();
            }
            Fault::ClockStep(by_us) => {
                let before_us = self.servers.now_us(now_us);
                self.bounds.iter_mut().for_each(|bound| bound.pass(before_us));
                if by_us > 0 {
                    self.allow(|allowance| &mut allowance.clock_step, false);
                }
                self.servers.step_clock(by_us);
                let after_us = self.servers.now_us(now_us);
                self.bounds.iter_mut().for_each(|bound| bound.pass(after_us));
            }
        }
    }

    /// A node dies, and its requests with it.
    fn crash(&mut self, node: usize) {
        let now_us = self.servers.now_us(self.now_us);
        if let Some(place) = self.places.get_mut(node) {
            place.node = None;
            place.paused_until_us = 0;
        }
        self.waiting.retain(|(where_, _), _| *where_ != node);
        let bounds = &mut self.bounds;
        let limits = &self.plan.limits;
        self.running.retain(|(where_, _), running| {
            if *where_ != node {
                return true;
            }
            let is_place = matches!(
                limits.get(running.limit).map(|limit| limit.grants),
                Some(Grants::Slots(_))
            );
            let bound = bounds.get_mut(running.limit).filter(|_| is_place);
            if let Some(bound) = bound.filter(|_| !running.is_orphan && !running.is_alone) {
                bound.give_back(1, now_us);
            }
            false
        });
    }

    /// The bounds grow by what nodes hold. With `and_used`, also by what is in use, where nodes that know it may not
    /// be able to say so soon.
    fn allow(&mut self, which: fn(&mut crate::bounds::Allowance) -> &mut u64, and_used: bool) {
        let soon_us = self.now_us + GRACE_US;
        let late_us = self.now_us.saturating_sub(DEAD_US);
        let is_unreachable = |fault: &(u64, Fault)| {
            *fault != (self.now_us, Fault::LoseAll) && (late_us..soon_us).contains(&fault.0)
        };
        let is_calm = !self.plan.faults.iter().any(is_unreachable) && self.plan.network.lost == 0;
        for (index, limit) in self.plan.limits.iter().enumerate() {
            let held: u64 =
                self.places.iter().filter_map(|place| Some(place.node.as_ref()?.held(limit))).sum();
            // What the store has sold in an answer that is under way.
            let sold: u64 = self
                .names
                .iter()
                .filter(|(_, limit)| **limit == index)
                .map(|(id, _)| self.servers.used_and_leased(*id).map_or(0, |(_, leased)| leased))
                .max()
                .unwrap_or(0);
            if let Some(bound) = self.bounds.get_mut(index) {
                let now_us = self.servers.now_us(self.now_us);
                bound.pass(now_us);
                // What is in use is forgotten where nobody speaks in time who knows it.
                let forgotten = if and_used && !is_calm { bound.in_use() } else { 0 };
                *which(&mut bound.allowance) += held.max(sold) + forgotten;
            }
        }
    }
}
