//! Telephone numbers: ITU-T E.123 and E.164, the North American Numbering Plan, and national forms as they are
//! written in many countries.
//!
//! Whether a network has given a number out isn't asked: a worker would wait 165 ms for the first answer of the
//! port of libphonenumber (crate `phonenumber` 0.3, which also brings 3 MB and 40 crates), and it knows no ranges that are
//! newer than it is.
//! What is asked is whether the country has numbers of that length, and, where none is named, whether the form or the
//! words before it are those of a telephone number.

use std::borrow::Cow;

use super::digits::{self, Digits};
use super::kind::detector;
use super::{calling_codes, edges};
use crate::detector::{Candidate, Detector};
use crate::words::Words;

const CONTEXT: &[&str] = &[
    "phone",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "call",
    "dial",
    "sms",
    "whatsapp",
    "fax",
    "contact",
    "reach me",
    "reach him",
    "reach her",
    "reach us",
    "reached at",
    "reach",
    "text me",
    "text",
    "hotline",
    "helpline",
    "ring me",
    "ring us",
    "ring him",
    "ring her",
    "ring them",
    "give me a ring",
    "my number",
    "his number",
    "her number",
    "our number",
    "their number",
    "your number",
    "phonenumber",
    "telefon",
    "telefonnummer",
    "handy",
    "handynummer",
    "mobil",
    "rufnummer",
    "durchwahl",
    "anrufen",
    "ruf mich",
    "téléphone",
    "portable",
    "appel",
    "numéro de tél",
    "joindre",
    "tél",
    "teléfono",
    "telefono",
    "móvil",
    "celular",
    "llama",
    "llám",
    "cellulare",
    "chiama",
    "telefone",
    "telemóvel",
    "ligue",
    "telefoon",
    "mobiel",
    "bel ",
    "zadzwoń",
    "komórk",
    "tlf",
    "puhelin",
    "soita",
    "ring ",
    "numer telefonu",
    "mobilní",
    "телефон",
    "тел",
    "звон",
    "мобильн",
    "电话",
    "電話",
    "手机",
    "手機",
    "携帯",
    "전화",
    "휴대폰",
    "연락처",
    "फ़ोन",
    "फोन",
    "هاتف",
    "جوال",
    "טלפון",
    "נייד",
    "โทร",
    "điện thoại",
];

/// Words of other numbers that are written like these.
static NUMBERED: Words = Words::of(&[
    "order",
    "invoice",
    "tracking",
    "account",
    "ticket",
    "case",
    "ref",
    "reference",
    "id",
    "isbn",
    "issn",
    "zip",
    "sku",
    "serial",
    "part",
    "model",
    "policy",
    "claim",
    "booking",
    "confirmation",
    "po",
    "version",
    "card",
    "iban",
    "ssn",
    "routing",
    "amount",
    "total",
    "price",
    "license",
    "licence",
    "passport",
    "patent",
    "ein",
    "itin",
    "sin",
    "doi",
    "rechnung",
    "bestellung",
    "bestellnummer",
    "kundennummer",
    "konto",
    "facture",
    "commande",
    "pedido",
    "factura",
    "ordine",
    "fattura",
    "timestamp",
    "port",
    "pid",
    "uid",
    "isbn-13",
    "issue",
    "bug",
    "patch",
    "request",
    "bytes",
    "offset",
    "size",
    "commit",
    "vat",
    "tax",
    "nhs",
    "ean",
    "upc",
]);

/// An extension: `x123`, `ext. 5`.
const EXTENSION: &str = r"(?:,? ?(?:[xX]|(?:ext|Ext|EXT)\.? ?|extension )[0-9]{1,6})?(?-u:\b)";

/// As written in the USA and Canada.
const AMERICAN: &str = concat!(
    r"(?:(?:\+|(?-u:\b)|(?-u:\b)00)1[ .-]{0,2})?(?:\([0-9]{3}\)[ .-]{0,2}|(?-u:\b)[0-9]{3}[ .-])",
    r"[0-9]{3}[ .-][0-9]{4}"
);
/// With the plus sign or 00 of an international number: in a row, or in groups.
const INTERNATIONAL: &str = concat!(
    r"(?:\(?\+|(?-u:\b)00)[1-9](?:[0-9]{6,14}(?-u:\b)",
    r"|[0-9]{0,3}\)?(?:[ ./-]?\([0-9]{0,4}\))?[ ./-]{0,2}[0-9]{1,13}(?:[ ./-][0-9]{2,10}){0,5})"
);
/// With the area in brackets, or with the zero of a call within the country.
const NATIONAL: &str = concat!(
    r"(?:\([0-9]{2,5}\)|(?-u:\b)[08] ?\([0-9]{2,4}\)|(?-u:\b)[08][ -]?[0-9]{2,5}[ ./-]|(?-u:\b)0[1-9][ ./-])",
    r"[ /-]{0,2}[0-9]{1,9}(?:[ ./-][0-9]{2,5}){0,4}"
);
/// In groups, or in one row. Needs a word before it, or a zero.
const PLAIN: &str = r"(?-u:\b)[0-9]{2,4}(?:[ ./-][0-9]{2,5}){1,4}|(?-u:\b)[0-9]{7,12}";

