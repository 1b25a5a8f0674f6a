//! RSA keys whose private half can be computed from the public one.
//!
//! * ROCA (CVE-2017-15361): those of a broken library, by their fingerprint. M. Nemec et al., "The Return of
//!   Coppersmith's Attack", CCS 2017.
//! * A modulus with a small factor,: no product of two large primes (NIST SP
//!   800-89 section 5.3.3). Such a thing is a damaged or made-up key.

/// The primes that divide the constant M of the library, for keys of every size.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Factors are looked for below this, as SP 800-89 has it.
const SMALL: u32 = 752;

/// Whether one of the odd primes below [`SMALL`] divides `modulus` (big-endian).
pub(super) fn has_small_factor(modulus: &[u8]) -> bool {
    // Composite numbers find nothing that their factors would not.
    (3..SMALL).step_by(2).any(|factor| remainder(modulus, factor) == 0)
}

/// The rest of `number` (big-endian) divided by `divisor`, four bytes at a time: a set that is fetched may have
/// hundreds of long ones.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    let (head, words) = number.split_at(number.len() % 4);
    let divisor = u64::from(divisor);
    let step = |rest: u64, chunk: &[u8]| {
        chunk.iter().fold(rest, |number, byte| number << 8 | u64::from(*byte)) % divisor
    };
    let rest = words.chunks_exact(4).fold(step(0, head), step);
    u32::try_from(rest).unwrap_or(u32::MAX)
}

/// Whether `modulus` (big-endian) is a power of 65537 modulo each of the primes, as the library's
/// are. A sound modulus passes for one with a probability below 2^-27.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| is_power_of_65537(remainder(modulus, prime), prime))
}

fn is_power_of_65537(residue: u32, prime: u32) -> bool {
    let generator = 65537 % prime;
    std::iter::successors(Some(1), |power| Some(power * generator % prime))
        .take(prime as usize)
        .any(|power| power == residue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_of_65537_has_the_fingerprint_and_its_neighbour_has_not() {
        // 65537^3: a power of 65537 modulo everything.
        let power = 65537_u128.pow(3);
        assert!(has_fingerprint(&power.to_be_bytes()));
        assert!(!has_fingerprint(&(power + 2).to_be_bytes()));
    }

    #[test]
    fn remainders_are_those_of_whole_numbers() {
        let number: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3211;
        for len in 1..=16 {
            let bytes = &number.to_be_bytes()[..len];
            let whole = bytes.iter().fold(0u128, |whole, byte| whole << 8 | u128::from(*byte));
            for divisor in [3, 167, 751] {
                assert_eq!(
                    u128::from(remainder(bytes, divisor)),
                    whole % u128::from(divisor),
                    "{len}"
                );
            }
        }
    }

    #[test]
    fn small_factors_are_found_up_to_751() {
        let times = |factor: u128| (factor * 0x1000_0000_0000_0000_0000_0000_003d).to_be_bytes();
        for factor in [3, 5, 9, 661, 751] {
            assert!(has_small_factor(&times(factor)), "{factor}");
        }
        // 757 * 761, primes.
        assert!(!has_small_factor(&(757_u32 * 761).to_be_bytes()));
    }

    #[test]
    fn multiple_of_a_small_prime_has_no_fingerprint() {
        assert!(!has_fingerprint(&[3]));
        assert!(!has_fingerprint(&[0]));
    }
}
