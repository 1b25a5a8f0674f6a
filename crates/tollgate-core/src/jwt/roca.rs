//! The fingerprint of RSA keys made by a broken library (ROCA, CVE-2017-15361), whose private half can
//! be computed from the public one. M. Nemec et al., "The Return of Coppersmith's Attack", CCS 2017.

/// The primes that divide the constant M of the library, for keys of every size.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether `modulus` (big-endian) is a power of 65537 modulo each of the primes, as the library's
/// are. A sound modulus passes for one with a probability below 2^-27.
pub(super) fn has_fingerprint(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| {
        let residue = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        is_power_of_65537(residue, prime)
    })
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
    fn multiple_of_a_small_prime_has_no_fingerprint() {
        assert!(!has_fingerprint(&[3]));
        assert!(!has_fingerprint(&[0]));
    }
}
