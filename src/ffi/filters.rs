//! Our place in the chain of filters.

use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_http_filter_finalize_request,
    ngx_http_output_body_filter_pt, ngx_http_output_header_filter_pt, ngx_http_request_t,
    ngx_http_top_body_filter, ngx_http_top_header_filter, ngx_int_t, ngx_pcalloc, NGX_ERROR,
    NGX_HTTP_BAD_GATEWAY, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_OK,
};

use super::absence;
use super::ending;
use super::guard::guard;
use super::module;
use super::relay;
use super::request::Request;
use super::subrequest;
use crate::request::answer::{self, Header};
use crate::request::settlement;

/// The filters that were on top before us, of the configuration that was read last.
static mut NEXT: Next = Next { header: None, body: None };

struct Next {
    header: ngx_http_output_header_filter_pt,
    body: ngx_http_output_body_filter_pt,
}

/// Puts our filters on top. nginx makes the chain anew with every configuration, and other modules
/// may have come or gone.
pub(super) fn install() {
    // SAFETY: nginx reads the configuration on its only thread; no filter is running then.
    unsafe {
        NEXT = Next { header: ngx_http_top_header_filter, body: ngx_http_top_body_filter };
        ngx_http_top_header_filter = Some(header_filter);
        ngx_http_top_body_filter = Some(body_filter);
    }
}

fn next_header(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx runs on one thread; see `install`.
    match unsafe { NEXT.header } {
        // SAFETY: nginx's own filter, with the request that it passed.
        Some(filter) => unsafe { filter(r) },
        None => NGX_ERROR as ngx_int_t,
    }
}

fn next_body(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx runs on one thread; see `install`.
    match unsafe { NEXT.body } {
        // SAFETY: nginx's own filter, with the request that it passed and a chain of its buffers.
        Some(filter) => unsafe { filter(r, chain) },
        None => NGX_ERROR as ngx_int_t,
    }
}

unsafe extern "C" fn header_filter(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    guard((), || unsafe { subrequest::begin(r) });
    // SAFETY: nginx passes a live request.
    let done = guard(None, || answer::headers(unsafe { Request::from_raw(r) }));
    match done {
        Some(Header::Passes) => {
            let rc = next_header(r);
            // SAFETY: as above.
            match guard(false, || unsafe { absence::begins(r, rc) }) {
                true => NGX_OK as ngx_int_t,
                false => rc,
            }
        }
        // SAFETY: nginx passes a live request; as below.
        Some(Header::BadGateway) => unsafe { instead(r, NGX_HTTP_BAD_GATEWAY) },
        // Nothing has been sent yet, so the client can be told.
        // SAFETY: nginx passes a live request.
        None if guard(false, || answer::abandon(unsafe { Request::from_raw(r) })) => {
            // SAFETY: nginx passes a live request.
            unsafe { instead(r, NGX_HTTP_INTERNAL_SERVER_ERROR) }
        }
        None => NGX_ERROR as ngx_int_t,
    }
}

/// Answers with an error in the place of the header that has come by.
///
/// # Safety
///
/// nginx passed the request to the header filter.
unsafe fn instead(r: *mut ngx_http_request_t, status: u32) -> ngx_int_t {
    // SAFETY: by the contract of this function; as the filters of nginx do it that fail at this point.
    // Our context is kept, so that we know the request again when the error comes by.
    unsafe { ngx_http_filter_finalize_request(r, module::address().cast(), status as ngx_int_t) }
}

unsafe extern "C" fn body_filter(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    if chain.is_null() {
        return send(r, chain, chain);
    }
    // SAFETY: nginx passes a live request, and a chain of its buffers. What a provider says is never
    // passed on, whatever goes wrong.
    let captured = guard(Some(NGX_ERROR as ngx_int_t), || unsafe { subrequest::capture(r, chain) });
    if let Some(rc) = captured {
        return rc;
    }
    // SAFETY: nginx passes a live request.
    let body = guard(Err(()), || Ok(answer::body(unsafe { Request::from_raw(r) })));
    match body {
        // The length of our body was sent, so no other body can take its place.
        // SAFETY: as above.
        Err(()) if guard(true, || answer::owes_body(unsafe { Request::from_raw(r) })) => {
            NGX_ERROR as ngx_int_t
        }
        Err(()) | Ok(None) => relay(r, chain),
        Ok(Some(body)) => {
            let given = chain;
            // SAFETY: the pool of a live request, and the chain that nginx passed.
            let chain = unsafe { replacement(r, chain, body) };
            match chain.is_null() {
                true => NGX_ERROR as ngx_int_t,
                false => {
                    settle_if(r, is_end(r, given));
                    next_body(r, chain)
                }
            }
        }
    }
}

/// Whether the answer ends with `chain`, which nginx passed to the filter.
fn is_end(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> bool {
    // SAFETY: nginx passes a live request, and a chain of its buffers.
    guard(false, || unsafe { ending::is_end(Request::from_raw(r), chain) })
}

/// Before the last of an answer goes out, so that its client finds free what it held.
fn settle_if(r: *mut ngx_http_request_t, ends: bool) {
    if ends {
        // SAFETY: nginx passes a live request.
        guard((), || settlement::end(unsafe { Request::from_raw(r) }));
    }
}

/// Sends what became of `chain` to the client, if there still is one.
fn send(r: *mut ngx_http_request_t, out: *mut ngx_chain_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    if !guard(false, || unsafe { absence::is_now(r) }) {
        let rc = next_body(r, out);
        // SAFETY: as above.
        if !guard(false, || unsafe { absence::begins(r, rc) }) {
            return rc;
        }
    }
    // SAFETY: both are live: what nginx passed, and what was made of it.
    unsafe {
        absence::consume(out);
        absence::consume(chain)
    }
}

/// Passes the answer of an engine on, and has it read as it goes by.
fn relay(r: *mut ngx_http_request_t, chain: *mut ngx_chain_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request, and a chain of its buffers. If reading fails (a bug), the
    // client still gets the answer.
    let read = guard(None, || unsafe { relay::read(Request::from_raw(r), chain) });
    let (changed, ends) = match read {
        Some(read) => (read.out, read.ends),
        None => (None, is_end(r, chain)),
    };
    settle_if(r, ends);
    match changed {
        None => send(r, chain, chain),
        Some(Err(relay::OutOfMemory)) => NGX_ERROR as ngx_int_t,
        Some(Ok(out)) => {
            // All of it may be hidden.
            let rc = match out.is_null() {
                true => NGX_OK as ngx_int_t,
                false => send(r, out, chain),
            };
            // SAFETY: as above.
            guard((), || unsafe { relay::recycle(Request::from_raw(r), out) });
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
        (*buffer).set_memory(1);
        (*buffer).set_last_buf((*(*last).buf).last_buf());
        (*buffer).set_last_in_chain((*(*last).buf).last_in_chain());
        (*link).buf = buffer;
        (*link).next = std::ptr::null_mut();
        link
    }
}
