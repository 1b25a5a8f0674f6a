//! What tests have in the place of nginx: its allocator, and a request with nothing behind it.
//!
//! Each block is one of its own of the system's allocator, so that AddressSanitizer sees where it ends.

use std::alloc::{alloc_zeroed, Layout};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ngx::ffi::{
    ngx_buf_t, ngx_chain_t, ngx_connection_t, ngx_event_t, ngx_http_request_t, ngx_int_t,
    ngx_list_part_t, ngx_list_t, ngx_module_t, ngx_pool_cleanup_t, ngx_pool_t, ngx_queue_t, NGX_OK,
};

use crate::process::Workers;
use crate::registration::{Marks, Registered, Registration};
use crate::request::attachment::drop_attachment;
use crate::request::kept::Kept;
use crate::request::{flags, Request};
use crate::shm::Shared;
use crate::types::Types;

/// A block of zeros that is never freed, as that of a pool that outlives the test.
fn block(size: usize) -> *mut c_void {
    let layout = Layout::from_size_align(size.max(1), 16).unwrap();
    // SAFETY: the size isn't zero.
    unsafe { alloc_zeroed(layout).cast() }
}

/// A value of zeros that lives for ever.
pub(crate) fn zeroed<T>() -> &'static mut T {
    // SAFETY: only for nginx's structures, for which zero is a value.
    unsafe { &mut *block(size_of::<T>()).cast::<T>() }
}

#[no_mangle]
unsafe extern "C" fn ngx_palloc(_pool: *mut ngx_pool_t, size: usize) -> *mut c_void {
    let block = block(size);
    // SAFETY: nginx doesn't clear it; whoever counts on that is found out.
    unsafe { block.cast::<u8>().write_bytes(0xa5, size) };
    block
}

#[no_mangle]
unsafe extern "C" fn ngx_pnalloc(pool: *mut ngx_pool_t, size: usize) -> *mut c_void {
    // SAFETY: as above.
    unsafe { ngx_palloc(pool, size) }
}

#[no_mangle]
unsafe extern "C" fn ngx_pcalloc(_pool: *mut ngx_pool_t, size: usize) -> *mut c_void {
    block(size)
}

#[no_mangle]
unsafe extern "C" fn ngx_alloc_chain_link(_pool: *mut ngx_pool_t) -> *mut ngx_chain_t {
    zeroed()
}

/// As nginx does it: from the list, else a new one.
#[no_mangle]
unsafe extern "C" fn ngx_chain_get_free_buf(
    _pool: *mut ngx_pool_t,
    free: *mut *mut ngx_chain_t,
) -> *mut ngx_chain_t {
    // SAFETY: the list is the caller's.
    unsafe {
        if let Some(link) = (*free).as_mut() {
            *free = link.next;
            link.next = null_mut();
            return link;
        }
    }
    let link: &mut ngx_chain_t = zeroed();
    link.buf = zeroed::<ngx_buf_t>();
    link
}

#[no_mangle]
unsafe extern "C" fn ngx_pool_cleanup_add(
    pool: *mut ngx_pool_t,
    size: usize,
) -> *mut ngx_pool_cleanup_t {
    let cleanup: &mut ngx_pool_cleanup_t = zeroed();
    cleanup.data = if size > 0 { block(size) } else { null_mut() };
    // SAFETY: the pool of a test.
    unsafe {
        cleanup.next = (*pool).cleanup;
        (*pool).cleanup = cleanup;
    }
    cleanup
}

#[no_mangle]
unsafe extern "C" fn ngx_list_push(list: *mut ngx_list_t) -> *mut c_void {
    // SAFETY: the list of a test, or of what it calls.
    unsafe {
        let list = &mut *list;
        if (*list.last).nelts == list.nalloc {
            let part: &mut ngx_list_part_t = zeroed();
            part.elts = ngx_palloc(list.pool, list.nalloc * list.size);
            (*list.last).next = part;
            list.last = part;
        }
        let last = &mut *list.last;
        last.nelts += 1;
        last.elts.byte_add(list.size * (last.nelts - 1))
    }
}

// What handles on requests lead to. Tests look only whether they get there.

#[no_mangle]
static mut ngx_posted_events: ngx_queue_t = ngx_queue_t { prev: null_mut(), next: null_mut() };

/// How often a request was ended.
pub(crate) static FINALIZED: AtomicU64 = AtomicU64::new(0);

