//! What a request holds of its limits, from admission to its end.

use std::rc::Rc;

use tollgate_core::limits::{Ask, Dimension, Seat, Take};
use tollgate_core::llm::Usage;

use crate::clock::now;
use crate::request::asks::{Scratch, Way};
use crate::request::awaiting;
use crate::request::meter::Taken;
use crate::request::queue;
use crate::zone::leases::MappedLeases;
use crate::zone::lock::ZoneLock;
use crate::zone::{member, Mapped};

/// What a request holds of its limits. Its concurrency slots are free when it is dropped, whatever
/// happens; what was taken from buckets and budgets stays taken unless it is settled.
pub(crate) struct Reservation {
    zone: Rc<Mapped>,
    /// Where it was drawn from, where limits hold over a cluster.
    leases: Option<Rc<MappedLeases>>,
    /// What is settled by tokens or money, and by what it was let through.
    asks: Vec<(Ask, Way)>,
    seats: Vec<Seat>,
}

/// Whether it is settled in the end, by tokens or money.
pub(super) fn is_settled(ask: &Ask) -> bool {
    match ask.take {
        Take::Bucket { dimension, .. } => match dimension {
            Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => true,
            Dimension::Requests | Dimension::AuthFailures => false,
        },
        Take::Budget { .. } => true,
        Take::Concurrency { .. } => false,
    }
}

impl Reservation {
    /// Whether anything is left to be done in the end about what was taken.
    pub(crate) fn is_needed(asks: &[Ask], seats: &[Seat]) -> bool {
        !seats.is_empty() || asks.iter().any(is_settled)
    }

    /// What a successful [`Zone::reserve`](tollgate_core::limits::Zone::reserve) took.
    pub(crate) fn new(
        (zone, leases): (Rc<Mapped>, Option<Rc<MappedLeases>>),
        scratch: &Scratch,
        seats: Vec<Seat>,
    ) -> Self {
        let asks = scratch.asks.iter().enumerate().filter(|(_, ask)| is_settled(ask));
        let asks = asks.map(|(index, ask)| (*ask, scratch.way(index))).collect();
        Self { zone, leases, asks, seats }
    }

    /// Puts what was really used in the place of what was reserved. What is only taken for granted is no
    /// more than was reserved: a bound of a billion tokens reserves what the limit can hold. `None`:
    /// nothing was used.
    pub(crate) fn settle(mut self, outcome: Option<&Taken>) {
        let now = now();
        let asks = std::mem::take(&mut self.asks);
        let zone = self.zone.get();
        let lock = ZoneLock::of(zone);
        member::note_changed();
        for (ask, way) in asks {
            let (used, evident) = outcome.map_or((0, 0), |outcome| {
                let used = used(&ask, &outcome.usage, outcome.cost);
                (used, self::used(&ask, &outcome.evident, outcome.evident_cost))
            });
            let used = used.min(ask.reserved()).max(evident);
            zone.settle(&ask, used, now, &lock);
            if let Some(leases) = self.leases.as_ref().filter(|_| way != Way::Node) {
                awaiting::settle(leases, (&ask, way), used, now);
            }
        }
    }
}

/// How much of what an ask is for was used, in tokens or nano-units.
fn used(ask: &Ask, usage: &Usage, cost: Option<u64>) -> u64 {
    let cached = if ask.cached_free { usage.cached_input } else { 0 };
    let input = usage.input.saturating_sub(cached);
    match ask.take {
        Take::Bucket { dimension, .. } => match dimension {
            Dimension::Tokens => input.saturating_add(usage.output),
            Dimension::InputTokens => input,
            Dimension::OutputTokens => usage.output,
            Dimension::Requests | Dimension::AuthFailures => 0,
        },
        Take::Budget { .. } => cost.unwrap_or(0),
        Take::Concurrency { .. } => 0,
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.seats.is_empty() {
            return;
        }
        let seats = std::mem::take(&mut self.seats);
        member::with(|member| {
            if let Some(holder) = member.holder.as_mut() {
                for seat in seats {
                    self.zone.get().release(seat, holder);
                }
            }
        });
        queue::wake();
    }
}
