//! The answer of an engine on its way to the client: every buffer is read as it goes by, and passed on
//! in the same call. Where a chunk of a stream is hidden from the client, the chain is made anew, over
//! the same memory.

use ngx::ffi::{ngx_buf_t, ngx_chain_t, ngx_chain_update_chains};

use super::chain::{Chain, Pieces, Room};
use super::ending::Sum;
use super::passing::{Buffers, Passing};
use super::rest::{Head, Rest};
use crate::buffers::{bytes_of, each};
use crate::module::{Module, Part, Reader};
use crate::request::Request;
use crate::types::Types;

/// nginx has no memory.
pub(crate) struct OutOfMemory;

/// What became of a chain that was read.
pub(crate) struct Read {
    /// `None`: it is passed on as it is; else another one is.
    pub(crate) out: Option<Result<*mut ngx_chain_t, OutOfMemory>>,
    /// The answer ends with it.
    pub(crate) ends: bool,
}

/// Works with the reader of an answer that is read as it goes by, on the buffers of its request, and on what
/// is still to come of it.
fn with_reader<M: Module, R>(
    r: Request<'_, M>,
    f: impl FnOnce(&mut M::Reader, &mut Buffers, &mut Option<Rest>) -> R,
) -> Option<R> {
    let attachment = r.attachment().filter(|_| r.is_main())?;
    let mut state = r.state()?.borrow_mut();
    let reader = M::reader(&mut state)?;
    let Passing { buffers, rest } = &mut *attachment.passing.borrow_mut();
    Some(f(reader, buffers, rest))
}

impl<T: Types> Request<'_, T> {
    /// Has the end of the answer told, whose header is about to go out. `true`: nothing comes after that.
    pub fn await_end(self) -> bool {
        let rest = Rest::after(&Head {
            status: self.status_out(),
            content_length: self.content_length_out(),
            has_no_body: self.has_no_body(),
        });
        if let Some(attachment) = self.find_attachment() {
            attachment.passing.borrow_mut().rest = Some(rest);
        }
        rest.is_nothing()
    }

    /// Nobody wants to know the end of the answer any more.
    pub fn forget_end(self) {
        if let Some(attachment) = self.find_attachment() {
            attachment.passing.borrow_mut().rest = None;
        }
    }
}

/// Reads the buffers of `chain`. `None`: nothing of the answer is to be read.
///
/// # Safety
///
/// `chain` is what nginx passed to the body filter of the request.
pub(crate) unsafe fn read<M: Module>(r: Request<'_, M>, chain: *mut ngx_chain_t) -> Option<Read> {
    with_reader(r, |reader, buffers, rest| {
        let mut sum = Sum::default();
        if !reader.hides() {
            // SAFETY: by the contract of this function.
            unsafe {
                each(chain, |link| {
                    sum.add(&*(*link).buf);
                    read_one(r, reader, (*link).buf, &mut |_| {});
                });
            };
            return Read { out: None, ends: sum.ends(rest) };
        }
        // Made when the first buffer isn't passed on as it is.
        let mut out: Option<Chain> = None;
        // SAFETY: the request is live, and so is its pool.
        let pool = unsafe { (*r.as_ptr()).pool };
        let room = Room { pool, tag: M::registration().tag() };
        let mut done = Some(());
        // SAFETY: by the contract of this function.
        unsafe {
            each(chain, |link| {
                let buffer = (*link).buf;
                let mut pieces = Pieces::default();
                let len = bytes_of(&*buffer).len();
                // Before any of it changes.
                sum.add(&*buffer);
                read_one(r, reader, buffer, &mut |part| pieces.push(part));
                if done.is_none() || (out.is_none() && pieces.is_all_of(len)) {
                    return;
                }
                done = match &mut out {
                    Some(out) => out.push(room, buffers, buffer, pieces),
                    None => Chain::up_to(room, chain, link)
                        .and_then(|begun| out.insert(begun).push(room, buffers, buffer, pieces)),
                };
            });
        }
        let out = out.map(|out| done.map(|()| out.first).ok_or(OutOfMemory));
        Read { out, ends: sum.ends(rest) }
    })
}

/// Has a buffer read.
///
/// # Safety
///
/// `buffer` is one of a chain that nginx passed to the body filter.
unsafe fn read_one<M: Module>(
    r: Request<'_, M>,
    reader: &mut M::Reader,
    buffer: *mut ngx_buf_t,
    pass: &mut impl FnMut(Part<'_>),
) {
    // SAFETY: by the contract of this function.
    unsafe {
        let bytes = bytes_of(&*buffer);
        if !bytes.is_empty() {
            reader.read(r, bytes, &mut *pass);
        }
        if (*buffer).last_buf() != 0 {
            reader.finish(&mut *pass);
        }
    }
}

/// Takes our buffers back that have been sent.
///
/// # Safety
///
/// `out` is what [`read`] gave, after the next filter had it.
pub(crate) unsafe fn recycle<M: Module>(r: Request<'_, M>, mut out: *mut ngx_chain_t) {
    with_reader(r, |_, buffers, _| {
        // SAFETY: by the contract of this function.
        unsafe {
            ngx_chain_update_chains(
                (*r.as_ptr()).pool,
                &raw mut buffers.free,
                &raw mut buffers.busy,
                &raw mut out,
                M::registration().tag(),
            );
        }
    });
}
