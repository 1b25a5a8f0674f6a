//! What is kept of one client: two cache lines, and its names elsewhere where they are long.
//!
//! ```text
//! hash (2) | lengths | tier | last seen | requests | refused | input || output | cost | ratios | changes | names (4)
//! ```
//!
//! Whoever holds the directory's mutex gives an entry to a client. While it changes, its hash is 0, so that whoever
//! reads it meanwhile finds nobody there. Changes are counted, so that whoever reads it notices those that came and
//! went meanwhile, even where it is the same client's again. Everybody counts in it, without a lock: a request that
//! is counted in the very moment in which its client's entry is given away may be counted for the next one.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use super::known::{Known, Meta, Who};
use super::word::put;
use super::MAX_NAME_LEN;
use crate::clock::UnixMillis;

/// The words of an entry.
pub(super) const ENTRY_WORDS: usize = 16;
/// The words of names that are too long to be in it: a client's, and a tenant's.
pub(super) const TEXT_WORDS: usize = 2 * MAX_NAME_LEN / 8;

const LOW: usize = 0;
const HIGH: usize = 1;
const META: usize = 2;
const TIER: usize = 3;
const LAST_SEEN: usize = 4;
const REQUESTS: usize = 5;
const REFUSED: usize = 6;
const INPUT: usize = 7;
const OUTPUT: usize = 8;
const COST: usize = 9;
const RATIOS: usize = 10;
const CHANGES: usize = 11;
const NAMES: usize = 12;

/// The bytes of names that are in an entry itself.
const SHORT: usize = (ENTRY_WORDS - NAMES) * 8;

/// A request that has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// When it ended.
    pub at: UnixMillis,
    /// In which tier, as [`tier_mark`](super::tier_mark) has it; 0: in none.
    pub tier: u64,
    /// Whether it was refused.
    pub is_refused: bool,
    /// Tokens.
    pub input: u64,
    /// Tokens.
    pub output: u64,
    /// Nano-units of money.
    pub cost_nanos: u64,
}

/// How much of its limits a client had used when somebody looked: shares, 1 is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Ratios {
    /// Of the limit that it is nearest to.
    pub worst: f64,
    /// Of the budget that it is nearest to.
    pub budget: f64,
}

/// What a ratio of 1 is in its word.
const ONE: f64 = 10_000.0;

impl Ratios {
    fn word(self) -> u64 {
        half(self.worst) << 32 | half(self.budget)
    }

    fn of(word: u64) -> Self {
        let ratio = |half: u64| half as f64 / ONE;
        Self { worst: ratio(word >> 32), budget: ratio(word & u64::from(u32::MAX)) }
    }
}

/// A ratio, between 0 and what 32 bits hold.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn half(ratio: f64) -> u64 {
    (ratio * ONE).round().clamp(0.0, f64::from(u32::MAX)) as u64
}

/// What is known of a client, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Client {
    /// Its name.
    pub client: String,
    /// That of its tenant, by its last credential.
    pub tenant: Option<String>,
    /// Requests a minute that its last token granted.
    pub rate_limit: Option<NonZeroU32>,
    /// Its last tier, as [`tier_mark`](super::tier_mark) has it.
    pub tier: u64,
    /// When its last request ended.
    pub last_seen: UnixMillis,
    /// Requests, refused ones included.
    pub requests: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Tokens of what was asked.
    pub input_tokens: u64,
    /// Tokens of what was answered.
    pub output_tokens: u64,
    /// Nano-units of money.
    pub cost_nanos: u64,
    /// What somebody found last of its limits.
    pub ratios: Ratios,
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'m> {
    words: &'m [AtomicU64; ENTRY_WORDS],
    /// Where its names are if they are long.
    text: &'m [AtomicU64],
}

impl<'m> Entry<'m> {
    #[inline]
    pub(super) fn new(words: &'m [AtomicU64; ENTRY_WORDS], text: &'m [AtomicU64]) -> Self {
        Self { words, text }
    }

