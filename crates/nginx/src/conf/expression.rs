//! The regular expression of a location.

use std::ptr::null_mut;

use ngx::core::Status;
use ngx::ffi::{
    ngx_array_t, ngx_cycle, ngx_http_core_loc_conf_t, ngx_http_regex_t, ngx_regex_elt_t,
    ngx_regex_exec_array, ngx_str_t,
};

pub(super) struct Expression(*mut ngx_http_regex_t);

impl Expression {
    pub(super) fn of(location: &ngx_http_core_loc_conf_t) -> Self {
        Self(location.regex)
    }

    pub(super) fn matches(&self, uri: &str) -> bool {
        // SAFETY: nginx keeps what it compiled as long as the configuration; the function reads so many
        // bytes, and one element. It is the same for both PCREs, where `ngx_regex_exec` is a macro in some.
        unsafe {
            let Some(expression) = self.0.as_ref() else { return false };
            let mut text = ngx_str_t { len: uri.len(), data: uri.as_ptr().cast_mut() };
            let mut element =
                ngx_regex_elt_t { regex: expression.regex, name: expression.name.data };
            let mut elements = ngx_array_t {
                elts: (&raw mut element).cast(),
                nelts: 1,
                size: size_of::<ngx_regex_elt_t>(),
                nalloc: 1,
                pool: null_mut(),
            };
            let log = (*ngx_cycle).log;
            Status(ngx_regex_exec_array(&raw mut elements, &raw mut text, log)) == Status::NGX_OK
        }
    }
}
