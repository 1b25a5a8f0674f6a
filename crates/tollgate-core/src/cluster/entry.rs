//! One limit in the table: what this node holds of its lease, and what it owes the store a report of.
//!
//! What was drawn is not counted: it is what was put into the balance, less what is left there. So a draw is one
//! swap of one word, and whoever reads that word knows both, exactly.
//!
//! Three words are changed by requests: the balance, the adjustment, and what was given away without the store. Each
//! carries how often the entry changed hands, so that who was suspended between reading and swapping can't take the
//! word of another key for the one he read:
//!
//! ```text
//!  63      56 55                                      0
//! +----------+-----------------------------------------+
//! |  hands   | tokens, nano-units or places            |
//! +----------+-----------------------------------------+
//! ```
//!
//! All others are written by the one thread that speaks with the store, or under the table's mutex.

use super::super::limits::sync::{fence, planted, AtomicU64, Ordering};
use super::marks::Marks;
use super::shape::Shape;
use crate::clock::MonoNanos;

/// Words of an entry: two cache lines.
pub(super) const ENTRY_WORDS: usize = 16;

// In the first line is what a request needs.
pub(super) const BALANCE: usize = 0;
pub(super) const EXPIRES: usize = 1;
pub(super) const ADJUST: usize = 2;
pub(super) const NEED: usize = 3;
pub(super) const MARKS: usize = 4;
pub(super) const CAPACITY: usize = 5;
pub(super) const ALONE: usize = 6;
/// What the thread notes of the last answer: the number of the message, and the wait.
pub(super) const ANSWERED: usize = 7;
pub(super) const SOLD: usize = 8;
pub(super) const ACKED_DRAWN: usize = 9;
pub(super) const ACKED_ADJUST: usize = 10;
pub(super) const BORN: usize = 11;
pub(super) const NAME: usize = 12;
pub(super) const USED: usize = 14;
pub(super) const HEARD: usize = 15;

const AMOUNT_BITS: u32 = 56;
const AMOUNT_MASK: u64 = (1 << AMOUNT_BITS) - 1;
const SIGN: u64 = 1 << (AMOUNT_BITS - 1);

/// The amount in a word that carries it.
pub(super) fn amount(word: u64) -> u64 {
    word & AMOUNT_MASK
}

/// The same word with another amount.
pub(super) fn with_amount(word: u64, amount: u64) -> u64 {
    word & !AMOUNT_MASK | amount.min(AMOUNT_MASK)
}

/// The amount in a word where it may be negative.
pub(super) fn signed(word: u64) -> i64 {
    let amount = amount(word);
    let extended = if amount & SIGN == 0 { amount } else { amount | !AMOUNT_MASK };
    i64::from_ne_bytes(extended.to_ne_bytes())
}

fn with_signed(word: u64, amount: i64) -> u64 {
    let most = i64::try_from(SIGN - 1).unwrap_or(i64::MAX);
    let bits = u64::from_ne_bytes(amount.clamp(-most, most).to_ne_bytes());
    word & !AMOUNT_MASK | bits & AMOUNT_MASK
}

/// So many of the node's units in those of the store, `unit` of them being one: rounded up, so that a part of one
/// counts as one.
pub(super) fn units(amount: i64, unit: u64) -> i64 {
    let unit = i64::try_from(unit).unwrap_or(i64::MAX).max(1);
    let whole = amount.div_euclid(unit);
    if amount.rem_euclid(unit) == 0 {
        whole
    } else {
        whole + 1
    }
}

/// The word of an entry that changes hands: of nothing.
pub(super) fn of_next_hands(word: u64) -> u64 {
    (word >> AMOUNT_BITS).wrapping_add(1) << AMOUNT_BITS
}

/// What is needed by those who wait, and in which round they asked: of others nothing is needed any more.
const NEED_BITS: u32 = 40;
const NEED_MASK: u64 = (1 << NEED_BITS) - 1;

/// The number of the message before which something was taken out of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round(pub(super) u64);

/// What came of a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what was drawn must be used, or put back"]
pub enum Drawn {
    /// It was taken.
    Taken(Round),
    /// The lease has too little left; nothing was taken.
    Short {
        /// How much is missing.
        missing: u64,
    },
    /// The entry belongs to another limit by now.
    Moved,
}

/// From what a reservation was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// A lease.
    Lease,
    /// This node's own judgement, as the store was lost.
    Alone,
}

/// A view of an entry that was found.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'m> {
    pub(super) words: &'m [AtomicU64; ENTRY_WORDS],
    /// Where it says whose it is, and what it says.
    pub(super) tags: [&'m AtomicU64; 2],
    pub(super) tag: [u64; 2],
    pub(super) round: &'m AtomicU64,
    /// Where it is noted that the thread has to look, and the bit for that.
    pub(super) look: &'m AtomicU64,
    pub(super) bit: u64,
    /// Its number in the table.
    pub(super) place: usize,
}

