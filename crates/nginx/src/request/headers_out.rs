//! Header lines of responses.

use ngx::ffi::{ngx_list_t, ngx_str_t, ngx_table_elt_t, NGX_HTTP_HEAD};

use super::headers::{push, Lines};
use super::{flags, Request};
use crate::text;
use crate::types::Types;

impl<'r, T: Types> Request<'r, T> {
    fn headers_out_list(self) -> *mut ngx_list_t {
        // SAFETY: the request is live.
        unsafe { &raw mut (*self.as_ptr()).headers_out.headers }
    }

    /// Adds a header line to the response.
    pub fn push_header_out(self, name: &'static str, value: &'r [u8]) -> Option<()> {
        // SAFETY: the list is live.
        let line = unsafe { push(self.headers_out_list(), name, value) };
        (!line.is_null()).then_some(())
    }

    /// The value of a header line of the response, of those that nginx has no place of its own for.
    pub fn header_out(self, name: &str) -> Option<&'r [u8]> {
        self.headers_out(name).next()
    }

    /// The values of the header lines of that name in the response, of those that nginx has no place of its
    /// own for.
    pub fn headers_out<'n>(self, name: &'n str) -> impl Iterator<Item = &'r [u8]> + use<'r, 'n, T> {
        // SAFETY: the list is live, and its lines live as long as the request; callers don't change it
        // meanwhile.
        let lines = unsafe { Lines::<'r>::of(self.headers_out_list()) };
        lines.filter_map(move |line| {
            // SAFETY: as above.
            let line = unsafe { &*line };
            // SAFETY: as above.
            let (key, value) = unsafe { (text::bytes(line.key), text::bytes(line.value)) };
            (line.hash != 0 && key.eq_ignore_ascii_case(name.as_bytes())).then_some(value)
        })
    }

    /// Takes lines out of the response, whoever put them there. `unwanted` sees the name as it is, and the value.
    pub fn hide_headers_out(self, mut unwanted: impl FnMut(&[u8], &[u8]) -> bool) {
        // SAFETY: the list is live; a line whose hash is zero isn't sent.
        unsafe {
            for line in Lines::of(self.headers_out_list()) {
                if (*line).hash != 0
                    && unwanted(text::bytes((*line).key), text::bytes((*line).value))
                {
                    (*line).hash = 0;
                }
            }
        }
    }

    /// Adds `WWW-Authenticate` to the response, if it isn't there, where nginx looks for it: if
    /// `satisfy any` lets another module grant access after all, it is taken away again.
    pub fn challenge(self, value: &'static str) -> Option<()> {
        // SAFETY: the request is live, and so are the lines of its response; `push` gives a new
        // element, or null.
        unsafe {
            let is_there = |line: *mut ngx_table_elt_t| {
                (*line).hash != 0 && std::ptr::eq((*line).value.data, value.as_ptr())
            };
            if Lines::of(self.headers_out_list()).any(is_there) {
                return Some(());
            }
            let line = push(self.headers_out_list(), "WWW-Authenticate", value.as_bytes());
            if line.is_null() {
                return None;
            }
            let headers = &raw mut (*self.as_ptr()).headers_out;
            #[cfg(linked_headers)]
            {
                (*line).next = (*headers).www_authenticate;
            }
            (*headers).www_authenticate = line;
        }
        Some(())
    }

    /// The `Content-Type` of the response, with its parameters.
    pub fn content_type_out(self) -> &'r [u8] {
        // SAFETY: the request is live, and its header lives as long.
        unsafe { text::bytes((*self.as_ptr()).headers_out.content_type) }
    }

    /// Whether the body of the response is compressed already.
    pub fn is_encoded(self) -> bool {
        // SAFETY: nginx sets the pointer to a line of the list, or leaves it null.
        unsafe {
            let line = (*self.as_ptr()).headers_out.content_encoding.as_ref();
            line.is_some_and(|line| {
                let value = text::bytes(line.value);
                line.hash != 0 && !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")
            })
        }
    }

    /// Whether the client gets a header alone.
    pub fn has_no_body(self) -> bool {
        // SAFETY: the request is live.
        unsafe {
            flags::header_only(self.as_ptr()) != 0
                || (*self.as_ptr()).method == NGX_HTTP_HEAD as usize
        }
    }

    /// The body of the response has to come by in memory, also where it was in a file.
    pub fn need_body_in_memory(self) {
        // SAFETY: the request is live; nginx looks at it when the body comes.
        unsafe { flags::set_filter_need_in_memory(self.as_ptr(), 1) }
    }

    /// How long the body of the response is, if that is known.
    pub fn content_length_out(self) -> Option<u64> {
        // SAFETY: the request is live.
        u64::try_from(unsafe { (*self.as_ptr()).headers_out.content_length_n }).ok()
    }

    /// The body of the response may become shorter than was said.
    pub fn clear_content_length(self) {
        // SAFETY: the request is live, and its header not yet sent; nginx sets the pointers to lines
        // of the list, or leaves them null.
        unsafe {
            let headers = &mut (*self.as_ptr()).headers_out;
            headers.content_length_n = -1;
            for line in [&mut headers.content_length, &mut headers.accept_ranges] {
                if let Some(line) = line.as_mut() {
                    line.hash = 0;
                }
                *line = std::ptr::null_mut();
            }
            flags::set_allow_ranges(self.as_ptr(), 0);
        }
    }

    /// The body of the response has become one of `len` bytes, and another one than it was.
    pub fn set_body_len(self, len: usize) {
        self.clear_content_length();
        // SAFETY: the request is live, and its header not yet sent; nginx sets the pointers to lines of the
        // list, or leaves them null.
        unsafe {
            let headers = &mut (*self.as_ptr()).headers_out;
            headers.content_length_n = i64::try_from(len).unwrap_or(i64::MAX);
        }
        self.clear_validators();
    }

    /// Takes off the response by what the client would know it again.
    pub fn clear_validators(self) {
        // SAFETY: as above.
        unsafe {
            let headers = &mut (*self.as_ptr()).headers_out;
            for line in [&mut headers.etag, &mut headers.last_modified] {
                if let Some(line) = line.as_mut() {
                    line.hash = 0;
                }
                *line = std::ptr::null_mut();
            }
            headers.last_modified_time = -1;
        }
    }

    /// Makes the response one of this status.
    pub fn set_status_out(self, status: u16) {
        // SAFETY: the request is live, and its header not yet sent.
        let headers = unsafe { &mut (*self.as_ptr()).headers_out };
        headers.status = usize::from(status);
        headers.status_line = ngx_str_t::default();
    }

    /// Makes the response one of `len` bytes of JSON.
    pub fn set_json_body(self, len: usize) {
        const TYPE: &[u8] = b"application/json";
        // SAFETY: the request is live, and its header not yet sent.
        let headers = unsafe { &mut (*self.as_ptr()).headers_out };
        headers.content_type = text::of_static(TYPE);
        headers.content_type_len = TYPE.len();
        headers.content_type_lowcase = std::ptr::null_mut();
        headers.charset = ngx_str_t::default();
        headers.content_length_n = i64::try_from(len).unwrap_or(i64::MAX);
        // SAFETY: nginx sets the pointer to a line of the list, or leaves it null.
        if let Some(line) = unsafe { headers.content_length.as_mut() } {
            line.hash = 0;
        }
        headers.content_length = std::ptr::null_mut();
    }
}
