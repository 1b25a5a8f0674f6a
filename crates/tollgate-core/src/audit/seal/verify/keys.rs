//! The keys of chains, found again from the first root.

use std::collections::HashMap;

use super::super::id::ChainId;
use super::super::key::VerifyingKey;
use super::super::ratchet::{Ratchet, Secret};

/// The keys of chains. Each is as many steps away as generations and chains were before it, so what was found is
/// kept.
#[derive(Debug)]
pub(super) struct Keys {
    key: VerifyingKey,
    root: Cursor,
    generations: HashMap<u32, Cursor>,
    chains: HashMap<(ChainId, u64), Secret>,
}

/// A key, and the how manieth it is.
#[derive(Debug)]
struct Cursor {
    number: u32,
    secret: Secret,
}

impl Keys {
    pub(super) fn new(key: VerifyingKey) -> Self {
        let root = Cursor { number: 0, secret: Secret::new(*key.root().bytes()) };
        Self { key, root, generations: HashMap::new(), chains: HashMap::new() }
    }

    pub(super) fn verifying(&self) -> &VerifyingKey {
        &self.key
    }

    /// When the clock had this key first, in milliseconds since 1970.
    pub(super) fn millis_of(&self, epoch: u64) -> i64 {
        self.key.time_of(epoch).saturating_mul(1000)
    }

    /// The key of a batch.
    pub(super) fn ratchet(&mut self, chain: ChainId, epoch: u64, number: u64) -> Ratchet {
        Ratchet::at(self.chain(chain, epoch), number)
    }

    fn chain(&mut self, chain: ChainId, epoch: u64) -> &Secret {
        let Self { key, root, generations, chains } = self;
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
