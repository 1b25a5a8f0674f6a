//! Our place in the chain of filters.

use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_http_filter_finalize_request,
    ngx_http_request_t, ngx_http_top_body_filter, ngx_http_top_header_filter, ngx_int_t,
    ngx_pcalloc, NGX_ERROR, NGX_HTTP_BAD_GATEWAY, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_OK,
};

use super::holding::{self, Held};
use super::{absence, ending, relay, waiting};
use crate::buffers::consume;
use crate::guard::inside;
use crate::module::{Header, Module, Release};
use crate::registration::Next;
use crate::request::Request;
use crate::subrequest::question as subrequest;
use crate::types::Types;

/// Puts our filters on top. nginx makes the chain anew with every configuration, and other modules
/// may have come or gone.
pub(crate) fn install<M: Module>() {
    // SAFETY: nginx reads the configuration on its only thread; no filter is running then.
    unsafe {
        *M::registration().next.get() =
            Next { header: ngx_http_top_header_filter, body: ngx_http_top_body_filter };
        ngx_http_top_header_filter = Some(header_filter::<M>);
        ngx_http_top_body_filter = Some(body_filter::<M>);
    }
}

fn next_header<T: Types>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx runs on one thread; see `install`.
    match unsafe { (*T::registration().next.get()).header } {
        // SAFETY: nginx's own filter, with the request that it passed.
        Some(filter) => unsafe { filter(r) },
        None => NGX_ERROR as ngx_int_t,
    }
}

fn next_body<T: Types>(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx runs on one thread; see `install`.
    match unsafe { (*T::registration().next.get()).body } {
        // SAFETY: nginx's own filter, with the request that it passed and a chain of its buffers.
        Some(filter) => unsafe { filter(r, chain) },
        None => NGX_ERROR as ngx_int_t,
    }
}

unsafe extern "C" fn header_filter<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request. A main one answers no question.
    unsafe {
        if r != (*r).main {
            inside((), || subrequest::begin(r));
        }
    }
    // SAFETY: nginx passes a live request.
    let done = inside(None, || M::headers(unsafe { Request::from_raw(r) }));
    match done {
        Some(Header::Passes) => {
            let rc = next_header::<M>(r);
            match is_for_absence::<M>(r, rc) {
                true => NGX_OK as ngx_int_t,
                false => rc,
            }
        }
        Some(Header::Held) => {
            // SAFETY: nginx passes a live request.
            match inside(false, || holding::begin(unsafe { Request::<M>::from_raw(r) })) {
                true => NGX_OK as ngx_int_t,
                false => NGX_ERROR as ngx_int_t,
            }
        }
        // SAFETY: nginx passes a live request; as below.
        Some(Header::BadGateway) => unsafe { instead::<M>(r, NGX_HTTP_BAD_GATEWAY) },
        // Nothing has been sent yet, so the client can be told.
        // SAFETY: nginx passes a live request.
        None if inside(false, || M::abandon(unsafe { Request::from_raw(r) })) => {
            // SAFETY: nginx passes a live request.
            unsafe { instead::<M>(r, NGX_HTTP_INTERNAL_SERVER_ERROR) }
        }
        None => NGX_ERROR as ngx_int_t,
    }
}

/// Answers with an error in the place of the header that has come by.
///
/// # Safety
///
/// nginx passed the request to the header filter.
unsafe fn instead<T: Types>(r: *mut ngx_http_request_t, status: u32) -> ngx_int_t {
    // SAFETY: by the contract of this function; as the filters of nginx do it that fail at this point.
    // Our context is kept, so that we know the request again when the error comes by.
    unsafe { ngx_http_filter_finalize_request(r, T::registration().as_ptr(), status as ngx_int_t) }
}

/// A filter below ours has failed, with `rc`, as the client isn't there; and the request goes on without it.
fn is_for_absence<M: Module>(r: *mut ngx_http_request_t, rc: ngx_int_t) -> bool {
    // SAFETY: nginx passed this request to a filter.
    rc == NGX_ERROR as ngx_int_t && inside(false, || unsafe { absence::begins::<M>(r, rc) })
}

/// Why a chain isn't passed on.
enum KeptBack {
    /// What a provider says, which was taken.
    Captured(ngx_int_t),
    Held(Held),
}

/// What comes of a chain at the first look.
enum Look<'r> {
    KeptBack(KeptBack),
    /// It is passed on, unless this takes its place.
    Passes(Option<&'r [u8]>),
}

