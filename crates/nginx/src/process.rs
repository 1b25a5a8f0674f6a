//! The process that we run in.

use std::ffi::{c_char, c_void, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::OnceLock;
use std::thread::{JoinHandle, ThreadId};

use ngx::ffi::{
    chown, geteuid, getgrouplist, kill, ngx_core_conf_t, ngx_core_module, ngx_cycle, ngx_cycle_t,
    ngx_exiting, ngx_inherited, ngx_pid, ngx_process, ngx_test_config, ngx_worker, pthread_sigmask,
    sigfillset, sigset_t, NGX_PROCESS_SIGNALLER, NGX_PROCESS_SINGLE, NGX_PROCESS_WORKER,
    SIG_SETMASK,
};

use crate::text;

/// Whether the process answers requests.
pub(crate) fn is_worker() -> bool {
    // SAFETY: nginx writes it before it calls any hook of a process.
    let process = unsafe { ngx_process };
    process == NGX_PROCESS_WORKER as usize || process == NGX_PROCESS_SINGLE as usize
}

/// Whether it is an old one, which ends when its last request does.
/// Any thread may ask.
pub fn is_exiting() -> bool {
    // SAFETY: it is a word of nginx's that is always there, aligned, which nginx's own thread writes once; the others get
    // the value of before that, or of after it.
    let exiting = unsafe { AtomicUsize::from_ptr(&raw mut ngx_exiting) };
    exiting.load(Ordering::Relaxed) != 0
}

/// The thread that nginx runs in. A worker has the same one as the master that it is a copy of.
static THREAD: OnceLock<ThreadId> = OnceLock::new();

/// This is that thread: it reads the configuration.
pub(crate) fn set_nginx_thread() {
    let _ = THREAD.set(std::thread::current().id());
}

/// Whether this is the thread that nginx runs in.
pub(crate) fn is_nginx_thread() -> bool {
    THREAD.get() == Some(&std::thread::current().id())
}

/// Its place among the workers of a configuration, from 0: whoever replaces one that died has it, too.
pub fn index() -> usize {
    // SAFETY: nginx writes it at the start of the process.
    unsafe { ngx_worker }
}

/// Whether the configuration that is read is not to be used by this process: `nginx -t`.
pub fn is_test() -> bool {
    // SAFETY: nginx writes it once, from its command line.
    unsafe { ngx_test_config != 0 }
}

/// Whether there is an nginx that runs already, with the configuration of before: the configuration is
/// read for a reload, or for a signal (`nginx -s`).
pub(crate) fn is_running() -> bool {
    // SAFETY: nginx writes the number from its command line; the cycle is that of the configuration in
    // use, which at the start is an empty one.
    unsafe {
        ngx_process == NGX_PROCESS_SIGNALLER as usize
            || ngx_cycle.as_ref().is_some_and(|cycle| !cycle.conf_ctx.is_null())
    }
}

/// Whether the process does nothing but send a signal to an nginx that runs (`nginx -s`).
pub(crate) fn is_signaller() -> bool {
    // SAFETY: nginx writes it from its command line.
    unsafe { ngx_process == NGX_PROCESS_SIGNALLER as usize }
}

/// Whether an nginx that runs has started this one, to be followed by it (USR2).
pub(crate) fn is_upgrade() -> bool {
    // SAFETY: nginx writes it once, at its start, when it takes over the sockets of the other.
    unsafe { ngx_inherited != 0 }
}

/// Its number as the kernel has it: for code that runs in the master as well, before nginx knows.
pub fn current() -> u32 {
    std::process::id()
}

/// A process, as others know it. Numbers are used again: one that started at another time is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in ticks since boot; 0: not known.
    pub started: u32,
}

/// This process.
#[must_use]
pub fn me() -> Process {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let pid = current_as_nginx_knows();
    let known = STARTED.load(Ordering::Relaxed);
    // A fork makes another process.
    if known >> 32 == u64::from(pid) {
        return Process { pid, started: u32::try_from(known & u64::from(u32::MAX)).unwrap_or(0) };
    }
    let started = seen(pid).map_or(0, |(_, started)| started);
    STARTED.store(u64::from(pid) << 32 | u64::from(started), Ordering::Relaxed);
    Process { pid, started }
}

/// The number that nginx wrote at the start of the process; before that, what the kernel says.
fn current_as_nginx_knows() -> u32 {
    // SAFETY: nginx writes it at the start of the process.
    match u32::try_from(unsafe { ngx_pid }) {
        Ok(pid @ 1..) => pid,
        _ => current(),
    }
}

/// Whether this process lives. Numbers are used again: one that started at another time is another one.
pub fn is_alive(other: Process) -> bool {
    exists(other.pid)
        && seen(other.pid).is_none_or(|(is_over, started)| {
            !is_over && (other.started == 0 || started == other.started)
        })
}

/// Whether a process has come to its end, and waits for its parent to notice; and when it started, in
/// ticks since boot: fields 3 and 22 of `/proc/PID/stat` (proc(5)). `None` where that can't be read.
fn seen(pid: u32) -> Option<(bool, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, behind) = stat.rsplit_once(')')?;
    let mut fields = behind.split_ascii_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X" | "x");
    let ticks: u64 = fields.nth(18)?.parse().ok()?;
    Some((is_over, u32::try_from(ticks & u64::from(u32::MAX)).ok()?))
}

