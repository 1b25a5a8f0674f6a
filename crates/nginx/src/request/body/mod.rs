//! The body of a request: read before it is proxied, looked at, and added to.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_http_core_run_phases,
    ngx_http_finalize_request, ngx_http_read_client_request_body, ngx_http_request_t, ngx_int_t,
    ngx_palloc, ngx_pcalloc, ngx_str_t, off_t, NGX_DONE, NGX_HTTP_SPECIAL_RESPONSE,
};

use crate::buffers::{in_memory, size};
use crate::request::{flags, Request, Verdict};
use crate::types::Types;

/// How much of a temporary file is read at once, in bytes.
const FILE_BLOCK: usize = 128 << 10;

/// The body is there: the phases go on with the handler that asked for it.
unsafe extern "C" fn on_body<T: Types>(r: *mut ngx_http_request_t) {
    // SAFETY: nginx passes a live request. Where a `post_action` may want the body, its file is kept for
    // that; else nginx closes it when no other upstream can be asked any more, or whoever wants it for longer
    // says so. As all of it is there, the connection needn't be kept open for the rest of it when the answer
    // is sent, and the request ends (and gives back what it holds) with its answer.
    unsafe {
        if Request::<T>::from_raw(r).has_post_action() {
            flags::set_preserve_body(r, 1);
        }
        flags::set_lingering_close(r, 0);
        (*r).write_event_handler = Some(ngx_http_core_run_phases);
        ngx_http_core_run_phases(r);
    }
}

/// Has nginx read the body of the request. When it is there (maybe before this returns), the handler of the
/// phase is called again; what is returned here is for nginx.
///
/// # Safety
///
/// The request is live. It isn't used after this: it may be gone.
pub(crate) unsafe fn read<T: Types>(r: Request<'_, T>) -> ngx_int_t {
    let r = r.as_ptr();
    // SAFETY: the request is live; nginx calls back once. As its mirror module does it, the
    // reference that reading took is given up again.
    unsafe {
        let rc = ngx_http_read_client_request_body(r, Some(on_body::<T>));
        if rc >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t {
            return Verdict::Status(u16::try_from(rc).unwrap_or(500)).code();
        }
        ngx_http_finalize_request(r, NGX_DONE as ngx_int_t);
    }
    Verdict::Pending.code()
}

/// A change of a body: `text` takes the place of `replaced` bytes from `at` on.
#[derive(Clone, Copy, Debug)]
pub struct Splice<'a> {
    /// In bytes from the start of the body.
    pub at: u64,
    /// How many bytes go.
    pub replaced: u64,
    /// What comes.
    pub text: &'a [u8],
}

/// `body` with these changes, which are in the order of their places and within it.
fn edited_body(body: &[u8], splices: &[Splice<'_>]) -> Option<Vec<u8>> {
    let mut edited = Vec::with_capacity(body.len());
    let mut rest = 0;
    for splice in splices {
        let at = usize::try_from(splice.at).ok()?;
        edited.extend_from_slice(body.get(rest..at)?);
        edited.extend_from_slice(splice.text);
        rest = at.checked_add(usize::try_from(splice.replaced).ok()?)?;
    }
    edited.extend_from_slice(body.get(rest..)?);
    Some(edited)
}

/// The buffers of a chain.
struct Buffers(*mut ngx_chain_t);

impl Iterator for Buffers {
    type Item = *mut ngx_buf_t;

    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: made from a live chain only, which isn't changed meanwhile.
        let link = unsafe { self.0.as_ref()? };
        self.0 = link.next;
        Some(link.buf)
    }
}

impl<'r, T: Types> Request<'r, T> {
    /// The length that the client announced, in bytes; `None` where it said none.
    pub fn content_length(self) -> Option<u64> {
        // SAFETY: the request is live.
        u64::try_from(unsafe { (*self.as_ptr()).headers_in.content_length_n }).ok()
    }

    fn body_chain(self) -> *mut ngx_chain_t {
        // SAFETY: nginx makes the structure when it reads the body, and keeps its chain.
        unsafe {
            (*self.as_ptr()).request_body.as_ref().map_or(std::ptr::null_mut(), |body| body.bufs)
        }
    }

