//! Numbers and times, as they are shown.

use crate::audit::TimeFormat;
use crate::clock::UnixMillis;
use crate::money::Amount;

/// What an amount is as a JSON string: exact, in whatever language it is read.
pub(super) fn money(nanos: u64) -> String {
    String::from_utf8_lossy(Amount::from_nanos(nanos).as_bytes()).into_owned()
}

/// Rounds to three digits behind the point: nobody reads more.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Times as texts.
#[derive(Debug, Default)]
pub(super) struct Time(TimeFormat);

impl Time {
    pub(super) fn text(&mut self, time: UnixMillis) -> String {
        let mut text = Vec::new();
        self.0.write(time, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}
