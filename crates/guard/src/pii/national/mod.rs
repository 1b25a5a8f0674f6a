//! Numbers that states give to persons, and some that they give to those who pay taxes. A number that is only a row
//! of digits with one check digit is found where a word before it says what it is: of ten such rows one passes by chance.

mod americas;
mod asia;
mod dach;
mod east;
mod north;
mod shapes;
mod south;
mod southern;
mod west;

use crate::detector::Detector;

/// All of them.
pub(super) fn detectors() -> Vec<Detector> {
    [
        dach::detectors(),
        west::detectors(),
        south::detectors(),
        north::detectors(),
        east::detectors(),
        americas::detectors(),
        asia::detectors(),
        southern::detectors(),
    ]
    .concat()
}