#[no_mangle]
unsafe extern "C" fn ngx_http_finalize_request(_r: *mut ngx_http_request_t, _rc: ngx_int_t) {
    FINALIZED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

#[no_mangle]
unsafe extern "C" fn ngx_http_run_posted_requests(_c: *mut ngx_connection_t) {}

#[no_mangle]
unsafe extern "C" fn ngx_http_block_reading(_r: *mut ngx_http_request_t) {}

#[no_mangle]
unsafe extern "C" fn ngx_http_core_run_phases(_r: *mut ngx_http_request_t) {}

#[no_mangle]
unsafe extern "C" fn ngx_http_request_empty_handler(r: *mut ngx_http_request_t) {
    // Another function than the others, whatever the compiler does with those that are alike.
    std::hint::black_box(r);
}

#[no_mangle]
unsafe extern "C" fn ngx_http_test_reading(_r: *mut ngx_http_request_t) {}

#[no_mangle]
unsafe extern "C" fn ngx_handle_read_event(_event: *mut ngx_event_t, _flags: usize) -> ngx_int_t {
    NGX_OK as ngx_int_t
}

/// nginx runs on one thread, and what there is once of it is not made for more. A test that has to do with
/// requests holds this.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let events = &raw mut ngx_posted_events;
    // SAFETY: an empty ring, as nginx has it between two turns of its loop.
    unsafe { (*events) = ngx_queue_t { prev: events, next: events } };
    guard
}

/// A module.
pub(crate) struct Tested;

/// Its state: the bytes that it remembers, and how often one was dropped.
pub(crate) struct Remembered(pub(crate) Kept);

/// Its shared memory, which no test makes.
pub(crate) struct Nothing;

impl Shared for Nothing {
    const DIRECTIVE: &'static str = "nothing";
    const MEMORY: &'static str = "nothing";
    const NUMBER: u8 = 0;

    type View<'m> = ();

    fn shorten<'s, 'm: 's>(view: &'s ()) -> &'s () {
        view
    }

    fn is_filed(&self) -> bool {
        false
    }

    fn attach(_words: &[AtomicU64]) -> Result<(), String> {
        Ok(())
    }

    fn format(
        &self,
        _zone: &str,
        _words: &[AtomicU64],
        _workers: Option<&Workers>,
    ) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self, _workers: Option<&Workers>) {}
}

static REGISTRATION: Registration = Registration::new(
    ngx_module_t::default(),
    Marks {
        attachment: Some(drop_attachment::<Tested>),
        early_id: None,
        write_first: None,
        write_early: None,
    },
);

// SAFETY: no other type has it. nginx would write the index of contexts, which is 0 for the default.
unsafe impl Registered for Tested {
    fn registration() -> &'static Registration {
        &REGISTRATION
    }
}

impl Types for Tested {
    const NAME: &'static str = "tested";

    type Main = ();
    type Loc = ();
    type State = Remembered;
    type Zone = Nothing;

    fn log_id(state: &Remembered) -> Kept {
        state.0
    }
}

/// A request that nobody has sent.
pub(crate) struct FakeRequest(&'static mut ngx_http_request_t);

impl FakeRequest {
    pub(crate) fn new() -> Self {
        let r: &mut ngx_http_request_t = zeroed();
        r.main = r;
        r.pool = zeroed::<ngx_pool_t>();
        r.ctx = block(64 * size_of::<*mut c_void>()).cast();
        let connection: &mut ngx_connection_t = zeroed();
        (connection.read, connection.write) = (zeroed::<ngx_event_t>(), zeroed::<ngx_event_t>());
        r.connection = connection;
        // The module's index of contexts is that of one that isn't loaded, and so no index at all.
        // SAFETY: nothing else is running that reads it: it is the same in all tests.
        unsafe { (*REGISTRATION.as_ptr()).ctx_index = 0 };
        // SAFETY: it lives for ever.
        unsafe { flags::set_count(r, 1) };
        Self(r)
    }

    pub(crate) fn raw(&mut self) -> &mut ngx_http_request_t {
        self.0
    }

    pub(crate) fn request(&mut self) -> Request<'_, Tested> {
        // SAFETY: it lives for ever.
        unsafe { Request::from_raw(self.0) }
    }

    /// Frees it, as nginx does: the cleanups of the pool run when the request has none any more.
    pub(crate) fn free(mut self) {
        let r = self.raw();
        // SAFETY: nothing else refers to it.
        unsafe { flags::set_count(r, 0) };
        let pool = std::mem::replace(&mut r.pool, null_mut());
        // SAFETY: the pool of the request, and its cleanups.
        unsafe {
            let mut cleanup = (*pool).cleanup;
            while let Some(entry) = cleanup.as_mut() {
                if let Some(handler) = entry.handler {
                    handler(entry.data);
                }
                cleanup = entry.next;
            }
        }
    }
}
