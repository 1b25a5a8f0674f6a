//! Values of the command line, held to the rules of the keys file where they are typed in.

use jiff::Timestamp;
use tollgate_core::address::Cidr;
use tollgate_core::principal::{is_valid_name, MAX_NAME_LEN};

use crate::exit::Failure;
use crate::time::When;

pub(super) fn name(text: &str) -> Result<String, String> {
    match is_valid_name(text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "must be 1 to {MAX_NAME_LEN} bytes, without control characters, and without space at \
             either end"
        )),
    }
}

pub(super) fn network(text: &str) -> Result<String, String> {
    let cidr: Result<Cidr, _> = text.parse();
    cidr.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// A date for the file: UTC, in whole seconds.
pub(super) fn date(when: When, now: Timestamp) -> Result<String, Failure> {
    let moment = when.after(now);
    let seconds = Timestamp::from_second(moment.as_second())
        .map_err(|error| Failure::usage(error.to_string()))?;
    Ok(seconds.to_string())
}

/// A date of the file.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
