//! Answers that the module makes itself, as the handler of a location.

use ngx::ffi::{
    ngx_chain_t, ngx_conf_t, ngx_create_temp_buf, ngx_http_conf_ctx_t, ngx_http_core_loc_conf_t,
    ngx_http_core_module, ngx_http_discard_request_body, ngx_http_output_filter,
    ngx_http_request_t, ngx_http_send_header, ngx_int_t, ngx_str_t, NGX_ERROR, NGX_HTTP_GET,
    NGX_HTTP_HEAD, NGX_HTTP_INTERNAL_SERVER_ERROR, NGX_HTTP_NOT_ALLOWED, NGX_OK,
};

use crate::conf::{ConfContext, ConfError, ContentHandler};
use crate::guard::inside;
use crate::module::{Module, Page};
use crate::request::{flags, Request};
use crate::types::Types;

/// Has the location that is being read answered by [`Module::page`].
///
/// # Safety
///
/// `cf` is the context that nginx passed to the function of a directive of a location.
pub(crate) unsafe fn install<M: Module>(cf: *mut ngx_conf_t) -> Result<(), ConfError> {
    // SAFETY: by the contract of this function; the core module has a configuration of each location.
    let core = unsafe {
        let ctx = (*cf).ctx.cast::<ngx_http_conf_ctx_t>();
        let core = *(*ctx).loc_conf.add(ngx_http_core_module.ctx_index);
        &mut *core.cast::<ngx_http_core_loc_conf_t>()
    };
    if core.handler.is_some() {
        return Err(ConfError::new(
            "the location is answered by another directive already (\"proxy_pass\" say); give the page a \
             location of its own",
        ));
    }
    core.handler = Some(on_content::<M>);
    Ok(())
}

impl ConfContext<'_> {
    /// Whether the location that is being merged is answered by [`Module::page`], and by no directive behind that of the
    /// page.
    #[must_use]
    pub fn has_page<M: Module>(&self) -> bool {
        let page: unsafe extern "C" fn(*mut ngx_http_request_t) -> ngx_int_t = on_content::<M>;
        self.content_handler() == Some(ContentHandler(page as usize))
    }

    /// Has a block in the location of a page (`if`, `limit_except`) answered by the page as well. To be called while it
    /// is being merged.
    ///
    /// Returns whether it is: not where the block has an answer of its own.
    pub fn continue_page<M: Module>(&self) -> bool {
        if !self.is_nameless() || self.content_handler().is_some() {
            return false;
        }
        // SAFETY: while locations are merged, `ctx` is that of the location at hand, and nothing else uses its
        // configuration of the core module.
        unsafe {
            let ctx = (*self.as_ptr()).ctx.cast::<ngx_http_conf_ctx_t>();
            let core = *(*ctx).loc_conf.add(ngx_http_core_module.ctx_index);
            (*core.cast::<ngx_http_core_loc_conf_t>()).handler = Some(on_content::<M>);
        }
        true
    }
}

unsafe extern "C" fn on_content<M: Module>(r: *mut ngx_http_request_t) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    let request = unsafe { Request::<M>::from_raw(r) };
    inside(NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t, || answer(request))
}

fn answer<M: Module>(r: Request<'_, M>) -> ngx_int_t {
    const FAILED: ngx_int_t = NGX_HTTP_INTERNAL_SERVER_ERROR as ngx_int_t;
    // SAFETY: the request is live.
    let method = unsafe { (*r.as_ptr()).method };
    if method & (NGX_HTTP_GET | NGX_HTTP_HEAD) as usize == 0 {
        return match r.push_header_out("Allow", b"GET, HEAD") {
            Some(()) => NGX_HTTP_NOT_ALLOWED as ngx_int_t,
            None => FAILED,
        };
    }
    // SAFETY: the request is live; the handler has not answered yet.
    let discarded = unsafe { ngx_http_discard_request_body(r.as_ptr()) };
    if discarded != NGX_OK as ngx_int_t {
        return discarded;
    }
    match M::page(r) {
        Some(page) if page.body.is_empty() => ngx_int_t::try_from(page.status).unwrap_or(FAILED),
        Some(page) => send(r, &page).unwrap_or(FAILED),
        None => FAILED,
    }
}

/// Sends it; `None`: nginx has no memory, and nothing was sent.
fn send<T: Types>(r: Request<'_, T>, page: &Page) -> Option<ngx_int_t> {
    for (name, value) in &page.headers {
        r.push_header_out(name, r.copy(value.as_bytes())?)?;
    }
    let kind = r.copy(page.content_type.as_bytes())?;
    r.set_status_out(page.status);
    // SAFETY: the request is live, and its header not yet sent. The text lives as long as the request.
    unsafe {
        let headers = &mut (*r.as_ptr()).headers_out;
        headers.content_type = ngx_str_t { len: kind.len(), data: kind.as_ptr().cast_mut() };
        // Filters go by what is before the parameters (`gzip_types`, say).
        headers.content_type_len = kind.iter().position(|byte| *byte == b';').unwrap_or(kind.len());
        headers.content_type_lowcase = std::ptr::null_mut();
    }
    r.set_body_len(page.body.len());
    // SAFETY: as above; the buffer is new, of that size, and all of it is written before it is sent.
    unsafe {
        let raw = r.as_ptr();
        let buffer = ngx_create_temp_buf((*raw).pool, page.body.len().max(1)).as_mut()?;
        let rc = ngx_http_send_header(raw);
        if rc == NGX_ERROR as ngx_int_t || rc > NGX_OK as ngx_int_t || flags::header_only(raw) != 0
        {
            return Some(rc);
        }
        buffer.pos.copy_from_nonoverlapping(page.body.as_ptr(), page.body.len());
        buffer.last = buffer.pos.add(page.body.len());
        buffer.set_last_buf(u32::from(r.is_main()));
        buffer.set_last_in_chain(1);
        let mut chain = ngx_chain_t { buf: buffer, next: std::ptr::null_mut() };
        Some(ngx_http_output_filter(raw, &raw mut chain))
    }
}
