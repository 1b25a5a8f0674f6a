//! How often the error log says the same thing again.

use crate::clock::mono_now;
use crate::per_worker::PerWorker;

/// Nanoseconds between two messages of one kind.
const SAY_AGAIN: u64 = 60_000_000_000;

/// Whether that is to be said again, which was said last at this time.
pub(super) fn may_say(said: &PerWorker<Option<u64>>) -> bool {
    let now = mono_now().0;
    said.with(|said| {
        let is_due = said.is_none_or(|then| now.saturating_sub(then) > SAY_AGAIN);
        if is_due {
            *said = Some(now);
        }
        is_due
    })
}
