//! Requests that wait, between two calls of a phase handler.

use ngx::ffi::{
    ngx_handle_read_event, ngx_http_block_reading, ngx_http_core_run_phases,
    ngx_http_request_empty_handler, ngx_http_request_t, ngx_http_run_posted_requests,
    ngx_http_test_reading, ngx_int_t, ngx_post_event, ngx_posted_events, NGX_OK,
};

use super::request::Request;

/// A request that waits. Whoever keeps one drops it, at the latest, with the state of its request.
#[derive(Debug)]
pub(crate) struct Parked(*mut ngx_http_request_t);

// SAFETY: a worker has one thread that knows of nginx's requests.
unsafe impl Send for Parked {}

impl Request<'_> {
    /// Lets the request wait in its phase. Meanwhile nginx notices if the client leaves, and ends
    /// the request then. `None` when nginx can't.
    pub(crate) fn park(self) -> Option<Parked> {
        let r = self.as_ptr();
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
        Some(Parked(r))
    }
}

impl Parked {
    /// Calls the handler of the phase again. Afterwards the request may be gone.
    pub(crate) fn resume(self) {
        // SAFETY: the request is live: its state takes what it keeps of it away when it goes. The
        // connection outlives the request by the turn of the event loop that it ends in.
        unsafe {
            let connection = (*self.0).connection;
            (*self.0).read_event_handler = Some(ngx_http_block_reading);
            (*self.0).write_event_handler = Some(ngx_http_core_run_phases);
            ngx_http_core_run_phases(self.0);
            ngx_http_run_posted_requests(connection);
        }
    }
}
