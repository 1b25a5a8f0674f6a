//! India, China, Hong Kong, Taiwan, Korea, Japan, Singapore, Thailand, Israel.

use std::borrow::Cow;

use super::shapes;
use crate::detector::{Candidate, Detector};
use crate::pii::digits::{self, Digits};
use crate::pii::edges;
use crate::pii::kind::{detector, Form};
use crate::pii::shape;

const AADHAAR: &[&str] = &["0000 0000 0000", "0000-0000-0000", "000000000000"];
const PAN: &[&str] = &["@@@@@0000@"];
const RESIDENT_ID: &[&str] = &["000000000000000000", "00000000000000000@"];
const HKID: &str = r"(?-u:\b)[A-Z]{1,2}[0-9]{6}\([0-9A]\)";
const TW_ID: &[&str] = &["A000000000"];
const RRN: &[&str] = &["000000-0000000", "0000000000000"];
const MY_NUMBER: &[&str] = &["000000000000", "0000 0000 0000", "0000-0000-0000"];
const NRIC: &[&str] = &["@0000000@"];
const THAI_ID: &[&str] = &["0-0000-00000-00-0", "0000000000000"];
const TEUDAT_ZEHUT: &[&str] = &["000000000", "00000000-0"];

pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector(
            "in_aadhaar",
            "IN_AADHAAR",
            Cow::Borrowed(shape::DIGITS),
            &["aadhaar", "aadhar", "uidai", "uid", "आधार"],
            aadhaar,
        ),
        detector(
            "in_pan",
            "IN_PAN",
            Cow::Borrowed(shape::CODE),
            &["pan", "permanent account", "income tax"],
            pan,
        ),
        detector(
            "cn_resident_id",
            "CN_RESIDENT_ID",
            Cow::Borrowed(shape::CODE),
            &["身份证", "身份證", "居民", "证件", "resident id", "identity", "id"],
            resident_id,
        ),
        detector(
            "hk_hkid",
            "HK_HKID",
            Cow::Borrowed(HKID),
            &["hkid", "identity card", "身份證"],
            hkid,
        ),
        detector(
            "tw_id",
            "TW_ID",
            Cow::Borrowed(shape::CODE),
            &["身分證", "身份證", "統一編號", "taiwan id"],
            tw_id,
        ),
        detector(
            "kr_rrn",
            "KR_RRN",
            Cow::Borrowed(shape::DIGITS),
            &["주민등록", "주민번호", "외국인등록", "rrn", "resident registration"],
            rrn,
        ),
        detector(
            "jp_my_number",
            "JP_MY_NUMBER",
            Cow::Borrowed(shape::DIGITS),
            &["マイナンバー", "個人番号", "my number"],
            my_number,
        ),
        detector(
            "sg_nric",
            "SG_NRIC",
            Cow::Borrowed(shape::CODE),
            &["nric", "fin", "ic no", "identity"],
            nric,
        ),
        detector(
            "th_id",
            "TH_ID",
            Cow::Borrowed(shape::DIGITS),
            &["บัตรประชาชน", "เลขประจำตัว", "thai id", "citizen id"],
            thai_id,
        ),
        detector(
            "il_teudat_zehut",
            "IL_TEUDAT_ZEHUT",
            Cow::Borrowed(shape::DIGITS),
            &["תעודת זהות", "ת.ז", "ת\"ז", "מספר זהות", "teudat zehut"],
            teudat_zehut,
        ),
    ]
}

/// UIDAI, "Aadhaar numbering scheme": twelve digits, none of them 0 or 1 at first; Verhoeff's sum.
fn aadhaar(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, AADHAAR) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let is_palindrome = all.iter().eq(all.iter().rev());
    if !digits::verhoeff(all)
        || digits::at(all, 0) < 2
        || is_palindrome
        || edges::follows_group(candidate)
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = if candidate.text().contains(' ') { Form::Likely } else { Form::Weak };
    Some(form.score(context))
}

/// Income Tax Department, "Structure of PAN": the fourth letter says who holds it, P for a person.
fn pan(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, PAN) {
        return None;
    }
    // The number starts at 0001.
    if candidate.text().get(5..9) == Some("0000") || shapes::is_part(candidate) {
        return None;
    }
    let holder = candidate.text().as_bytes().get(3).map(u8::to_ascii_uppercase)?;
    if !b"ABCFGHJLPT".contains(&holder) {
        return None;
    }
    let form = match (shapes::is_small(candidate), Some(&holder)) {
        (true, _) => Form::Bare,
        (false, Some(b'P')) => Form::Likely,
        (false, _) => Form::Weak,
    };
    Some(form.score(context))
}

