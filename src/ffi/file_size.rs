//! The limit on the size of files (`ulimit -f`): by default, a write beyond it ends the process without a
//! word. Here it is an error of that write.

use std::ffi::c_int;

use ngx::ffi::{getrlimit, rlimit, signal, SIGXFSZ};

/// The same for all of Linux.
const RLIMIT_FSIZE: u8 = 1;

unsafe extern "C" fn nothing(_: c_int) {}

/// Has writes beyond the limit fail, in this process and in those that it makes, unless nginx or another
/// module has something else done.
pub(super) fn survive_limit() {
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

/// The largest size of a file, in bytes; `None`: there is no limit.
pub(super) fn limit() -> Option<u64> {
    let mut found = rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is written to, and no longer than the call lasts.
    let is_known = unsafe { getrlimit(RLIMIT_FSIZE.into(), &raw mut found) } == 0;
    // RLIM_INFINITY is the largest number.
    Some(found.rlim_cur).filter(|limit| is_known && *limit != u64::MAX)
}
