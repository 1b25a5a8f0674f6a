//! Numbers of bank accounts: ISO 13616, with the lengths of SWIFT's IBAN registry, and of the countries outside it
//! whose banks write numbers of this form.

use std::borrow::Cow;
use std::fmt::Write;

use super::kind::detector;
use super::{digits, edges};
use crate::detector::{Candidate, Detector};

const CONTEXT: &[&str] = &[
    "iban", "account", "bank", "konto", "compte", "cuenta", "conto", "conta", "rekening", "счет",
    "счёт",
];

/// How long the numbers of these countries are, with the country and the check digits.
const LENGTHS: &[(usize, &str)] = &[
    (15, "NO"),
    (16, "BE"),
    (18, "DK|FI|FK|FO|GL|NL|SD"),
    (19, "MK|SI"),
    (20, "AT|BA|EE|KZ|LT|LU|MN|XK"),
    (21, "CH|HR|LI|LV"),
    (22, "BG|BH|CR|DE|GB|GE|IE|ME|RS|VA"),
    (23, "AE|GI|IL|IQ|OM|SO|TL"),
    (24, "AD|CZ|ES|MD|PK|RO|SA|SE|SK|TN|VG"),
    (25, "AO|CV|GW|LY|MZ|PT|ST"),
    (26, "DZ|IR|IS|TR"),
    (27, "BI|CF|CG|CM|DJ|FR|GA|GQ|GR|IT|KM|MC|MG|MR|SM|TD"),
    (28, "AL|AZ|BF|BJ|BY|CI|CY|DO|GT|HN|HU|LB|MA|ML|NE|NI|PL|SN|SV|TG"),
    (29, "BR|EG|PS|QA|UA"),
    (30, "JO|KW|MU|YE"),
    (31, "MT|SC"),
    (32, "LC"),
    (33, "RU"),
];

pub(super) fn iban() -> Detector {
    detector("iban", "IBAN", Cow::Owned(pattern()), CONTEXT, check)
}

/// In one row, or in groups of four. The length is a part of it, so that words behind the number are none of its groups.
fn pattern() -> String {
    let mut pattern = String::from(r"(?-u:\b)(?i-u:");
    for (place, (length, countries)) in LENGTHS.iter().enumerate() {
        let (groups, rest) = ((length - 4) / 4, (length - 4) % 4);
        let border = if place == 0 { "" } else { "|" };
        let _ =
            write!(pattern, "{border}(?:{countries})[0-9]{{2}}(?:[ -]?[A-Z0-9]{{4}}){{{groups}}}");
        if rest > 0 {
            let _ = write!(pattern, "[ -]?[A-Z0-9]{{{rest}}}");
        }
    }
    pattern.push_str(r")(?-u:\b)");
    pattern
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let characters = || candidate.text().bytes().filter(u8::is_ascii_alphanumeric);
    // All of its groups are of four, but for the last one, and the same sign is between them.
    let signs = || candidate.text().bytes().filter(|byte| !byte.is_ascii_alphanumeric());
    let count = signs().count();
    let groups = characters().count().div_ceil(4);
    if (count > 0 && count + 1 != groups) || signs().ne(signs().take(1).cycle().take(count)) {
        return None;
    }
    if edges::is_continued(candidate) {
        return None;
    }
    // Bytes of a dump.
    let is_hex = candidate.text().bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b' ');
    if is_hex && count > 0 && edges::follows_group(candidate) {
        return None;
    }
    let check_digits = digits::Digits::of(candidate.text().get(2..4).unwrap_or_default());
    // MOD 97-10 makes no others.
    if !(2..=98).contains(&digits::number(check_digits.all())) {
        return None;
    }
    let moved = characters().skip(4).chain(characters().take(4));
    if digits::mod97(moved) != 1 {
        return None;
    }
    Some(if context { 99 } else { 95 })
}

#[cfg(test)]
mod tests {
    use super::LENGTHS;

    #[test]
    fn each_country_has_one_length() {
        let mut countries: Vec<&str> =
            LENGTHS.iter().flat_map(|(_, some)| some.split('|')).collect();
        let all = countries.len();
        countries.sort_unstable();
        countries.dedup();
        assert_eq!(countries.len(), all);
        assert!(countries.iter().all(|country| country.len() == 2));
    }
}
