//! Sizes and times, as nginx reads them.

use ngx::ffi::{ngx_parse_offset, ngx_parse_size, ngx_parse_time, ngx_str_t};

/// A size as nginx reads it: `16k`, `1m`.
#[must_use]
pub fn parse_size(text: &str) -> Option<usize> {
    let mut word = ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    // SAFETY: the function reads so many bytes, and writes none.
    usize::try_from(unsafe { ngx_parse_size(&raw mut word) }).ok()
}

/// A size as nginx reads that of a body: `16k`, `1m`, `1g`.
#[must_use]
pub fn parse_offset(text: &str) -> Option<u64> {
    let mut word = ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    // SAFETY: the function reads so many bytes, and writes none.
    u64::try_from(unsafe { ngx_parse_offset(&raw mut word) }).ok()
}

/// A time as nginx reads it (`500ms`, `10s`, `1m`), in milliseconds.
#[must_use]
pub fn parse_time_ms(text: &str) -> Option<u64> {
    let mut word = ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
    // SAFETY: the function reads so many bytes, and writes none.
    u64::try_from(unsafe { ngx_parse_time(&raw mut word, 0) }).ok()
}
