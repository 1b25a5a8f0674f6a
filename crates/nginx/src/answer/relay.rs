//! The answer of an engine on its way to the client: every buffer is read as it goes by, and passed on
//! in the same call. Where a chunk of a stream is hidden from the client, the chain is made anew, over
//! the same memory.

use std::ops::Range;

use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_get_free_buf, ngx_chain_t, ngx_chain_update_chains,
    ngx_palloc, ngx_pcalloc,
};

use super::ending::Sum;
use super::rest::{Head, Rest};
use crate::buffers::{bytes_of, each};
use crate::module::{Module, Part, Reader};
use crate::request::Request;
use crate::types::Types;

/// What an answer has of ours on its way.
#[derive(Debug, Default)]
pub(crate) struct Passing {
    buffers: Buffers,
    /// What is to come of it until its end is told; `None`: nobody wants to know.
    pub(crate) rest: Option<Rest>,
}

/// Buffers of our own that a stream uses over and over. They lie in the request's pool.
#[derive(Debug)]
struct Buffers {
    free: *mut ngx_chain_t,
    busy: *mut ngx_chain_t,
    /// One without bytes, which flushes what is before it. Nothing of it ever changes, so it may be
    /// in several chains.
    flush: *mut ngx_buf_t,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { free: std::ptr::null_mut(), busy: std::ptr::null_mut(), flush: std::ptr::null_mut() }
    }
}

/// nginx has no memory.
pub(crate) struct OutOfMemory;

/// What becomes of one buffer.
#[derive(Default)]
struct Pieces {
    /// Mostly there is no more than this.
    first: Option<Piece>,
    more: Vec<Piece>,
}

enum Piece {
    /// Bytes of buffers before it.
    Held(Vec<u8>),
    /// A part of this buffer.
    Own(Range<usize>),
}

impl Pieces {
    fn push(&mut self, part: Part<'_>) {
        let piece = match part {
            Part::Held(bytes) => Piece::Held(bytes.to_vec()),
            Part::Range(range) => Piece::Own(range),
        };
        match self.first {
            None => self.first = Some(piece),
            Some(_) => self.more.push(piece),
        }
    }

    /// Whether the client gets these `len` bytes and nothing else.
    fn is_all_of(&self, len: usize) -> bool {
        let is_all = match &self.first {
            None => len == 0,
            Some(Piece::Own(range)) => *range == (0..len),
            Some(Piece::Held(_)) => false,
        };
        is_all && self.more.is_empty()
    }

    fn into_iter(self) -> impl Iterator<Item = Piece> {
        self.first.into_iter().chain(self.more)
    }
}

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
                    Some(out) => out.push(r, buffers, buffer, pieces),
                    None => Chain::up_to(r, chain, link)
                        .and_then(|begun| out.insert(begun).push(r, buffers, buffer, pieces)),
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

/// A chain that is being made.
struct Chain {
    first: *mut ngx_chain_t,
    last: *mut ngx_chain_t,
}

impl Chain {
    /// The buffers of `chain` that come before `end`, as they are.
    ///
    /// # Safety
    ///
    /// `chain` is live, and `end` one of its links.
    unsafe fn up_to<T: Types>(
        r: Request<'_, T>,
        mut chain: *mut ngx_chain_t,
        end: *mut ngx_chain_t,
    ) -> Option<Self> {
        let mut begun = Self { first: std::ptr::null_mut(), last: std::ptr::null_mut() };
        // SAFETY: by the contract of this function; new links are in the request's pool.
        unsafe {
            while chain != end {
                begun.append_buffer(r, (*chain).buf)?;
                chain = (*chain).next;
            }
        }
        Some(begun)
    }