unsafe extern "C" fn body_filter<M: Module>(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    if chain.is_null() {
        return send::<M>(r, chain, chain);
    }
    // What a provider says is never passed on, nor what is held, whatever goes wrong. One guard is for both looks:
    // each chunk of a stream comes by here.
    let mut passes = false;
    let looked = inside(None, || {
        // SAFETY: nginx passes a live request, and a chain of its buffers.
        let request = unsafe { Request::<M>::from_raw(r) };
        // SAFETY: as above.
        let kept_back = unsafe {
            match subrequest::capture(r, chain) {
                Some(rc) => Some(KeptBack::Captured(rc)),
                None => holding::read(request, chain).map(KeptBack::Held),
            }
        };
        Some(match kept_back {
            Some(kept_back) => Look::KeptBack(kept_back),
            None => {
                passes = true;
                Look::Passes(M::body(request))
            }
        })
    });
    let body = match looked {
        Some(Look::Passes(body)) => Ok(body),
        None if passes => Err(()),
        Some(Look::KeptBack(KeptBack::Captured(rc))) => return rc,
        Some(Look::KeptBack(KeptBack::Held(held))) => return hold::<M>(r, chain, held),
        None => return NGX_ERROR as ngx_int_t,
    };
    match body {
        // The length of our body was sent, so no other body can take its place.
        // SAFETY: nginx passes a live request.
        Err(()) if inside(true, || M::owes_body(unsafe { Request::from_raw(r) })) => {
            NGX_ERROR as ngx_int_t
        }
        Err(()) | Ok(None) => relay::<M>(r, chain),
        Ok(Some(body)) => {
            let given = chain;
            // SAFETY: the pool of a live request, and the chain that nginx passed.
            let chain = unsafe { replacement(r, chain, body) };
            match chain.is_null() {
                true => NGX_ERROR as ngx_int_t,
                false => {
                    settle_if::<M>(r, is_end::<M>(r, given));
                    next_body::<M>(r, chain)
                }
            }
        }
    }
}

/// Takes a part of an answer that is held; with the last one, what became of it goes out.
fn hold<M: Module>(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t, held: Held) -> ngx_int_t {
    match held {
        // SAFETY: the chain that nginx passed.
        Held::Part => return unsafe { consume(chain) },
        Held::Unreadable => return NGX_ERROR as ngx_int_t,
        Held::Whole => {}
    }
    // SAFETY: nginx passes a live request.
    let released = inside(None, || M::release(unsafe { Request::from_raw(r) }));
    let body = match released {
        None => return NGX_ERROR as ngx_int_t,
        Some(Release::Body(body)) => body,
        // SAFETY: as above, and the chain that it passed.
        Some(Release::Waits) => unsafe {
            if let Some(attachment) = Request::<M>::from_raw(r).attachment() {
                attachment.is_whole.set(true);
            }
            waiting::hold(r, true);
            return consume(chain);
        },
    };
    // SAFETY: the pool of a live request, and the chain that nginx passed.
    let out = unsafe {
        let out = replacement(r, chain, body);
        // Nothing of it is sent.
        consume(chain);
        out
    };
    send_whole::<M>(r, out)
}

/// Sends an answer whose header has waited.
fn send_whole<M: Module>(r: *mut ngx_http_request_t, out: *mut ngx_chain_t) -> ngx_int_t {
    if out.is_null() {
        return NGX_ERROR as ngx_int_t;
    }
    let rc = next_header::<M>(r);
    if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t {
        return rc;
    }
    settle_if::<M>(r, is_end::<M>(r, out));
    next_body::<M>(r, out)
}

/// Has what may go on of an answer of which a part has waited.
///
/// # Safety
///
/// `r` is live, and nginx doesn't work on it.
pub(crate) unsafe fn go_on<M: Module>(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function.
    let request = unsafe { Request::<M>::from_raw(r) };
    let is_whole = request.attachment().is_some_and(|attachment| attachment.is_whole.get());
    let rc = match is_whole {
        true => go_on_whole::<M>(r),
        false => {
            // What the client has taken by now is free again.
            send::<M>(r, std::ptr::null_mut(), std::ptr::null_mut());
            // SAFETY: by the contract of this function.
            inside((), || unsafe { relay::recycle(request, std::ptr::null_mut()) });
            let read = inside(None, || relay::go_on(request));
            let Some(relay::Read { out, ends }) = read else { return };
            settle_if::<M>(r, ends);
            pass_on::<M>(r, out, std::ptr::null_mut())
        }
    };
    // SAFETY: as above: what was sent may have failed, but nginx ends the request later.
    unsafe {
        if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t {
            // There is no way to tell the client.
            waiting::hold(r, false);
            (*(*r).connection).set_error(1);
        }
        waiting::look_again(r);
    }
}

