//! An expression of nginx variables.

use ngx::ffi::{
    ngx_conf_t, ngx_http_compile_complex_value, ngx_http_compile_complex_value_t,
    ngx_http_complex_value, ngx_http_complex_value_t, ngx_int_t, ngx_palloc, ngx_str_t, NGX_OK,
};

use super::context::ConfContext;
use crate::main_entry::MainEntry;
use crate::request::Request;
use crate::text;
use crate::types::Types;

/// A compiled expression. It lives in the configuration's pool, as long as the configuration.
#[derive(Debug)]
pub struct ComplexValue {
    value: *mut ngx_http_complex_value_t,
    /// That of its configuration.
    generation: u64,
}

impl ComplexValue {
    /// Compiles `expression` of a directive of the module `T`; `None` when nginx refuses it (and has said
    /// why).
    pub fn compile<T: Types>(cx: &ConfContext<'_>, expression: &str) -> Option<Self> {
        let cf: *mut ngx_conf_t = cx.as_ptr();
        // SAFETY: the context's pool is valid while it is being configured.
        let pool = unsafe { (*cf).pool };
        // SAFETY: as above.
        let value: *mut ngx_http_complex_value_t =
            unsafe { ngx_palloc(pool, size_of::<ngx_http_complex_value_t>()) }.cast();
        let mut source = cx.pool_str(expression.as_bytes())?;
        if value.is_null() {
            return None;
        }
        // SAFETY: a structure of pointers, lengths and flags, for which zero is a value.
        let mut compile: ngx_http_compile_complex_value_t = unsafe { std::mem::zeroed() };
        compile.cf = cf;
        compile.value = &raw mut source;
        compile.complex_value = value;
        // SAFETY: all pointers are valid; nginx fills `value`, which keeps pointers into the pool. Directives
        // of a module are below `http`.
        let (rc, generation) = unsafe {
            let rc = ngx_http_compile_complex_value(&raw mut compile);
            (rc, (*MainEntry::<T>::of(cf)).generation)
        };
        (rc == NGX_OK as ngx_int_t).then_some(Self { value, generation })
    }

    /// What it says for this request; the bytes live as long as the request. `None`: nginx can't tell, or the
    /// request is one of another configuration.
    pub fn evaluate<'r, T: Types>(&self, r: Request<'r, T>) -> Option<&'r [u8]> {
        if r.main_entry().generation != self.generation {
            return None;
        }
        let mut value = ngx_str_t { len: 0, data: std::ptr::null_mut() };
        // SAFETY: the request is live, and so is the configuration, which is that of the request. The
        // expression was filled by nginx, and is read only.
        let rc = unsafe { ngx_http_complex_value(r.as_ptr(), self.value, &raw mut value) };
        if rc != NGX_OK as ngx_int_t {
            return None;
        }
        // SAFETY: nginx allocates the result in the request's pool, or points into the request.
        Some(unsafe { text::bytes(value) })
    }
}
