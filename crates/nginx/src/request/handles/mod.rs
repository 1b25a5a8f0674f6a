//! Handles on requests for code that runs between their callbacks: of those that wait, and of those that may
//! be cut off.
//!
//! A handle is a number. The request of it is looked up each time, in a table that it leaves when nginx frees
//! it. So a handle that has outlived its request does nothing; nor does one in another thread, whose table
//! is empty.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::marker::PhantomData;

use ngx::ffi::{
    ngx_handle_read_event, ngx_http_block_reading, ngx_http_core_run_phases,
    ngx_http_finalize_request, ngx_http_request_empty_handler, ngx_http_request_t,
    ngx_http_run_posted_requests, ngx_http_test_reading, ngx_int_t, ngx_post_event,
    ngx_posted_events, NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_OK,
};

use crate::answer::filters;
use crate::guard::{inside, is_inside};
use crate::module::Module;
use crate::request::{flags, Request};
use crate::types::Types;

thread_local! {
    /// The requests that there are handles on, by their generations.
    static REQUESTS: RefCell<BTreeMap<u64, *mut ngx_http_request_t>> =
        const { RefCell::new(BTreeMap::new()) };
}

/// nginx frees the request.
pub(crate) fn forget(generation: u64) {
    // While a process ends, there may be no table left.
    let _ = REQUESTS.try_with(|requests| requests.borrow_mut().remove(&generation));
}

/// The request of a handle, unless nginx has freed it or is about to.
fn find(generation: u64) -> Option<*mut ngx_http_request_t> {
    let r = REQUESTS.try_with(|requests| requests.borrow().get(&generation).copied()).ok()??;
    // SAFETY: it leaves the table before it is freed. While it is, nothing refers to it any more.
    let is_live = unsafe { flags::count((*r).main) > 0 };
    is_live.then_some(r)
}

impl<T: Types> Request<'_, T> {
    /// Registers the request. `None`: nothing is attached to it, by which its end could be noticed.
    fn register(self) -> Option<u64> {
        let generation = self.generation()?;
        REQUESTS.with_borrow_mut(|requests| requests.insert(generation, self.as_ptr()));
        Some(generation)
    }

    /// Lets the request wait in its phase, whose handler is to return
    /// [`Verdict::Pending`](crate::Verdict::Pending). Meanwhile nginx notices if the client leaves, and ends
    /// the request then. `None` when nginx can't, or the request has no state.
    pub fn park(self) -> Option<Parked> {
        let r = self.as_ptr();
        let generation = self.register()?;
        // SAFETY: the request is live, and so is its connection; as limit_req does it.
        unsafe {
            let read = (*(*r).connection).read;
            if (*read).ready() != 0 {
                // There is something to be read already, maybe the end: that is not told again.
                ngx_post_event(read, &raw mut ngx_posted_events);
            } else if ngx_handle_read_event(read, 0) != NGX_OK as ngx_int_t {
                return None;
            }
            (*r).read_event_handler = Some(ngx_http_test_reading);
            (*r).write_event_handler = Some(ngx_http_request_empty_handler);
        }
        Some(Parked(generation))
    }

    /// A handle by which its answer goes on, of which a part waits. `None`: it has no state.
    pub fn pause(self) -> Option<Paused<T>> {
        Some(Paused { generation: self.register()?, module: PhantomData })
    }

    /// A handle by which the request can be cut off. `None`: it has no state.
    pub fn in_flight(self) -> Option<InFlight<T>> {
        Some(InFlight { generation: self.register()?, module: PhantomData })
    }
}

/// A request that waits.
#[derive(Debug)]
pub struct Parked(u64);

impl Parked {
    /// Has nginx call the handler of the phase again, in this turn of the event loop. Nothing happens where
    /// the request is gone, or doesn't wait any more.
    pub fn resume(self) {
        let Some(r) = find(self.0) else { return };
        // SAFETY: the request is live, and so is its connection. Where the handlers are those that `park` set,
        // nginx has nothing else to do with it. As limit_req does it.
        unsafe {
            let empty = ngx_http_request_empty_handler as *const () as usize;
            if (*r).write_event_handler.is_some_and(|handler| handler as usize == empty) {
                (*r).read_event_handler = Some(ngx_http_block_reading);
                (*r).write_event_handler = Some(ngx_http_core_run_phases);
                ngx_post_event((*(*r).connection).write, &raw mut ngx_posted_events);
            }
        }
    }
}

/// An answer of which a part waits.
#[derive(Debug)]
pub struct Paused<T> {
    generation: u64,
    module: PhantomData<fn() -> T>,
}

impl<M: Module> Paused<M> {
    /// Has what may go on of it go on. For timers: nginx must not be at work on any request.
    pub fn go_on(self) {
        if let Some(r) = find(self.generation) {
            // SAFETY: it is live, and nginx doesn't work on it.
            unsafe { filters::go_on::<M>(r) };
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight<T> {
    generation: u64,
    module: PhantomData<fn() -> T>,
}

impl<T> Clone for InFlight<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for InFlight<T> {}

impl<T: Types> InFlight<T> {
    /// Ends the request, and the connection to its upstream, if `is_to_end` says so. Afterwards it is
    /// gone: over HTTP/1 with its connection, over HTTP/2 with its stream.
    ///
    /// For timers. While nginx works on any request, nothing happens.
    pub fn cut_off_if(self, is_to_end: impl FnOnce(Request<'_, T>) -> bool) {
        if is_inside() {
            return;
        }
        let Some(r) = find(self.generation) else { return };
        // SAFETY: the request is live, and nginx doesn't work on it. While it is asked of, none is ended.
        if !inside(false, || is_to_end(unsafe { Request::from_raw(r) })) {
            return;
        }
        // SAFETY: as above. Cleaning up, an upstream gives back a
        // reference to the request; this one keeps it until nginx ends it. The connection outlives the request
        // by the turn of the event loop that it ends in.
        unsafe {
            let connection = (*r).connection;
            let main = (*r).main;
            flags::set_count(main, flags::count(main).saturating_add(1));
            // Logged, and charged, as one that the client gave up.
            ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_int_t);
            ngx_http_run_posted_requests(connection);
        }
    }
}

#[cfg(test)]
mod tests;
