//! A chain of buffers that is made in the place of another one, over the same memory.

use std::ffi::c_void;
use std::ops::Range;

use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_get_free_buf, ngx_chain_t, ngx_palloc, ngx_pcalloc,
    ngx_pool_t,
};
use smallvec::SmallVec;

use crate::answer::passing::Buffers;
use crate::buffers::bytes_of;
use crate::module::Part;

/// Where new links and buffers are made.
#[derive(Clone, Copy)]
pub(super) struct Room {
    /// The pool of the request.
    pub(super) pool: *mut ngx_pool_t,
    /// By which our buffers are known again.
    pub(super) tag: *mut c_void,
}

/// What becomes of one buffer. Mostly the client gets all of it, or what is before and behind a member.
#[derive(Default)]
pub(super) struct Pieces(SmallVec<[Piece; 3]>);

enum Piece {
    /// Bytes of buffers before it.
    Held(Vec<u8>),
    /// A part of this buffer.
    Own(Range<usize>),
}

impl Pieces {
    pub(super) fn push(&mut self, part: Part<'_>) {
        self.0.push(match part {
            Part::Held(bytes) => Piece::Held(bytes.to_vec()),
            Part::Range(range) => Piece::Own(range),
        });
    }

    /// Whether the client gets these `len` bytes and nothing else.
    pub(super) fn is_all_of(&self, len: usize) -> bool {
        match self.0.as_slice() {
            [] => len == 0,
            [Piece::Own(range)] => *range == (0..len),
            _ => false,
        }
    }

    /// Leaves out what is said to be beyond the end of a buffer of `len` bytes.
    fn within(mut self, len: usize) -> SmallVec<[Piece; 3]> {
        for piece in &mut self.0 {
            if let Piece::Own(range) = piece {
                let end = range.end.min(len);
                *range = range.start.min(end)..end;
            }
        }
        self.0
    }
}

/// A chain that is being made.
pub(super) struct Chain {
    pub(super) first: *mut ngx_chain_t,
    last: *mut ngx_chain_t,
}

impl Chain {
    /// The buffers of `chain` that come before `end`, as they are.
    ///
    /// # Safety
    ///
    /// `chain` is live, and `end` one of its links.
    pub(super) unsafe fn up_to(
        room: Room,
        mut chain: *mut ngx_chain_t,
        end: *mut ngx_chain_t,
    ) -> Option<Self> {
        let mut begun = Self::new();
        // SAFETY: by the contract of this function; new links are in the request's pool.
        unsafe {
            while chain != end {
                begun.append_buffer(room, (*chain).buf)?;
                chain = (*chain).next;
            }
        }
        Some(begun)
    }

    /// One of which nothing was made yet.
    pub(super) fn new() -> Self {
        Self { first: std::ptr::null_mut(), last: std::ptr::null_mut() }
    }

    /// Adds bytes of buffers that are gone.
    pub(super) fn push_held(
        &mut self,
        room: Room,
        buffers: &mut Buffers,
        pieces: Pieces,
    ) -> Option<()> {
        for piece in pieces.0 {
            if let Piece::Held(bytes) = piece {
                let link = fresh(room, buffers)?;
                // SAFETY: it is new, with a buffer of ours.
                unsafe {
                    fill(room, (*link).buf, &bytes)?;
                    self.append(link);
                }
            }
        }
        Some(())
    }

    /// Has what is in it sent now.
    pub(super) fn flush(&mut self, room: Room, buffers: &mut Buffers) -> Option<()> {
        // SAFETY: it is new, or was made here, and has no bytes.
        unsafe {
            let rare = buffers.rare();
            if rare.flush.is_null() {
                rare.flush = special(room)?;
                (*rare.flush).set_flush(1);
            }
            self.append_buffer(room, rare.flush)
        }
    }

    /// Has the answer end with it.
    pub(super) fn end(&mut self, room: Room) -> Option<()> {
        let flags = Flags { flush: 0, last_buf: 1, last_in_chain: 1 };
        let buffer = flags.special(room)?;
        // SAFETY: it is new.
        unsafe { self.append_buffer(room, buffer) }
    }

    /// # Safety
    ///
    /// `buffer` is one of a chain that nginx passed to the filter.
    unsafe fn append_buffer(&mut self, room: Room, buffer: *mut ngx_buf_t) -> Option<()> {
        // SAFETY: by the contract of this function; the pool of the request is live.
        unsafe {
            let link = ngx_alloc_chain_link(room.pool);
            link.as_mut()?.buf = buffer;
            self.append(link);
        }
        Some(())
    }

    /// # Safety
    ///
    /// `link` is new, and its buffer set.
    unsafe fn append(&mut self, link: *mut ngx_chain_t) {
        // SAFETY: by the contract of this function; `last` is a link of this chain.
        unsafe {
            (*link).next = std::ptr::null_mut();
            match self.last.as_mut() {
                Some(last) => last.next = link,
                None => self.first = link,
            }
        }
        self.last = link;
    }

