//! Random schedules from a seed.

use tollgate_core::cluster::message::{Incarnation, Line, Message, StoreId, Terms};

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// At most `max`, of any magnitude.
    pub(crate) fn any_size(&mut self, max: u64) -> u64 {
        let bits = self.below(u64::from(64 - max.leading_zeros()) + 1);
        self.below(1 << bits).min(max)
    }
}

pub(crate) const START: u64 = 1_800_000_000_000_000;
const HOUR: u64 = 3_600_000_000;

/// What a schedule goes on with.
pub(crate) struct Schedule {
    random: Random,
    pub(crate) now_us: u64,
    terms: Vec<Terms>,
    incarnations: u64,
    seqs: Vec<u64>,
    pub(crate) lives: Vec<u64>,
    /// The last lines of each incarnation, by limits.
    lines: Vec<Vec<Line>>,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let limits = 1 + random.below(4);
        let incarnations = 1 + random.below(5);
        let terms: Vec<Terms> = (0..limits).map(|_| any_terms(&mut random)).collect();
        let lines = terms.iter().enumerate().map(|(index, terms)| first_line(index, *terms));
        let lines = vec![lines.collect(); usize::try_from(incarnations).unwrap()];
        let seqs = vec![0; lines.len()];
        let lives = seqs.clone();
        Self { random, now_us: START, terms, incarnations, seqs, lives, lines }
    }

    /// The next message, whose it is, and when the store executes it. A quarter of them is repeated or late.
    pub(crate) fn next(&mut self) -> (usize, Message) {
        let Self { random, now_us, .. } = self;
        *now_us = match random.below(16) {
            0..=9 => *now_us + random.below(200_000),
            10 | 11 => *now_us,
            12 => *now_us + random.below(7_000_000),
            13 => *now_us + random.below(70_000_000),
            14 => *now_us + random.below(2 * HOUR),
            _ => now_us.saturating_sub(random.below(HOUR)).max(START / 2),
        };
        let node = usize::try_from(random.below(self.incarnations)).unwrap();
        let is_repeated = random.one_in(8);
        if !is_repeated {
            self.seqs[node] += 1 + random.below(2);
        }
        for (index, line) in self.lines[node].iter_mut().enumerate() {
            change(random, line);
            if random.one_in(40) {
                self.terms[index] = any_terms(random);
            }
            if random.one_in(10) {
                line.terms = self.terms[index];
            }
        }
        let lines: Vec<Line> =
            self.lines[node].iter().filter(|_| random.below(4) > 0).copied().collect();
        let latest_us = match random.below(12) {
            0 => self.now_us.saturating_sub(random.below(3)),
            _ => self.now_us + random.below(250_000),
        };
        let incarnation = Incarnation::from_random((node as u64 + 1) * 0x0123_4567_89ab_cdef);
        (node, Message { incarnation, seq: self.seqs[node], latest_us, lines })
    }

    /// Whether the store loses all it has, now.
    pub(crate) fn loses_all(&mut self) -> bool {
        self.random.one_in(60)
    }

    /// What the node says of the shard's life: mostly what it heard.
    pub(crate) fn life(&mut self, node: usize) -> u64 {
        if self.random.one_in(30) {
            0
        } else {
            self.lives[node]
        }
    }
}

fn any_terms(random: &mut Random) -> Terms {
    match random.below(6) {
        0..=2 => {
            let period_us =
                [1_000_000, 60_000_000, HOUR, 24 * HOUR][usize::try_from(random.below(4)).unwrap()];
            let max = (1 << 31) - 1;
            let count = 1 + random.any_size(max - 1);
            Terms::Bucket { capacity: 1 + random.any_size(max - 1), count, period_us }
        }
        3 | 4 => {
            let number = 1 + random.below(3);
            let from_us = START + (number - 1) * HOUR;
            Terms::Budget {
                amount: 1 + random.any_size(1 << 44),
                number,
                from_us,
                until_us: from_us + HOUR,
            }
        }
        _ => Terms::Slots { limit: 1 + random.below(300) },
    }
}

pub(crate) fn first_line(index: usize, terms: Terms) -> Line {
    Line {
        id: StoreId([u8::try_from(index).unwrap(); 16]),
        terms,
        born: 0,
        drawn: 0,
        adjust: 0,
        acked_drawn: 0,
        acked_adjust: 0,
        in_doubt: false,
        held: 0,
        want: 0,
        known: 0,
        heard_us: 0,
        reset: false,
    }
}

fn change(random: &mut Random, line: &mut Line) {
    let capacity = line.terms.capacity();
    line.reset = random.one_in(50);
    line.in_doubt = random.one_in(4);
    if random.one_in(20) {
        *line =
            Line { born: line.born + 1 + random.below(9), ..first_line(0, line.terms) }.of(line);
    }
    if random.below(3) > 0 {
        line.drawn += random.any_size(capacity);
    }
    if random.one_in(3) {
        let delta = i64::try_from(random.any_size(capacity)).unwrap();
        line.adjust += if random.one_in(2) { delta } else { -delta };
    }
    if random.one_in(2) {
        line.acked_drawn = line.drawn - random.any_size(line.drawn);
        line.acked_adjust = line.adjust - i64::try_from(random.any_size(capacity)).unwrap();
    }
    line.held = random.any_size(capacity);
    line.want = if random.one_in(3) { 0 } else { random.any_size(capacity) };
    line.known = random.any_size(2 * capacity);
    line.heard_us = if random.one_in(3) { 0 } else { START + random.below(4 * HOUR) };
}

trait Of {
    fn of(self, line: &Line) -> Line;
}

impl Of for Line {
    /// With the name of another one.
    fn of(self, line: &Line) -> Line {
        Line { id: line.id, ..self }
    }
}
