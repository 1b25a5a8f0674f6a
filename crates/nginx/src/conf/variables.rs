//! Variables.

use ngx::ffi::{
    ngx_conf_t, ngx_http_add_variable, ngx_http_request_t, ngx_http_variable_value_t, ngx_int_t,
    ngx_str_t, NGX_HTTP_VAR_NOCACHEABLE, NGX_OK,
};

use super::context::ConfContext;
use crate::guard::inside;
use crate::module::Module;
use crate::request::Request;

/// Declares the variables.
///
/// # Safety
///
/// `cf` is the context that nginx passed to `preconfiguration`.
pub(crate) unsafe fn add<M: Module>(cf: *mut ngx_conf_t) -> Option<()> {
    // SAFETY: by the contract of this function.
    let cx = unsafe { ConfContext::from_raw(cf) };
    for (index, variable) in M::VARIABLES.iter().enumerate() {
        let mut name: ngx_str_t = cx.pool_str(variable.as_bytes())?;
        // They change in the course of a request: from nothing to something.
        // SAFETY: nginx copies the name, and the entry is valid while it is being configured.
        unsafe {
            let entry = ngx_http_add_variable(cf, &raw mut name, NGX_HTTP_VAR_NOCACHEABLE as usize);
            let entry = entry.as_mut()?;
            entry.get_handler = Some(get::<M>);
            entry.data = index;
        }
    }
    Some(())
}

unsafe extern "C" fn get<M: Module>(
    r: *mut ngx_http_request_t,
    value: *mut ngx_http_variable_value_t,
    data: usize,
) -> ngx_int_t {
    // SAFETY: nginx passes a live request.
    let r = unsafe { Request::from_raw(r) };
    let found = inside(Err(()), || Ok(M::variable(data, r))).unwrap_or_else(|()| {
        inside((), || M::variable_failed(r));
        None
    });
    // SAFETY: nginx passes the place of the value.
    let value = unsafe { &mut *value };
    let len = found.map(|bytes| u32::try_from(bytes.len()));
    if let (Some(bytes), Some(Ok(len))) = (found, len) {
        value.set_len(len);
        value.set_valid(1);
        value.set_no_cacheable(0);
        value.set_not_found(0);
        value.data = bytes.as_ptr().cast_mut();
    } else {
        value.set_not_found(1);
    }
    NGX_OK as ngx_int_t
}
