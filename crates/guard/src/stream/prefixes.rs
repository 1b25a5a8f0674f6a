//! The form of all beginnings of what a pattern fits.

use regex_syntax::hir::{Hir, HirKind, Repetition};

use crate::detector::LONGEST;
use crate::matcher::pattern::relaxed;

/// A pattern that fits each beginning of each match of this one, the empty one too. What an automaton can't ask of a
/// place, as where a word of any script begins, is left out: so it may fit a little more. Beginnings longer than
/// [`LONGEST`] characters are of no interest, and may be missing.
///
/// Nothing is asked of the end of a beginning, as it isn't known what follows.
pub(super) fn prefixes(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => literal_prefixes(&literal.0),
        HirKind::Class(_) => optional(hir.clone()),
        HirKind::Capture(capture) => prefixes(&capture.sub),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(prefixes).collect()),
        HirKind::Concat(parts) => parts.iter().rev().fold(Hir::empty(), |rest, part| {
            Hir::alternation(vec![prefixes(part), Hir::concat(vec![relaxed(part, None), rest])])
        }),
        HirKind::Repetition(repetition) => {
            let before_last = match repetition.max {
                Some(0) => return Hir::empty(),
                Some(max) => Some((max - 1).min(longest())),
                None => None,
            };
            let complete = Hir::repetition(Repetition {
                min: 0,
                max: before_last,
                greedy: true,
                sub: Box::new(relaxed(&repetition.sub, None)),
            });
            Hir::concat(vec![complete, prefixes(&repetition.sub)])
        }
    }
}

/// How many characters the longest match has. `None`: as many as there are.
pub(super) fn longest_match(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => Some(
            std::str::from_utf8(&literal.0).map_or(literal.0.len(), |text| text.chars().count()),
        ),
        HirKind::Class(_) => Some(1),
        HirKind::Capture(capture) => longest_match(&capture.sub),
        HirKind::Alternation(branches) => branches
            .iter()
            .try_fold(0, |most, branch| longest_match(branch).map(|one| one.max(most))),
        HirKind::Concat(parts) => parts
            .iter()
            .try_fold(0_usize, |sum, part| longest_match(part).map(|one| sum.saturating_add(one))),
        HirKind::Repetition(repetition) => match (repetition.max, longest_match(&repetition.sub)) {
            (_, Some(0)) => Some(0),
            (Some(times), Some(one)) => {
                Some(one.saturating_mul(usize::try_from(times).unwrap_or(usize::MAX)))
            }
            _ => None,
        },
    }
}

fn literal_prefixes(literal: &[u8]) -> Hir {
    let spelled =
        |piece: &[u8], rest: Hir| optional(Hir::concat(vec![Hir::literal(piece.to_vec()), rest]));
    match std::str::from_utf8(literal) {
        Ok(text) => {
            let characters: Vec<char> = text.chars().take(LONGEST).collect();
            characters
                .into_iter()
                .rev()
                .fold(Hir::empty(), |rest, c| spelled(c.encode_utf8(&mut [0; 4]).as_bytes(), rest))
        }
        Err(_) => literal
            .iter()
            .take(LONGEST)
            .rev()
            .fold(Hir::empty(), |rest, byte| spelled(&[*byte], rest)),
    }
}

fn optional(hir: Hir) -> Hir {
    Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub: Box::new(hir) })
}

fn longest() -> u32 {
    u32::try_from(LONGEST).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use regex_automata::meta::Regex;
    use regex_syntax::Parser;

    use super::*;

    fn whole(hir: &Hir) -> Regex {
        let all = Hir::concat(vec![
            Hir::look(regex_syntax::hir::Look::Start),
            hir.clone(),
            Hir::look(regex_syntax::hir::Look::End),
        ]);
        Regex::builder().build_from_hir(&all).unwrap()
    }

    #[test]
    fn each_beginning_of_a_match_fits_and_nothing_else_does() {
        // A pattern, a match of it, and texts with which none begins.
        let cases: &[(&str, &str, &[&str])] = &[
            ("falcon", "falcon", &["x", "fx", "falcoms", "falconx", "alcon"]),
            ("(?i)falcon|fäßchen", "FäSSchen".split("SS").next().unwrap(), &["fo"]),
            (r"\d{3}-\d{2}-\d{4}", "123-45-6789", &["1234", "-", "123-456", "123-45-67890"]),
            (
                r"\b[a-z]{1,4}@[a-z]+\.(?:com|org)\b",
                "ab@cde.org",
                &["abcde@", "@", "ab@.", "ab@c.n", "ab@c.comm"],
            ),
            ("(?:ab){2,3}c", "ababc", &["aba b", "abababa", "ac", "b"]),
            ("a*b", "aaab", &["aabb", "c"]),
            ("x(?:y{0}z)?", "xz", &["xy"]),
            ("[äöü]{2}\u{1f600}", "äü\u{1f600}", &["äüö", "a"]),
        ];
        for (pattern, matching, others) in cases {
            let hir = Parser::new().parse(pattern).unwrap();
            let fits = whole(&prefixes(&hir));
            for (end, _) in matching.char_indices().chain([(matching.len(), ' ')]) {
                let beginning = matching.split_at(end).0;
                assert!(fits.is_match(beginning), "{pattern}: {beginning:?}");
            }
            for other in *others {
                assert!(!fits.is_match(*other), "{pattern}: {other:?}");
            }
        }
    }

    #[test]
    fn the_length_of_matches_is_counted_in_characters() {
        for (pattern, most) in [
            ("falcon", Some(6)),
            ("(?:äö|x){2,5}", Some(10)),
            (r"\bab?c*", None),
            ("(?:){5}", Some(0)),
            ("a{3}|b{1,9}", Some(9)),
        ] {
            assert_eq!(longest_match(&Parser::new().parse(pattern).unwrap()), most, "{pattern}");
        }
    }
}
