//! The form of all beginnings of what a pattern fits.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use crate::detector::LONGEST;
use crate::stream::seen::folded;

/// A pattern that fits each beginning of each match of this one, the empty one too. What the pattern asks of the
/// places between characters is left out, so it may fit a little more. Beginnings longer than [`LONGEST`] characters
/// are of no interest, and may be missing.
pub(super) fn prefixes(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) => literal_prefixes(&literal.0),
        HirKind::Class(_) => optional(hir.clone()),
        HirKind::Capture(capture) => prefixes(&capture.sub),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(prefixes).collect()),
        HirKind::Concat(parts) => parts.iter().rev().fold(Hir::empty(), |rest, part| {
            Hir::alternation(vec![prefixes(part), Hir::concat(vec![without_looks(part), rest])])
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
                sub: Box::new(without_looks(&repetition.sub)),
            });
            Hir::concat(vec![complete, prefixes(&repetition.sub)])
        }
    }
}

/// The same pattern, except that it asks nothing of the places between characters.
pub(super) fn without_looks(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Look(_) => Hir::empty(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Capture(capture) => without_looks(&capture.sub),
        HirKind::Alternation(branches) => {
            Hir::alternation(branches.iter().map(without_looks).collect())
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(without_looks).collect()),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(without_looks(&repetition.sub)),
            ..repetition.clone()
        }),
    }
}

/// The same pattern for a text that was [folded](folded): what it spells out, is folded as well. Classes of
/// characters stay as they are, unless they have nothing else in them.
pub(super) fn fold(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => hir.clone(),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => Hir::literal(text.chars().map(folded).collect::<String>().into_bytes()),
            Err(_) => hir.clone(),
        },
        HirKind::Class(Class::Unicode(class)) => {
            let characters = || class.iter().flat_map(|range| range.start()..=range.end());
            // More are no spelling of a letter.
            if characters().take(8).count() < 8 && characters().all(|c| folded(c) != c) {
                Hir::alternation(
                    characters()
                        .map(|c| Hir::literal(folded(c).to_string().into_bytes()))
                        .collect(),
                )
            } else {
                hir.clone()
            }
        }
        HirKind::Class(Class::Bytes(_)) => hir.clone(),
        HirKind::Capture(capture) => fold(&capture.sub),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(fold).collect()),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(fold).collect()),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(fold(&repetition.sub)),
            ..repetition.clone()
        }),
    }
}

/// How many characters a match has: at least, and at most. `None`: as many as there are.
pub(super) fn characters(hir: &Hir) -> (usize, Option<usize>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => (0, Some(0)),
        HirKind::Literal(literal) => {
            let count = std::str::from_utf8(&literal.0)
                .map_or(literal.0.len(), |text| text.chars().count());
            (count, Some(count))
        }
        HirKind::Class(_) => (1, Some(1)),
        HirKind::Capture(capture) => characters(&capture.sub),
        HirKind::Alternation(branches) => branches
            .iter()
            .map(characters)
            .reduce(|(least, most), (min, max)| {
                (least.min(min), most.zip(max).map(|(a, b)| a.max(b)))
            })
            .unwrap_or((0, Some(0))),
        HirKind::Concat(parts) => {
            parts.iter().map(characters).fold((0, Some(0)), |(least, most), (min, max)| {
                (least.saturating_add(min), most.zip(max).map(|(a, b)| a.saturating_add(b)))
            })
        }
        HirKind::Repetition(repetition) => {
            let (min, max) = characters(&repetition.sub);
            let times = |count: u32, each: usize| {
                each.saturating_mul(usize::try_from(count).unwrap_or(usize::MAX))
            };
            let most = match (repetition.max, max) {
                (_, Some(0)) => Some(0),
                (Some(count), Some(each)) => Some(times(count, each)),
                _ => None,
            };
            (times(repetition.min, min), most)
        }
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
        for (pattern, least, most) in [
            ("falcon", 6, Some(6)),
            ("(?:äö|x){2,5}", 2, Some(10)),
            (r"\bab?c*", 1, None),
            ("(?:){5}", 0, Some(0)),
            ("a{3}|b{1,9}", 1, Some(9)),
        ] {
            assert_eq!(
                characters(&Parser::new().parse(pattern).unwrap()),
                (least, most),
                "{pattern}"
            );
        }
    }
}
