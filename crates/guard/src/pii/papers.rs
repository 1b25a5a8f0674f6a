//! What papers say of a person in forms that say little themselves: numbers of passports and driving licences, days of
//! birth. They are only found where the words before them say what they are.

use std::borrow::Cow;

use super::digits::{self, Digits};
use super::kind::detector;
use super::{edges, shape};
use crate::detector::{Candidate, Detector};

const PASSPORT_CONTEXT: &[&str] = &[
    "passport",
    "passnummer",
    "reisepass",
    "pass-nr",
    "passeport",
    "pasaporte",
    "passaporto",
    "paspoort",
    "paszport",
    "passaporte",
    "pasaport",
    "паспорт",
    "护照",
    "旅券",
    "パスポート",
    "여권",
    "جواز",
    "דרכון",
];
const LICENCE_CONTEXT: &[&str] = &[
    "driving licence",
    "driving license",
    "driver's license",
    "driver’s license",
    "driver's licence",
    "drivers license",
    "driver license",
    "driver licence",
    "dl",
    "dl#",
    "license no",
    "license number",
    "licence number",
    "führerschein",
    "fuehrerschein",
    "permis de conduire",
    "numéro de permis",
    "permiso de conducir",
    "licencia de conducir",
    "patente",
    "rijbewijs",
    "prawo jazdy",
    "prawa jazdy",
    "cnh",
    "carteira de motorista",
    "carta de condução",
    "körkort",
    "førerkort",
    "ajokortti",
    "водительск",
    "驾驶证",
    "驾照",
    "運転免許",
    "운전면허",
];
const BIRTH_CONTEXT: &[&str] = &[
    "born",
    "birth",
    "dob",
    "birthday",
    "birthdate",
    "d.o.b",
    "geboren",
    "geburtsdatum",
    "geb",
    "geburtstag",
    "né le",
    "née le",
    "naissance",
    "nacido",
    "nacida",
    "nacimiento",
    "nací",
    "nato il",
    "nata il",
    "nascita",
    "nascimento",
    "nascido",
    "nascida",
    "geboortedatum",
    "urodz",
    "född",
    "født",
    "syntym",
    "syntynyt",
    "narozen",
    "doğum",
    "родил",
    "рождения",
    "出生",
    "生日",
    "生年月日",
    "생년월일",
    "जन्म",
    "الميلاد",
    "تاريخ ميلاد",
    "תאריך לידה",
];

/// Letters and digits as ICAO Doc 9303 allows, in the orders of the states with the most passports.
const PASSPORT: &[&str] = &[
    "A000000",
    "A0000000",
    "A00000000",
    "AA000000",
    "AA0000000",
    "AAA000000",
    "00000000",
    "000000000",
    "00AA00000",
    "A**0*****",
    "A0*******",
];
/// As AAMVA lists those of the United States; the United Kingdom's, Germany's and other European ones.
const LICENCE: &[&str] = &[
    "AAAAA000000*****",
    "AAAA*000000*****",
    "A000*****0*",
    "A000000",
    "A0000000",
    "A00000000",
    "A000000000000",
    "A00000000000",
    "A00000000000000",
    "AA000000",
    "AA0000000",
    "AA00000",
    "0000000",
    "00000000",
    "000000000",
    "0000000000",
    "00000000000",
    "000000000000",
];
const DATE: &str = concat!(
    r"(?-u:\b)(?:[0-9]{4}[/.-][0-9]{1,2}[/.-][0-9]{1,2}|[0-9]{1,2}[/.-] ?[0-9]{1,2}[/.-] ?[0-9]{2,4}",
    r"|[0-9]{1,2}(?:st|nd|rd|th|\.|er|º)?(?: of| de)? \p{L}{3,10}\.?,?(?: de)? [0-9]{4}",
    r"|[A-Z][a-z]{2,8}\.? [0-9]{1,2}(?:st|nd|rd|th)?,? [0-9]{4})(?-u:\b)",
    r"|[0-9]{4} ?[年년] ?[0-9]{1,2} ?[月월] ?[0-9]{1,2} ?[日일]"
);

pub(super) fn passport() -> Detector {
    detector("passport", "PASSPORT", Cow::Borrowed(shape::CODE), PASSPORT_CONTEXT, check_passport)
}

pub(super) fn driving_licence() -> Detector {
    detector(
        "driving_licence",
        "DRIVING_LICENCE",
        Cow::Borrowed(shape::CODE),
        LICENCE_CONTEXT,
        check_licence,
    )
}

pub(super) fn date_of_birth() -> Detector {
    detector("date_of_birth", "DATE_OF_BIRTH", Cow::Borrowed(DATE), BIRTH_CONTEXT, check_date)
}

fn check_passport(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    check_number(candidate, context, PASSPORT)
}

fn check_licence(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    check_number(candidate, context, LICENCE)
}

fn check_number(candidate: &Candidate<'_>, context: bool, forms: &[&str]) -> Option<u8> {
    let all = Digits::of(candidate.text());
    let is_one = all.all().len() < 4 || digits::is_one_digit(all.all());
    if !context
        || !shape::fits(candidate, forms)
        || is_one
        || edges::is_continued(candidate)
        || edges::precedes(candidate, &['-', '_'])
    {
        return None;
    }
    Some(75)
}

fn check_date(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !context || edges::is_continued(candidate) || edges::precedes(candidate, &['-', '/', '_']) {
        return None;
    }
    let text = candidate.text();
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut next =
        || numbers.next().map(|part| (digits::number(Digits::of(part).all()), part.len()));
    let (first, second, third) = (next()?, next()?, next());
    let is_date = |a: u64, b: u64| digits::is_date(a, b) || digits::is_date(b, a);
    let is_year = |(year, length): (u64, usize)| {
        length == 2 || (length == 4 && (1880..=2100).contains(&year))
    };
    let is_right = match third {
        Some(third) if first.1 == 4 => is_year(first) && digits::is_date(third.0, second.0),
        Some(third) => is_year(third) && is_date(first.0, second.0),
        // The month is a word.
        None => is_year(second) && second.1 == 4 && (1..=31).contains(&first.0) && has_month(text),
    };
    is_right.then_some(85)
}

/// Whether a word of it begins like a month does, in a language of Europe.
fn has_month(text: &str) -> bool {
    const MONTHS: &[&str] = &[
        "jan", "feb", "fev", "fév", "mar", "mär", "maa", "mrt", "apr", "abr", "avr", "avril",
        "may", "mai", "maj", "mag", "mei", "jun", "jui", "giu", "jul", "lug", "aug", "août", "aou",
        "ago", "sep", "set", "oct", "okt", "ott", "out", "nov", "dec", "dez", "déc", "dic", "gen",
        "ene", "sty", "lut", "kwi", "cze", "lip", "sie", "wrz", "paź", "lis", "gru", "янв", "фев",
        "мар", "апр", "мая", "май", "июн", "июл", "авг", "сен", "окт", "ноя", "дек",
    ];
    text.split(|c: char| !c.is_alphabetic()).any(|word| {
        let lower = word.to_lowercase();
        MONTHS.iter().any(|month| lower.starts_with(month))
    })
}
