//! `tollgate client drop`: the requests of a client that are in flight when an operator says it end, in all
//! workers.
//!
//! Each worker looks at the orders in its upkeep. Many requests are ended a few at a time, between which others
//! are served.

use std::cell::RefCell;
use std::collections::VecDeque;

use tollgate_core::control::Order;
use tollgate_core::decision::{Decision, Reason};

use crate::per_worker::PerWorker;
use crate::request::authenticate::Denial;
use crate::request::running;
use crate::request::state::State;
use crate::types::Request;
use crate::zone::control::MappedDrops;
use nginx::timer::Timer;

/// Requests that are looked at in one turn of the event loop.
const AT_ONCE: usize = 64;

/// For the others.
static TIMER: Timer = Timer::background(go_on);

/// What this worker knows of orders.
#[derive(Default)]
struct Known {
    drops: Option<MappedDrops>,
    /// How many there were when it looked last.
    seen: u64,
    /// Those that are being followed, and the requests that are still to be looked at.
    orders: Vec<Order>,
    left: VecDeque<u64>,
}

static KNOWN: PerWorker<Known> = PerWorker::new(Known::default);

/// The worker has come to life.
pub(crate) fn start(drops: &MappedDrops) {
    drops.keep();
    KNOWN.with(|known| {
        known.seen = drops.get().count();
        known.drops = Some(MappedDrops::clone(drops));
    });
}

/// The worker ends.
pub(crate) fn stop() {
    TIMER.stop();
    KNOWN.with(std::mem::take);
}

/// Looks for orders, and follows them.
pub(crate) fn enforce() {
    let has_new = KNOWN.with(|known| {
        let Some(drops) = &known.drops else { return false };
        let drops = drops.get();
        if drops.count() == known.seen {
            return false;
        }
        known.orders.extend(drops.since(known.seen));
        known.seen = drops.count();
        known.left = running::numbers(running::Looked::ByOrders).into();
        true
    });
    if has_new {
        go_on();
    }
}

fn go_on() {
    // First, so that a bug in what follows doesn't end it.
    let (orders, some, is_more) = KNOWN.with(|known| {
        let count = known.left.len().min(AT_ONCE);
        let some: Vec<u64> = known.left.drain(..count).collect();
        (known.orders.clone(), some, !known.left.is_empty())
    });
    if is_more {
        TIMER.next_turn();
    }
    for number in some {
        // The end of one may be that of others, on the same connection.
        if let Some(entry) = running::get(number) {
            entry.request.cut_off_if(|r| is_dropped(r, &orders, entry.orders));
        }
    }
    if !is_more {
        KNOWN.with(|known| {
            if known.left.is_empty() {
                known.orders.clear();
            }
        });
    }
}

/// Whether a request may go on that has waited: its turn may come before this worker looks at orders.
///
/// # Errors
///
/// It was to end.
pub(super) fn check(state: &RefCell<State>) -> Result<(), Denial> {
    let state = state.borrow();
    let (Some(running), Some(principal)) = (&state.running, &state.principal) else {
        return Ok(());
    };
    let noted = running.orders();
    let is_dropped = KNOWN.with(|known| {
        let drops = known.drops.as_ref()?.get();
        if drops.count() == noted {
            return None;
        }
        let hashed = drops.client(principal.client());
        let order = drops.since(noted).find(|order| order.is_about(hashed, noted))?;
        drops.note_ended(&order, 1);
        Some(())
    });
    match is_dropped {
        Some(()) => Err(Reason::Dropped.into()),
        None => Ok(()),
    }
}

/// Whether the request is to end, which noted so many orders when it began. If so, that is noted.
fn is_dropped(r: Request<'_>, orders: &[Order], noted: u64) -> bool {
    let Some(state) = r.find_state() else { return false };
    let mut state = state.borrow_mut();
    let Some(principal) = state.principal.clone() else { return false };
    let client = principal.client();
    let is_about = |known: &mut Known| {
        let drops = known.drops.as_ref()?.get();
        let hashed = drops.client(client);
        let order = orders.iter().find(|order| order.is_about(hashed, noted))?;
        drops.note_ended(order, 1);
        Some(())
    };
    if KNOWN.with(is_about).is_none() {
        return false;
    }
    if state.ruling.decision().is_none() {
        // It waits for its turn.
        state.ruling.decide(Decision::Deny(Reason::Dropped));
    } else {
        (state.cut_off, state.detail) = (Some(Reason::Dropped), None);
    }
    r.log().info(format_args!(
        "tollgate: request of client \"{}\" is cut off: {}",
        client.escape_debug(),
        Reason::Dropped.as_str()
    ));
    // Once is enough, whatever is in the way of its end.
    state.running.take().is_some()
}
