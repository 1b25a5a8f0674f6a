//! Answers that are waited for although their client has left.
//!
//! nginx closes the connection to an upstream when the client closes its own. Most engines stop then; one
//! that goes on would be busy for nobody's account, with its place in `concurrency` free for the next one.
//! So nginx is told, for such a request, not to look after the client, as `proxy_ignore_client_abort`
//! does it: its answer comes through our filters, where it is read, and ends there if the client isn't
//! there to get it.

use ngx::ffi::{
    ngx_http_block_reading, ngx_http_request_empty_handler, ngx_http_request_t, ngx_int_t,
    NGX_DONE, NGX_ERROR, NGX_HTTP_CLIENT_CLOSED_REQUEST,
};

use super::passing::Content;
use crate::buffers::consume;
use crate::guard::guard;
use crate::module::Module;
use crate::request::{flags, Request};
use crate::types::Types;

impl<T: Types> Request<'_, T> {
    /// Whether nginx went on with an answer, to keep it, after it had given its client up: none of that came
    /// through our filters.
    pub fn was_kept_unseen(self) -> bool {
        // SAFETY: the request is live; null, or what nginx made in its pool.
        unsafe {
            let upstream = self.raw().upstream.as_ref();
            let pipe = upstream.and_then(|upstream| upstream.pipe.as_ref());
            pipe.is_some_and(|pipe| pipe.downstream_error() != 0) && is_taken_to_keep(self.as_ptr())
        }
    }

    /// Has the answer of an upstream waited for, whether or not the client is; or not, where that was asked
    /// for in another location. Nothing is waited for where a file is served.
    pub fn outlast_client(self, is_to: bool) {
        if let Some(attachment) = self.find_attachment() {
            attachment.outlasts.set(if is_to { self.take_over_content() } else { None });
        }
    }

    fn take_over_content(self) -> Option<Content> {
        let r = self.as_ptr();
        // SAFETY: the request is live. nginx takes this handler, which the location set, when the phases
        // are over.
        unsafe {
            let original = (*r).content_handler?;
            if original as usize == run_content::<T> as *const () as usize {
                return None;
            }
            (*r).content_handler = Some(run_content::<T>);
            Some(Content(Some(original)))
        }
    }
}

/// In the place of the handler of the content: calls it, and has nginx not look after the client.
unsafe extern "C" fn run_content<T: Types>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    let original =
        guard(None, || unsafe { Request::<T>::from_raw(r).attachment()?.outlasts.get()?.0 });
    let Some(original) = original else { return NGX_ERROR as ngx_int_t };
    // SAFETY: nginx's own handler, with the request that it passed. Until nginx hears of its end from us,
    // the request is live. Where an upstream has been asked and hasn't answered yet, these handlers
    // look after the client; these are those that nginx leaves there where it isn't to.
    unsafe {
        let rc = original(r);
        let is_waiting = rc == NGX_DONE as ngx_int_t
            && flags::header_sent(r) == 0
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
pub(crate) unsafe fn begins<M: Module>(r: *mut ngx_http_request_t, rc: ngx_int_t) -> bool {
    // SAFETY: by the contract of this function.
    unsafe {
        if rc != NGX_ERROR as ngx_int_t || (*(*r).connection).error() == 0 {
            return false;
        }
        let request = Request::<M>::from_raw(r);
        let (Some(attachment), Some(state)) = (request.attachment(), request.state()) else {
            return false;
        };
        let has_begun = (*r).upstream.as_ref().is_some_and(|upstream| upstream.header_sent() != 0);
        let is_wanted = M::is_wanted_without_client(&state.borrow(), has_begun);
        if attachment.outlasts.get().is_none() && !(is_wanted && is_taken_to_keep(r)) {
            return false;
        }
        attachment.is_client_absent.set(true);
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
pub(crate) unsafe fn is_now<T: Types>(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function.
    unsafe { Request::<T>::from_raw(r) }.attachment().is_some_and(|it| it.is_client_absent.get())
}
