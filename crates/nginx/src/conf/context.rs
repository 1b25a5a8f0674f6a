//! The configuration that is being read.

use std::ffi::c_void;
use std::fmt;
use std::marker::PhantomData;

use ngx::ffi::{
    ngx_conf_full_name, ngx_conf_log_error, ngx_conf_parse, ngx_conf_t, ngx_pnalloc,
    ngx_pool_cleanup_add, ngx_pool_t, ngx_str_t, ngx_uint_t, NGX_LOG_EMERG,
};

use super::directive::Level;
use crate::guard::guard;
use crate::log::Log;
use crate::text;

/// What is wrong with a directive, and the way out: a lower-case sentence without a full stop. nginx
/// adds the file and the line.
#[derive(Debug)]
pub struct ConfError(String);

impl ConfError {
    /// An error of these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The same, with the name of the directive if it doesn't have that yet.
    pub fn of(self, directive: &str) -> Self {
        if self.0.is_empty() || self.0.contains(directive) {
            return self;
        }
        Self(format!("\"{directive}\": {}", self.0))
    }
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a directive stands, for errors that show only later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position {
    file: String,
    line: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "in {}:{}", self.file, self.line)
    }
}

/// The configuration that is being read.
pub struct ConfContext<'c> {
    cf: *mut ngx_conf_t,
    life: PhantomData<&'c mut ngx_conf_t>,
}

impl ConfContext<'_> {
    /// # Safety
    ///
    /// `cf` is the one that nginx passed to the callback that is running.
    pub(crate) unsafe fn from_raw(cf: *mut ngx_conf_t) -> Self {
        Self { cf, life: PhantomData }
    }

    pub(crate) fn as_ptr(&self) -> *mut ngx_conf_t {
        self.cf
    }

    /// A copy of `bytes` in the configuration's pool, with a NUL behind it that isn't counted.
    pub(crate) fn pool_str(&self, bytes: &[u8]) -> Option<ngx_str_t> {
        // SAFETY: the pool is valid while it is being configured; the block has room for the copy
        // and the NUL.
        unsafe {
            let data: *mut u8 = ngx_pnalloc((*self.cf).pool, bytes.len() + 1).cast();
            if data.is_null() {
                return None;
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            *data.add(bytes.len()) = 0;
            Some(ngx_str_t { len: bytes.len(), data })
        }
    }

    /// The words of the directive, its name first.
    pub fn args(&self) -> Result<Vec<String>, ConfError> {
        // SAFETY: nginx fills `args` with `ngx_str_t` before it calls the handler of a directive.
        let words = unsafe { (*(*self.cf).args).as_slice::<ngx_str_t>() };
        words
            .iter()
            .map(|word| {
                // SAFETY: the words live in the configuration's pool.
                let bytes = unsafe { text::bytes(*word) };
                String::from_utf8(bytes.to_vec())
                    .map_err(|_| ConfError::new("an argument is not valid UTF-8"))
            })
            .collect()
    }

    /// The file and line that are being read.
    pub fn position(&self) -> Position {
        // SAFETY: while directives are read, `conf_file` is set; `-g` has one without a name.
        unsafe {
            let Some(file) = (*self.cf).conf_file.as_ref() else {
                return Position::default();
            };
            Position {
                file: String::from_utf8_lossy(text::bytes(file.file.name)).into_owned(),
                line: file.line,
            }
        }
    }

    /// `path`, taken from the folder of nginx.conf unless it is absolute.
    pub fn full_path(&self, path: &str) -> Result<String, ConfError> {
        self.absolute(path, true)
    }

    /// `path`, taken from nginx's prefix unless it is absolute, as for what nginx writes.
    pub fn prefix_path(&self, path: &str) -> Result<String, ConfError> {
        self.absolute(path, false)
    }

    fn absolute(&self, path: &str, from_conf: bool) -> Result<String, ConfError> {
        let out = || ConfError::new("out of memory");
        let mut name = self.pool_str(path.as_bytes()).ok_or_else(out)?;
        // SAFETY: the cycle and its pool are valid while it is being configured.
        if unsafe { ngx_conf_full_name((*self.cf).cycle, &raw mut name, from_conf.into()) } != 0 {
            return Err(out());
        }
        // SAFETY: nginx allocated the new name in the cycle's pool.
        let bytes = unsafe { text::bytes(name) };
        String::from_utf8(bytes.to_vec()).map_err(|_| ConfError::new("a path is not valid UTF-8"))
    }

    /// Whether an nginx runs, with the configuration of before.
    pub fn is_running(&self) -> bool {
        crate::process::is_running()
    }

    /// The configuration's log, for messages that carry their own place.
    pub fn log(&self) -> Log<'_> {
        // SAFETY: the log is valid while the context is.
        unsafe { Log::from_raw((*self.cf).log) }
    }

    /// An error, to which nginx adds the place that is being read.
    pub(super) fn error(&self, ConfError(message): &ConfError) {
        if message.is_empty() {
            return; // It has been said.
        }
        // SAFETY: `%*s` takes a length and a pointer to so many bytes.
        unsafe {
            ngx_conf_log_error(
                NGX_LOG_EMERG as ngx_uint_t,
                self.cf,
                0,
                c"%*s".as_ptr(),
                message.len(),
                message.as_ptr(),
            );
        }
    }

    /// Reads the block that follows, whose directives are those of the level `inside`.
    pub(super) fn block(&self, inside: Level) -> Result<(), ConfError> {
        // SAFETY: as every block directive of nginx does it: a copy of the context for the block.
        let rc = unsafe {
            let mut inner = *self.cf;
            inner.cmd_type = inside.bit();
            ngx_conf_parse(&raw mut inner, std::ptr::null_mut())
        };
        if rc.is_null() {
            Ok(())
        } else {
            Err(ConfError(String::new())) // It has been said.
        }
    }
}

unsafe extern "C" fn drop_boxed<T>(data: *mut c_void) {
    guard((), || {
        // SAFETY: `boxed` put a `Box<T>` here, and nginx runs a cleanup once.
        drop(unsafe { Box::from_raw(data.cast::<T>()) });
    });
}

/// Moves `value` to the heap, to be dropped with the pool. Null when nginx has no memory.
///
/// # Safety
///
/// `pool` is valid.
pub(crate) unsafe fn boxed<T>(pool: *mut ngx_pool_t, value: T) -> *mut T {
    // SAFETY: the pool is valid.
    let cleanup = unsafe { ngx_pool_cleanup_add(pool, 0) };
    if cleanup.is_null() {
        return std::ptr::null_mut();
    }
    let value = Box::into_raw(Box::new(value));
    // SAFETY: nginx has just made the entry.
    unsafe {
        (*cleanup).data = value.cast();
        (*cleanup).handler = Some(drop_boxed::<T>);
    }
    value
}

/// Keeps `value` for as long as the configuration lives. `None` when nginx has no memory.
pub(crate) fn keep<T>(cx: &ConfContext<'_>, value: T) -> Option<()> {
    // SAFETY: the pool is valid while it is being configured.
    let kept = unsafe { boxed((*cx.cf).pool, value) };
    (!kept.is_null()).then_some(())
}
