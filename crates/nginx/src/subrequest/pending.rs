//! The questions that are being asked, and how long they are waited for.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use ngx::ffi::{ngx_http_request_t, ngx_post_event, ngx_posted_events};

use super::answer::sends_too_much;
use super::own_request;
use super::question::{question, Outcome};
use crate::clock::mono_nanos;
use crate::process;
use crate::timer::Timer;

/// Milliseconds between two looks at what providers have sent so far.
const POLL_MS: u64 = 100;

const NANOS_IN_MS: u64 = 1_000_000;

static TIMER: Timer = Timer::for_requests(poll);

thread_local! {
    /// The questions that are being asked, by their numbers.
    static PENDING: RefCell<BTreeMap<u64, Pending>> = const { RefCell::new(BTreeMap::new()) };
}

/// A question for which a request of our own is open.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    /// That request.
    main: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    /// Nanoseconds of the monotonic clock.
    deadline: u64,
    end: Option<End>,
}

/// How a request of our own ends, when whatever runs at the moment is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its subrequest is at its end.
    Close,
    /// Its subrequest isn't waited for any longer.
    Cut,
}

/// A number for a question.
pub(super) fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

/// Waits for the answer of a question, for so many milliseconds.
///
/// # Safety
///
/// `main` is open, and `subrequest` is its only one.
pub(super) unsafe fn add(
    number: u64,
    main: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    within_ms: u64,
) {
    let deadline = mono_nanos().saturating_add(within_ms.saturating_mul(NANOS_IN_MS));
    let pending = Pending { main, subrequest, deadline, end: None };
    PENDING.with_borrow_mut(|all| all.insert(number, pending));
    TIMER.start(within_ms.clamp(1, POLL_MS));
}

/// Has the question end so.
pub(super) fn end(number: u64, end: End) {
    PENDING.with_borrow_mut(|all| {
        if let Some(pending) = all.get_mut(&number) {
            pending.end = Some(end);
        }
    });
    // What runs now may be the subrequest.
    TIMER.soon();
}

/// The request of the question is gone.
pub(super) fn forget(number: u64) {
    let _ = PENDING.try_with(|pending| pending.borrow_mut().remove(&number));
}

/// The handler of the timer: ends what takes too long, or is too long, and what is at its end. While it is
/// read, nginx may keep an answer to itself, for as long as it grows.
fn poll() {
    let numbers: Vec<u64> = PENDING.with_borrow(|all| all.keys().copied().collect());
    let now = mono_nanos();
    if !numbers.is_empty() {
        // First, so that a bug in what follows doesn't end it.
        TIMER.start(until_next(now));
    }
    for number in numbers {
        // What is done for one may be the end of another one.
        let Some(pending) = PENDING.with_borrow(|all| all.get(&number).copied()) else { continue };
        // SAFETY: it is open, as it is among those that are; its subrequest runs, if it has no end.
        unsafe {
            match pending.end {
                None => look(pending, now),
                Some(end) => {
                    PENDING.with_borrow_mut(|all| all.remove(&number));
                    if end == End::Close {
                        own_request::close(pending.main);
                    } else if !own_request::cut(pending.main) {
                        PENDING.with_borrow_mut(|all| all.insert(number, pending));
                    }
                }
            }
        }
    }
}

/// In how many milliseconds to look again: when the next time is up, but soon in any case.
fn until_next(now: u64) -> u64 {
    let next = PENDING.with_borrow(|all| {
        let later = all.values().map(|pending| pending.deadline).filter(|deadline| *deadline > now);
        later.min()
    });
    let ms = next.map_or(POLL_MS, |next| next.saturating_sub(now).div_ceil(NANOS_IN_MS));
    ms.clamp(1, POLL_MS)
}

/// Ends a question whose time is up, or that asks too much of us.
///
/// # Safety
///
/// Its request is open, and the subrequest runs.
unsafe fn look(pending: Pending, now: u64) {
    let Pending { subrequest, deadline, .. } = pending;
    // SAFETY: by the contract of this function.
    unsafe {
        let Some((question, true)) = question(subrequest) else { return };
        let has_to_end = process::is_exiting() || (question.gives_way && own_request::is_tight());
        let outcome = match () {
            () if now >= deadline => Outcome::Late,
            () if sends_too_much(subrequest) => Outcome::TooLong,
            () if has_to_end && !(question.is_awaited)() => Outcome::Abandoned,
            () => return,
        };
        if !matches!(outcome, Outcome::Abandoned) {
            stop(subrequest);
        }
        question.end(End::Cut, outcome);
    }
}

/// As if the times of the internal location were over, so that the server counts as one that failed.
///
/// # Safety
///
/// `r` is live.
unsafe fn stop(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function; the events are handled after this callback.
    unsafe {
        let Some(upstream) = (*r).upstream.as_mut() else { return };
        if let Some(connection) = upstream.peer.connection.as_mut() {
            for event in [connection.read, connection.write] {
                (*event).set_timedout(1);
                ngx_post_event(event, &raw mut ngx_posted_events);
            }
        }
    }
}
