//! Answers that are held: the header waits for the body, which is read first and may become another one.

use ngx::ffi::ngx_chain_t;

use crate::buffers::{bytes_of, each, size};
use crate::module::Module;
use crate::request::Request;
use crate::types::Types;

/// A part of a held answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// More comes.
    Part,
    /// That was the last of it.
    Whole,
    /// It can't be read.
    Unreadable,
}

/// The header that came by waits.
pub(super) fn begin<T: Types>(r: Request<'_, T>) -> bool {
    let attachment = r.attachment();
    attachment.is_some_and(|attachment| {
        attachment.is_held.set(true);
        true
    })
}

/// Reads the buffers of `chain`. `None`: the answer is not held.
///
/// # Safety
///
/// `chain` is what nginx passed to the body filter of the request.
pub(super) unsafe fn read<M: Module>(r: Request<'_, M>, chain: *mut ngx_chain_t) -> Option<Held> {
    let attachment = r.attachment().filter(|it| r.is_main() && it.is_held.get())?;
    let mut held = Held::Part;
    // SAFETY: by the contract of this function.
    unsafe {
        each(chain, |link| {
            let buffer = &*(*link).buf;
            let bytes = bytes_of(buffer);
            if held == Held::Unreadable || (bytes.is_empty() && size(buffer) > 0) {
                held = Held::Unreadable;
                return;
            }
            if !bytes.is_empty() {
                M::hold(r, bytes);
            }
            if buffer.last_buf() != 0 {
                held = Held::Whole;
            }
        });
    }
    if held == Held::Whole {
        attachment.is_held.set(false);
    }
    Some(held)
}
