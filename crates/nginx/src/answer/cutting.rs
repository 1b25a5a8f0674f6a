//! Whether an answer is that of an upstream server, and one that is not wanted any more: what came of it is all that
//! there is, and the server is left.

use crate::request::Request;
use crate::types::Types;

impl<T: Types> Request<'_, T> {
    /// Whether the answer at hand is what an upstream server said, or its copy in nginx's cache: no page that nginx has
    /// for an error, and no file.
    pub fn is_of_upstream(self) -> bool {
        // SAFETY: null, or what nginx made in the pool of the request, which is live.
        let upstream = unsafe { (*self.as_ptr()).upstream.as_ref() };
        let has_status = upstream.is_some_and(|upstream| upstream.headers_in.status_n != 0);
        (has_status || self.is_from_cache()) && self.has_content_handler()
    }

    /// Has nginx take the answer of the upstream server for ended, when the callback has returned: the client gets its
    /// end, and the connection to the server is closed. May be called for each part that still comes.
    pub fn end_answer_of_upstream(self) {
        // SAFETY: null, or what nginx made in the pool of the request, which is live; so is its pipe, if it has one.
        unsafe {
            let Some(upstream) = (*self.as_ptr()).upstream.as_mut() else { return };
            // A part of an answer is none to be kept for others.
            upstream.set_cacheable(0);
            upstream.set_store(0);
            if upstream.buffering() == 0 {
                upstream.length = 0;
            } else if let Some(pipe) = upstream.pipe.as_mut() {
                pipe.set_upstream_done(1);
            }
        }
    }
}
