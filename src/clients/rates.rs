//! The rate that a token allows its client (`rate_limit`).

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use tollgate_core::limits::{Quota, Scale, Zone};

use crate::per_worker::PerWorker;

/// Rates that a worker remembers.
const CACHED: usize = 4096;

type Rates = HashMap<NonZeroU32, (Scale, Arc<str>)>;

static RATES: PerWorker<Rates> = PerWorker::new(Rates::new);

/// The scale of so many requests a minute, and the name of the limit.
pub(crate) fn of(zone: &Zone<'_>, per_minute: NonZeroU32) -> (Scale, Arc<str>) {
    RATES.with(|rates| {
        if let Some(known) = rates.get(&per_minute) {
            return known.clone();
        }
        let quota = Quota::per_minute(per_minute);
        let rate = (zone.scale(quota), Arc::from(format!("requests {quota}")));
        if rates.len() >= CACHED {
            rates.clear();
        }
        rates.insert(per_minute, rate.clone());
        rate
    })
}
