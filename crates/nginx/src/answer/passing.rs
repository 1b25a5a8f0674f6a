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
    /// What few answers have.
    rare: Option<Box<Rare>>,
}

/// What few answers have on their way.
#[derive(Debug)]
pub(super) struct Rare {
    /// A buffer without bytes, which flushes what is before it. Nothing of it ever changes, so it may be
    /// in several chains.
    pub(super) flush: *mut ngx_buf_t,
    /// Buffers that are not to be read yet, in links of our own.
    pub(super) unread: *mut ngx_chain_t,
    /// All has come, and the end is not to be told yet.
    pub(super) end_waits: bool,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { free: std::ptr::null_mut(), busy: std::ptr::null_mut(), rare: None }
    }
}

impl Default for Rare {
    fn default() -> Self {
        Self { flush: std::ptr::null_mut(), unread: std::ptr::null_mut(), end_waits: false }
    }
}

impl Buffers {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether there are buffers that are not to be read yet.
    pub(super) fn has_unread(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.unread.is_null())
    }

    /// Whether the end is not to be told yet.
    pub(super) fn end_waits(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.end_waits)
    }
}

/// The handler of a location's content, which a request that outlasts its client keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content(pub(super) ngx_http_handler_pt);
