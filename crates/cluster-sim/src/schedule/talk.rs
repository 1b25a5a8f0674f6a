//! Nodes and the store speak with each other.

use super::*;

impl World<'_> {
    /// The thread of a node has its turn.
    pub(super) fn tick(&mut self, node: usize, run: u64) {
        self.queue.plan(self.now_us + self.plan.exchange_us, Event::Tick { node, run });
        let now = self.mono(node, self.now_us);
        let Some(place) = self.places.get_mut(node) else { return };
        let Some(alive) = place.node.as_mut().filter(|alive| alive.under_way.is_none()) else {
            return;
        };
        let life = alive.life;
        let Some(asked) = alive.speak(now) else { return };
        let mut message = asked.message.clone();
        if let Some(mistake) = self.mistake {
            mistake.say(&mut message);
        }
        let life = if self.mistake == Some(Mistake::LossUnnoticed) { 0 } else { life };
        let seq = message.seq;
        let sent = Rc::new(Sent { node, run, life, message });
        let parts = Call::all(&sent.message, Shards::ONE).len();
        place.answers = vec![None; parts];
        let timeout = call_timeout(self.plan.exchange_us * 1_000) / 1_000;
        self.queue.plan(self.now_us + timeout, Event::TimedOut { node, run, seq });
        for part in 0..parts {
            for delay_us in self.travel(node) {
                let sent = Rc::clone(&sent);
                self.queue.plan(self.now_us + delay_us, Event::Received { sent, part });
            }
        }
    }

    /// After which times a message arrives: not at all, or once or twice.
    fn travel(&mut self, node: usize) -> Vec<u64> {
        let network = self.plan.network;
        let is_cut = self.places.get(node).is_some_and(|place| place.cut_until_us > self.now_us);
        if is_cut || self.is_faulty() && self.random.percent(network.lost) {
            return Vec::new();
        }
        let copies = if self.is_faulty() && self.random.percent(network.doubled) { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let late =
                    if self.random.percent(network.late) { self.random.below(SECOND) } else { 0 };
                network.delay_us + micros(self.random.gap(network.jitter_us)) + late
            })
            .collect()
    }

    /// In the end, everything arrives.
    fn is_faulty(&self) -> bool {
        self.now_us < self.plan.busy_until_us
    }

    /// A call has come to the store.
    pub(super) fn receive(&mut self, sent: &Rc<Sent>, part: usize) {
        if self.is_down {
            return;
        }
        self.servers.expire(self.now_us);
        let calls = Call::all(&sent.message, Shards::ONE);
        let Some(call) = calls.get(part) else { return };
        let answer = self.servers.execute(call, sent.life, self.now_us);
        if let Executed::Done(sold) = &answer.outcome {
            for (line, sold) in call.lines().zip(sold) {
                if sold.status == Status::Done {
                    self.heard_of_gifts(
                        sent.message.incarnation,
                        (line.id, line.born),
                        sent.message.seq,
                        line.adjust,
                    );
                }
            }
        }
        let node = sent.node;
        for delay_us in self.travel(node) {
            let (sent, answer) = (Rc::clone(sent), answer.clone());
            self.queue.plan(self.now_us + delay_us, Event::Answered { sent, part, answer });
        }
    }

    /// What is given back counts from when the store hears of it.
    fn heard_of_gifts(
        &mut self,
        who: Incarnation,
        (id, born): (StoreId, u64),
        seq: u64,
        adjust: i64,
    ) {
        let now_us = self.servers.now_us(self.now_us);
        let known = self.adjusted.entry((who, id, born)).or_default();
        let (last, before) = *known;
        if last >= seq {
            return;
        }
        *known = (seq, adjust);
        let limit = self.names.get(&id).copied();
        let bound = limit.and_then(|limit| self.bounds.get_mut(limit));
        if let (Some(bound), Some(back)) = (bound, before.checked_sub(adjust)) {
            bound.give_back(u64::try_from(back).unwrap_or(0), now_us);
        }
    }

    /// An answer has come to a node.
    pub(super) fn answered(&mut self, sent: &Rc<Sent>, part: usize, answer: Answer) {
        let node = sent.node;
        let is_open = self.is_run(node, sent.run)
            && self.under_way(node).is_some_and(|message| message.seq == sent.message.seq);
        let Some(place) = self.places.get_mut(node).filter(|_| is_open) else { return };
        if let Some(open) = place.answers.get_mut(part) {
            *open = Some(answer);
        }
        if place.answers.iter().all(Option::is_some) {
            self.hear(node);
        }
    }

    /// A node takes what answers there are.
    pub(super) fn hear(&mut self, node: usize) {
        let now = self.mono(node, self.now_us);
        let ahead_ns = self.places.get(node).map_or(0, |place| place.ahead_ns);
        let Some(place) = self.places.get_mut(node) else { return };
        let Some(alive) = place.node.as_mut() else { return };
        let Some(asked) = alive.under_way.take() else { return };
        let answers = std::mem::take(&mut place.answers);
        if let Some(answer) = answers.iter().flatten().last() {
            alive.life = answer.life;
        }
        let message = asked.message.clone();
        let calls: Vec<_> = Call::all(&message, Shards::ONE).into_iter().zip(answers).collect();
        alive.hear(&calls, &asked, now);
        if self.mistake == Some(Mistake::GrantedTwice) {
            alive.hear(&calls, &asked, now);
        }
        let sent_us = asked.sent().0.saturating_sub(ahead_ns) / 1_000;
        // What it gave away by itself is reported: what it does from now on is another matter.
        if calls
            .iter()
            .all(|(_, answer)| matches!(answer, Some(Answer { outcome: Executed::Done(_), .. })))
        {
            let now_us = self.real_us();
            let alone = self.alone.get_mut(node);
            alone.into_iter().flatten().for_each(|bound| bound.begin_anew(now_us));
        }
        let mut heard = Vec::new();
        for (call, answer) in &calls {
            let Some(Executed::Done(sold)) = answer.as_ref().map(|answer| &answer.outcome) else {
                continue;
            };
            for (line, sold) in call.lines().zip(sold) {
                let limit = self.names.get(&line.id).filter(|_| sold.status == Status::Done);
                heard.extend(limit.copied());
            }
        }
        for limit in heard {
            self.find_orphans(node, limit);
            let place = self.places.get_mut(node);
            if let Some(last) = place.and_then(|place| place.heard_us.get_mut(limit)) {
                *last = (*last).max(sent_us);
            }
        }
    }

    /// Requests in flight whose node has lost the lease for their places.
    pub(super) fn find_orphans(&mut self, node: usize, limit: usize) {
        let heard_us = self.places.get(node).and_then(|place| place.heard_us.get(limit)).copied();
        if self.now_us.saturating_sub(heard_us.unwrap_or(0)) * 1_000 < LIFE {
            return;
        }
        let now_us = self.servers.now_us(self.now_us);
        for (_, running) in self.running.range_mut((node, 0)..(node + 1, 0)) {
            if running.limit == limit && !running.is_orphan && !running.is_alone {
                running.is_orphan = true;
                let is_place = matches!(
                    self.plan.limits.get(limit).map(|limit| limit.grants),
                    Some(Grants::Slots(_))
                );
                if let Some(bound) = self.bounds.get_mut(limit).filter(|_| is_place) {
                    bound.give_back(1, now_us);
                }
            }
        }
    }
}