    #[inline]
    fn get(&self, index: usize) -> u64 {
        self.words.get(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    #[inline]
    fn set(&self, index: usize, value: u64) {
        if let Some(word) = self.words.get(index) {
            put(word, value);
        }
    }

    #[inline]
    fn add(&self, index: usize, amount: u64) {
        if let Some(word) = self.words.get(index).filter(|_| amount > 0) {
            word.fetch_add(amount, Ordering::Relaxed);
        }
    }

    /// Whose it is: 0, nobody's.
    #[inline]
    pub(super) fn low(&self) -> u64 {
        self.get(LOW)
    }

    #[inline]
    pub(super) fn high(&self) -> u64 {
        self.get(HIGH)
    }

    /// Whether it is that of this client, and has what its credential says.
    #[inline]
    pub(super) fn is_as(&self, known: &Known) -> bool {
        self.is_of(known) && self.get(META) == known.meta.0
    }

    #[inline]
    pub(super) fn is_of(&self, known: &Known) -> bool {
        self.low() == known.hash.low && self.high() == known.hash.high
    }

    /// Counts a request.
    #[inline]
    pub(super) fn count(&self, seen: &Seen) {
        self.add(REQUESTS, 1);
        self.add(REFUSED, u64::from(seen.is_refused));
        self.add(INPUT, seen.input);
        self.add(OUTPUT, seen.output);
        self.add(COST, seen.cost_nanos);
        self.see(seen.at);
        if self.get(TIER) != seen.tier {
            self.set(TIER, seen.tier);
        }
    }

    #[inline]
    fn see(&self, at: UnixMillis) {
        let at = u64::try_from(at.0).unwrap_or(0);
        if self.get(LAST_SEEN) < at {
            self.set(LAST_SEEN, at);
        }
    }

    /// When its client was seen last, in milliseconds; 0: it is nobody's.
    pub(super) fn age_mark(&self) -> u64 {
        match self.low() {
            0 => 0,
            _ => self.get(LAST_SEEN).max(1),
        }
    }

    /// It is nobody's. Only for who holds the mutex.
    pub(super) fn free(&self) {
        self.set(LOW, 0);
    }

    /// All of it but whose it is, for [`Entry::publish`]. Only for who holds the mutex.
    pub(super) fn prepare(&self, known: &Known, who: Who<'_>, at: UnixMillis) {
        self.free();
        self.note_change();
        self.set(HIGH, known.hash.high);
        for index in TIER..CHANGES {
            self.set(index, 0);
        }
        self.see(at);
        self.write_names(known.meta, who);
    }

    /// Only for who holds the mutex.
    pub(super) fn publish(&self, known: &Known) {
        self.set(LOW, known.hash.low);
    }

    /// Its credential says something else of the client. Only for who holds the mutex.
    pub(super) fn refresh(&self, known: &Known, who: Who<'_>) {
        if Meta(self.get(META)).has_same_names(known.meta) {
            self.set(META, known.meta.0);
            return;
        }
        self.free();
        self.note_change();
        self.write_names(known.meta, who);
        self.publish(known);
    }

    /// Before anything else of it changes. Only for who holds the mutex.
    fn note_change(&self) {
        self.set(CHANGES, self.get(CHANGES).wrapping_add(1));
    }

    fn write_names(&self, meta: Meta, who: Who<'_>) {
        self.set(META, meta.0);
        let names = [who.client, who.tenant.unwrap_or_default()].map(str::as_bytes).concat();
        for (word, bytes) in self.names_of(meta).iter().zip(names.chunks(8)) {
            let mut le = [0; 8];
            le.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            put(word, u64::from_le_bytes(le));
        }
    }

    /// Where its names are.
    fn names_of(&self, meta: Meta) -> &'m [AtomicU64] {
        let own = self.words.get(NAMES..).unwrap_or_default();
        let len = meta.client_len() + meta.tenant_len();
        if len <= own.len() * 8 {
            own
        } else {
            self.text
        }
    }

    /// The words of its names that are filled.
    fn names(&self, meta: Meta) -> impl Iterator<Item = u64> + use<'m> {
        let count = (meta.client_len() + meta.tenant_len()).div_ceil(8);
        self.names_of(meta).iter().take(count).map(|word| word.load(Ordering::Acquire))
    }