    /// The size of the body that was read, in bytes.
    pub fn body_len(self) -> u64 {
        // SAFETY: the buffers of a body live as long as the request.
        Buffers(self.body_chain()).map(|buffer| size(unsafe { &*buffer })).sum()
    }

    /// Hands over at most `most` bytes of the body that was read, from the byte `at` on, slice by slice: where
    /// they lie in memory, and from nginx's temporary file in blocks. How many bytes that were; `None`: they
    /// can't be read.
    pub fn read_body_part(self, at: u64, most: u64, mut read: impl FnMut(&[u8])) -> Option<u64> {
        let mut block = Vec::new();
        let (mut skipped, mut left) = (at, most);
        for buffer in Buffers(self.body_chain()) {
            // SAFETY: the buffers of a body live as long as the request, and nothing changes them before it
            // is proxied.
            let buffer = unsafe { &*buffer };
            let start = skipped.min(size(buffer));
            let len = left.min(size(buffer) - start);
            skipped -= start;
            if len == 0 {
                continue;
            }
            if in_memory(buffer) {
                let (start, len) = (usize::try_from(start).ok()?, usize::try_from(len).ok()?);
                // SAFETY: as above; it has so many bytes.
                read(unsafe { std::slice::from_raw_parts(buffer.pos.add(start), len) });
            } else {
                // SAFETY: the file of a buffer lives as long as the request.
                let file = unsafe { buffer.file.as_ref()? };
                // Closed when an upstream had answered, it isn't for another one.
                let fd = Some(file.fd).filter(|fd| *fd >= 0)?;
                // SAFETY: it is open, and `ManuallyDrop` keeps it so.
                let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
                let mut at = u64::try_from(buffer.file_pos).ok()?.checked_add(start)?;
                let end = at.checked_add(len)?;
                while at < end {
                    block.resize(usize::try_from(end - at).ok()?.min(FILE_BLOCK), 0);
                    file.read_exact_at(&mut block, at).ok()?;
                    read(&block);
                    at += block.len() as u64;
                }
            }
            left -= len;
        }
        Some(most - left)
    }

