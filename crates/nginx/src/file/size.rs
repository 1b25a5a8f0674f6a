//! The limit on the size of files (`ulimit -f`): by default, a write beyond it ends the process without a
//! word. Here it is an error of that write.

use std::ffi::c_int;

use ngx::ffi::{signal, SIGXFSZ};

unsafe extern "C" fn nothing(_: c_int) {}

/// Has writes beyond the limit fail, in this process and in those that it makes, unless nginx or another
/// module has something else done.
pub(crate) fn survive_limit() {
    let number = c_int::try_from(SIGXFSZ).unwrap_or(0);
    // SAFETY: nginx reads the configuration on its only thread. The handler does nothing, and so it may run
    // anywhere. (To ignore the signal would go for the programs as well that nginx runs.)
    unsafe {
        let before = signal(number, Some(nothing));
        // 0 is the default.
        if before.is_some() {
            signal(number, before);
        }
    }
}