pub(super) fn phone() -> Detector {
    let pattern = format!("(?:{AMERICAN}|{INTERNATIONAL}|{NATIONAL}|{PLAIN}){EXTENSION}");
    detector("phone", "PHONE", Cow::Owned(pattern), CONTEXT, check)
}

fn check(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = candidate.text();
    let (number, extended) = match text.find(|c: char| c == ',' || c.is_ascii_alphabetic()) {
        Some(at) => (text.get(..at)?, true),
        None => (text, false),
    };
    let all = Digits::of(number);
    let all = all.all();
    // `0123456789` is an alphabet.
    let is_row = number.len() == all.len()
        && all.windows(2).all(|pair| digits::at(pair, 1) == (digits::at(pair, 0) + 1) % 10);
    if digits::is_one_digit(all) || (is_row && !context) || is_part(candidate) || is_other(number) {
        return None;
    }
    if !context && is_reckoned(candidate, number, all) {
        return None;
    }
    if number.starts_with(['+', '(']) && number.contains('+') {
        return international(number, all, context);
    }
    if let Some(score) = american(candidate, number, all, context) {
        return Some(if extended { score.max(85) } else { score });
    }
    let is_group = edges::follows_group(candidate);
    if number.starts_with("00") && !is_group {
        let rest = all.get(2..)?;
        // In groups, the first one is the code: a postcode may begin with zeros, too.
        let first = number.split([' ', '.', '-', '/', '(']).next().unwrap_or_default().len();
        let is_code = calling_codes::lengths(rest).is_some_and(|(code, ..)| first == code + 2);
        let score = match is_code || first == all.len() {
            true => international(number.get(2..)?, rest, context),
            false => None,
        };
        return score.or_else(|| national(candidate, number, all, context));
    }
    if is_group && !context {
        return None;
    }
    national(candidate, number, all, context)
}

/// Whether it is the middle of something longer: a price, a path, an identifier.
fn is_part(candidate: &Candidate<'_>) -> bool {
    edges::is_continued(candidate)
        || edges::follows(candidate, b"_$#@")
        || edges::joined(candidate)
            .strip_suffix('-')
            .is_some_and(|word| word.ends_with(char::is_alphanumeric))
        || candidate.before().ends_with(['€', '£', '¥', '№'])
        || edges::precedes(candidate, &['_', '%', '@', '°', '€', '£', '-'])
        || (candidate.behind() == Some('/') && !candidate.text().contains(['(', '+']))
}

/// Whether it is rather one number among others: below zero, in a row of them, in groups of four as bytes are written,
/// of one or two digits again and again.
fn is_reckoned(candidate: &Candidate<'_>, number: &str, all: &[u8]) -> bool {
    let is_international = number.starts_with(['+', '(']);
    let is_signed = matches!(edges::joined(candidate), "-" | "+");
    let is_in_row = edges::follows_number(candidate) && !number.contains(['-', '(']);
    let is_dumped = number.split([' ', '-']).map(str::len).eq([4, 4, 4]);
    let different = (0..10).filter(|digit| all.contains(digit)).count();
    !is_international && (is_signed || is_in_row || is_dumped || (different < 4 && all.len() > 7))
}

/// Whether it has the form of something else that is written with the same signs: a date, an address, a US number.
fn is_other(number: &str) -> bool {
    let lengths = || number.split([' ', '.', '-', '/']).map(str::len);
    let part = |place: usize| number.split([' ', '.', '-', '/']).nth(place).unwrap_or_default();
    let year = |text: &str| text.len() == 4 && (text.starts_with("19") || text.starts_with("20"));
    let small = |text: &str, most: u64| {
        (1..=2).contains(&text.len())
            && (1..=most).contains(&digits::number(Digits::of(text).all()))
    };
    let is_postcode = lengths().eq([5, 4]) && number.contains('-');
    let is_date = (year(part(0)) && small(part(1), 12) && small(part(2), 31))
        || (year(part(2)) && small(part(0), 31) && small(part(1), 31));
    let is_span = year(part(0)) && year(part(1)) && lengths().count() == 2;
    let is_address = !number.starts_with('+')
        && number.split('.').count() == 4
        && number.split('.').all(|octet| octet.len() <= 3);
    let is_security_number = number.len() == 11 && lengths().eq([3, 2, 4]);
    is_date || is_span || is_postcode || is_address || is_security_number
}

