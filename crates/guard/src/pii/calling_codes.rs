//! Calling codes of countries, and how many digits follow them.

/// The least and the most digits behind these codes: ITU-T, "List of ITU-T Recommendation E.164 assigned country codes",
/// and the national numbering plans that its members publish there. Numbers of fewer than six digits are for services.
#[rustfmt::skip]
const LENGTHS: &[(usize, usize, &[u64])] = &[
    (6, 6, &[247, 298, 299, 672, 687]),
    (6, 7, &[597, 676, 677, 678, 683, 688, 690]),
    (6, 8, &[47, 386, 686]),
    (6, 9, &[40, 252, 355, 376, 421, 508, 681, 689]),
    (6, 10, &[27, 48, 53, 64, 95, 98, 685, 880]),
    (6, 11, &[31, 352, 375, 595, 852]),
    (6, 12, &[39, 46, 61, 358, 359, 381, 971]),
    (6, 13, &[43, 63, 598]),
    (6, 14, &[82]),
    (6, 15, &[49]),
    (7, 7, &[238, 239, 246, 248, 269, 291, 297, 592, 673, 674, 680, 691, 692]),
    (7, 8, &[241, 599, 670, 675, 853, 961, 965, 975]),
    (7, 9, &[220, 231, 245, 265, 354, 385, 423, 967, 968]),
    (10, 10, &[1]),
    (7, 10, &[44, 84, 230, 243, 254, 263, 267, 353, 372, 960]),
    (7, 11, &[501, 503, 507, 679, 886, 974]),
    (7, 12, &[86, 882, 972]),
    (7, 13, &[90]),
    (7, 17, &[62]),
    (8, 8, &[
        45, 216, 222, 223, 226, 227, 228, 232, 235, 236, 253, 257, 266, 350, 356, 357, 370, 371,
        373, 374, 389, 505, 509, 800, 808, 973, 993
    ]),
    (8, 9, &[32, 36, 51, 213, 224, 233, 237, 250, 258, 264, 268, 377, 382, 387, 591, 962, 963]),
    (8, 10, &[20, 60, 378, 506, 850, 855, 856, 964, 970, 976]),
    (8, 11, &[55, 57, 65, 502, 504, 593, 977]),
    (8, 12, &[92, 383, 883]),
    (8, 13, &[66, 91]),
    (8, 17, &[81]),
    (9, 9, &[
        33, 34, 93, 94, 211, 212, 218, 221, 240, 242, 244, 249, 251, 255, 256, 260, 261, 262, 351,
        590, 594, 596, 979, 992, 994, 995, 998
    ]),
    (9, 10, &[380, 881, 966, 996]),
    (9, 11, &[56]),
    (9, 12, &[41, 420, 870]),
    (10, 10, &[52, 58, 225, 229]),
    (10, 11, &[54]),
    (10, 12, &[30]),
    (10, 14, &[7, 234]),
    (11, 11, &[888]),
    (12, 12, &[878]),
];

/// How many digits may follow the code with which these begin, and how many digits that has. `None`: there is no such
/// code. No code is the beginning of another one.
pub(super) fn lengths(digits: &[u8]) -> Option<(usize, usize, usize)> {
    let mut code = 0;
    for (place, digit) in digits.iter().take(3).enumerate() {
        code = code * 10 + u64::from(*digit);
        if let Some((least, most, _)) = LENGTHS.iter().find(|(_, _, codes)| codes.contains(&code)) {
            return Some((place + 1, *least, *most));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_code_begins_with_another_one() {
        let codes: Vec<u64> =
            LENGTHS.iter().flat_map(|(_, _, codes)| codes.iter().copied()).collect();
        assert!(codes.len() > 200);
        for code in &codes {
            assert!(
                *code < 1000 && !codes.contains(&(code / 10)) && !codes.contains(&(code / 100)),
                "{code}"
            );
        }
        assert!(LENGTHS.iter().all(|(least, most, _)| least <= most && *least >= 6));
    }

    #[test]
    fn codes_have_lengths() {
        assert_eq!(lengths(&[4, 9, 3, 0]), Some((2, 6, 15)));
        assert_eq!(lengths(&[1, 4, 1, 5]), Some((1, 10, 10)));
        assert_eq!(lengths(&[3, 5, 8]), Some((3, 6, 12)));
        assert_eq!(lengths(&[2, 1, 0, 5]), None);
        assert_eq!(lengths(&[]), None);
    }
}
