//! What a provider has answered so far.

use ngx::ffi::{ngx_buf_t, ngx_http_request_t};

use crate::buffers::{bytes_of, in_memory};

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// What of it has come.
#[derive(Default)]
pub(crate) struct Answer {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_too_long: bool,
    /// All of it is there.
    pub(crate) is_complete: bool,
}

impl Answer {
    /// # Safety
    ///
    /// `buffer` is one of a chain that nginx passed to the body filter.
    pub(crate) unsafe fn take(&mut self, buffer: &ngx_buf_t) {
        // SAFETY: by the contract of this function.
        let bytes = unsafe { bytes_of(buffer) };
        self.is_too_long |= bytes.len() > MAX_ANSWER.saturating_sub(self.bytes.len());
        if !self.is_too_long {
            self.bytes.extend_from_slice(bytes);
        }
        // It was asked to be in memory.
        self.is_too_long |= !in_memory(buffer) && buffer.file_last > buffer.file_pos;
        self.is_complete |= buffer.last_in_chain() != 0 || buffer.last_buf() != 0;
    }
}

/// Whether nginx has received more than can be taken, which it may keep to itself.
///
/// # Safety
///
/// `r` is live.
pub(crate) unsafe fn sends_too_much(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function; nginx keeps the structures of an upstream in its pool.
    unsafe {
        let Some(upstream) = (*r).upstream.as_ref() else { return false };
        let received = upstream.state.as_ref().map_or(0, |state| state.bytes_received);
        let piped = upstream.pipe.as_ref().map_or(0, |pipe| pipe.read_length);
        let most = i64::try_from(MAX_ANSWER).unwrap_or(i64::MAX).saturating_mul(2);
        received.max(piped) >= most
    }
}
