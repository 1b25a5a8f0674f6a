//! Requests that may be cut off from outside of their callbacks.

use ngx::ffi::{
    ngx_http_finalize_request, ngx_http_request_t, ngx_http_run_posted_requests, ngx_int_t,
    NGX_HTTP_CLIENT_CLOSED_REQUEST,
};

use super::request::Request;

/// A request in flight. Whoever keeps one drops it, at the latest, with the state of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InFlight(*mut ngx_http_request_t);

// SAFETY: a worker has one thread that knows of nginx's requests.
unsafe impl Send for InFlight {}

impl Request<'_> {
    /// For code that runs between callbacks.
    pub(crate) fn in_flight(self) -> InFlight {
        InFlight(self.as_ptr())
    }
}

impl InFlight {
    /// Ends the request, and the connection to its upstream, if `is_to_end` says so. Afterwards it is
    /// gone: over HTTP/1 with its connection, over HTTP/2 with its stream.
    pub(crate) fn cut_off_if(self, is_to_end: impl FnOnce(Request<'_>) -> bool) {
        // SAFETY: the request is live: its state takes what is kept of it away when it goes.
        if !is_to_end(unsafe { Request::from_raw(self.0) }) {
            return;
        }
        // SAFETY: as above. Cleaning up, an upstream gives back a reference to the request; this one
        // keeps it until nginx ends it. The connection outlives the request by the turn of the event
        // loop that it ends in.
        unsafe {
            let r = self.0;
            let connection = (*r).connection;
            let main = (*r).main;
            (*main).set_count((*main).count().saturating_add(1));
            // Logged, and charged, as one that the client gave up.
            ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST as ngx_int_t);
            ngx_http_run_posted_requests(connection);
        }
    }
}
