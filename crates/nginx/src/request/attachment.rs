//! What a request carries of ours: its state, and its id for the error log.
//!
//! An internal redirect makes nginx forget the contexts of a request, so that this is found by the cleanup
//! handler that it has in the pool as well.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

use ngx::ffi::{ngx_http_log_handler_pt, ngx_http_request_t, ngx_pool_cleanup_add, u_char};

use super::handles;
use super::kept::{Keeper, Kept};
use super::log_context::write_with_id;
use super::Request;
use crate::answer::passing::{Content, Passing};
use crate::guard::guard;
use crate::types::Types;

/// What is attached to a request.
pub(crate) struct Attachment<T: Types> {
    state: RefCell<T::State>,
    /// Tells the request from all others that this process has had.
    generation: u64,
    /// The id of the state, which may be borrowed while something is logged.
    log_id: Kept,
    /// Who writes the context of the request into the error log without us.
    log_handler: ngx_http_log_handler_pt,
    /// The answer, as it goes by.
    pub(crate) passing: RefCell<Passing>,
    /// There where the answer is waited for though the client may leave.
    pub(crate) outlasts: Cell<Option<Content>>,
    /// The header of the answer waits for its body.
    pub(crate) is_held: Cell<bool>,
    /// It has all of the body, and waits on.
    pub(crate) is_whole: Cell<bool>,
    /// The client has left, and the answer is read all the same.
    pub(crate) is_client_absent: Cell<bool>,
}

fn next_generation() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    // nginx runs on one thread.
    let next = LAST.load(Ordering::Relaxed).saturating_add(1);
    LAST.store(next, Ordering::Relaxed);
    next
}

pub(crate) unsafe extern "C" fn drop_attachment<T: Types>(data: *mut c_void) {
    guard((), || {
        // SAFETY: `attach_state` made it, and nginx runs a cleanup once, before it frees the pool.
        let attachment = unsafe { Box::from_raw(data.cast::<Attachment<T>>()) };
        handles::forget(attachment.generation);
        drop(attachment);
    });
}

