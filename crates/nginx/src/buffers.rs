//! nginx's buffers, and chains of them.

use ngx::ffi::{ngx_buf_t, ngx_chain_t, ngx_int_t, NGX_OK};

/// The size of a buffer, in bytes.
pub(crate) fn size(buffer: &ngx_buf_t) -> u64 {
    match in_memory(buffer) {
        // Both point into one allocation.
        true => (buffer.last as usize).saturating_sub(buffer.pos as usize) as u64,
        false => u64::try_from(buffer.file_last.saturating_sub(buffer.file_pos)).unwrap_or(0),
    }
}

/// `ngx_buf_in_memory`
pub(crate) fn in_memory(buffer: &ngx_buf_t) -> bool {
    buffer.temporary() != 0 || buffer.memory() != 0 || buffer.mmap() != 0
}

/// The bytes of a buffer, as far as they are in memory.
///
/// # Safety
///
/// `buffer` is one of a chain that nginx passed to the body filter.
pub(crate) unsafe fn bytes_of(buffer: &ngx_buf_t) -> &[u8] {
    if !in_memory(buffer) || buffer.last <= buffer.pos {
        return &[];
    }
    // SAFETY: by the contract of this function; `pos` and `last` point into one allocation.
    unsafe {
        let len = buffer.last.offset_from_unsigned(buffer.pos);
        std::slice::from_raw_parts(buffer.pos, len)
    }
}

/// # Safety
///
/// `chain` is live.
pub(crate) unsafe fn each(chain: *mut ngx_chain_t, mut f: impl FnMut(*mut ngx_chain_t)) {
    let mut link = chain;
    // SAFETY: by the contract of this function.
    while let Some(entry) = unsafe { link.as_ref() } {
        f(link);
        link = entry.next;
    }
}

/// Takes a chain as sent.
///
/// # Safety
///
/// The chain is live.
pub(crate) unsafe fn consume(chain: *mut ngx_chain_t) -> ngx_int_t {
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
