//! Which variables come of the header of a request.

use ngx::ffi::{
    ngx_http_variable_t, NGX_HTTP_VAR_CHANGEABLE, NGX_HTTP_VAR_NOCACHEABLE, NGX_HTTP_VAR_WEAK,
};

use crate::text;

/// Names that begin so are header lines.
const PREFIXES: [&[u8]; 2] = [b"http_", b"cookie_"];
/// Others that come of header lines, or of the body that we may have added to.
const NAMES: [&[u8]; 4] =
    [b"content_length", b"content_type", b"proxy_add_x_forwarded_for", b"request_body"];

/// The places of variables, in nginx's order.
#[derive(Debug, Default)]
pub(crate) struct HeaderVariables {
    /// Those that come of the header.
    pub(super) header: Vec<usize>,
    /// Those that may be made of other variables.
    pub(super) derived: Vec<usize>,
    /// Those that somebody assigns a value to, `set` say, or that a directive declares.
    pub(super) assigned: Vec<usize>,
    /// Ours.
    pub(super) ours: Vec<usize>,
}

impl HeaderVariables {
    /// # Safety
    ///
    /// `variables` are those of nginx's main configuration, which is complete.
    pub(super) unsafe fn of(variables: &[ngx_http_variable_t], module: &str) -> Self {
        let mut places = Self::default();
        let is_ours = |name: &[u8]| {
            name.strip_prefix(module.as_bytes()).is_some_and(|rest| rest.starts_with(b"_"))
        };
        for (index, variable) in variables.iter().enumerate() {
            // SAFETY: by the contract of this function.
            let name = unsafe { text::bytes(variable.name) };
            let is_prefix = |prefix: &[u8]| name.starts_with(prefix);
            let has = |flag: u32| variable.flags & flag as usize != 0;
            if PREFIXES.into_iter().any(is_prefix) || NAMES.contains(&name) {
                places.header.push(index);
            } else if is_ours(name) {
                places.ours.push(index);
            } else if !has(NGX_HTTP_VAR_NOCACHEABLE) {
                // To evaluate one of `set` is an error, of which nginx warns.
                if !has(NGX_HTTP_VAR_WEAK) && variable.get_handler.is_some() {
                    places.derived.push(index);
                }
                if has(NGX_HTTP_VAR_WEAK) || has(NGX_HTTP_VAR_CHANGEABLE) {
                    places.assigned.push(index);
                }
            }
        }
        places
    }
}
