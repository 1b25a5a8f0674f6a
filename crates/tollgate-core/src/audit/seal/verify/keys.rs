//! The keys of chains, found again from the first root.

use std::collections::HashMap;

use super::super::id::ChainId;
use super::super::key::VerifyingKey;
use super::super::line::Signed;
use super::super::ratchet::{Ratchet, Secret};

/// The keys of chains. Each is as many steps away as generations and chains were before it, so what was found is
/// kept.
#[derive(Debug)]
pub(super) struct Keys {
    key: VerifyingKey,
    root: Cursor,
    generations: HashMap<u32, Cursor>,
    chains: HashMap<(ChainId, u64), Secret>,
    /// Steps to the key of the seal that is looked at, and steps that were made for seals that are none.
    steps: u64,
    wasted: u64,
    /// Signatures that are none.
    unsigned: u64,
}

/// So many steps may be made for seals that are none; then no more than the second number for one seal.
const MAX_WASTED: u64 = 20_000_000;
const FEW: u64 = 20_000;

/// So many signatures may be none: then the others are not looked at.
const MAX_UNSIGNED: u64 = 100_000;

/// A key, and the how manieth it is.
#[derive(Debug)]
struct Cursor {
    number: u32,
    secret: Secret,
}

impl Keys {
    pub(super) fn new(key: VerifyingKey) -> Self {
        let root = Cursor { number: 0, secret: Secret::new(*key.root().bytes()) };
        Self {
            key,
            root,
            generations: HashMap::new(),
            chains: HashMap::new(),
            steps: 0,
            wasted: 0,
            unsigned: 0,
        }
    }

    pub(super) fn verifying(&self) -> &VerifyingKey {
        &self.key
    }

    /// When the clock had this key first, in milliseconds since 1970.
    pub(super) fn millis_of(&self, epoch: u64) -> i64 {
        self.key.time_of(epoch).saturating_mul(1000)
    }

    /// Whether the machine has signed these bytes, as it says with this key.
    pub(super) fn has_signed(&mut self, key: &str, signed: Signed<'_>) -> bool {
        let is_own = key == self.key.id().as_str();
        if !is_own || self.unsigned >= MAX_UNSIGNED {
            return false;
        }
        let is_signed = self.key.has_signed(signed.bytes, signed.signature);
        self.unsigned = self.unsigned.saturating_add(u64::from(!is_signed));
        is_signed
    }

    /// The key of a batch; `None`: it is far away, and so were too many that were made up.
    pub(super) fn ratchet(&mut self, chain: ChainId, epoch: u64, number: u64) -> Option<Ratchet> {
        let known = self.chains.contains_key(&(chain, epoch));
        let to_chain = match (known, self.generations.get(&chain.generation)) {
            (true, _) => 0,
            (false, Some(cursor)) => Ratchet::steps(epoch) + cursor.steps(chain.number),
            (false, None) => {
                let to_generation = self.root.steps(chain.generation);
                Ratchet::steps(epoch) + to_generation + u64::from(chain.number)
            }
        };
        self.steps = to_chain + Ratchet::steps(number);
        if self.wasted >= MAX_WASTED && self.steps > FEW {
            return None;
        }
        Some(Ratchet::at(self.chain(chain, epoch), number))
    }

    /// Whether the seal that was looked at is one.
    pub(super) fn judged(&mut self, is_good: bool) {
        let steps = std::mem::take(&mut self.steps);
        if !is_good {
            self.wasted = self.wasted.saturating_add(steps);
        }
    }

    fn chain(&mut self, chain: ChainId, epoch: u64) -> &Secret {
        let Self { key, root, generations, chains, .. } = self;
        chains.entry((chain, epoch)).or_insert_with(|| {
            let first = |root: &mut Cursor| {
                root.go_to(
                    chain.generation,
                    || Secret::new(*key.root().bytes()),
                    Secret::next_root,
                );
                root.secret.generation()
            };
            let cursor = generations
                .entry(chain.generation)
                .or_insert_with(|| Cursor { number: 0, secret: first(root) });
            cursor.go_to(chain.number, || first(root), Secret::after_chain);
            cursor.secret.chain(&Ratchet::at(key.clock(), epoch))
        })
    }
}

impl Cursor {
    /// How many steps it is to a number.
    fn steps(&self, number: u32) -> u64 {
        u64::from(number.checked_sub(self.number).unwrap_or(number))
    }

    fn go_to(
        &mut self,
        number: u32,
        first: impl FnOnce() -> Secret,
        next: impl Fn(&Secret) -> Secret,
    ) {
        if number < self.number {
            *self = Self { number: 0, secret: first() };
        }
        while self.number < number {
            *self = Self { number: self.number.saturating_add(1), secret: next(&self.secret) };
        }
    }
}
