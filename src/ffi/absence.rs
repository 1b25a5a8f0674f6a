//! Answers that are waited for although their client has left.
//!
//! nginx closes the connection to an upstream when the client closes its own. Most engines stop then; one
//! that goes on would be busy for nobody's account, with its place in `concurrency` free for the next one.
//! So nginx is told, for such a request, not to look after the client, as `proxy_ignore_client_abort`
//! does it: its answer comes through our filters, where it is read, and ends there if the client isn't
//! there to get it.

use ngx::ffi::{
    ngx_chain_t, ngx_http_block_reading, ngx_http_handler_pt, ngx_http_request_empty_handler,
    ngx_http_request_t, ngx_int_t, NGX_DONE, NGX_ERROR, NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_OK,
};

use super::guard::guard;
use super::request::Request;

/// The handler of a location's content, which a request that outlasts its client keeps.
#[derive(Clone, Copy)]
pub(crate) struct Content(ngx_http_handler_pt);

impl Request<'_> {
    /// Whether nginx went on with an answer, to keep it, after it had given its client up: none of that came
    /// through our filters.
    pub(crate) fn was_kept_unseen(self) -> bool {
        // SAFETY: the request is live; null, or what nginx made in its pool.
        unsafe {
            let upstream = self.raw().upstream.as_ref();
            let pipe = upstream.and_then(|upstream| upstream.pipe.as_ref());
            pipe.is_some_and(|pipe| pipe.downstream_error() != 0) && is_taken_to_keep(self.as_ptr())
        }
    }

    /// Has the answer of an upstream waited for, whether or not the client is. What is returned belongs
    /// into the state of the request. `None`: a file is served here.
    pub(crate) fn outlast_client(self) -> Option<Content> {
        let r = self.as_ptr();
        // SAFETY: the request is live. nginx takes this handler, which the location set, when the phases
        // are over.
        unsafe {
            let original = (*r).content_handler?;
            if original as usize == run_content as *const () as usize {
                return None;
            }
            (*r).content_handler = Some(run_content);
            Some(Content(Some(original)))
        }
    }
}

/// In the place of the handler of the content: calls it, and has nginx not look after the client.
unsafe extern "C" fn run_content(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    let original = guard(None, || unsafe {
        Request::from_raw(r).state().and_then(|state| state.borrow().outlasts?.0)
    });
    let Some(original) = original else { return NGX_ERROR as ngx_int_t };
    // SAFETY: nginx's own handler, with the request that it passed. Until nginx hears of its end from us,
    // the request is live. Where an upstream has been asked and hasn't answered yet, these handlers
    // look after the client; these are those that nginx leaves there where it isn't to.
    unsafe {
        let rc = original(r);
        let is_waiting = rc == NGX_DONE as ngx_int_t
            && (*r).header_sent() == 0
            && (*r).upstream.as_ref().is_some_and(|upstream| !upstream.cleanup.is_null());
        if is_waiting {
            (*r).read_event_handler = Some(ngx_http_block_reading);
            (*r).write_event_handler = Some(ngx_http_request_empty_handler);
        }
        rc
    }
}

/// A filter below ours has failed, with `rc`. `true`: as the client isn't there, and the request goes on
/// without it.
///
/// # Safety
///
/// nginx passed the request to a filter.
pub(super) unsafe fn begins(r: *mut ngx_http_request_t, rc: ngx_int_t) -> bool {
    // SAFETY: by the contract of this function.
    unsafe {
        if rc != NGX_ERROR as ngx_int_t || (*(*r).connection).error() == 0 {
            return false;
        }
        let Some(state) = Request::from_raw(r).state() else { return false };
        let mut state = state.borrow_mut();
        // An answer that is no stream was ready before any of it came.
        let is_begun = |stream: bool| {
            !stream || (*r).upstream.as_ref().is_some_and(|upstream| upstream.header_sent() != 0)
        };
        let is_wanted = state.metering.as_ref().is_some_and(|it| is_begun(it.stream));
        if state.outlasts.is_none() && !(is_wanted && is_taken_to_keep(r)) {
            return false;
        }
        state.is_client_absent = true;
        // What both logs say.
        (*r).err_status = NGX_HTTP_CLIENT_CLOSED_REQUEST as usize;
        // Buffers that are on their way to the client are free again, so that there are some to read into.
        if let Some(upstream) = (*r).upstream.as_ref() {
            consume(upstream.busy_bufs);
            if let Some(pipe) = upstream.pipe.as_ref() {
                consume(pipe.busy);
            }
        }
        (*(*r).connection).set_buffered(0);
        true
    }
}

/// Whether nginx takes an answer that has begun to its end, client or not, in order to keep it.
///
/// # Safety
///
/// `r` is live.
unsafe fn is_taken_to_keep(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function; null, or what nginx made in the request's pool.
    unsafe { (*r).upstream.as_ref() }.is_some_and(|upstream| {
        upstream.buffering() != 0 && (upstream.cacheable() != 0 || upstream.store() != 0)
    })
}

/// Whether the request goes on without its client.
///
/// # Safety
///
/// As for [`begins`].
pub(super) unsafe fn is_now(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function.
    unsafe { Request::from_raw(r) }.state().is_some_and(|state| state.borrow().is_client_absent)
}

/// Takes a chain as sent.
///
/// # Safety
///
/// The chain is live.
pub(super) unsafe fn consume(chain: *mut ngx_chain_t) -> ngx_int_t {
    let mut link = chain;
    // SAFETY: by the contract of this function.
    unsafe {
        while let Some(entry) = link.as_ref() {
            let buffer = &mut *entry.buf;
            buffer.pos = buffer.last;
            buffer.file_pos = buffer.file_last;
            link = entry.next;
        }
    }
    NGX_OK as ngx_int_t
}
