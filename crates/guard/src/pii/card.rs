//! Numbers of payment cards: ISO/IEC 7812-1, with the ranges and lengths that the networks give out.

use std::borrow::Cow;

use super::digits::{self, Digits};
use super::kind::detector;
use super::{edges, shape};
use crate::detector::{Candidate, Detector};
use crate::words::Words;

const CONTEXT: &[&str] = &[
    "card",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "pan",
    "cc",
    "payment",
    "kreditkarte",
    "karte",
    "carte",
    "tarjeta",
    "carta",
    "cartão",
    "cartao",
    "creditcard",
    "kaart",
    "karta",
    "kort",
    "kortti",
    "bankkort",
    "карта",
    "карты",
    "卡号",
    "信用卡",
    "银行卡",
    "カード",
    "카드",
];

/// Words of other things, whose numbers have as many digits as the oldest cards, or the newest.
static OTHERS: Words = Words::of(&[
    "ean",
    "gtin",
    "upc",
    "isbn",
    "barcode",
    "sku",
    "imei",
    "issn",
    "id",
    "ids",
    "order",
    "trace",
    "span",
    "tracking",
    "timestamp",
    "ts",
    "message",
    "snowflake",
    "guild",
    "seq",
    "offset",
]);

pub(super) fn card() -> Detector {
    detector("card", "CARD", Cow::Borrowed(shape::DIGITS), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let all = Digits::of(candidate.text());
    let all = all.all();
    if !is_written_so(candidate.text())
        || !digits::luhn(all)
        || !is_issued(all)
        || edges::is_continued(candidate)
    {
        return None;
    }
    let grouped = all.len() < candidate.text().len();
    if grouped && edges::follows_group(candidate) {
        return None;
    }
    let score = match all.len() {
        _ if grouped => 90,
        12 | 13 | 17.. if !context && candidate.mentions(&OTHERS) => return None,
        12 | 13 => 55,
        // Of these, there are more that count something else.
        17.. if matches!(digits::at(all, 0), 4 | 6) => 55,
        17.. => 45,
        _ => 80,
    };
    Some(if context { 98 } else { score })
}

/// Whether its digits are in one row, or in the groups that stand on cards, with the same sign between them.
fn is_written_so(text: &str) -> bool {
    let mut groups = [0_usize; 5];
    let mut signs = text.bytes().filter(|byte| !byte.is_ascii_digit());
    let first = signs.next();
    if signs.any(|sign| Some(sign) != first) || matches!(first, Some(b'/' | b'+')) {
        return false;
    }
    for (count, group) in text.split(|c: char| !c.is_ascii_digit()).enumerate() {
        let Some(place) = groups.get_mut(count) else { return false };
        *place = group.len();
    }
    matches!(
        groups,
        [12..=19, 0, 0, 0, 0] | [4, 4, 4, 1..=4, 0] | [4, 6, 4..=5, 0, 0] | [4, 4, 4, 4, 3]
    )
}

/// Whether a network gives out numbers that begin like this, and are as long.
fn is_issued(all: &[u8]) -> bool {
    let first = |count| digits::part(all, 0, count);
    let length = all.len();
    let two = first(2);
    let four = first(4);
    match two {
        // Visa.
        40..=49 => matches!(length, 13 | 16 | 19),
        // Mastercard, with the range of 2017, and Mir.
        51..=55 => length == 16,
        22..=27 if (2221..=2720).contains(&four) => length == 16,
        22 if (2200..=2204).contains(&four) => (16..=19).contains(&length),
        // American Express; Diners Club; JCB.
        34 | 37 => length == 15,
        30 if (3000..=3059).contains(&four) || four == 3095 => (14..=19).contains(&length),
        36 | 38 | 39 => (14..=19).contains(&length),
        35 => (16..=19).contains(&length),
        18 | 21 => length == 15 && (four == 1800 || four == 2131),
        // Discover, RuPay; UnionPay; Maestro, Verve, Dankort.
        60 | 64 | 65 => (16..=19).contains(&length),
        62 | 81 => (16..=19).contains(&length),
        82 => length == 16,
        50 | 56..=58 | 61 | 63 | 66..=69 => (12..=19).contains(&length),
        6 if four == 604 => (12..=19).contains(&length),
        // Uzcard, Troy, Humo.
        86 => length == 16 && four == 8600,
        97 => length == 16 && four == 9792,
        98 => length == 16 && four == 9860,
        _ => false,
    }
}
