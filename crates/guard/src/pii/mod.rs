//! Personal data.
//!
//! A kind is what an operator writes, and what logs name: `email`, `es_dni`. `national_id` stands for all numbers that
//! a state gives to a person. Scores say how sure a finding is: over 90, its form alone would be enough; from 50 on
//! there is more for it than against it; below, only a word of the context can make it a finding.

mod bank;
mod calling_codes;
mod card;
mod digits;
mod domain;
mod edges;
mod email;
mod iban;
mod ip;
mod kind;
mod mac;
mod names;
mod national;
mod papers;
mod phone;
mod shape;
mod ssn;
mod vehicle;
mod wallet;

use crate::detector::Detector;

/// The kind that stands for the numbers that states give to persons.
pub const NATIONAL_ID: &str = "national_id";

/// All detectors of personal data. Several may have the same pattern.
#[must_use]
pub fn detectors() -> Vec<Detector> {
    let mut all = vec![
        email::email(),
        card::card(),
        iban::iban(),
        ip::ip(),
        phone::phone(),
        domain::domain(),
        mac::mac(),
        wallet::wallet(),
        papers::passport(),
        papers::driving_licence(),
        papers::date_of_birth(),
        bank::routing(),
        vehicle::vin(),
        ssn::ein(),
    ];
    all.extend(national_ids());
    all
}

/// The detectors of a kind: one, or several of `national_id`. `None`: there is no such kind.
#[must_use]
pub fn kind(name: &str) -> Option<Vec<Detector>> {
    if name == NATIONAL_ID {
        return Some(national_ids());
    }
    let found = detectors().into_iter().find(|detector| detector.name == name)?;
    Some(vec![found])
}

fn national_ids() -> Vec<Detector> {
    let mut all = vec![ssn::ssn(), ssn::itin()];
    all.extend(national::detectors());
    all
}