    /// # Safety
    ///
    /// `buffer` is one of a chain that nginx passed to the filter.
    unsafe fn append_buffer<T: Types>(
        &mut self,
        r: Request<'_, T>,
        buffer: *mut ngx_buf_t,
    ) -> Option<()> {
        // SAFETY: by the contract of this function; the pool of the request is live.
        unsafe {
            let link = ngx_alloc_chain_link((*r.as_ptr()).pool);
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
    unsafe fn push<T: Types>(
        &mut self,
        r: Request<'_, T>,
        buffers: &mut Buffers,
        buffer: *mut ngx_buf_t,
        pieces: Pieces,
    ) -> Option<()> {
        // SAFETY: by the contract of this function; new links and buffers are in the request's pool,
        // and tagged as ours.
        unsafe {
            let start = (*buffer).pos;
            let is_empty = bytes_of(&*buffer).is_empty();
            let pieces: Vec<Piece> = pieces.into_iter().collect();
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
                        self.append_buffer(r, buffer)?;
                    }
                    Piece::Own(range) => {
                        let link = fresh(r, buffers)?;
                        let part = &mut *(*link).buf;
                        part.start = std::ptr::null_mut();
                        part.end = std::ptr::null_mut();
                        part.pos = start.add(range.start);
                        part.last = start.add(range.end);
                        self.append(link);
                    }
                    Piece::Held(bytes) => {
                        let link = fresh(r, buffers)?;
                        fill(r, (*link).buf, &bytes)?;
                        self.append(link);
                    }
                }
            }
            if own.is_some() {
                return match flags.any() {
                    true => self.append_buffer(r, flags.special(r)?),
                    false => Some(()),
                };
            }
            if is_empty {
                return self.append_buffer(r, buffer);
            }
            // Nothing of it is left but its flags.
            (*buffer).pos = (*buffer).last;
            let flags = Flags::of(&*buffer);
            if flags.last_buf | flags.last_in_chain != 0 {
                return self.append_buffer(r, flags.special(r)?);
            }
            // What was before it is to be sent now, if there is anything.
            if (*buffer).flush() != 0 && !self.first.is_null() {
                if buffers.flush.is_null() {
                    buffers.flush = special(r)?;
                    (*buffers.flush).set_flush(1);
                }
                return self.append_buffer(r, buffers.flush);
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
    fn special<T: Types>(self, r: Request<'_, T>) -> Option<*mut ngx_buf_t> {
        let special = special(r)?;
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
fn special<T: Types>(r: Request<'_, T>) -> Option<*mut ngx_buf_t> {
    // SAFETY: the pool is live; zero is a value for all fields.
    unsafe {
        let buffer: *mut ngx_buf_t = ngx_pcalloc((*r.as_ptr()).pool, size_of::<ngx_buf_t>()).cast();
        // A buffer without bytes needs a reason to be there.
        buffer.as_mut()?.set_sync(1);
        Some(buffer)
    }
}

/// A link with a buffer of ours, without flags.
fn fresh<T: Types>(r: Request<'_, T>, buffers: &mut Buffers) -> Option<*mut ngx_chain_t> {
    // SAFETY: the pool is live; the list of free links is ours.
    unsafe {
        let link = ngx_chain_get_free_buf((*r.as_ptr()).pool, &raw mut buffers.free);
        let buffer = &mut *link.as_ref()?.buf;
        buffer.tag = T::registration().tag();
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
unsafe fn fill<T: Types>(r: Request<'_, T>, buffer: *mut ngx_buf_t, bytes: &[u8]) -> Option<()> {
    /// More than the chunks of most streams.
    const SIZE: usize = 1024;
    // SAFETY: by the contract of this function: `start` and `end` are null, or those of a block that
    // was allocated here.
    unsafe {
        let buffer = &mut *buffer;
        let size = (buffer.end as usize).saturating_sub(buffer.start as usize);
        if size < bytes.len() {
            let size = bytes.len().max(SIZE).next_power_of_two();
            let block: *mut u8 = ngx_palloc((*r.as_ptr()).pool, size).cast();
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
