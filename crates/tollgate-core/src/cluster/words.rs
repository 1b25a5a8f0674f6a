//! What the processes of a node know together of the store: the first words of the table of leases.

use super::super::limits::sync::{AtomicU64, Ordering};
use super::super::limits::Seed;
use crate::clock::{MonoNanos, UnixSeconds};

/// Words of the header, the table's own included.
pub(super) const HEADER_WORDS: usize = 32;
/// Where the words of this module begin among them.
pub(super) const FIRST: usize = 8;

const INCARNATION: usize = 0;
/// The number of the next message: that of the round in which a request asks.
const ROUND: usize = 1;
const BEGAN: usize = 2;
const CONTACT: usize = 3;
/// The store's clock minus the monotonic one, in microseconds, at most and at least; as two's complement.
const AHEAD: usize = 4;
const BEHIND: usize = 5;
/// Which seed it is (0: none), and the seed.
const ERA: usize = 6;
const SEED: usize = 7;
const REVOCATIONS: usize = 9;
const NODES: usize = 10;
const WORDS: usize = 11;

/// The era has so many bits where entries note it.
const ERA_MASK: u64 = 0xffff;

/// A view of them.
#[derive(Clone, Copy, Debug)]
pub struct Words<'m>(&'m [AtomicU64; WORDS]);

impl<'m> Words<'m> {
    /// Those in a header; `None`: it is too short.
    pub(super) fn of(header: &'m [AtomicU64]) -> Option<Self> {
        header.get(FIRST..)?.first_chunk().map(Self)
    }

    /// Makes them anew, for a node that begins at `now`.
    pub(super) fn begin(&self, incarnation: u64, now: MonoNanos) {
        let Self(words) = self;
        words[INCARNATION].store(incarnation, Ordering::Relaxed);
        words[BEGAN].store(now.0, Ordering::Relaxed);
        words[ROUND].store(1, Ordering::Relaxed);
    }

    /// Random bits that tell this memory from that of an earlier run of the node.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.0[INCARNATION].load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn round_word(&self) -> &'m AtomicU64 {
        &self.0[ROUND]
    }

    /// The number of the next message, in which is asked for what is needed now.
    #[must_use]
    pub fn round(&self) -> u64 {
        self.0[ROUND].load(Ordering::Acquire)
    }

    /// The number of a message that is made now. From here on, what is drawn is reported by this message or
    /// the next one.
    pub(super) fn next_round(&self) -> u64 {
        self.0[ROUND].fetch_add(1, Ordering::SeqCst)
    }

    /// When the memory was made.
    #[must_use]
    pub fn began(&self) -> MonoNanos {
        MonoNanos(self.0[BEGAN].load(Ordering::Relaxed))
    }

    /// When the last message was sent that the store answered; `None`: it never did.
    #[must_use]
    pub fn contact(&self) -> Option<MonoNanos> {
        let contact = self.0[CONTACT].load(Ordering::Acquire);
        (contact != 0).then_some(MonoNanos(contact))
    }

    /// Notes that the store, to a message of `sent`, answered by `now` that its clock says `store_us`.
    pub(super) fn set_store_time(&self, store_us: u64, sent: MonoNanos, now: MonoNanos) {
        let Self(words) = self;
        words[BEHIND].store(store_us.wrapping_sub(now.0 / 1_000), Ordering::Release);
        words[AHEAD].store(store_us.wrapping_sub(sent.0 / 1_000), Ordering::Release);
    }

    /// Notes that the store executed a message of `sent`.
    pub(super) fn set_contact(&self, sent: MonoNanos) {
        self.0[CONTACT].store(sent.0.max(1), Ordering::Release);
    }

    /// The store's time at `now`, in microseconds since 1970: at least, and at most. `None`: the store was never
    /// heard.
    #[must_use]
    pub fn store_us(&self, now: MonoNanos) -> Option<(u64, u64)> {
        let ahead = self.0[AHEAD].load(Ordering::Acquire);
        let at = |offset: u64| offset.wrapping_add(now.0 / 1_000);
        let behind = at(self.0[BEHIND].load(Ordering::Acquire));
        (ahead != 0).then(|| (behind.min(at(ahead)), at(ahead)))
    }

    /// The store's clock at `now`, by which the periods of budgets turn. `None`: it was never heard.
    #[must_use]
    pub fn store_time(&self, now: MonoNanos) -> Option<UnixSeconds> {
        let (_, at_most) = self.store_us(now)?;
        i64::try_from(at_most / 1_000_000).ok().map(UnixSeconds)
    }

    /// By what limits are called in the store; `None`: the store hasn't said it yet.
    #[must_use]
    pub fn seed(&self) -> Option<Seed> {
        let era = self.era();
        let [low, high] =
            [&self.0[SEED], &self.0[SEED + 1]].map(|word| word.load(Ordering::Acquire));
        let seed = (low, high);
        (era != 0 && self.era() == era).then(|| Seed::new(seed))
    }

    /// Notes the seed that the store keeps for all nodes. One thread of one process does. Where it is another
    /// one than before, all limits have other names from now on.
    pub fn set_seed(&self, seed: (u64, u64)) {
        let Self(words) = self;
        let era = words[ERA].load(Ordering::Acquire);
        let had = (words[SEED].load(Ordering::Acquire), words[SEED + 1].load(Ordering::Acquire));
        if era & ERA_MASK != 0 && had == seed {
            return;
        }
        // Nobody reads the two halves of two seeds. The high bits keep count meanwhile.
        words[ERA].store((era & !ERA_MASK) | (era & ERA_MASK) << 16, Ordering::Release);
        words[SEED].store(seed.0, Ordering::Release);
        words[SEED + 1].store(seed.1, Ordering::Release);
        let last = (era & ERA_MASK).max(era >> 16 & ERA_MASK);
        let next = if last == ERA_MASK { 1 } else { last + 1 };
        words[ERA].store(next, Ordering::Release);
    }

    /// Which seed it is; 0: none is known.
    #[inline]
    pub(super) fn era(&self) -> u64 {
        self.0[ERA].load(Ordering::Acquire) & ERA_MASK
    }

    /// The number of the list of revocations that is in force here.
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.0[REVOCATIONS].load(Ordering::Acquire)
    }

    /// Notes it.
    pub fn set_revocations(&self, number: u64) {
        self.0[REVOCATIONS].store(number, Ordering::Release);
    }

    /// How many nodes speak with the store, this one included, as it said last; 0: it hasn't said it.
    #[must_use]
    pub fn nodes(&self) -> u64 {
        self.0[NODES].load(Ordering::Acquire)
    }

    /// Notes it.
    pub fn set_nodes(&self, nodes: u64) {
        self.0[NODES].store(nodes, Ordering::Release);
    }
}
