//! What a request holds of its limits, from admission to its end.

use std::rc::Rc;

use tollgate_core::limits::{Ask, Dimension, Lease, Take, Zone};
use tollgate_core::llm::Usage;

use crate::ffi::clock::now;
use crate::ffi::shm::ZoneLock;
use crate::{queue, worker};

/// What a request holds of its limits. Its concurrency slots are free when it is dropped, whatever
/// happens; what was taken from buckets and budgets stays taken unless it is settled.
pub(crate) struct Reservation {
    zone: Rc<Zone<'static>>,
    lock: ZoneLock,
    /// What is settled by tokens or money.
    asks: Vec<Ask>,
    leases: Vec<Lease>,
}

/// Whether it is settled in the end, by tokens or money.
fn is_settled(ask: &Ask) -> bool {
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
    pub(crate) fn is_needed(asks: &[Ask], leases: &[Lease]) -> bool {
        !leases.is_empty() || asks.iter().any(is_settled)
    }

    /// What a successful [`Zone::reserve`] took.
    pub(crate) fn new(
        zone: Rc<Zone<'static>>,
        lock: ZoneLock,
        asks: &[Ask],
        leases: Vec<Lease>,
    ) -> Self {
        let asks = asks.iter().copied().filter(is_settled).collect();
        Self { zone, lock, asks, leases }
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
        let leases = std::mem::take(&mut self.leases);
        worker::with(|worker| {
            if let Some(holder) = worker.holder.as_mut() {
                for lease in leases {
                    self.zone.release(lease, holder);
                }
            }
        });
        queue::wake();
    }
}
