//! The symbols by which nginx finds the module.

use crate::types::Tollgate;

// Below the copy filter, as for any module of nginx's type `HTTP_AUX_FILTER`: there bodies are in memory, and
// not yet compressed.
nginx::module!(Tollgate, c"ngx_http_tollgate_module", c"ngx_http_copy_filter_module");
