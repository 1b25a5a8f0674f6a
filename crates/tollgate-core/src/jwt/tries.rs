//! How many keys are tried for one token.
//!
//! A token without a `kid`, or with one that no key has, may be signed by any key that has none. Whoever
//! sends made-up tokens chooses how long that takes, so what is tried for one of them is bounded by what it
//! costs, and not by the number of keys alone: one check with a key of P-521 takes as long as twenty with
//! one of RSA 2048.

use super::key::Key;

/// The most signatures that are checked for one token.
pub const MAX_SIGNATURE_CHECKS: usize = 16;

/// What the checks for one token may cost in all, in checks with RSA 2048: about a millisecond at most.
const MAX_COST: usize = 32;

/// So many are made whatever they cost, because keys are changed by having two for a while.
const ALWAYS: usize = 2;

/// The checks that are made for one token.
#[derive(Debug, Default)]
pub(super) struct Tries {
    made: usize,
    cost: usize,
}

impl Tries {
    /// Whether this key may be tried behind those before.
    pub(super) fn allow(&mut self, key: &Key) -> bool {
        self.made += 1;
        self.cost += key.cost();
        self.made <= ALWAYS || (self.made <= MAX_SIGNATURE_CHECKS && self.cost <= MAX_COST)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{P256_PUBLIC, P384_PUBLIC, P521_PUBLIC};
    use super::super::key::{Curve, Key};
    use super::super::pem;
    use super::*;

    fn allowed(key: impl Fn() -> Key) -> usize {
        let mut tries = Tries::default();
        (0..100).take_while(|_| tries.allow(&key())).count()
    }

    fn of_pem(pem: &'static str) -> impl Fn() -> Key {
        move || pem::parse(pem.as_bytes()).unwrap().remove(0)
    }

    /// An RSA key of so many bits, with no factor below 752.
    fn rsa(bits: usize) -> impl Fn() -> Key {
        let key = move |end: u8| {
            let mut modulus = vec![0; bits / 8];
            modulus[0] = 0x80;
            *modulus.last_mut().unwrap() = end;
            Key::rsa(&modulus, &[1, 0, 1]).ok()
        };
        move || (1..255).step_by(2).find_map(key).unwrap()
    }

    #[test]
    fn costly_keys_are_tried_less_often_but_two_of_each_are() {
        assert_eq!(allowed(|| Key::hmac(&[7; 64]).unwrap()), MAX_SIGNATURE_CHECKS);
        let ed25519 = [&[9][..], &[0; 31]].concat();
        assert!(Key::on_curve(Curve::Ed25519, &ed25519).is_ok());
        assert_eq!(allowed(|| Key::on_curve(Curve::Ed25519, &ed25519).unwrap()), 16);
        assert_eq!(allowed(of_pem(P256_PUBLIC)), 8);
        assert_eq!(allowed(of_pem(P384_PUBLIC)), 2);
        assert_eq!(allowed(of_pem(P521_PUBLIC)), 2);
        for (bits, checks) in [(2048, 16), (3072, 10), (4096, 8), (8192, 2)] {
            assert_eq!(allowed(rsa(bits)), checks, "{bits}");
        }
    }

    #[test]
    fn cheap_keys_are_tried_behind_costly_ones_as_far_as_these_leave() {
        let (costly, cheap) = (rsa(8192), rsa(2048));
        let mut tries = Tries::default();
        assert!(tries.allow(&costly()));
        assert_eq!((0..100).take_while(|_| tries.allow(&cheap())).count(), 15);
    }
}
