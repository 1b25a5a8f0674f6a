//! What a request holds of its limits, from admission to its end.

use tollgate_core::limits::{Ask, Dimension, Lease, Take, Zone};
use tollgate_core::llm::Usage;

use crate::ffi::clock::now;
use crate::ffi::shm::ZoneLock;
use crate::{queue, worker};

/// What a request holds of its limits. Its concurrency slots are free when it is dropped, whatever
/// happens; what was taken from buckets and budgets stays taken unless it is settled.
pub(crate) struct Reservation {
    zone: Zone<'static>,
    lock: ZoneLock,
    /// What is settled by tokens or money.
    asks: Vec<Ask>,
    leases: Vec<Lease>,
}

impl Reservation {
    /// What a successful [`Zone::reserve`] took; `None` where there is nothing to be done in the end.
    pub(crate) fn new(
        zone: Zone<'static>,
        lock: ZoneLock,
        asks: impl Iterator<Item = Ask>,
        leases: Vec<Lease>,
    ) -> Option<Self> {
        let is_settled = |ask: &Ask| match ask.take {
            Take::Bucket { dimension, .. } => match dimension {
                Dimension::Tokens | Dimension::InputTokens | Dimension::OutputTokens => true,
                Dimension::Requests | Dimension::AuthFailures => false,
            },
            Take::Budget { .. } => true,
            Take::Concurrency { .. } => false,
        };
        let asks: Vec<Ask> = asks.filter(is_settled).collect();
        let is_needed = !asks.is_empty() || !leases.is_empty();
        is_needed.then_some(Self { zone, lock, asks, leases })
    }

    /// Puts what was really used in the place of what was reserved. `cost` is in nano-units.
    pub(crate) fn settle(mut self, usage: &Usage, cost: u64) {
        let now = now();
        for ask in std::mem::take(&mut self.asks) {
            let used = match ask.take {
                Take::Bucket { dimension, .. } => match dimension {
                    Dimension::Tokens => usage.input.saturating_add(usage.output),
                    Dimension::InputTokens => usage.input,
                    Dimension::OutputTokens => usage.output,
                    Dimension::Requests | Dimension::AuthFailures => continue,
                },
                Take::Budget { .. } => cost,
                Take::Concurrency { .. } => continue,
            };
            self.zone.settle(&ask, used, now, &self.lock);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.leases.is_empty() {
            return;
        }
        let (zone, leases) = (self.zone, std::mem::take(&mut self.leases));
        worker::with(|worker| {
            if let Some(holder) = worker.holder.as_mut() {
                for lease in leases {
                    zone.release(lease, holder);
                }
            }
        });
        queue::wake();
    }
}
