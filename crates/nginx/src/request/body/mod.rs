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
use crate::request::{Request, Verdict};
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
            (*r).set_preserve_body(1);
        }
        (*r).set_lingering_close(0);
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

    /// Changes what is proxied: `text` takes the place of `replaced` bytes of the body from `at` on.
    /// The rest stays as it is. `None` when nginx has no memory, or the body isn't that long.
    pub fn splice_body(self, at: u64, replaced: u64, text: &[u8]) -> Option<()> {
        let len = self.body_len();
        let end = at.checked_add(replaced).filter(|end| *end <= len)?;
        let inserted = self.copy(text)?;
        let chain = match replaced {
            0 => self.chain_with(at, inserted)?,
            // An upstream that is tried again takes a file from where the buffer before it ended,
            // so that no part of a file can be left out: then all of it goes to memory.
            _ => {
                let body = self.body()?;
                let (head, tail) =
                    (body.get(..usize::try_from(at).ok()?)?, usize::try_from(end).ok()?);
                let parts = [head, inserted, body.get(tail..)?];
                vec![self.memory(self.copy(&parts.concat())?)?]
            }
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
        self.set_content_length((len - replaced).checked_add(inserted.len() as u64)?)
    }

    /// The buffers of the body with another one at `at`, over the same memory and the same file.
    fn chain_with(self, at: u64, inserted: &'r [u8]) -> Option<Vec<*mut ngx_buf_t>> {
        let mut chain = Vec::new();
        let mut inserted = Some(self.memory(inserted)?);
        let mut offset = 0;
        for buffer in Buffers(self.body_chain()) {
            // SAFETY: the buffers of a body live as long as the request.
            let part = size(unsafe { &*buffer });
            let cut = at.saturating_sub(offset).min(part);
            if cut > 0 {
                // SAFETY: as above; it has so many bytes.
                chain.push(unsafe { self.slice(buffer, 0, cut)? });
            }
            if at <= offset.saturating_add(part) {
                chain.extend(inserted.take());
            }
            if cut < part {
                // SAFETY: as above.
                chain.push(unsafe { self.slice(buffer, cut, part)? });
            }
            offset = offset.saturating_add(part);
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
