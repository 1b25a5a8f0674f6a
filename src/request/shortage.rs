//! What is short, and what is said of it.

use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::limits::{Dimension, Exceeded, Refused, Take};
use tollgate_core::metrics::{Counter, Part};

use crate::observed;
use crate::per_worker::PerWorker;
use crate::request::admit::{Admission, Shortage};
use crate::request::asks::Scratch;
use crate::request::complaint::may_say;

/// When it was last said that a rule has no room, in nanoseconds of the monotonic clock.
static SAID: PerWorker<Option<u64>> = PerWorker::new(|| None);

/// Counts that there was no room for the key of an ask.
pub(super) fn count_full(scratch: &Scratch, ask: usize) {
    if let Some(ask) = scratch.asks.get(ask) {
        observed::count(Counter::ZoneFull(Part::Area(ask.key.area())));
    }
}

impl Admission<'_, '_> {
    /// The shortage that a refusal is.
    pub(super) fn refuse(&self, refused: Refused, scratch: &Scratch) -> Shortage {
        self.show(scratch);
        let (index, wait_nanos) = match refused {
            Refused::Exceeded(Exceeded { ask, wait_nanos, .. }) => (ask, wait_nanos),
            Refused::Oversized(ask) => (ask, 0),
            Refused::ZoneFull(_) => {
                self.complain("is full, a request is refused");
                return self.full(Cause::NoRoomForClient);
            }
            Refused::NoSeat => {
                self.complain("has no room for a further request in flight");
                return self.full(Cause::NoRoomInFlight);
            }
        };
        let is_oversized = matches!(refused, Refused::Oversized(_));
        let reason = match scratch.asks.get(index).map(|ask| ask.take) {
            Some(Take::Bucket { dimension, .. }) => match dimension {
                Dimension::Requests | Dimension::AuthFailures => Reason::RequestsExceeded,
                _ if is_oversized => Reason::RequestOverLimit,
                Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => {
                    Reason::TokensExceeded
                }
            },
            Some(Take::Budget { .. }) => Reason::BudgetExceeded,
            Some(Take::Concurrency { .. }) => Reason::ConcurrencyExceeded,
            None => Reason::InternalError,
        };
        let has_no_slot = reason == Reason::ConcurrencyExceeded;
        let detail = has_no_slot.then(|| Cause::NoFreeSlot.into());
        Shortage { reason, wait_nanos, report: scratch.report(index), detail }
    }

    /// The zone is full.
    pub(super) fn full(&self, cause: Cause) -> Shortage {
        match cause {
            Cause::NoRoomInFlight => observed::count(Counter::ZoneFull(Part::InFlight)),
            Cause::NoRoomInQueue => observed::count(Counter::ZoneFull(Part::Queue)),
            // Where it was found, also where something wider took its place.
            _ => {}
        }
        Detail::new(cause, self.r.main_conf().zone_name().to_owned()).into()
    }

    /// Says, once a minute, that a rule counts those together for whom there is no room.
    pub(crate) fn say_crowded(&self, rule: &str) {
        if may_say(&SAID) {
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
