//! Strings of nginx.

use ngx::ffi::{ngx_pnalloc, ngx_pool_t, ngx_str_t};

/// The bytes of an nginx string.
///
/// # Safety
///
/// `text` is empty, or points at so many bytes that stay as they are for `'a`.
pub(crate) unsafe fn bytes<'a>(text: ngx_str_t) -> &'a [u8] {
    if text.len == 0 || text.data.is_null() {
        return &[];
    }
    // SAFETY: by the contract of this function.
    unsafe { std::slice::from_raw_parts(text.data, text.len) }
}

/// An nginx string over static bytes. nginx takes such strings as `u_char *`, and writes through
/// none that it didn't allocate.
pub(crate) const fn of_static(text: &'static [u8]) -> ngx_str_t {
    ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() }
}

/// The same over static bytes that end in a NUL, which isn't counted.
pub(crate) const fn of_c_str(text: &'static str) -> ngx_str_t {
    ngx_str_t { len: text.len().saturating_sub(1), data: text.as_ptr().cast_mut() }
}

/// A copy of `bytes` in a pool.
///
/// # Safety
///
/// `pool` is valid.
pub(crate) unsafe fn copied(pool: *mut ngx_pool_t, bytes: &[u8]) -> Option<ngx_str_t> {
    // SAFETY: by the contract of this function; the block is new, and has room for the bytes.
    unsafe {
        let data: *mut u8 = ngx_pnalloc(pool, bytes.len().max(1)).cast();
        if data.is_null() {
            return None;
        }
        data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        Some(ngx_str_t { len: bytes.len(), data })
    }
}
