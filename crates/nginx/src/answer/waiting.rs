//! Answers of which a part waits: nginx doesn't end their requests, and goes on with them afterwards.

use ngx::ffi::{ngx_http_request_t, ngx_post_event, ngx_posted_events};

use super::passing::Buffers;
use crate::request::{flags, Request};
use crate::types::Types;

/// The bit by which nginx knows that a filter holds something: the one of `image_filter`, which holds pictures.
const HOLDS: u32 = 0x08;

/// Has nginx not end the request before what waits has gone on; or end it, if nothing does.
pub(super) fn keep_alive<T: Types>(r: Request<'_, T>, buffers: &Buffers) {
    // SAFETY: the request is live.
    unsafe { hold(r.as_ptr(), buffers.has_unread() || buffers.end_waits()) };
}

/// # Safety
///
/// `r` is live.
pub(super) unsafe fn hold(r: *mut ngx_http_request_t, is_to: bool) {
    // SAFETY: by the contract of this function.
    unsafe {
        let others = flags::buffered(r) & !HOLDS;
        flags::set_buffered(r, if is_to { others | HOLDS } else { others });
    }
}

/// Has nginx look what is to be done with the request, when whatever runs now is done: buffers may be free, or the
/// request be at its end.
///
/// # Safety
///
/// `r` is live.
pub(super) unsafe fn look_again(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function; a connection that is closed is no longer posted.
    unsafe { ngx_post_event((*(*r).connection).write, &raw mut ngx_posted_events) };
}