/// Whether there is a process of this number, whoever's it is.
fn exists(id: u32) -> bool {
    let Ok(pid) = i32::try_from(id) else { return false };
    // SAFETY: signal 0 is sent to nobody.
    let found = unsafe { kill(pid, 0) } == 0;
    found || io::Error::last_os_error().kind() == io::ErrorKind::PermissionDenied
}

/// Runs `f` in a thread of its own, to which no signal of nginx's is delivered. The name is for whoever
/// looks at the process, and 15 bytes long at most.
pub fn spawn<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    #[allow(clippy::cast_possible_wrap)]
    const SET: i32 = SIG_SETMASK as i32;
    // SAFETY: both sets are written before they are read. A thread inherits the mask of the one that
    // makes it, so that there is no moment in which it could be given a signal.
    unsafe {
        let (mut all, mut before): (sigset_t, sigset_t) = (std::mem::zeroed(), std::mem::zeroed());
        sigfillset(&raw mut all);
        pthread_sigmask(SET, &raw const all, &raw mut before);
        let thread = std::thread::Builder::new().name(name.into()).spawn(f);
        pthread_sigmask(SET, &raw const before, std::ptr::null_mut());
        thread
    }
}

/// Who the workers are going to be: user and group. `None` where the process can't change that.
///
/// # Safety
///
/// `cycle` is the one that is being made, with its core module configured.
pub(crate) unsafe fn worker_user(cycle: *mut ngx_cycle_t) -> Option<(u32, u32)> {
    // SAFETY: by the contract of this function.
    unsafe {
        if geteuid() != 0 || cycle.is_null() {
            return None;
        }
        let conf = (*cycle).conf_ctx.add(ngx_core_module.index);
        let core = (*conf).cast::<ngx_core_conf_t>().as_ref()?;
        let unset = core.user == u32::MAX || core.group == u32::MAX;
        (!unset).then_some((core.user, core.group))
    }
}

/// Who the workers are, where that is somebody else than this process.
#[derive(Clone, Debug)]
pub struct Workers {
    /// Their user.
    pub user: u32,
    /// Their group.
    pub group: u32,
    /// Those that the user is in, that one included.
    pub groups: Vec<u32>,
}

/// # Safety
///
/// `cycle` is null, or complete but for its shared memory.
pub(crate) unsafe fn workers(cycle: *mut ngx_cycle_t) -> Option<Workers> {
    // SAFETY: by the contract of this function, `worker_user` has looked whether there is a cycle; nginx keeps
    // the name as a string with a NUL. The list has room for as many groups as the function is told.
    unsafe {
        let (user, group) = worker_user(cycle)?;
        let conf = (*cycle).conf_ctx.add(ngx_core_module.index);
        let core = (*conf).cast::<ngx_core_conf_t>().as_ref()?;
        let mut groups = vec![0; 1024];
        let mut count = 1024;
        // As nginx's own call of initgroups(3).
        let found = !core.username.is_null()
            && getgrouplist(core.username, group, groups.as_mut_ptr(), &raw mut count) >= 0;
        groups.truncate(if found { usize::try_from(count).unwrap_or(0) } else { 0 });
        Some(Workers { user, group, groups })
    }
}

impl Workers {
    /// Whether a file or folder gives them these rights, as far as its mode tells. What an access control
    /// list says is left to that.
    pub fn may(&self, path: &Path, rights: u32) -> bool {
        let Ok(found) = std::fs::metadata(path) else { return false };
        let is_in = |group: u32| group == self.group || self.groups.contains(&group);
        let shift = match (found.uid() == self.user, is_in(found.gid())) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        self.user == 0 || found.mode() >> shift & rights == rights || has_acl(path)
    }
}

/// Whether a file has an access control list (acl(5)).
fn has_acl(path: &Path) -> bool {
    extern "C" {
        fn getxattr(
            path: *const c_char,
            name: *const c_char,
            value: *mut c_void,
            size: usize,
        ) -> isize;
    }
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: both are strings with a NUL at their end; with a size of 0 nothing is written.
    let size =
        unsafe { getxattr(path.as_ptr(), c"system.posix_acl_access".as_ptr(), null_mut(), 0) };
    size > 0
}

/// What nginx does with its processes.
#[derive(Debug)]
pub struct Processes {
    /// The file that holds the master's number.
    pub pid_path: PathBuf,
    /// How many workers there are to be.
    pub workers: usize,
    /// Who they are: user and group; `None` where the process can't change that.
    pub worker_user: Option<(u32, u32)>,
}

/// # Safety
///
/// `cycle` is complete.
pub(crate) unsafe fn processes(cycle: *mut ngx_cycle_t) -> Option<Processes> {
    // SAFETY: by the contract of this function; the core module's configuration has its path resolved.
    unsafe {
        let conf = (*cycle).conf_ctx.add(ngx_core_module.index);
        let core = (*conf).cast::<ngx_core_conf_t>().as_ref()?;
        let pid = OsStr::from_bytes(text::bytes(core.pid));
        let workers =
            if core.master == 0 { 1 } else { usize::try_from(core.worker_processes).ok()? };
        Some(Processes { pid_path: PathBuf::from(pid), workers, worker_user: worker_user(cycle) })
    }
}

/// Gives a file or folder to a user.
/// # Errors
///
/// Those of chown(2).
pub fn give(path: &std::ffi::CStr, (user, group): (u32, u32)) -> io::Result<()> {
    // SAFETY: the path ends in a NUL.
    match unsafe { chown(path.as_ptr(), user, group) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
