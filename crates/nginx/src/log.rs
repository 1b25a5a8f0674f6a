//! nginx's error log.

use std::fmt;
use std::marker::PhantomData;

use ngx::ffi::{
    ngx_cycle, ngx_log_error_core, ngx_log_t, ngx_uint_t, NGX_LOG_CRIT, NGX_LOG_EMERG, NGX_LOG_ERR,
    NGX_LOG_INFO, NGX_LOG_NOTICE, NGX_LOG_WARN,
};

fn write(log: *mut ngx_log_t, level: u32, message: fmt::Arguments<'_>) {
    if log.is_null() {
        return;
    }
    let level = level as ngx_uint_t;
    // SAFETY: the callers pass the log of a live cycle or connection.
    if unsafe { (*log).log_level } < level {
        return;
    }
    let message = message.to_string();
    // SAFETY: `%*s` takes a length and a pointer to so many bytes; nginx copies them.
    unsafe {
        ngx_log_error_core(level, log, 0, c"%*s".as_ptr(), message.len(), message.as_ptr());
    }
}

fn cycle_log() -> *mut ngx_log_t {
    // SAFETY: nginx sets the cycle before it calls any module, and changes it only between callbacks.
    unsafe { ngx_cycle.as_ref().map_or(std::ptr::null_mut(), |cycle| cycle.log) }
}

/// Something of ours went badly wrong.
pub fn cycle_crit(message: fmt::Arguments<'_>) {
    write(cycle_log(), NGX_LOG_CRIT, message);
}

/// An error outside of any request.
pub fn cycle_error(message: fmt::Arguments<'_>) {
    write(cycle_log(), NGX_LOG_ERR, message);
}

/// The configuration can't be taken into use.
pub fn cycle_emerg(message: fmt::Arguments<'_>) {
    write(cycle_log(), NGX_LOG_EMERG, message);
}

/// A warning outside of any request.
pub fn cycle_warn(message: fmt::Arguments<'_>) {
    write(cycle_log(), NGX_LOG_WARN, message);
}

/// Something outside of any request that somebody may want to look up.
pub fn cycle_notice(message: fmt::Arguments<'_>) {
    write(cycle_log(), NGX_LOG_NOTICE, message);
}

/// Something outside of any request that is all right.
pub fn cycle_info(message: fmt::Arguments<'_>) {
    write(cycle_log(), NGX_LOG_INFO, message);
}

/// A handle on one of nginx's logs, for as long as a callback lasts.
#[derive(Clone, Copy, Debug)]
pub struct Log<'l> {
    log: *mut ngx_log_t,
    life: PhantomData<&'l ngx_log_t>,
}

impl Log<'_> {
    /// # Safety
    ///
    /// `log` is null, or valid for as long as the value is used.
    pub(crate) unsafe fn from_raw(log: *mut ngx_log_t) -> Self {
        Self { log, life: PhantomData }
    }

    /// An error.
    pub fn error(self, message: fmt::Arguments<'_>) {
        write(self.log, NGX_LOG_ERR, message);
    }

    /// Something that is all right.
    pub fn info(self, message: fmt::Arguments<'_>) {
        write(self.log, NGX_LOG_INFO, message);
    }

    /// A warning.
    pub fn warn(self, message: fmt::Arguments<'_>) {
        write(self.log, NGX_LOG_WARN, message);
    }

    /// The configuration can't be taken into use.
    pub fn emerg(self, message: fmt::Arguments<'_>) {
        write(self.log, NGX_LOG_EMERG, message);
    }
}