impl<'r, T: Types> Request<'r, T> {
    /// The state of the request, if this callback belongs to the location in which it was judged:
    /// an internal redirect loses it. See [`Request::find_state`].
    #[inline]
    pub fn state(self) -> Option<&'r RefCell<T::State>> {
        self.attachment().map(|attachment| &attachment.state)
    }

    /// The state of the request, internal redirects or not.
    pub fn find_state(self) -> Option<&'r RefCell<T::State>> {
        self.find_attachment().map(|attachment| &attachment.state)
    }

    /// The state of the request, which is made by the first caller, and known to
    /// [`Request::state`] from now on. `None` when nginx has no memory.
    pub fn attach_state(
        self,
        make: impl FnOnce(&Keeper<'r>) -> T::State,
    ) -> Option<&'r RefCell<T::State>> {
        let mut attachment = self.find_raw();
        if attachment.is_null() {
            // malloc has these at hand up to this size; larger ones cost hundreds of instructions more.
            const { assert!(size_of::<Attachment<T>>() <= 1032) };
            let generation = next_generation();
            // SAFETY: the generation is new, and this request's. What a callback has of it lives as long.
            let keeper = unsafe { Keeper::new(generation) };
            // SAFETY: the pool is live as long as the request.
            unsafe {
                let cleanup = ngx_pool_cleanup_add(self.raw().pool, 0).as_mut()?;
                // Not in the pool, which has room for a little more than what nginx needs itself. There first, so
                // that what is made is made in it.
                let room = Box::new_uninit();
                let state = make(&keeper);
                attachment = Box::into_raw(Box::write(
                    room,
                    Attachment {
                        generation,
                        log_id: T::log_id(&state),
                        state: RefCell::new(state),
                        log_handler: self.original_log_handler(),
                        passing: RefCell::default(),
                        outlasts: Cell::new(None),
                        is_held: Cell::new(false),
                        is_whole: Cell::new(false),
                        is_client_absent: Cell::new(false),
                    },
                ));
                cleanup.data = attachment.cast();
                cleanup.handler = T::registration().marks.attachment;
                // nginx asks it while the request lives, and so does what is attached to it.
                (*self.as_ptr()).log_handler = Some(write_context::<T>);
            }
        }
        // SAFETY: nginx makes the array of contexts; what is attached lives as long as the pool.
        unsafe {
            *self.raw().ctx.add(T::registration().ctx_index()) = attachment.cast();
            Some(&(*attachment).state)
        }
    }

    /// Makes the state of the request known to [`Request::state`] here, too, if it has one.
    pub fn attach_state_again(self) {
        let attachment = self.find_raw();
        if !attachment.is_null() {
            // SAFETY: nginx makes the array of contexts; what is attached lives as long as the pool.
            unsafe { *self.raw().ctx.add(T::registration().ctx_index()) = attachment.cast() }
        }
    }

    /// Remembers bytes of this request, in its state. Before it has one, there is nothing to remember.
    #[must_use]
    pub fn keep(self, bytes: &'r [u8]) -> Kept {
        // SAFETY: as in `attach_state`.
        self.generation()
            .map_or(Kept::EMPTY, |generation| unsafe { Keeper::<'r>::new(generation).keep(bytes) })
    }

    /// What the state of this request remembers. Nothing, if `kept` is another one's.
    #[must_use]
    pub fn kept(self, kept: Kept) -> &'r [u8] {
        // SAFETY: this request lives for `'r`, and has this generation.
        self.generation().map_or(&[], |generation| unsafe { kept.of(generation) })
    }

    /// Tells the request from all others that this process has had; `None`: nothing is attached to it.
    pub(crate) fn generation(self) -> Option<u64> {
        self.find_attachment().map(|attachment| attachment.generation)
    }

    #[inline]
    pub(crate) fn attachment(self) -> Option<&'r Attachment<T>> {
        // SAFETY: `here` is null, or what `attach_state` made, which lives as long as the pool.
        unsafe { self.here().as_ref() }
    }

    pub(crate) fn find_attachment(self) -> Option<&'r Attachment<T>> {
        // SAFETY: null, or what `attach_state` made, which lives as long as the pool.
        unsafe { self.find_raw().as_ref() }
    }

    #[inline]
    fn here(self) -> *mut Attachment<T> {
        // nginx takes the pool from a request that it frees, and only then runs the cleanups: of those that are
        // older than ours, one may ask for a variable of ours when what is attached is gone.
        if self.raw().pool.is_null() {
            return std::ptr::null_mut();
        }
        // SAFETY: nginx makes the array of contexts.
        unsafe { (*self.raw().ctx.add(T::registration().ctx_index())).cast() }
    }

    fn find_raw(self) -> *mut Attachment<T> {
        let here = self.here();
        if !here.is_null() {
            return here;
        }
        // SAFETY: the list of cleanups of a live pool; an entry with our handler holds an attachment.
        unsafe {
            let mut cleanup = match self.raw().pool.as_ref() {
                Some(pool) => pool.cleanup,
                None => return std::ptr::null_mut(),
            };
            let ours = T::registration().marks.attachment.map(|mark| mark as usize);
            while let Some(entry) = cleanup.as_ref() {
                if entry.handler.map(|handler| handler as usize) == ours {
                    return entry.data.cast();
                }
                cleanup = entry.next;
            }
        }
        std::ptr::null_mut()
    }
}

/// Names the request in each line of the error log that is about it, nginx's own lines as well, before what
/// nginx writes of it: the client chooses how long that is, and a long line is cut off.
unsafe extern "C" fn write_context<T: Types>(
    r: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    buf: *mut u_char,
    len: usize,
) -> *mut u_char {
    // SAFETY: nginx passes a request of which this is the handler, so that it has an attachment.
    let request = unsafe { Request::<T>::from_raw(r) };
    let Some(attachment) = request.find_attachment() else { return buf };
    // SAFETY: the request is live; the rest is as nginx passed it.
    unsafe {
        let id = request.kept(attachment.log_id);
        write_with_id(id, attachment.log_handler, r, subrequest, (buf, len))
    }
}
