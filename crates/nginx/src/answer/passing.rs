//! What is attached to a request for its answer.

use ngx::ffi::{ngx_buf_t, ngx_chain_t, ngx_http_handler_pt};

use super::rest::Rest;

/// What an answer has of ours on its way.
#[derive(Debug, Default)]
pub(crate) struct Passing {
    pub(super) buffers: Buffers,
    /// What is to come of it until its end is told; `None`: nobody wants to know.
    pub(super) rest: Option<Rest>,
}

/// Buffers of our own that a stream uses over and over. They lie in the request's pool.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) free: *mut ngx_chain_t,
    pub(super) busy: *mut ngx_chain_t,
    /// One without bytes, which flushes what is before it. Nothing of it ever changes, so it may be
    /// in several chains.
    pub(super) flush: *mut ngx_buf_t,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { free: std::ptr::null_mut(), busy: std::ptr::null_mut(), flush: std::ptr::null_mut() }
    }
}

/// The handler of a location's content, which a request that outlasts its client keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content(pub(super) ngx_http_handler_pt);
