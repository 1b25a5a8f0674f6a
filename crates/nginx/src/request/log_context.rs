//! What the error log says of a request beside the message.

use ngx::ffi::{ngx_http_log_handler_pt, ngx_http_request_t, u_char};

/// Writes the id, if there is one, and what `original` writes.
///
/// # Safety
///
/// The request and the room, an address and a length in bytes, are those that nginx passed to a handler of
/// its log, and `original` is another one.
pub(crate) unsafe fn write_with_id(
    id: &[u8],
    original: ngx_http_log_handler_pt,
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    (buf, len): (*mut u_char, usize),
) -> *mut u_char {
    const LABEL: &[u8] = b", request_id: ";
    let room = LABEL.len().saturating_add(id.len());
    let written = if id.is_empty() || room > len { 0 } else { room };
    // SAFETY: nginx has room for `len` bytes at `buf`, which isn't less than `written`.
    let end = unsafe {
        if written > 0 {
            buf.copy_from_nonoverlapping(LABEL.as_ptr(), LABEL.len());
            buf.add(LABEL.len()).copy_from_nonoverlapping(id.as_ptr(), id.len());
        }
        buf.add(written)
    };
    match original {
        // SAFETY: what nginx would have called, with what is left of the room.
        Some(handler) => unsafe { handler(r, subrequest, end, len.saturating_sub(written)) },
        None => end,
    }
}
