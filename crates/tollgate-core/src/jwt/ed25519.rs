//! Ed25519 public keys that verify what their owner never signed.
//!
//! RFC 8032 verifies a signature (R, S) by S·B = R + h·A. Where the key A is a point of small order,
//! h·A is one of at most eight points whatever was signed, so that anybody finds an R and an S by
//! trying. Libraries load such keys, and encodings that no key has of its own. Neither is ever made by
//! generating a key pair.

/// What is encoded in 32 bytes: `y`, little-endian, below the sign of `x` in the highest bit.
type Encoding = [u8; 32];

/// 2^255 - 19, the size of the field.
const FIELD: Encoding = near_the_top(0xed);

/// The `y` of the eight points whose order divides 8; each but the first two has two points, which
/// differ in the sign of `x`.
const OF_SMALL_ORDER: [Encoding; 5] = [
    // Order 1: the neutral element.
    small(1),
    // Order 2: -1.
    near_the_top(0xec),
    // Order 4.
    small(0),
    // Order 8: the roots of d·y^4 + 2·y^2 - 1.
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn small(y: u8) -> Encoding {
    let mut encoding = [0; 32];
    encoding[0] = y;
    encoding
}

const fn near_the_top(lowest: u8) -> Encoding {
    let mut encoding = [0xff; 32];
    encoding[0] = lowest;
    encoding[31] = 0x7f;
    encoding
}

/// Whether `encoding` is the canonical one of its point (RFC 8032 section 5.1.3), and the point is not
/// of small order. Whether there is such a point is for others to say.
pub(super) fn is_sound(encoding: &Encoding) -> bool {
    let mut y = *encoding;
    if let Some(highest) = y.last_mut() {
        *highest &= 0x7f;
    }
    // Little-endian numbers compare from behind.
    let is_canonical = y.iter().rev().lt(FIELD.iter().rev());
    is_canonical && !OF_SMALL_ORDER.contains(&y)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ParsedPublicKey, ED25519};

    use super::super::key::{Curve, Key};
    use super::super::KeyProblem;
    use super::*;

    /// All that decode to a point of small order, canonical or not: `y` and, where it still fits into 255
    /// bits, `y` plus the size of the field, with both signs.
    fn of_small_order() -> Vec<Encoding> {
        let mut encodings = OF_SMALL_ORDER.to_vec();
        encodings.extend([FIELD, near_the_top(0xee)]);
        let negative = encodings.clone().into_iter().map(|mut encoding| {
            encoding[31] |= 0x80;
            encoding
        });
        encodings.extend(negative.collect::<Vec<_>>());
        encodings
    }

    #[test]
    fn keys_of_small_order_are_refused_in_every_encoding() {
        let encodings = of_small_order();
        assert_eq!(encodings.len(), 14);
        for encoding in encodings {
            let error = Key::on_curve(Curve::Ed25519, &encoding).unwrap_err();
            assert_eq!(error.problem(), KeyProblem::BadPoint, "{encoding:02x?}");
        }
    }

    #[test]
    fn encodings_that_no_key_has_are_refused() {
        for lowest in 0xed..=0xff_u8 {
            for sign in [0x7f, 0xff] {
                let mut encoding = near_the_top(lowest);
                encoding[31] = sign;
                assert!(!is_sound(&encoding), "{lowest:02x} {sign:02x}");
            }
        }
    }

    /// Why they are refused here: the library that verifies would not.
    #[test]
    fn neutral_element_verifies_a_signature_that_nobody_made() {
        let neutral = small(1);
        let forged = [&neutral[..], &[0; 32]].concat();
        let key = ParsedPublicKey::new(&ED25519, neutral).unwrap();
        assert!(key.verify_sig(b"anything", &forged).is_ok());
        assert!(!is_sound(&neutral));
    }

    #[test]
    fn keys_of_others_are_sound() {
        // RFC 8032 section 7.1, the first three; RFC 8037 appendix A.2 is the first.
        for key in [
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        ] {
            let byte = |at| u8::from_str_radix(key.get(2 * at..2 * at + 2).unwrap(), 16).unwrap();
            let encoding: Encoding = std::array::from_fn(byte);
            assert!(is_sound(&encoding) && Key::on_curve(Curve::Ed25519, &encoding).is_ok());
        }
        // The largest that is canonical, below -1: 2^255 - 21.
        assert!(is_sound(&near_the_top(0xeb)));
    }
}