impl Entry<'_> {
    /// Takes `n` out of the lease: tokens or nano-units. `clock` is read after that: what was taken of a lease that
    /// has run out by then is put back.
    ///
    /// What is drawn is reported by the next message, and begins to drain then. So it counts as drawn only if no
    /// message was begun before the clock was read: else it could have been reported before it was decided on.
    #[inline]
    pub fn draw(&self, n: u64, clock: impl Fn() -> MonoNanos) -> Drawn {
        if n == 0 {
            return Drawn::Taken(Round(self.round.load(Ordering::Acquire)));
        }
        loop {
            let round = self.round.load(Ordering::Acquire);
            let seen = self.words[BALANCE].load(Ordering::Acquire);
            // In this order: between its being read and swapped the entry can't have changed hands.
            if !self.is_ours() {
                return Drawn::Moved;
            }
            let left = amount(seen);
            let Some(rest) = left.checked_sub(n) else {
                return Drawn::Short { missing: n - left };
            };
            if !self.swap_balance(seen, with_amount(seen, rest)) {
                continue;
            }
            let expires = self.words[EXPIRES].load(Ordering::Acquire);
            let in_time = clock().0 < expires || planted!(SpentLate);
            let is_unreported =
                self.round.load(Ordering::SeqCst) == round || planted!(ToldTooEarly);
            match (in_time, is_unreported) {
                (true, true) => {
                    self.call();
                    return Drawn::Taken(Round(round));
                }
                (false, _) => {
                    self.undo(n, Round(round));
                    return Drawn::Short { missing: n };
                }
                // What was reported is spent for the store: it is drawn once more.
                (true, false) => self.undo(n, Round(round)),
            }
        }
    }

    /// Puts back what was drawn in a round, and not used. What was reported meanwhile stays drawn: for the store it
    /// has begun to drain, and can't be spent again.
    pub fn undo(&self, n: u64, round: Round) {
        let mut seen = self.words[BALANCE].load(Ordering::Acquire);
        while self.round.load(Ordering::SeqCst) == round.0 && self.is_ours() {
            let more = amount(seen).saturating_add(n).min(AMOUNT_MASK);
            let word = &self.words[BALANCE];
            let next = with_amount(seen, more);
            match word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Acquire) {
                Ok(_) => break,
                Err(other) => seen = other,
            }
        }
        self.call();
    }

    /// Reports that more was used than was drawn, or (negative) less, in tokens or nano-units. `false`: the entry
    /// belongs to another limit by now.
    pub fn adjust(&self, delta: i64) -> bool {
        self.change(&self.words[ADJUST], |seen| {
            with_signed(seen, signed(seen).saturating_add(delta))
        })
    }

    /// Notes that so much was given away by this node's own judgement, as the store is lost. `false` as with
    /// [`Entry::adjust`].
    pub fn spend_alone(&self, n: u64) -> bool {
        self.change(&self.words[ALONE], |seen| with_amount(seen, amount(seen).saturating_add(n)))
    }

    /// Asks that the limit be full again in the store, as an operator wants.
    pub(super) fn ask_for_reset(&self) {
        self.set_marks(|marks| Marks { is_reset: true, ..marks });
        self.call();
    }

    /// Has the store asked how the limit stands, unless that was heard within [`OUTDATED`](super::times::OUTDATED).
    pub fn look_again(&self) {
        self.call();
    }

    /// Says that a request waits for `n` more, in the store's units. To be said in each round in which it waits;
    /// gives the number of the message that is to ask for it.
    pub fn need(&self, n: u64) -> u64 {
        let round = self.round.load(Ordering::Acquire);
        let mut seen = self.words[NEED].load(Ordering::Acquire);
        loop {
            let others = needed(seen, round);
            let sum = others.saturating_add(n).min(NEED_MASK);
            let next = round << NEED_BITS | sum;
            match self.words[NEED].compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => break,
                Err(other) => seen = other,
            }
        }
        self.call();
        round
    }

    /// Takes back what was said by [`Entry::need`] in this round: the request doesn't wait any more.
    pub fn satisfied(&self, n: u64, round: u64) {
        let mut seen = self.words[NEED].load(Ordering::Acquire);
        loop {
            let Some(rest) = needed(seen, round).checked_sub(n) else { return };
            let next = round << NEED_BITS | rest;
            match self.words[NEED].compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// Whether the store has answered the message of this number, or a later one, or it is lost.
    #[must_use]
    pub fn is_answered(&self, round: u64) -> bool {
        let answered = self.words[ANSWERED].load(Ordering::Acquire) >> WAIT_BITS;
        // The numbers go around.
        answered.wrapping_sub(round & ROUND_MASK) & ROUND_MASK <= ROUND_MASK / 2
    }

    /// In how many nanoseconds the store can sell more, as it said last; 0: that isn't known.
    #[must_use]
    pub fn wait_nanos(&self) -> u64 {
        (self.words[ANSWERED].load(Ordering::Acquire) & WAIT_MASK).saturating_mul(1_000_000)
    }

    /// Whether this node may have `count` requests in flight, as it has, the one that asks included. To be asked when
    /// that one was counted: the thread lowers what is allowed first, and looks at the count then.
    #[must_use]
    pub fn allows(&self, count: u16, clock: impl Fn() -> MonoNanos) -> bool {
        fence(Ordering::SeqCst);
        let allowed = amount(self.words[BALANCE].load(Ordering::SeqCst));
        let expires = self.words[EXPIRES].load(Ordering::Acquire);
        if u64::from(count).saturating_mul(5) >= allowed.saturating_mul(4) {
            // There should be more before it is needed.
            self.call();
        }
        self.is_ours()
            && u64::from(count) <= allowed
            && (clock().0 < expires || planted!(SpentLate))
    }

    /// What is left of the lease, whether it has run out or not.
    #[must_use]
    pub fn balance(&self) -> u64 {
        amount(self.words[BALANCE].load(Ordering::Acquire))
    }

    /// What all nodes together have used, in the store's units, as it said last.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.words[USED].load(Ordering::Acquire)
    }

    /// Notes what the limit is.
    pub(super) fn describe(&self, shape: &Shape) {
        self.words[CAPACITY].store(capacity(shape), Ordering::Release);
        self.set_marks(|marks| Marks { count: count(shape), ..marks });
    }

    /// Whether it is noted as what it is, and doesn't leave.
    #[inline]
    pub(super) fn is_described(&self, shape: &Shape) -> bool {
        Marks::is_at_rate(self.words[MARKS].load(Ordering::Acquire), count(shape))
            && self.words[CAPACITY].load(Ordering::Relaxed) == capacity(shape)
    }

    pub(super) fn marks(&self) -> Marks {
        Marks::of(self.words[MARKS].load(Ordering::Acquire))
    }

    /// Changes the marks; gives those that are set then.
    pub(super) fn set_marks(&self, change: impl Fn(Marks) -> Marks) -> Marks {
        let mut seen = self.words[MARKS].load(Ordering::Acquire);
        loop {
            let next = change(Marks::of(seen));
            let bits = next.bits();
            if bits == seen {
                return next;
            }
            let swapped =
                self.words[MARKS].compare_exchange(seen, bits, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => return next,
                Err(other) => seen = other,
            }
        }
    }

    /// Has the thread look at the entry before the next message.
    #[inline]
    pub(super) fn call(&self) {
        let mut seen = self.look.load(Ordering::Acquire);
        while seen & self.bit == 0 {
            let next = seen | self.bit;
            match self.look.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    /// What those need who asked in this round, in the store's units.
    pub(super) fn needed(&self, round: u64) -> u64 {
        needed(self.words[NEED].load(Ordering::Acquire), round)
    }

    #[inline]
    pub(super) fn is_ours(&self) -> bool {
        let [low, high] = self.tags;
        low.load(Ordering::Acquire) == self.tag[0] && high.load(Ordering::Acquire) == self.tag[1]
    }

    /// Swaps one of the words that carry how often the entry changed hands. `false`: it belongs to another limit by
    /// now.
    pub(super) fn change(&self, word: &AtomicU64, next: impl Fn(u64) -> u64) -> bool {
        let mut seen = word.load(Ordering::Acquire);
        loop {
            if !self.is_ours() {
                return false;
            }
            let next = next(seen);
            let swapped = word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => break,
                Err(other) => seen = other,
            }
        }
        self.call();
        true
    }

    /// What the limit is called in the store.
    pub(super) fn name(&self) -> [u8; 16] {
        let half = |word: &AtomicU64| u128::from(word.load(Ordering::Acquire));
        (half(&self.words[NAME]) << 64 | half(&self.words[NAME + 1])).to_be_bytes()
    }

    /// Swaps the balance; `false`: it was another one.
    #[inline]
    pub(super) fn swap_balance(&self, seen: u64, next: u64) -> bool {
        if planted!(StoredBalance) {
            self.words[BALANCE].store(next, Ordering::SeqCst);
            return true;
        }
        let word = &self.words[BALANCE];
        word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Acquire).is_ok()
    }
}

fn needed(word: u64, round: u64) -> u64 {
    if word >> NEED_BITS == round & (u64::MAX >> NEED_BITS) {
        word & NEED_MASK
    } else {
        0
    }
}

/// The answer's number, and the wait in milliseconds.
const WAIT_BITS: u32 = 40;
const WAIT_MASK: u64 = (1 << WAIT_BITS) - 1;
const ROUND_MASK: u64 = u64::MAX >> WAIT_BITS;

pub(super) fn answered(round: u64, wait_us: u64) -> u64 {
    round << WAIT_BITS | wait_us.div_ceil(1_000).min(WAIT_MASK)
}

#[inline]
fn capacity(shape: &Shape) -> u64 {
    match *shape {
        Shape::Bucket { capacity, .. } => capacity.into(),
        Shape::Budget { amount, .. } => amount,
        Shape::Slots { limit } => limit.into(),
    }
}

#[inline]
fn count(shape: &Shape) -> u32 {
    match *shape {
        Shape::Bucket { count, .. } => count,
        Shape::Budget { .. } | Shape::Slots { .. } => 0,
    }
}
