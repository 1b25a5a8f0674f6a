//! The files that a configuration has opened.

use ngx::ffi::{ngx_cycle_t, ngx_open_file_t};

/// Calls `f` with each of them.
///
/// # Safety
///
/// `cycle` is valid.
pub(super) unsafe fn each(cycle: *const ngx_cycle_t, mut f: impl FnMut(*mut ngx_open_file_t)) {
    // SAFETY: by the contract of this function; nginx keeps its files in a list.
    unsafe {
        let mut part = &raw const (*cycle).open_files.part;
        while let Some(files) = part.as_ref() {
            for index in 0..files.nelts {
                f(files.elts.cast::<ngx_open_file_t>().add(index));
            }
            part = files.next;
        }
    }
}

/// How many there are.
///
/// # Safety
///
/// `cycle` is valid.
pub(super) unsafe fn count(cycle: *const ngx_cycle_t) -> usize {
    let mut count: usize = 0;
    // SAFETY: by the contract of this function.
    unsafe { each(cycle, |_| count = count.saturating_add(1)) };
    count
}
