//! What is said of a zone that has no room.

use tollgate_core::detail::{Cause, Detail};

use crate::clock::mono_now;
use crate::per_worker::PerWorker;
use crate::request::admit::{Admission, Shortage};

/// Nanoseconds between two messages about rules that have no room.
const SAY_AGAIN: u64 = 60_000_000_000;

/// When it was last said that a rule has no room, in nanoseconds of the monotonic clock.
static SAID: PerWorker<Option<u64>> = PerWorker::new(|| None);

fn may_say() -> bool {
    let now = mono_now().0;
    SAID.with(|said| {
        let is_due = said.is_none_or(|then| now.saturating_sub(then) > SAY_AGAIN);
        if is_due {
            *said = Some(now);
        }
        is_due
    })
}

impl Admission<'_, '_> {
    /// The zone is full.
    pub(super) fn full(&self, cause: Cause) -> Shortage {
        Detail::new(cause, self.r.main_conf().zone_name().to_owned()).into()
    }

    /// Says, once a minute, that a rule counts those together for whom there is no room.
    pub(crate) fn say_crowded(&self, rule: &str) {
        if may_say() {
            self.complain(&format!("counts all for whom \"{rule}\" has no room together"));
        }
    }

    pub(super) fn complain(&self, what: &str) {
        self.r.log().error(format_args!(
            "tollgate_zone \"{}\" {what}; make the zone larger",
            self.r.main_conf().zone_name()
        ));
    }
}