    /// Adds what became of `buffer`. Its last part stays in `buffer` itself, so that whoever owns it
    /// doesn't use its memory again before all of it is sent.
    ///
    /// # Safety
    ///
    /// The pieces are those of `buffer`, which is one of a chain that nginx passed to the filter.
    pub(super) unsafe fn push(
        &mut self,
        room: Room,
        buffers: &mut Buffers,
        buffer: *mut ngx_buf_t,
        pieces: Pieces,
    ) -> Option<()> {
        // SAFETY: by the contract of this function; new links and buffers are in the request's pool,
        // and tagged as ours.
        unsafe {
            let start = (*buffer).pos;
            let len = bytes_of(&*buffer).len();
            let pieces = pieces.within(len);
            let own = pieces.iter().rposition(|piece| matches!(piece, Piece::Own(_)));
            // What was kept back may come behind it; then the flags do, too.
            let flags = match own {
                Some(own) if own + 1 < pieces.len() => Flags::take(&mut *buffer),
                _ => Flags::default(),
            };
            for (index, piece) in pieces.into_iter().enumerate() {
                match piece {
                    Piece::Own(range) if Some(index) == own => {
                        (*buffer).pos = start.add(range.start);
                        (*buffer).last = start.add(range.end);
                        self.append_buffer(room, buffer)?;
                    }
                    Piece::Own(range) => {
                        let link = fresh(room, buffers)?;
                        let part = &mut *(*link).buf;
                        part.start = std::ptr::null_mut();
                        part.end = std::ptr::null_mut();
                        part.pos = start.add(range.start);
                        part.last = start.add(range.end);
                        self.append(link);
                    }
                    Piece::Held(bytes) => {
                        let link = fresh(room, buffers)?;
                        fill(room, (*link).buf, &bytes)?;
                        self.append(link);
                    }
                }
            }
            if own.is_some() {
                return match flags.any() {
                    true => self.append_buffer(room, flags.special(room)?),
                    false => Some(()),
                };
            }
            if len == 0 {
                return self.append_buffer(room, buffer);
            }
            // Nothing of it is left but its flags.
            (*buffer).pos = (*buffer).last;
            let flags = Flags::of(&*buffer);
            if flags.last_buf | flags.last_in_chain != 0 {
                return self.append_buffer(room, flags.special(room)?);
            }
            // What was before it is to be sent now, if there is anything.
            if (*buffer).flush() != 0 && !self.first.is_null() {
                return self.flush(room, buffers);
            }
            Some(())
        }
    }
}

/// What a buffer says of what comes after it.
#[derive(Clone, Copy, Default)]
struct Flags {
    flush: u32,
    last_buf: u32,
    last_in_chain: u32,
}

impl Flags {
    fn of(buffer: &ngx_buf_t) -> Self {
        Self {
            flush: buffer.flush(),
            last_buf: buffer.last_buf(),
            last_in_chain: buffer.last_in_chain(),
        }
    }

    /// Takes them from a buffer that others will follow.
    fn take(buffer: &mut ngx_buf_t) -> Self {
        let flags = Self::of(buffer);
        buffer.set_flush(0);
        buffer.set_last_buf(0);
        buffer.set_last_in_chain(0);
        flags
    }

    fn any(self) -> bool {
        self.flush | self.last_buf | self.last_in_chain != 0
    }

    /// A buffer without bytes that has them.
    fn special(self, room: Room) -> Option<*mut ngx_buf_t> {
        let special = special(room)?;
        // SAFETY: it is new, and not null.
        let buffer = unsafe { special.as_mut()? };
        buffer.set_flush(self.flush);
        buffer.set_last_buf(self.last_buf);
        buffer.set_last_in_chain(self.last_in_chain);
        Some(special)
    }
}

/// A buffer without bytes. It isn't tagged as ours, so that it is never taken back: having no bytes, it
/// would look as if it were sent while nginx still has it in a chain.
fn special(room: Room) -> Option<*mut ngx_buf_t> {
    // SAFETY: the pool is live; zero is a value for all fields.
    unsafe {
        let buffer: *mut ngx_buf_t = ngx_pcalloc(room.pool, size_of::<ngx_buf_t>()).cast();
        // A buffer without bytes needs a reason to be there.
        buffer.as_mut()?.set_sync(1);
        Some(buffer)
    }
}

/// A link with a buffer of ours, without flags.
fn fresh(room: Room, buffers: &mut Buffers) -> Option<*mut ngx_chain_t> {
    // SAFETY: the pool is live; the list of free links is ours.
    unsafe {
        let link = ngx_chain_get_free_buf(room.pool, &raw mut buffers.free);
        let buffer = &mut *link.as_ref()?.buf;
        buffer.tag = room.tag;
        buffer.set_memory(1);
        buffer.set_flush(0);
        buffer.set_sync(0);
        buffer.set_last_buf(0);
        buffer.set_last_in_chain(0);
        Some(link)
    }
}

/// Copies `bytes` into the memory of a buffer of ours, which grows if need be.
///
/// # Safety
///
/// `buffer` is one that [`fresh`] gave.
unsafe fn fill(room: Room, buffer: *mut ngx_buf_t, bytes: &[u8]) -> Option<()> {
    /// More than the chunks of most streams.
    const SIZE: usize = 1024;
    // SAFETY: by the contract of this function: `start` and `end` are null, or those of a block that
    // was allocated here.
    unsafe {
        let buffer = &mut *buffer;
        let size = (buffer.end as usize).saturating_sub(buffer.start as usize);
        if size < bytes.len() {
            let size = bytes.len().max(SIZE).next_power_of_two();
            let block: *mut u8 = ngx_palloc(room.pool, size).cast();
            if block.is_null() {
                return None;
            }
            buffer.start = block;
            buffer.end = block.add(size);
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer.start, bytes.len());
        buffer.pos = buffer.start;
        buffer.last = buffer.start.add(bytes.len());
        Some(())
    }
}

#[cfg(test)]
mod tests;
