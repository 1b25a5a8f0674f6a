//! Keys that only go forward: from each follows the next one, and from none the one before.

use std::fmt;

use aws_lc_rs::hmac;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Keys of batches that follow from each other, before the next run of them begins. So a verifier who comes
/// to the middle of a long chain has few steps to go.
const RUN: u64 = 4096;

/// A key, which is wiped when it is let go of.
pub(super) struct Secret(Zeroizing<[u8; 32]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The key of these bytes.
    #[must_use]
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key for one purpose that follows from this one.
    pub(super) fn derive(&self, purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tollgate audit seal 1: ");
        hash.update(purpose.as_bytes());
        hash.update([0]);
        hash.update(self.0.as_slice());
        Self::new(hash.finalize().into())
    }

    /// As shared memory holds it.
    pub(super) fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        let mut out = [0; 4];
        out.iter_mut().zip(words).for_each(|(out, word)| *out = u64::from_le_bytes(*word));
        out
    }

    pub(super) fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        chunks.iter_mut().zip(words).for_each(|(out, word)| *out = word.to_le_bytes());
        Self(bytes)
    }

    /// The key of the generation that begins with this root.
    pub(super) fn generation(&self) -> Self {
        self.derive("generation")
    }

    /// The root of the next generation.
    pub(super) fn next_root(&self) -> Self {
        self.derive("next root")
    }

    /// The key of the chain that begins next in a generation, while the clock has this key.
    pub(super) fn chain(&self, clock: &Ratchet) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tollgate audit seal 1: chain\0");
        hash.update(self.0.as_slice());
        hash.update(clock.key.0.as_slice());
        Self::new(hash.finalize().into())
    }

    /// What the key of a generation is after that.
    pub(super) fn after_chain(&self) -> Self {
        self.derive("after chain")
    }
}

/// The keys of a chain's batches, one after the other; or those of the clock.
#[derive(Debug)]
pub(super) struct Ratchet {
    /// Of which the next run is made.
    run: Secret,
    key: Secret,
    /// Of the batch whose key it is.
    number: u64,
}

impl Ratchet {
    /// That of the first batch.
    pub(super) fn new(chain: &Secret) -> Self {
        Self { run: chain.derive("next run"), key: chain.derive("run"), number: 0 }
    }

    /// That of a batch.
    pub(super) fn at(chain: &Secret, number: u64) -> Self {
        let mut ratchet = Self::new(chain);
        ratchet.go_to(number);
        ratchet
    }

    /// How many steps it is to a batch.
    pub(super) fn steps(number: u64) -> u64 {
        (number / RUN).saturating_add(number % RUN)
    }

    /// Goes on to a batch.
    pub(super) fn go_to(&mut self, number: u64) {
        while self.number < number && !self.number.is_multiple_of(RUN) {
            self.step();
        }
        while self.number.saturating_add(RUN) <= number {
            self.number = self.number.saturating_add(RUN);
            self.begin_run();
        }
        while self.number < number {
            self.step();
        }
    }

    /// As shared memory and files hold it.
    pub(super) fn parts(&self) -> (&Secret, &Secret, u64) {
        (&self.run, &self.key, self.number)
    }

    pub(super) fn from_parts(run: Secret, key: Secret, number: u64) -> Self {
        Self { run, key, number }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Goes on to the next batch. The key of this one is wiped.
    pub(super) fn step(&mut self) {
        self.number = self.number.saturating_add(1);
        if self.number.is_multiple_of(RUN) {
            self.begin_run();
        } else {
            self.key = self.key.derive("next batch");
        }
    }

    fn begin_run(&mut self) {
        self.key = self.run.derive("run");
        self.run = self.run.derive("next run");
    }

    /// The MAC of the batch: of the seal's own words and of the digests of its lines.
    pub(super) fn mac(&self, seal: &[u8], digests: &[u8]) -> [u8; 32] {
        let key = self.key.derive("mac");
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.bytes()));
        context.update(&(seal.len() as u64).to_le_bytes());
        context.update(seal);
        context.update(digests);
        let mut mac = [0; 32];
        mac.iter_mut().zip(context.sign().as_ref()).for_each(|(out, byte)| *out = *byte);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_is_the_same_from_memory_and_is_not_shown() {
        let secret = Secret::new(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        assert_eq!(Secret::from_words(secret.words()).bytes(), secret.bytes());
        assert_eq!(format!("{secret:?}"), "Secret");
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let root = Secret::new([7; 32]);
        let mut keys = vec![*root.bytes()];
        let clock = Ratchet::new(&root);
        for derived in [root.generation(), root.next_root(), root.chain(&clock), root.after_chain()]
        {
            keys.push(*derived.bytes());
        }
        let mut ratchet = Ratchet::new(&root);
        for _ in 0..3 * RUN {
            keys.push(*ratchet.key.bytes());
            ratchet.step();
        }
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn stepping_and_coming_to_the_middle_lead_to_the_same_key(number in 0_u64..3 * RUN) {
            let chain = Secret::new([1; 32]);
            let mut ratchet = Ratchet::new(&chain);
            (0..number).for_each(|_| ratchet.step());
            let at = Ratchet::at(&chain, number);
            prop_assert_eq!(at.number(), number);
            prop_assert_eq!(at.mac(b"a", b"b"), ratchet.mac(b"a", b"b"));
            prop_assert_ne!(at.mac(b"a", b"b"), ratchet.mac(b"ab", b""));
            // The runs that follow are the same, too.
            let mut at = at;
            for _ in 0..RUN { at.step(); ratchet.step(); }
            prop_assert_eq!(at.mac(b"", b""), ratchet.mac(b"", b""));
        }
    }
}