/// The same of one whose header waits.
fn go_on_whole<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: as for the caller.
    let request = unsafe { Request::<M>::from_raw(r) };
    let body = match inside(None, || M::release(request)) {
        None => return NGX_ERROR as ngx_int_t,
        Some(Release::Waits) => return NGX_OK as ngx_int_t,
        Some(Release::Body(body)) => body,
    };
    if let Some(attachment) = request.attachment() {
        attachment.is_whole.set(false);
    }
    // SAFETY: as above. The last of the answer is what a chain of nginx's would end with.
    unsafe {
        waiting::hold(r, false);
        let mut last: ngx_buf_t = std::mem::zeroed();
        last.set_last_buf(1);
        last.set_last_in_chain(1);
        let mut chain = ngx_chain_t { buf: &raw mut last, next: std::ptr::null_mut() };
        let out = replacement(r, &raw mut chain, body);
        send_whole::<M>(r, out)
    }
}

/// Whether the answer ends with `chain`, which nginx passed to the filter.
fn is_end<M: Module>(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> bool {
    // SAFETY: nginx passes a live request, and a chain of its buffers.
    inside(false, || unsafe { ending::is_end(Request::<M>::from_raw(r), chain) })
}

/// Before the last of an answer goes out, so that its client finds free what it held.
fn settle_if<M: Module>(r: *mut ngx_http_request_t, ends: bool) {
    if ends {
        // SAFETY: nginx passes a live request.
        inside((), || M::answer_ends(unsafe { Request::from_raw(r) }));
    }
}

/// Sends what became of `chain` to the client, if there still is one.
fn send<M: Module>(
    r: *mut ngx_http_request_t,
    out: *mut ngx_chain_t,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    if !inside(false, || unsafe { absence::is_now::<M>(r) }) {
        let rc = next_body::<M>(r, out);
        if !is_for_absence::<M>(r, rc) {
            return rc;
        }
    }
    // SAFETY: both are live: what nginx passed, and what was made of it.
    unsafe {
        consume(out);
        consume(chain)
    }
}

/// Passes the answer of an engine on, and has it read as it goes by.
fn relay<M: Module>(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // If reading fails (a bug), the client still gets the answer.
    let read = inside(None, || {
        // SAFETY: nginx passes a live request, and a chain of its buffers.
        unsafe {
            let request = Request::<M>::from_raw(r);
            Some(match relay::read(request, chain) {
                Some(read) => (read.out, read.ends),
                None => (None, ending::is_end(request, chain)),
            })
        }
    });
    let (changed, ends) = read.unwrap_or_else(|| (None, is_end::<M>(r, chain)));
    settle_if::<M>(r, ends);
    pass_on::<M>(r, changed, chain)
}

/// Passes on what became of `chain`.
fn pass_on<M: Module>(
    r: *mut ngx_http_request_t,
    changed: Option<Result<*mut ngx_chain_t, relay::OutOfMemory>>,
    chain: *mut ngx_chain_t,
) -> ngx_int_t {
    match changed {
        None => send::<M>(r, chain, chain),
        Some(Err(relay::OutOfMemory)) => NGX_ERROR as ngx_int_t,
        Some(Ok(out)) => {
            // All of it may be hidden.
            let rc = match out.is_null() {
                true => NGX_OK as ngx_int_t,
                false => send::<M>(r, out, chain),
            };
            // SAFETY: as above.
            inside((), || unsafe { relay::recycle(Request::<M>::from_raw(r), out) });
            rc
        }
    }
}

/// A chain of one buffer over `body`, which ends where `chain` does; null when nginx has no memory.
///
/// # Safety
///
/// `r` is live, and `chain` what nginx passed to the filter; `body` lives as long as `r`.
unsafe fn replacement(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
    body: &[u8],
) -> *mut ngx_chain_t {
    // SAFETY: by the contract of this function; the new structures are in the request's pool. nginx
    // doesn't write to a buffer that is marked as memory.
    unsafe {
        let mut last = chain;
        while !(*last).next.is_null() {
            last = (*last).next;
        }
        let buffer: *mut ngx_buf_t = ngx_pcalloc((*r).pool, size_of::<ngx_buf_t>()).cast();
        let link = ngx_alloc_chain_link((*r).pool);
        if buffer.is_null() || link.is_null() {
            return std::ptr::null_mut();
        }
        let range = body.as_ptr_range();
        (*buffer).pos = range.start.cast_mut();
        (*buffer).last = range.end.cast_mut();
        (*buffer).start = (*buffer).pos;
        (*buffer).end = (*buffer).last;
        // An empty one is no memory to nginx, but a sign.
        (*buffer).set_memory(u32::from(!body.is_empty()));
        (*buffer).set_last_buf((*(*last).buf).last_buf());
        (*buffer).set_last_in_chain((*(*last).buf).last_in_chain());
        (*link).buf = buffer;
        (*link).next = std::ptr::null_mut();
        link
    }
}