/// GB 11643-1999: division, birthday, serial number, and ISO/IEC 7064, MOD 11-2.
fn resident_id(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, RESIDENT_ID) {
        return None;
    }
    let text = candidate.text();
    let all = Digits::of(text.get(..17)?);
    let all = all.all();
    let rest = digits::weighted(all, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]) % 11;
    let wanted = b"10X98765432".get(usize::try_from(rest).ok()?).copied();
    let year = digits::part(all, 6, 10);
    let dated = digits::is_date(digits::part(all, 12, 14), digits::part(all, 10, 12))
        && (1880..=2100).contains(&year);
    let province = digits::part(all, 0, 2);
    let last = text.bytes().next_back().map(|byte| byte.to_ascii_uppercase());
    if last != wanted
        || !dated
        || !matches!(province, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
    {
        return None;
    }
    if shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Own.score(context))
}

/// Hong Kong Immigration Department: one or two letters, where a blank counts 36, weights 9 to 1, divisible by 11.
fn hkid(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    let text = shapes::plain(candidate);
    let blank = if text.len() == 8 { 36 * 9 } else { 0 };
    let weights = (1..=9).rev().skip(9 - text.len().min(9));
    let sum: u64 =
        text.bytes().zip(weights).map(|(byte, weight)| shapes::value(byte) * weight).sum();
    if !(sum + blank).is_multiple_of(11)
        || shapes::is_part(candidate)
        || edges::precedes(candidate, &[])
    {
        return None;
    }
    Some(Form::Own.score(context))
}

/// Taiwan, National Identification Card: the letter counts as two digits, weights 1, 9 to 1 and 1, divisible by 10.
fn tw_id(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, TW_ID) {
        return None;
    }
    let text = candidate.text();
    // The letters in the order of their numbers, from 10 on.
    let first = text.chars().next()?;
    let letter = "ABCDEFGHJKLMNPQRSTUVXYWZIO".chars().position(|c| c == first)? as u64 + 10;
    let all = Digits::of(text);
    let sum =
        letter / 10 + letter % 10 * 9 + digits::weighted(all.all(), &[8, 7, 6, 5, 4, 3, 2, 1, 1]);
    if !sum.is_multiple_of(10) || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Weak.score(context))
}

/// Korean Resident Registration Act, enforcement rules: birthday, sex and century, and until October 2020 a sum by 11.
fn rrn(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, RRN) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let check = (11 - digits::weighted(all, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11) % 10;
    if matches!(digits::at(all, 6), 0 | 9) {
        return None;
    }
    // Of foreigners it is greater by 2.
    let is_right = [check, (check + 2) % 10].contains(&digits::at(all, 12));
    if !digits::is_date(digits::part(all, 4, 6), digits::part(all, 2, 4))
        || shapes::is_part(candidate)
    {
        return None;
    }
    let form = match (is_right, shapes::is_grouped(candidate)) {
        (true, true) => Form::Own,
        (false, true) => Form::Likely,
        (true, false) => Form::Weak,
        (false, false) => Form::Bare,
    };
    Some(form.score(context))
}

/// Japanese Ordinance 85 of 2014 (Ministry of Internal Affairs), article 5: weights 6 to 2 and 7 to 2, and 11 less the
/// rest by 11, of 0 and 1 zero.
fn my_number(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, MY_NUMBER) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    let rest = digits::weighted(all, &[6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    if check != digits::at(all, 11) || digits::is_one_digit(all) || !shapes::is_even(candidate) {
        return None;
    }
    if shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Bare.score(context))
}

/// Singapore, National Registration Act; weights as ICA uses them. In the series T and G 4 is added, in M 3.
fn nric(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, NRIC) {
        return None;
    }
    let text = shapes::plain(candidate);
    let all = Digits::of(&text);
    let sum = digits::weighted(all.all(), &[2, 7, 6, 5, 4, 3, 2]);
    let (letters, added): (&[u8], u64) = match text.bytes().next()? {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        b'M' => (b"XWUTRQPNJLK", 3),
        _ => return None,
    };
    let wanted = letters.get(usize::try_from((sum + added) % 11).ok()?).copied();
    if wanted != text.bytes().next_back() || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_small(candidate) { Form::Bare } else { Form::Likely };
    Some(form.score(context))
}

/// Thailand, Department of Provincial Administration: weights 13 to 2, and 11 less the rest by 11.
fn thai_id(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, THAI_ID) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    if matches!(digits::at(all, 0), 0 | 9) {
        return None;
    }
    let check = (11 - digits::weighted(all, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11) % 10;
    if check != digits::at(all, 12) || shapes::is_part(candidate) {
        return None;
    }
    let form = if shapes::is_grouped(candidate) { Form::Own } else { Form::Bare };
    Some(form.score(context))
}

/// Israel, Population and Immigration Authority: Luhn's sum of nine digits.
fn teudat_zehut(candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    if !shape::fits(candidate, TEUDAT_ZEHUT) {
        return None;
    }
    let all = Digits::of(candidate.text());
    let all = all.all();
    if !digits::luhn(all) || digits::is_one_digit(all) || shapes::is_part(candidate) {
        return None;
    }
    Some(Form::Bare.score(context))
}
