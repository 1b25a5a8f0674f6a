//! Timers of a worker's own, which no request waits for. They are those of the thread that nginx runs in;
//! other threads can set none.

use std::ptr::null_mut;

use ngx::ffi::{
    ngx_add_timer, ngx_current_msec, ngx_cycle, ngx_del_timer, ngx_delete_posted_event,
    ngx_event_t, ngx_post_event, ngx_posted_events, ngx_posted_next_events,
};
use parking_lot::Mutex;

use crate::guard::guard;
use crate::process::is_nginx_thread;

/// A timer that calls one function.
#[derive(Debug)]
pub struct Timer {
    event: Mutex<Option<Box<Event>>>,
    handler: fn(),
    keeps_worker: bool,
}

#[derive(Debug)]
struct Event {
    event: ngx_event_t,
    handler: fn(),
}

// SAFETY: a worker has one thread that knows of nginx's events.
unsafe impl Send for Event {}

impl Timer {
    /// A timer for which an old worker that waits for nothing else doesn't stay.
    pub const fn background(handler: fn()) -> Self {
        Self { event: Mutex::new(None), handler, keeps_worker: false }
    }

    /// A timer that requests depend on: an old worker stays as long as it is set.
    pub const fn for_requests(handler: fn()) -> Self {
        Self { event: Mutex::new(None), handler, keeps_worker: true }
    }

    fn with(&'static self, f: impl FnOnce(*mut ngx_event_t)) {
        if !is_nginx_thread() {
            return;
        }
        let mut guarded = self.event.lock();
        let handler = self.handler;
        let entry = guarded.get_or_insert_with(|| {
            // SAFETY: a structure of pointers, numbers and flags, for which zero is a value.
            Box::new(Event { event: unsafe { std::mem::zeroed() }, handler })
        });
        let data: *mut Event = &raw mut **entry;
        // SAFETY: the box is never dropped or moved out of, so nginx may keep the pointer; the log
        // is that of the cycle.
        unsafe {
            let event = &raw mut (*data).event;
            (*event).data = data.cast();
            (*event).handler = Some(on_event);
            (*event).log = ngx_cycle.as_ref().map_or(null_mut(), |cycle| cycle.log);
            (*event).set_cancelable(u32::from(!self.keeps_worker));
            f(event);
        }
    }

    /// Calls the function in `ms` milliseconds, unless it is to be called earlier already.
    pub fn start(&'static self, ms: u64) {
        let ms = usize::try_from(ms).unwrap_or(usize::MAX);
        // SAFETY: the event is complete; see `with`. nginx keeps the time of a timer in its key.
        self.with(|event| unsafe {
            if (*event).posted() != 0 {
                return;
            }
            if (*event).timer_set() != 0 {
                if (*event).timer.key <= ngx_current_msec.saturating_add(ms) {
                    return;
                }
                ngx_del_timer(event);
            }
            ngx_add_timer(event, ms);
        });
    }

    /// Calls the function at the end of this turn of the event loop.
    pub fn soon(&'static self) {
        // SAFETY: as above.
        self.with(|event| unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            ngx_post_event(event, &raw mut ngx_posted_events);
        });
    }

    /// Calls the function in the next turn of the event loop, after what has come in meanwhile.
    pub fn next_turn(&'static self) {
        // SAFETY: as above.
        self.with(|event| unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            ngx_post_event(event, &raw mut ngx_posted_next_events);
        });
    }

    /// Doesn't call it any more.
    pub fn stop(&'static self) {
        // SAFETY: as above; the flags say in which of nginx's queues it is.
        self.with(|event| unsafe {
            if (*event).timer_set() != 0 {
                ngx_del_timer(event);
            }
            if (*event).posted() != 0 {
                ngx_delete_posted_event(event);
            }
        });
    }
}

unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    guard((), || {
        // SAFETY: `with` put it here.
        let handler = unsafe { (*(*event).data.cast::<Event>()).handler };
        handler();
    });
}
