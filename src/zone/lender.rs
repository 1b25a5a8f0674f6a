//! How many requests this node may have in flight of a limit that holds over a cluster.

use tollgate_core::cluster::{judge, Judge, OnLoss};
use tollgate_core::limits::{Ask, Take};

use super::leases::MappedLeases;
use super::member;
use crate::clock::mono_now;

/// Who lends places in flight to the requests of this worker.
pub(crate) struct Lender {
    leases: MappedLeases,
    on_loss: OnLoss,
}

impl Lender {
    /// That of these leases.
    pub(crate) fn new((leases, on_loss): &(MappedLeases, OnLoss)) -> Self {
        Self { leases: MappedLeases::clone(leases), on_loss: *on_loss }
    }

    /// That of this worker; `None`: it is in no cluster.
    pub(crate) fn of_worker() -> Option<Self> {
        member::with(|member| member.leases.as_ref().map(Self::new))
    }

    /// The number of the next exchange.
    pub(crate) fn round(&self) -> u64 {
        self.leases.get().words().round()
    }

    /// How many requests there may be in flight at once.
    pub(crate) fn allows(&self, ask: &Ask) -> u64 {
        let Take::Concurrency { limit } = ask.take else { return 0 };
        let (table, now) = (self.leases.get(), mono_now());
        let leased = table.find(ask).filter(|entry| entry.allows(0, || now));
        let leased = leased.map_or(0, |entry| entry.balance());
        let words = table.words();
        match judge(self.on_loss, words.contact(), words.began(), now) {
            Judge::Store | Judge::Nobody => leased,
            Judge::Node { weight } => leased.max(u64::from(limit / weight)),
        }
    }

    /// Has the store asked for one more; gives the number of the exchange in which it is.
    pub(crate) fn ask_for(&self, ask: &Ask) -> Option<u64> {
        Some(self.leases.get().find(ask)?.need(1))
    }
}