    /// A copy of the body that was read. `None`: it can't be read.
    fn body(self) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(usize::try_from(self.body_len()).ok()?);
        self.read_body_part(0, u64::MAX, |slice| body.extend_from_slice(slice))?;
        Some(body)
    }

    /// Changes what is proxied, all of it at once: each text takes the place of bytes of the body as it is. The
    /// rest stays as it is. `None` when nginx has no memory, the body isn't that long, or the changes are not in
    /// the order of their places.
    pub fn edit_body(self, splices: &[Splice<'_>]) -> Option<()> {
        let len = self.body_len();
        let (mut edited, mut end) = (len, 0);
        for splice in splices {
            if splice.at < end {
                return None;
            }
            end = splice.at.checked_add(splice.replaced).filter(|end| *end <= len)?;
            edited = (edited - splice.replaced).checked_add(splice.text.len() as u64)?;
        }
        // An upstream that is tried again takes a file from where the buffer before it ended, so that no
        // part of a file can be left out: then all of it goes to memory.
        let leaves_out = splices.iter().any(|splice| splice.replaced > 0);
        // SAFETY: the buffers of a body live as long as the request.
        let has_file = Buffers(self.body_chain()).any(|buffer| !in_memory(unsafe { &*buffer }));
        let chain = match leaves_out && has_file {
            false => self.edited_chain(splices)?,
            true => vec![self.memory(self.copy(&edited_body(&self.body()?, splices)?)?)?],
        };
        let mut first = std::ptr::null_mut();
        // SAFETY: the pool and the body of a live request; the links are new.
        unsafe {
            for buffer in chain.into_iter().rev() {
                let link = ngx_alloc_chain_link((*self.as_ptr()).pool);
                link.as_mut()?.buf = buffer;
                (*link).next = first;
                first = link;
            }
            (*self.as_ptr()).request_body.as_mut()?.bufs = first;
        }
        self.set_content_length(edited)
    }

    /// The buffers of the body with others between them, over the same memory and the same file.
    fn edited_chain(self, splices: &[Splice<'_>]) -> Option<Vec<*mut ngx_buf_t>> {
        let mut chain = Vec::new();
        let mut splices = splices.iter().peekable();
        // Where in the body the buffer begins, and up to where it has been taken or left out.
        let (mut offset, mut taken) = (0, 0_u64);
        for buffer in Buffers(self.body_chain()) {
            // SAFETY: the buffers of a body live as long as the request.
            let end = offset + size(unsafe { &*buffer });
            taken = taken.max(offset);
            while let Some(splice) = splices.next_if(|splice| splice.at <= end) {
                if splice.at > taken {
                    // SAFETY: as above; it has so many bytes.
                    chain.push(unsafe { self.slice(buffer, taken - offset, splice.at - offset)? });
                }
                if !splice.text.is_empty() {
                    chain.push(self.memory(self.copy(splice.text)?)?);
                }
                taken = splice.at + splice.replaced;
            }
            if taken < end {
                // SAFETY: as above.
                chain.push(unsafe { self.slice(buffer, taken - offset, end - offset)? });
            }
            offset = end;
        }
        // Into a body of no bytes.
        for splice in splices {
            chain.push(self.memory(self.copy(splice.text)?)?);
        }
        Some(chain)
    }

    /// A buffer over a part of another one.
    ///
    /// # Safety
    ///
    /// `buffer` is one of the body, and has so many bytes.
    unsafe fn slice(self, buffer: *mut ngx_buf_t, from: u64, to: u64) -> Option<*mut ngx_buf_t> {
        // SAFETY: by the contract of this function; the structure is copied, and its bytes aren't.
        unsafe {
            let copy: *mut ngx_buf_t =
                ngx_palloc((*self.as_ptr()).pool, size_of::<ngx_buf_t>()).cast();
            if copy.is_null() {
                return None;
            }
            std::ptr::copy_nonoverlapping(buffer, copy, 1);
            if in_memory(&*copy) {
                let pos = (*copy).pos;
                (*copy).pos = pos.add(usize::try_from(from).ok()?);
                (*copy).start = (*copy).pos;
                (*copy).last = pos.add(usize::try_from(to).ok()?);
                (*copy).end = (*copy).last;
            }
            if (*copy).in_file() != 0 {
                let pos = (*copy).file_pos;
                (*copy).file_pos = pos.checked_add(off_t::try_from(from).ok()?)?;
                (*copy).file_last = pos.checked_add(off_t::try_from(to).ok()?)?;
            }
            Some(copy)
        }
    }

    /// A buffer over bytes in the pool of the request.
    fn memory(self, bytes: &'r [u8]) -> Option<*mut ngx_buf_t> {
        let range = bytes.as_ptr_range();
        // SAFETY: the pool is live; zero is a value for all fields.
        unsafe {
            let buffer: *mut ngx_buf_t =
                ngx_pcalloc((*self.as_ptr()).pool, size_of::<ngx_buf_t>()).cast();
            let fresh = buffer.as_mut()?;
            fresh.pos = range.start.cast_mut();
            fresh.last = range.end.cast_mut();
            fresh.start = fresh.pos;
            fresh.end = fresh.last;
            fresh.set_memory(1);
            Some(buffer)
        }
    }

    /// Says how long the body is now, where nginx says it to upstreams of any kind.
    fn set_content_length(self, len: u64) -> Option<()> {
        let text = self.copy(len.to_string().as_bytes())?;
        // SAFETY: the request is live; nginx sets the pointer to a line of the list, or leaves it
        // null. The text lives as long as the request.
        unsafe {
            let headers = &raw mut (*self.as_ptr()).headers_in;
            (*headers).content_length_n = off_t::try_from(len).ok()?;
            if let Some(line) = (*headers).content_length.as_mut() {
                line.value = ngx_str_t { len: text.len(), data: text.as_ptr().cast_mut() };
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
