//! Where an answer ends, as far as the buffers say that come by.

use ngx::ffi::{ngx_buf_t, ngx_chain_t};

use super::rest::Rest;
use crate::buffers::{each, size};
use crate::request::Request;
use crate::types::Types;

/// What a chain has of an answer.
#[derive(Default)]
pub(crate) struct Sum {
    bytes: u64,
    is_last: bool,
}

impl Sum {
    pub(crate) fn add(&mut self, buffer: &ngx_buf_t) {
        self.bytes = self.bytes.saturating_add(size(buffer));
        self.is_last |= buffer.last_buf() != 0;
    }

    pub(crate) fn ends(self, rest: &mut Option<Rest>) -> bool {
        rest.as_mut().is_some_and(|rest| rest.takes(self.bytes, self.is_last))
    }
}

/// Whether the answer of the request ends with `chain`.
///
/// # Safety
///
/// `chain` is what nginx passed to the body filter of the request.
pub(crate) unsafe fn is_end<T: Types>(r: Request<'_, T>, chain: *mut ngx_chain_t) -> bool {
    let Some(attachment) = r.attachment().filter(|_| r.is_main()) else { return false };
    let mut passing = attachment.passing.borrow_mut();
    if passing.rest.is_none() {
        return false;
    }
    let mut sum = Sum::default();
    // SAFETY: by the contract of this function.
    unsafe { each(chain, |link| sum.add(&*(*link).buf)) };
    sum.ends(&mut passing.rest)
}
