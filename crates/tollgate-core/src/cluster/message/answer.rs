//! What the store answered to a call, read from bytes that a hostile store may have written.

use std::fmt;

use super::call::FORM;
use super::numbers::{begin, write, Numbers};
use super::{Call, MAX};

/// The numbers before those of the lines, and of each line.
const HEAD: usize = 5;
const LINE: usize = 7;

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The store's time, in microseconds since 1970.
    pub now_us: u64,
    /// Which life of the shard's data: another one after the store has lost them. To be said in the next
    /// call.
    pub life: u64,
    /// What became of the call.
    pub outcome: Outcome,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It came after its time, and was not executed.
    Stale,
    /// What was sold, for each of its lines.
    Done(Vec<Sold>),
}

/// What the store says of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sold {
    /// What became of the line.
    pub status: Status,
    /// What the node may hold in addition.
    pub grant: u64,
    /// What is used, over all nodes, after this.
    pub used: u64,
    /// What could be sold still.
    pub unsold: u64,
    /// What other nodes hold.
    pub others: u64,
    /// Whether another node wanted more than it got, in the last second.
    pub is_short: bool,
    /// In how many microseconds one more can be sold than now, if nobody gives anything back: 0 where the
    /// whole wish was granted, and where only what others give back would help.
    pub wait_us: u64,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was executed.
    Done,
    /// One with this number, or a later one, was executed before: nothing was counted.
    Old,
    /// The budget's period is over by the store's clock, or hasn't begun: nothing was counted.
    Period,
    /// More nodes speak of this limit than the store keeps accounts for: nothing was counted.
    Crowded,
}

impl Status {
    const ALL: [Self; 4] = [Self::Done, Self::Old, Self::Period, Self::Crowded];
}

/// Bytes that are no answer to the call: nothing in them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Void;

impl fmt::Display for Void {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store's answer is none to what it was asked")
    }
}

impl std::error::Error for Void {}

impl Answer {
    /// As the store writes it: for a store that stands for a real one.
    #[must_use]
    pub fn to_bytes(&self, call: &Call<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let (stale, sold) = match &self.outcome {
            Outcome::Stale => (1, &[][..]),
            Outcome::Done(sold) => (0, &sold[..]),
        };
        begin(&mut out, u32::try_from(HEAD + LINE * sold.len()).unwrap_or(0));
        for n in [FORM, stale, call.message.seq, self.now_us, self.life] {
            write(&mut out, n);
        }
        for one in sold {
            let Sold { status, grant, used, unsold, others, is_short, wait_us } = *one;
            for n in [status as u64, grant, used, unsold, others, is_short.into(), wait_us] {
                write(&mut out, n);
            }
        }
        out
    }
}

impl Call<'_> {
    /// Reads its answer.
    ///
    /// # Errors
    ///
    /// Where it is none to this call, in any of its numbers.
    pub fn read(&self, bytes: &[u8]) -> Result<Answer, Void> {
        self.try_read(bytes).ok_or(Void)
    }

    /// The most bytes that an answer has.
    #[must_use]
    pub fn max_answer(&self) -> usize {
        5 + 9 * (HEAD + LINE * self.places().len())
    }

    fn try_read(&self, bytes: &[u8]) -> Option<Answer> {
        let mut numbers = Numbers::of(bytes)?;
        let length = numbers.left();
        let mut next = || numbers.next();
        let (form, stale, seq) = (next()?, next()?, next()?);
        let now_us = next().filter(|now| *now < MAX)?;
        let life = next().filter(|life| *life < MAX)?;
        if form != FORM || seq != self.message.seq {
            return None;
        }
        let outcome = match stale {
            1 if length == HEAD => Outcome::Stale,
            0 if length == HEAD + LINE * self.places().len() => {
                let mut sold = Vec::with_capacity(self.places().len());
                for line in self.lines() {
                    let one = read_line(&mut next)?;
                    let is_possible =
                        one.grant <= line.cut().want && one.unsold <= line.terms.capacity();
                    sold.push(Some(one).filter(|_| is_possible)?);
                }
                Outcome::Done(sold)
            }
            _ => return None,
        };
        numbers.is_at_end().then_some(Answer { now_us, life, outcome })
    }
}

fn read_line(next: &mut impl FnMut() -> Option<u64>) -> Option<Sold> {
    let mut bounded = || next().filter(|n| *n <= MAX);
    let status = *Status::ALL.get(usize::try_from(bounded()?).ok()?)?;
    let (grant, used, unsold, others) = (bounded()?, bounded()?, bounded()?, bounded()?);
    let is_short = match bounded()? {
        0 => false,
        1 => true,
        _ => return None,
    };
    let sold = Sold { status, grant, used, unsold, others, is_short, wait_us: bounded()? };
    (status == Status::Done || grant == 0).then_some(sold)
}
