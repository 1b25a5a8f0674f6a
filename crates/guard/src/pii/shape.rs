//! Forms of numbers. A text is searched for three patterns, which many detectors share; which of the candidates has the
//! form of its numbers, each detector asks for itself.

use crate::detector::Candidate;

/// Nine to nineteen digits, with single signs or blanks between them.
pub(super) const DIGITS: &str = r"(?-u:\b)[0-9](?:[ ./+-]?[0-9]){8,18}(?-u:\b)";
/// Letters and digits in one row, with a digit among the first seven.
pub(super) const CODE: &str = r"(?-u:\b)[A-Za-z]{0,6}[0-9][A-Za-z0-9]{3,17}(?-u:\b)";
/// Digits with letters before and behind them, which may stand apart.
pub(super) const SPACED: &str = concat!(
    r"(?-u:\b)(?:[A-Za-z]{1,2}[ -]?)?[0-9](?:[ .-]?[0-9]){5,9}",
    r"[ -]?[A-Za-z]{1,2} ?[0-9]{0,3}(?-u:\b)"
);

/// Whether it has one of these forms, in which `0` stands for any digit, `A` for a capital, `@` for any letter, `*` for a
/// capital or a digit, and other characters for themselves.
pub(super) fn fits(candidate: &Candidate<'_>, forms: &[&str]) -> bool {
    let text = candidate.text().as_bytes();
    forms.iter().any(|form| {
        form.len() == text.len()
            && form.bytes().zip(text).all(|(wanted, byte)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                b'@' => byte.is_ascii_alphabetic(),
                b'*' => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
                _ => wanted == *byte,
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(text: &str, form: &str) -> bool {
        Candidate::new(text, 0..text.len()).is_some_and(|candidate| fits(&candidate, &[form]))
    }

    #[test]
    fn forms_are_told_apart() {
        assert!(fit("12.3-Ab", "00.0-A@"));
        assert!(fit("A1", "**"));
        for (text, form) in [
            ("12", "0"),
            ("1", "00"),
            ("a", "A"),
            ("1", "A"),
            ("A", "0"),
            ("a", "*"),
            ("1", "@"),
            ("-", "."),
        ] {
            assert!(!fit(text, form), "{text} {form}");
        }
    }
}
