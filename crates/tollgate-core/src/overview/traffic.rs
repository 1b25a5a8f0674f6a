//! The last hour.

use serde::Serialize;

use crate::clients::view::{money, time};
use crate::clock::UnixMillis;
use crate::metrics::minutes::{self, Minute};

const MINUTE_MS: u64 = 60_000;

/// One minute, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    at: String,
    requests: u64,
    refused: u64,
    errors: u64,
    input: u64,
    output: u64,
    cost: String,
    /// The mean time to the first token; absent: no request had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft_ms: Option<u64>,
    /// What guards found, by what is done about it.
    #[serde(skip_serializing_if = "Found::is_none")]
    found: Found,
}

/// How often guards found something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Found {
    log: u64,
    /// Masked, or given a placeholder.
    mask: u64,
    block: u64,
}

impl Found {
    fn is_none(&self) -> bool {
        (self.log, self.mask, self.block) == (0, 0, 0)
    }
}

impl Row {
    pub(super) fn of(minute: &Minute) -> Self {
        let at = i64::try_from(minute.number.saturating_mul(MINUTE_MS)).unwrap_or(i64::MAX);
        Self {
            at: time(UnixMillis(at)),
            requests: minute.requests,
            refused: minute.refused,
            errors: minute.errors,
            input: minute.input,
            output: minute.output,
            cost: money(minute.cost_nanos),
            ttft_ms: minute.ttft_ms.checked_div(minute.ttft_count),
            found: Found {
                log: minute.found_logged,
                mask: minute.found_masked,
                block: minute.found_blocked,
            },
        }
    }
}

/// How many a second there were in the last sixty of them: of the running minute all, of the one before the part
/// that is not longer ago, as if it had come evenly.
#[must_use]
pub(super) fn per_second(hour: &[Minute], now: UnixMillis, of: impl Fn(&Minute) -> u64) -> f64 {
    let number = minutes::number(now);
    let count = |number: u64| {
        let minute = hour.iter().rev().find(|minute| minute.number == number);
        minute.map_or(0, &of) as f64
    };
    let passed_ms = u64::try_from(now.0).unwrap_or(0) % MINUTE_MS;
    let share = (MINUTE_MS - passed_ms) as f64 / MINUTE_MS as f64;
    let rate = (count(number) + count(number.saturating_sub(1)) * share) / 60.0;
    (rate * 1000.0).round() / 1000.0
}