fn international(number: &str, all: &[u8], context: bool) -> Option<u8> {
    let (code, least, most) = calling_codes::lengths(all)?;
    // A place on earth, ISO 6709: `+5320-06025`.
    let parts = || number.split('-').map(str::len);
    if !context && (parts().eq([5, 5]) || parts().eq([7, 7]) || parts().eq([7, 8])) {
        return None;
    }
    let mut rest = all.get(code..)?;
    // `+49 (0) 30`: the zero is only dialled within the country. Italy's (39) is a part of the number.
    if rest.first() == Some(&0) && !all.starts_with(&[3, 9]) {
        rest = if number.starts_with(['+', '(']) || number.contains("(0") {
            rest.get(1..)?
        } else {
            return None;
        };
    }
    if digits::is_one_digit(rest) {
        return None;
    }
    match (least..=most).contains(&rest.len()) {
        true => Some(if context { 98 } else { 92 }),
        false => (7..=15).contains(&all.len()).then_some(if context { 75 } else { 30 }),
    }
}

fn american(candidate: &Candidate<'_>, number: &str, all: &[u8], context: bool) -> Option<u8> {
    let ten = match all {
        [0, 0, 1, ten @ ..] | [1, ten @ ..] if ten.len() == 10 => ten,
        ten if ten.len() == 10 => ten,
        _ => return None,
    };
    let groups =
        number.split(|c: char| !c.is_ascii_digit()).map(str::len).filter(|length| *length > 0);
    if !groups.rev().take(3).eq([4, 3, 3]) {
        return None;
    }
    // `168.61 490.6000` are two numbers.
    let mut signs = number.bytes().filter(|byte| !byte.is_ascii_digit());
    let first = signs.next();
    if !context && first == Some(b'.') && signs.any(|sign| sign == b' ') {
        return None;
    }
    // NANPA: areas and exchanges begin with 2 to 9.
    let is_given_out = digits::at(ten, 0) > 1 && digits::at(ten, 3) > 1;
    let is_bracketed = number.contains('(');
    Some(match (context, is_given_out, is_bracketed) {
        (true, ..) => 95,
        (false, _, true) => 85,
        (false, ..) if candidate.mentions(&NUMBERED) => 30,
        (false, true, false) => 75,
        (false, false, false) => 60,
    })
}

fn national(candidate: &Candidate<'_>, number: &str, all: &[u8], context: bool) -> Option<u8> {
    let is_bracketed = number.contains('(') && number.contains(')');
    let is_grouped = number.len() > all.len();
    // What goes on behind a full stop is longer than this.
    let is_cut = !context && candidate.behind() == Some('.') && number.contains('.');
    if !(7..=13).contains(&all.len()) || is_cut {
        return None;
    }
    let numbered = candidate.mentions(&NUMBERED);
    if numbered && !context {
        return None;
    }
    let has_zero = digits::at(all, 0) == 0;
    let is_likely = match (has_zero, is_bracketed, is_grouped) {
        (true, true, _) => all.len() >= 9,
        (true, false, true) => (9..=13).contains(&all.len()) && is_dialled(number),
        (true, false, false) => (10..=11).contains(&all.len()) && digits::at(all, 1) != 0,
        (false, true, _) => (9..=11).contains(&all.len()),
        // Russian calls within the country begin with 8.
        (false, false, _) => digits::at(all, 0) == 8 && all.len() == 11 && number.starts_with("8 "),
    };
    Some(match (context, is_likely, is_grouped) {
        (true, true, _) => 94,
        (true, false, true) if numbered => 40,
        (true, false, true) => 75,
        (true, false, false) if numbered => 40,
        (true, false, false) => 70,
        (false, true, true) => 65,
        (false, true, false) => 55,
        (false, false, _) => 25,
    })
}

/// Whether groups are as long as a city code and what follows it: `030 1234567`, `01 23 45 67 89`, but not `0.12 345 678`.
fn is_dialled(number: &str) -> bool {
    let mut groups = number.split([' ', '.', '-', '/']);
    let first = groups.next().unwrap_or_default();
    (2..=6).contains(&first.len())
        && !first.starts_with("00")
        && groups.all(|group| group.len() >= 2)
}
