//! The answer of an engine on its way to the client: every buffer is read as it goes by, and passed on
//! in the same call. Where a chunk of a stream is hidden from the client, the chain is made anew, over
//! the same memory.

use ngx::ffi::{ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_chain_update_chains};

use super::chain::{Chain, Pieces, Room};
use super::ending::Sum;
use super::passing::{Buffers, Passing};
use super::rest::{Head, Rest};
use super::waiting::keep_alive;
use crate::buffers::{bytes_of, each, size};
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
    f: impl FnOnce(&mut M::Reader, &mut Passing) -> R,
) -> Option<R> {
    let attachment = r.attachment().filter(|_| r.is_main())?;
    let mut state = r.state()?.borrow_mut();
    let reader = M::reader(&mut state)?;
    Some(f(reader, &mut attachment.passing.borrow_mut()))
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
    with_reader(r, |reader, passing| {
        let mut sum = Sum::default();
        if !reader.hides() {
            // SAFETY: by the contract of this function.
            unsafe {
                each(chain, |link| {
                    sum.add(&*(*link).buf);
                    read_one(r, reader, (*link).buf, &mut |_| {});
                });
            };
            return Read { out: None, ends: sum.ends(&mut passing.rest) };
        }
        // Made when the first buffer isn't passed on as it is.
        let mut out: Option<Chain> = None;
        let room = room_of(r);
        let mut done = Some(());
        // SAFETY: by the contract of this function.
        unsafe {
            each(chain, |link| {
                let buffer = (*link).buf;
                if passing.buffers.has_unread() || reader.is_full() {
                    if out.is_none() && done.is_some() {
                        done = Chain::up_to(room, chain, link).map(|begun| out = Some(begun));
                    }
                    done = done.and_then(|()| wait(room, &mut passing.buffers, buffer));
                    return;
                }
                let mut pieces = Pieces::default();
                let len = bytes_of(&*buffer).len();
                // Before any of it changes.
                sum.add(&*buffer);
                if read_one(r, reader, buffer, &mut |part| pieces.push(part)) {
                    passing.buffers.rare().end_waits = true;
                }
                if done.is_none() || (out.is_none() && pieces.is_all_of(len)) {
                    return;
                }
                done = match &mut out {
                    Some(out) => out.push(room, &mut passing.buffers, buffer, pieces),
                    None => Chain::up_to(room, chain, link).and_then(|begun| {
                        out.insert(begun).push(room, &mut passing.buffers, buffer, pieces)
                    }),
                };
            });
        }
        keep_alive(r, &passing.buffers);
        let out = out.map(|out| done.map(|()| out.first).ok_or(OutOfMemory));
        Read { out, ends: sum.ends(&mut passing.rest) }
    })
}

/// What goes on of an answer of which a part has waited. `None`: nothing of it is to be read.
pub(crate) fn go_on<M: Module>(r: Request<'_, M>) -> Option<Read> {
    with_reader(r, |reader, passing| {
        let Passing { buffers, rest } = passing;
        let room = room_of(r);
        let mut sum = Sum::default();
        let mut out = Chain::new();
        let mut pieces = Pieces::default();
        reader.go_on(r, |part| pieces.push(part));
        let mut done = out.push_held(room, buffers, pieces);
        // SAFETY: links of ours, with buffers that nginx passed to the filter, and that were not sent since.
        unsafe {
            while buffers.has_unread() && !reader.is_full() {
                let first = buffers.rare().unread;
                let buffer = (*first).buf;
                buffers.rare().unread = (*first).next;
                (*first).next = (*room.pool).chain;
                (*room.pool).chain = first;
                let mut pieces = Pieces::default();
                sum.add(&*buffer);
                if read_one(r, reader, buffer, &mut |part| pieces.push(part)) {
                    buffers.rare().end_waits = true;
                }
                done = done.and_then(|()| out.push(room, buffers, buffer, pieces));
            }
        }
        if buffers.end_waits() && !reader.is_waiting() {
            buffers.rare().end_waits = false;
            done = done.and_then(|()| out.end(room));
        } else if !out.first.is_null() {
            done = done.and_then(|()| out.flush(room, buffers));
        }
        keep_alive(r, buffers);
        let out = Some(done.map(|()| out.first).ok_or(OutOfMemory));
        Read { out, ends: sum.ends(rest) }
    })
}

fn room_of<M: Module>(r: Request<'_, M>) -> Room {
    // SAFETY: the request is live, and so is its pool.
    let pool = unsafe { (*r.as_ptr()).pool };
    Room { pool, tag: M::registration().tag() }
}

/// The buffer is read later. `None`: nginx has no memory.
///
/// # Safety
///
/// `buffer` is one of a chain that nginx passed to the body filter.
unsafe fn wait(room: Room, buffers: &mut Buffers, buffer: *mut ngx_buf_t) -> Option<()> {
    // SAFETY: by the contract of this function; the links are ours, in the request's pool.
    unsafe {
        let new = ngx_alloc_chain_link(room.pool);
        let link = new.as_mut()?;
        (link.buf, link.next) = (buffer, std::ptr::null_mut());
        let mut end = &raw mut buffers.rare().unread;
        while let Some(entry) = (*end).as_mut() {
            end = &raw mut entry.next;
        }
        *end = new;
    }
    Some(())
}

/// Has a buffer read. Returns whether it was the last one of an answer whose end has to wait: then it isn't any more.
///
/// # Safety
///
/// `buffer` is one of a chain that nginx passed to the body filter.
unsafe fn read_one<M: Module>(
    r: Request<'_, M>,
    reader: &mut M::Reader,
    buffer: *mut ngx_buf_t,
    pass: &mut impl FnMut(Part<'_>),
) -> bool {
    // SAFETY: by the contract of this function.
    unsafe {
        let bytes = bytes_of(&*buffer);
        if !bytes.is_empty() {
            reader.read(r, bytes, &mut *pass);
        }
        if (*buffer).last_buf() == 0 {
            return false;
        }
        reader.finish(r, &mut *pass);
        let has_to_wait = reader.is_waiting();
        if has_to_wait {
            (*buffer).set_last_buf(0);
            if size(&*buffer) == 0 {
                // It needs a reason to be there.
                (*buffer).set_sync(1);
            }
        }
        has_to_wait
    }
}

/// Takes our buffers back that have been sent.
///
/// # Safety
///
/// `out` is what [`read`] gave, after the next filter had it.
pub(crate) unsafe fn recycle<M: Module>(r: Request<'_, M>, mut out: *mut ngx_chain_t) {
    with_reader(r, |_, Passing { buffers, .. }| {
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