    /// Runs `f` with what is read of it at one moment; `None`: it is nobody's, or being changed.
    #[inline]
    fn at_once<T>(&self, f: impl FnOnce() -> T) -> Option<T> {
        let changes = self.get(CHANGES);
        // Only then: all changes that are known up to here have come to their end.
        let low = Some(self.low()).filter(|low| *low != 0)?;
        let found = f();
        (self.low() == low && self.get(CHANGES) == changes).then_some(found)
    }

    /// What is known of its client.
    pub(super) fn read(&self) -> Option<Client> {
        self.at_once(|| {
            let meta = Meta(self.get(META));
            let mut bytes: Vec<u8> = self.names(meta).flat_map(u64::to_le_bytes).collect();
            bytes.truncate(meta.client_len() + meta.tenant_len());
            let tenant = bytes.split_off(meta.client_len().min(bytes.len()));
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            Client {
                client: text(bytes),
                tenant: Some(text(tenant)).filter(|tenant| !tenant.is_empty()),
                rate_limit: meta.rate_limit(),
                tier: self.get(TIER),
                last_seen: UnixMillis(i64::try_from(self.get(LAST_SEEN)).unwrap_or(i64::MAX)),
                requests: self.get(REQUESTS),
                refused: self.get(REFUSED),
                input_tokens: self.get(INPUT),
                output_tokens: self.get(OUTPUT),
                cost_nanos: self.get(COST),
                ratios: self.ratios(),
            }
        })
    }

    /// Runs `f` with the name of its client; `None`: it is nobody's, or being changed.
    pub(super) fn with_name<T>(&self, f: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.at_once(|| {
            let meta = Meta(self.get(META));
            let len = meta.client_len();
            let fill = |bytes: &mut [u8]| {
                for (to, word) in bytes.chunks_exact_mut(8).zip(self.names(meta)) {
                    to.copy_from_slice(&word.to_le_bytes());
                }
            };
            if len <= SHORT {
                let mut name = [0; SHORT];
                fill(&mut name);
                return f(name.get(..len).unwrap_or_default());
            }
            let mut name = [0; MAX_NAME_LEN];
            fill(&mut name);
            f(name.get(..len).unwrap_or_default())
        })
    }

    /// Requests, then tokens.
    pub(super) fn use_so_far(&self) -> (u64, u64) {
        (self.get(REQUESTS), self.get(INPUT).saturating_add(self.get(OUTPUT)))
    }

    pub(super) fn cost(&self) -> u64 {
        self.get(COST)
    }

    fn ratios(&self) -> Ratios {
        Ratios::of(self.get(RATIOS))
    }

    /// The ratios as whole numbers, to be compared.
    pub(super) fn ratio_words(&self) -> (u64, u64) {
        let word = self.get(RATIOS);
        (word >> 32, word & u64::from(u32::MAX))
    }

    /// Notes what `f` finds of the limits of its client, given its name, the mark of its tier, and the requests a
    /// minute that its token grants.
    pub(super) fn update_ratios(&self, f: impl FnOnce(&str, u64, Option<NonZeroU32>) -> Ratios) {
        let low = self.low();
        let ratios = self.with_name(|name| {
            let name = std::str::from_utf8(name).ok()?;
            Some(f(name, self.get(TIER), Meta(self.get(META)).rate_limit()))
        });
        if let Some(Some(ratios)) = ratios.filter(|_| self.low() == low) {
            self.set(RATIOS, ratios.word());
        }
    }
}
