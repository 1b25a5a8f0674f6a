//! Random schedules of several nodes: what is admitted over all of them is held against one exact bucket.

use super::*;
use crate::cluster::message::Answer;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn is_one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A bucket, exactly: parts of a token are counted in microseconds x tokens a period.
struct Exact {
    level: u128,
    at_us: u64,
    period_us: u128,
    count: u128,
    capacity: u128,
}

impl Exact {
    fn admit(&mut self, n: u64, now_us: u64) {
        let drained = u128::from(now_us.saturating_sub(self.at_us)) * self.count;
        self.level = self.level.saturating_sub(drained) + u128::from(n) * self.period_us;
        self.at_us = now_us;
        assert!(
            self.level <= self.capacity * self.period_us,
            "admitted {} too many",
            self.level / self.period_us - self.capacity
        );
    }
}

/// A message under way, or its answer.
struct Under {
    asked: Asked,
    reaches: u64,
    returns: u64,
    answer: Option<Answer>,
    is_lost: [bool; 2],
}

fn run(seed: u64, loss: u64) -> u64 {
    let mut random = Random(seed);
    let mut store = Store::default();
    let count = 1 + random.below(4);
    let mut members: Vec<_> = (1..=count).map(|n| Member::new(n).meet(&mut store)).collect();
    let mut under: Vec<Option<Under>> = members.iter().map(|_| None).collect();
    let mut stopped_until = vec![0; members.len()];
    let ask = members[0].node.requests("acme", "600r/m", 1);
    let mut exact = Exact { level: 0, at_us: 0, period_us: 60_000_000, count: 600, capacity: 600 };
    let mut admitted = 0;
    // Ten seconds in steps of 5 ms.
    for step in 1..2_000_u64 {
        let now = at(step * 5_000_000);
        for (n, member) in members.iter_mut().enumerate() {
            let message = &mut under[n];
            if let Some(under) =
                message.as_mut().filter(|u| u.reaches <= step && u.answer.is_none())
            {
                if !under.is_lost[0] {
                    under.answer = Some(answer(&mut store, &under.asked, store_us(now)));
                }
                under.reaches = u64::MAX;
            }
            if stopped_until[n] > step {
                continue;
            }
            if random.is_one_in(loss * 8) {
                // It is stopped, or its thread's process is killed.
                stopped_until[n] = step + random.below(1_500);
                if random.is_one_in(2) {
                    member.memory = Memory::default();
                    *message = None;
                }
                continue;
            }
            if let Some(under) = message.take_if(|u| u.returns <= step) {
                let [_, is_lost] = under.is_lost;
                let answered = under.answer.filter(|_| !is_lost);
                member.apply(&under.asked, answered, now);
            }
            if step % 10 == 0 && message.is_none() {
                *message = member.collect(now).map(|asked| {
                    let reaches = step + random.below(4);
                    let is_lost = [random.is_one_in(loss), random.is_one_in(loss)];
                    let returns =
                        if is_lost == [false; 2] { reaches + random.below(4) } else { step + 50 };
                    Under { asked, reaches, returns, answer: None, is_lost }
                });
            }
            for _ in 0..random.below(3) {
                let n = 1 + random.below(9);
                let entry = member.node.entry("acme", &ask);
                // Between the take and the clock, time may pass.
                let late = if random.is_one_in(200) { random.below(6 * SECOND) } else { 0 };
                match entry.draw(n, || MonoNanos(now.0 + late)) {
                    Drawn::Taken(round) if random.is_one_in(10) => entry.undo(n, round),
                    Drawn::Taken(_) => {
                        exact.admit(n, store_us(now));
                        admitted += n;
                    }
                    Drawn::Short { missing } => _ = entry.need(missing),
                    Drawn::Moved => panic!(),
                }
            }
        }
    }
    admitted
}

#[test]
fn no_schedule_admits_more_than_the_limit() {
    for seed in 0..150 {
        run(seed, 10 + seed % 40);
    }
}

#[test]
fn nearly_all_of_the_limit_can_be_used() {
    for seed in 0..20 {
        // 600 at once, and 100 in ten seconds.
        let admitted = run(seed, u64::MAX / 8);
        assert!(admitted >= 690, "{seed}: {admitted}");
    }
}
