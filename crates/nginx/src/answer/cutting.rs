//! The answer of an upstream server that is not wanted any more: what came of it is all that there is, and the server
//! is left.

use crate::request::Request;
use crate::types::Types;

impl<T: Types> Request<'_, T> {
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
