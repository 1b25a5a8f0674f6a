//! Names of files by a pattern, as `include` takes them.

use ngx::ffi::{
    ngx_close_glob, ngx_glob_t, ngx_int_t, ngx_open_glob, ngx_read_glob, ngx_str_t, NGX_OK,
};

use super::context::ConfContext;
use crate::text;

impl ConfContext<'_> {
    /// The files that `pattern` names, in nginx's order; none if it isn't one, or fits none.
    pub fn glob(&self, pattern: &str) -> Vec<String> {
        const OK: ngx_int_t = NGX_OK as ngx_int_t;
        let mut names = Vec::new();
        let Some(pattern) = self.pool_str(pattern.as_bytes()) else { return names };
        // SAFETY: a structure of pointers and numbers, for which zero is a value. The pattern ends in a NUL,
        // and the log is that of the configuration; what is read is copied before it is closed.
        unsafe {
            let mut glob: ngx_glob_t = std::mem::zeroed();
            glob.pattern = pattern.data;
            glob.log = (*self.as_ptr()).log;
            glob.test = 1;
            if ngx_open_glob(&raw mut glob) != OK {
                return names;
            }
            let mut name = ngx_str_t { len: 0, data: std::ptr::null_mut() };
            while ngx_read_glob(&raw mut glob, &raw mut name) == OK {
                names.push(String::from_utf8_lossy(text::bytes(name)).into_owned());
            }
            ngx_close_glob(&raw mut glob);
        }
        names
    }

    /// The file that nginx was started with.
    pub fn main_file(&self) -> String {
        // SAFETY: the cycle is valid while it is being configured, and so is its name of the file.
        let name = unsafe { text::bytes((*(*self.as_ptr()).cycle).conf_file) };
        String::from_utf8_lossy(name).into_owned()
    }
}
