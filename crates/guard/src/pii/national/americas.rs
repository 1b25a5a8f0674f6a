//! Brazil, Mexico, Canada, Chile, Argentina.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const CPF: &[&str] = &["000.000.000-00", "00000000000", "000000000-00"];
const CNPJ: &str = concat!(
    r"(?-u:\b)(?:[A-Z0-9]{2}\.[A-Z0-9]{3}\.[A-Z0-9]{3}/[A-Z0-9]{4}-[0-9]{2}",
    r"|[0-9]{8}/?[0-9]{4}-?[0-9]{2})(?-u:\b)"
);
const CURP: &[&str] = &["@@@@000000@@@@@@00", "@@@@000000@@@@@@@0"];
const RFC: &[&str] = &["AAAA000000***"];
const RUT: &str = r"(?-u:\b)[0-9]{1,2}(?:\.[0-9]{3}\.[0-9]{3}|[0-9]{6})-?[0-9Kk](?-u:\b)";
const CUIT: &[&str] = &["00-00000000-0", "00000000000"];

const SIN: &[&str] = &["000000000", "000 000 000", "000-000-000"];
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector(
            "br_cpf",
            "BR_CPF",
            Cow::Borrowed(shape::DIGITS),
            &["cpf", "cadastro de pessoa", "contribuinte"],
            cpf,
        ),
        detector("br_cnpj", "BR_CNPJ", Cow::Borrowed(CNPJ), &["cnpj", "empresa"], cnpj),
        detector(
            "mx_curp",
            "MX_CURP",
            Cow::Borrowed(shape::CODE),
            &["curp", "clave única", "registro de población"],
            curp,
        ),
        detector(
            "mx_rfc",
            "MX_RFC",
            Cow::Borrowed(shape::CODE),
            &["rfc", "contribuyente", "registro federal"],
            rfc,
        ),
        detector(
            "ca_sin",
            "CA_SIN",
            Cow::Borrowed(shape::DIGITS),
            &["sin", "social insurance", "nas", "assurance sociale"],
            sin,
        ),
        detector("cl_rut", "CL_RUT", Cow::Borrowed(RUT), &["rut", "run", "cédula", "cedula"], rut),
        detector("ar_cuit", "AR_CUIT", Cow::Borrowed(shape::DIGITS), &["cuit", "cuil"], cuit),
    ]
}

/// A check digit of Brazil: 11 less the rest by 11, of 10 and 11 zero.
fn brazilian(values: impl Iterator<Item = (u64, u64)>) -> u64 {
    let rest = values.map(|(value, weight)| value * weight).sum::<u64>() % 11;
    if rest < 2 {
        0
    } else {
        11 - rest
    }
}

/// Receita Federal, Instrução Normativa 1548/2015: two check digits.
fn cpf(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, CPF) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = |count: usize| {
        let weights = (2..=count as u64 + 1).rev();
        brazilian(all.iter().take(count).map(|digit| u64::from(*digit)).zip(weights))
    };
    let is_right = check(9) == digits::at(all, 9) && check(10) == digits::at(all, 10);
    if !is_right || digits::is_one_digit(all) || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Weak };
    Some(form.score(context))
}

/// Receita Federal, Instrução Normativa 2229/2024: letters count from 17 for A on, as in ASCII less 48.
fn cnpj(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = shapes::plain(candidate);
    let values = || text.bytes().map(|byte| u64::from(byte.saturating_sub(b'0')));
    let weights = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let first = brazilian(values().take(12).zip(weights.into_iter().skip(1)));
    let second = brazilian(values().take(13).zip(weights));
    let mut last = values().skip(12);
    if last.next() != Some(first)
        || last.next() != Some(second)
        || text.bytes().all(|byte| byte == b'0')
    {
        return None;
    }
    if shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Weak };
    Some(form.score(context))
}

/// The place of a character among those of Mexican codes.
fn mexican(order: &str, byte: u8) -> u64 {
    order.chars().position(|c| c == char::from(byte)).map_or(0, |place| place as u64)
}

/// RENAPO, Instructivo normativo para la asignación de la CURP: weights 18 to 2, and 10 less the rest by 10.
fn curp(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, CURP) {
        return None;
    }
    let text = shapes::plain(candidate);
    let order = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ";
    let sum: u64 = text
        .bytes()
        .take(17)
        .zip((2..=18).rev())
        .map(|(byte, weight)| mexican(order, byte) * weight)
        .sum();
    let all = Digits::of(text.get(4..10)?);
    let dated = digits::is_date(digits::part(all.all(), 4, 6), digits::part(all.all(), 2, 4));
    let last = text.bytes().next_back()?;
    if (10 - sum % 10) % 10 != shapes::value(last) || !dated || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Own.score(context))
}

/// SAT, Anexo 3 of the rules on the RFC: of persons, with weights 13 to 2, and 11 less the rest by 11. Some were given
/// out with another check digit.
fn rfc(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, RFC) {
        return None;
    }
    let text: String = candidate.text().chars().filter(|c| *c != '-').collect();
    let order = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ";
    let sum: u64 = text
        .bytes()
        .take(12)
        .zip((2..=13).rev())
        .map(|(byte, weight)| mexican(order, byte) * weight)
        .sum();
    let check = (11 - sum % 11) % 11;
    let all = Digits::of(text.get(4..10)?);
    let dated = digits::is_date(digits::part(all.all(), 4, 6), digits::part(all.all(), 2, 4));
    if !dated || shapes::is_part(candidate) {
        return None;
    }
    let is_right = text.bytes().next_back().map(shapes::value) == Some(check);
    Some(if is_right { Form::Likely } else { Form::Bare }.score(context))
}

/// Service Canada, "Social Insurance Number": Luhn's sum; none begins with 0, or with 8.
fn sin(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, SIN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    if !digits::luhn(all) || matches!(digits::at(all, 0), 0 | 8) || !shapes::is_even(candidate) {
        return None;
    }
    if shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// Servicio de Impuestos Internos, Chile: weights 2 to 7 from the right, and 11 less the rest by 11, of 10 K.
fn rut(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = shapes::plain(candidate);
    let (last, number) = text.as_bytes().split_last()?;
    let weights = [2, 3, 4, 5, 6, 7].iter().cycle();
    let sum: u64 =
        number.iter().rev().zip(weights).map(|(byte, weight)| shapes::value(*byte) * weight).sum();
    let check = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        other => b"0123456789".get(usize::try_from(other).ok()?).copied()?,
    };
    if *last != check || shapes::is_part(candidate) {
        return None;
    }
    let form = match (candidate.text().contains('.'), candidate.text().contains('-')) {
        (true, true) => Form::Likely,
        (false, true) => Form::Weak,
        (_, false) => Form::Bare,
    };
    Some(form.score(context))
}

/// ARCA (before: AFIP), Argentina: weights 5, 4, 3, 2 and 7 to 2, and 11 less the rest by 11, of 10
/// nine.
fn cuit(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, CUIT) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = match 11 - digits::weighted(all, &[5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11 {
        11 => 0,
        10 => 9,
        other => other,
    };
    let is_given_out = matches!(digits::part(all, 0, 2), 20 | 23..=27 | 30 | 33 | 34);
    if !is_given_out || check != digits::at(all, 10) || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Likely } else { Form::Weak };
    Some(form.score(context))
}
