//! The symbols by which nginx finds the module.

use crate::types::Tollgate;

// Below the copy filter, as for any module of nginx's type `HTTP_AUX_FILTER`: there bodies are in memory, and
// not yet compressed. The file `config` says the same to nginx's own build.
#[cfg(not(feature = "linked-in"))]
nginx::module!(Tollgate, c"ngx_http_tollgate_module", c"ngx_http_copy_filter_module");

#[cfg(feature = "linked-in")]
nginx::module!(Tollgate, static ngx_http_tollgate_module);
