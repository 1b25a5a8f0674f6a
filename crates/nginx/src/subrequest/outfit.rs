//! What a question to a provider has in the place of what nginx gives a subrequest from its parent: header
//! lines and a body of its own.

use std::ptr::null_mut;

use ngx::ffi::{
    ngx_alloc_chain_link, ngx_buf_t, ngx_chain_t, ngx_http_request_body_t, ngx_http_request_t,
    ngx_int_t, ngx_list_init, ngx_pcalloc, ngx_str_t, ngx_table_elt_t, ngx_uint_t, NGX_HTTP_POST,
    NGX_OK,
};

use super::Sent;
use crate::request::headers::{push_in, HeaderName};
use crate::request::{flags, Request};
use crate::text;
use crate::types::Types;

const ACCEPT: HeaderName = HeaderName::new("Accept", "accept");
const CONTENT_TYPE: HeaderName = HeaderName::new("Content-Type", "content-type");
const CONTENT_LENGTH: HeaderName = HeaderName::new("Content-Length", "content-length");

/// What a subrequest gets in the place of what it has from its parent.
pub(crate) struct Outfit {
    body: *mut ngx_http_request_body_t,
    /// The length of what is sent, and its media type.
    sent: Option<(usize, &'static [u8])>,
    length: ngx_str_t,
    lines: Vec<(HeaderName, ngx_str_t)>,
}

impl Outfit {
    /// # Safety
    ///
    /// `r` is live.
    pub(crate) unsafe fn new<T: Types>(r: Request<'_, T>, sent: Option<&Sent<'_>>) -> Option<Self> {
        // SAFETY: by the contract of this function. Zero is a value for all that is allocated.
        unsafe {
            let pool = (*r.as_ptr()).pool;
            let body: *mut ngx_http_request_body_t =
                ngx_pcalloc(pool, size_of::<ngx_http_request_body_t>()).cast();
            if body.is_null() {
                return None;
            }
            let mut length = ngx_str_t::default();
            let mut lines = Vec::new();
            if let Some(sent) = sent {
                length = text::copied(pool, sent.body.len().to_string().as_bytes())?;
                for (name, value) in sent.lines {
                    lines.push((*name, text::copied(pool, value)?));
                }
                let buffer: *mut ngx_buf_t = ngx_pcalloc(pool, size_of::<ngx_buf_t>()).cast();
                let link: *mut ngx_chain_t = ngx_alloc_chain_link(pool);
                let (fresh, chain) = (buffer.as_mut()?, link.as_mut()?);
                let range = r.copy(sent.body)?.as_ptr_range();
                fresh.pos = range.start.cast_mut();
                fresh.last = range.end.cast_mut();
                fresh.start = fresh.pos;
                fresh.end = fresh.last;
                fresh.set_memory(1);
                fresh.set_last_buf(1);
                chain.buf = buffer;
                chain.next = null_mut();
                (*body).bufs = link;
            }
            Some(Self { body, sent: sent.map(|sent| (sent.body.len(), sent.kind)), length, lines })
        }
    }

    /// # Safety
    ///
    /// `sr` is a subrequest that nginx has just made.
    pub(crate) unsafe fn dress(self, sr: *mut ngx_http_request_t) {
        // SAFETY: by the contract of this function. Header lines, if there is no memory for them,
        // are left out, which the provider will answer as it likes.
        unsafe {
            (*sr).request_body = self.body;
            flags::set_filter_need_in_memory(sr, 1);
            let headers = &raw mut (*sr).headers_in;
            headers.write_bytes(0, 1);
            (*headers).content_length_n = -1;
            (*headers).keep_alive_n = -1;
            let list = &raw mut (*headers).headers;
            let size = size_of::<ngx_table_elt_t>();
            if ngx_list_init(list, (*sr).pool, 4, size) != NGX_OK as ngx_int_t {
                return;
            }
            push_in(list, &ACCEPT, b"application/json");
            let Some((len, kind)) = self.sent else { return };
            (*sr).method = NGX_HTTP_POST as ngx_uint_t;
            (*sr).method_name = text::of_static(b"POST");
            (*headers).content_length_n = i64::try_from(len).unwrap_or(-1);
            (*headers).content_type = push_in(list, &CONTENT_TYPE, kind);
            let length = text::bytes(self.length);
            (*headers).content_length = push_in(list, &CONTENT_LENGTH, length);
            for (name, value) in &self.lines {
                push_in(list, name, text::bytes(*value));
            }
        }
    }
}
