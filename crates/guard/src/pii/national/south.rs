//! Spain, Italy, Portugal, Turkey.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const DNI: &[&str] = &[
    "00000000@",
    "00000000-@",
    "00000000 @",
    "00.000.000-@",
    "00.000.000 @",
    "00.000.000@",
    "0000000@",
    "0.000.000-@",
];
const NIE: &[&str] = &["@0000000@", "@-0000000-@", "@ 0000000 @", "@-0000000@", "@0000000-@"];
const CARTAO: &[&str] = &["000000000AA0", "00000000 0 AA0", "00000000-0AA0", "00000000 0AA0"];

const NIF: &[&str] = &["000000000", "000 000 000"];
const KIMLIK: &[&str] = &["00000000000"];
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector(
            "es_dni",
            "ES_DNI",
            Cow::Borrowed(shape::SPACED),
            &["dni", "nif", "documento", "identidad", "identificación"],
            dni,
        ),
        detector(
            "es_nie",
            "ES_NIE",
            Cow::Borrowed(shape::SPACED),
            &["nie", "extranjero", "identidad", "documento"],
            nie,
        ),
        detector(
            "it_codice_fiscale",
            "IT_CODICE_FISCALE",
            Cow::Borrowed(shape::CODE),
            &["codice fiscale", "cod fisc", "fiscale", "cf", "c.f"],
            codice_fiscale,
        ),
        detector(
            "pt_nif",
            "PT_NIF",
            Cow::Borrowed(shape::DIGITS),
            &["nif", "contribuinte", "identificação fiscal", "número fiscal"],
            nif,
        ),
        detector(
            "pt_cartao_de_cidadao",
            "PT_CARTAO_DE_CIDADAO",
            Cow::Borrowed(shape::SPACED),
            &["cartão de cidadão", "cartao de cidadao", "cartão do cidadão", "cc", "identidade"],
            cartao,
        ),
        detector(
            "tr_kimlik",
            "TR_KIMLIK",
            Cow::Borrowed(shape::DIGITS),
            &["kimlik", "tckn", "tc", "t.c", "vatandaşlık", "turkish id"],
            kimlik,
        ),
    ]
}

/// The letter of Spanish numbers, by the rest of the division by 23 (Real Decreto 1553/2005, Orden INT/2058/2008).
fn control(number: u64) -> Option<u8> {
    b"TRWAGMYFPDXBNJZSQVHLCKE".get(usize::try_from(number % 23).ok()?).copied()
}

fn dni(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, DNI) {
        return None;
    }
    let text = shapes::plain(candidate);
    let all = Digits::of(&text);
    let number = digits::number(all.all());
    let is_full = all.all().len() == 8;
    if control(number) != text.bytes().next_back() || number < 1000 || (!is_full && !context) {
        return None;
    }
    if shapes::is_part(candidate) {
        return None;
    }
    let form = match shapes::is_small(candidate) {
        true => Form::Bare,
        false => Form::Likely,
    };
    Some(form.score(context))
}

fn nie(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NIE) {
        return None;
    }
    let text = shapes::plain(candidate);
    let all = Digits::of(&text);
    let first = u64::from(text.bytes().next()?.checked_sub(b'X')?);
    let number = first * 10_000_000 + digits::number(all.all());
    if control(number) != text.bytes().next_back() || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_small(candidate) { Form::Bare } else { Form::Likely };
    Some(form.score(context))
}

/// Decreto ministeriale of 23 December 1976, with the letters that take the place of digits where two people would
/// have the same code.
fn codice_fiscale(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if candidate.text().len() != 16 {
        return None;
    }
    const ODD: [u64; 26] = [
        1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24,
        23,
    ];
    let text = shapes::plain(candidate);
    // Digits, or letters in their place, are at 6, 7, 9, 10 and 12 to 14; the month is at 8.
    let is_right = |(place, byte): (usize, u8)| match place {
        6 | 7 | 9 | 10 | 12..=14 => byte.is_ascii_digit() || b"LMNPQRSTUV".contains(&byte),
        8 => b"ABCDEHLMPRST".contains(&byte),
        _ => byte.is_ascii_uppercase(),
    };
    if !text.bytes().enumerate().all(is_right) {
        return None;
    }
    let (last, others) = text.as_bytes().split_last()?;
    // Digits count as the letters at their place do.
    let rank = |byte: u8| match byte {
        b'0'..=b'9' => usize::from(byte - b'0'),
        _ => usize::from(byte.saturating_sub(b'A')),
    };
    let mut sum = 0;
    for (place, byte) in others.iter().enumerate() {
        sum += match place % 2 {
            0 => *ODD.get(rank(*byte))?,
            _ => u64::try_from(rank(*byte)).ok()?,
        };
    }
    let day = text.get(9..11)?.bytes().map(digit_of).fold(0, |sum, digit| sum * 10 + digit);
    if sum % 26 != u64::from(last.checked_sub(b'A')?) || !matches!(day, 1..=31 | 41..=71) {
        return None;
    }
    let form = if shapes::is_small(candidate) { Form::Likely } else { Form::Own };
    Some(form.score(context))
}

/// The digit that this letter of an Italian code stands for.
fn digit_of(byte: u8) -> u64 {
    match byte {
        b'0'..=b'9' => u64::from(byte - b'0'),
        _ => {
            b"LMNPQRSTUV".iter().position(|letter| *letter == byte).map_or(0, |place| place as u64)
        }
    }
}

/// Autoridade Tributária, Decreto-Lei 14/2013: weights 9 to 2, and 11 less the rest by 11, of 10 and 11 zero.
fn nif(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NIF) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = 11 - digits::weighted(all, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if check > 9 { 0 } else { check };
    if check != digits::at(all, 8)
        || matches!(digits::part(all, 0, 2), 0..=9 | 40..=44 | 46..=49)
        || digits::is_one_digit(all)
    {
        return None;
    }
    if !shapes::is_even(candidate) || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// "Validação de Número de Documento do Cartão de Cidadão" (AMA): as Luhn, with letters from 10 for A on.
fn cartao(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, CARTAO) {
        return None;
    }
    let text = shapes::plain(candidate);
    let mut sum = 0;
    for (place, byte) in text.bytes().rev().enumerate() {
        let value = shapes::value(byte);
        sum += match place % 2 {
            0 => value,
            _ if value > 4 => value * 2 - 9,
            _ => value * 2,
        };
    }
    if !sum.is_multiple_of(10) || shapes::is_part(candidate) {
        return None;
    }
    let has_letters = text.bytes().any(|byte| byte.is_ascii_uppercase());
    let form = if has_letters { Form::Likely } else { Form::Bare };
    Some(form.score(context))
}

/// Law 5490 on population services: of the first nine digits, seven times the odd ones less the even ones; then the
/// sum of all ten.
fn kimlik(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, KIMLIK) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let odd = digits::weighted(all, &[1, 0, 1, 0, 1, 0, 1, 0, 1]);
    let even = digits::weighted(all, &[0, 1, 0, 1, 0, 1, 0, 1]);
    let tenth = (odd * 7 + 100 - even) % 10;
    let eleventh = digits::weighted(all, &[1; 10]) % 10;
    let is_right =
        digits::at(all, 0) != 0 && tenth == digits::at(all, 9) && eleventh == digits::at(all, 10);
    if !is_right || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Weak.score(context))
}
