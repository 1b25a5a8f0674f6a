//! One connection: a line is read, answered, and the connection ends. Whoever is slow, or says too much, is cut
//! off; and no more than a few are open at once. nginx's events do all of it, so that no request waits.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};

use ngx::ffi::{
    ngx_add_timer, ngx_close_connection, ngx_connection_t, ngx_cycle, ngx_del_timer,
    ngx_destroy_pool, ngx_event_flags, ngx_event_t, ngx_handle_read_event, ngx_handle_write_event,
    NGX_AGAIN, NGX_OK, NGX_USE_LEVEL_EVENT,
};

use super::peer::Peer;
use super::MAX_LINE;
use crate::conf::callbacks::main_of;
use crate::guard::guard;
use crate::log::Log;
use crate::module::Module;

/// Milliseconds that a line may take to come, and its sender to take the answer.
const PATIENCE_MS: usize = 5_000;

/// Connections of one worker at once.
const MAX_OPEN: usize = 32;

/// Bytes that are read at once.
const CHUNK: usize = 4096;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// What is kept of a connection.
struct Conversation {
    peer: Peer,
    line: Vec<u8>,
    /// `None`: the line isn't there yet.
    answer: Option<Vec<u8>>,
    sent: usize,
}

/// What is to be done next.
enum Next {
    /// The connection waits for what is to come.
    Wait,
    /// It is over.
    Close,
}

/// nginx has accepted a connection.
pub(super) unsafe extern "C" fn begin<M: Module>(c: *mut ngx_connection_t) {
    // SAFETY: nginx passes a connection that is open and nobody else's.
    unsafe {
        (*c).data = null_mut();
        let next = guard(Next::Close, || {
            if OPEN.load(Ordering::Relaxed) >= MAX_OPEN {
                return Next::Close;
            }
            let Some(peer) = Peer::of((*c).fd) else { return Next::Close };
            if !peer.is_heard() {
                Log::from_raw((*c).log).warn(format_args!(
                    "{}: process {} of user {} is not heard at the control socket: only root and nginx's own \
                     user are",
                    M::NAME,
                    peer.pid,
                    peer.user
                ));
                return Next::Close;
            }
            OPEN.fetch_add(1, Ordering::Relaxed);
            let begun = Conversation { peer, line: Vec::new(), answer: None, sent: 0 };
            (*c).data = Box::into_raw(Box::new(begun)).cast();
            let (read, write) = ((*c).read, (*c).write);
            (*read).handler = Some(on_read::<M>);
            (*write).handler = Some(on_write);
            // An old worker that ends closes connections on which nothing has come.
            (*c).set_idle(1);
            ngx_add_timer(read, PATIENCE_MS);
            self::read::<M>(c)
        });
        finish(c, &next);
    }
}

unsafe extern "C" fn on_read<M: Module>(event: *mut ngx_event_t) {
    // SAFETY: nginx passes the event of a connection that `begin` has set up.
    unsafe {
        let c = (*event).data.cast::<ngx_connection_t>();
        let next = guard(Next::Close, || {
            if (*event).timedout() != 0 || (*c).close() != 0 {
                return Next::Close;
            }
            read::<M>(c)
        });
        finish(c, &next);
    }
}

unsafe extern "C" fn on_write(event: *mut ngx_event_t) {
    // SAFETY: as for `on_read`.
    unsafe {
        let c = (*event).data.cast::<ngx_connection_t>();
        let next = guard(Next::Close, || match (*event).timedout() {
            0 => write(c),
            _ => Next::Close,
        });
        finish(c, &next);
    }
}

/// # Safety
///
/// The connection is one that `begin` has got, and not closed.
unsafe fn conversation<'c>(c: *mut ngx_connection_t) -> Option<&'c mut Conversation> {
    // SAFETY: by the contract of this function; nothing but this module refers to it, one call at a time.
    unsafe { (*c).data.cast::<Conversation>().as_mut() }
}

/// Reads what is there. When the line is whole, it is answered.
///
/// # Safety
///
/// As for [`conversation`].
unsafe fn read<M: Module>(c: *mut ngx_connection_t) -> Next {
    // SAFETY: by the contract of this function; nginx's functions are those of the connection.
    unsafe {
        let Some(kept) = conversation(c) else { return Next::Close };
        let event = (*c).read;
        if kept.answer.is_some() {
            // Nothing more is heard. Where nginx tells of it again and again, it is told to stop.
            if ngx_event_flags & NGX_USE_LEVEL_EVENT as usize != 0 && (*event).active() != 0 {
                (*event).set_ready(1);
                return wait_for(ngx_handle_read_event(event, 0));
            }
            return Next::Wait;
        }
        let Some(recv) = (*c).recv else { return Next::Close };
        let mut chunk = [0; CHUNK];
        let is_whole = loop {
            let got = recv(c, chunk.as_mut_ptr(), chunk.len());
            match usize::try_from(got) {
                // The end of what is said is the end of the line.
                Ok(0) => break !kept.line.is_empty(),
                Ok(got) => {
                    kept.line.extend(chunk.iter().take(got));
                    if kept.line.len() > MAX_LINE || kept.line.contains(&b'\n') {
                        break true;
                    }
                }
                Err(_) if got == NGX_AGAIN as isize => {
                    return wait_for(ngx_handle_read_event(event, 0));
                }
                Err(_) => break false,
            }
        };
        if !is_whole {
            return Next::Close;
        }
        if (*event).timer_set() != 0 {
            ngx_del_timer(event);
        }
        (*c).set_idle(0);
        let line = kept.line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = (kept.line.len() <= MAX_LINE).then_some(line);
        let mut answer = M::control(main_of::<M>(ngx_cycle), line, kept.peer);
        answer.push(b'\n');
        kept.answer = Some(answer);
        write(c)
    }
}

/// Sends what can be sent.
///
/// # Safety
///
/// As for [`conversation`].
unsafe fn write(c: *mut ngx_connection_t) -> Next {
    // SAFETY: as for `read`.
    unsafe {
        let Some(kept) = conversation(c) else { return Next::Close };
        let (Some(answer), Some(send)) = (&mut kept.answer, (*c).send) else { return Next::Wait };
        let event = (*c).write;
        while let Some(rest) = answer.get_mut(kept.sent..).filter(|rest| !rest.is_empty()) {
            let sent = send(c, rest.as_mut_ptr(), rest.len());
            match usize::try_from(sent) {
                Ok(sent) => kept.sent = kept.sent.saturating_add(sent),
                Err(_) if sent == NGX_AGAIN as isize => {
                    if (*event).timer_set() == 0 {
                        ngx_add_timer(event, PATIENCE_MS);
                    }
                    return wait_for(ngx_handle_write_event(event, 0));
                }
                Err(_) => return Next::Close,
            }
        }
        Next::Close
    }
}

fn wait_for(done: isize) -> Next {
    match done == NGX_OK as isize {
        true => Next::Wait,
        false => Next::Close,
    }
}

/// Closes the connection, if it is over.
///
/// # Safety
///
/// As for [`conversation`]; afterwards the connection may be gone.
unsafe fn finish(c: *mut ngx_connection_t, next: &Next) {
    if matches!(next, Next::Wait) {
        return;
    }
    // SAFETY: by the contract of this function. What is kept was made by `begin`, and is given up once.
    unsafe {
        let kept = (*c).data.cast::<Conversation>();
        (*c).data = null_mut();
        if !kept.is_null() {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            drop(Box::from_raw(kept));
        }
        uncount();
        (*c).set_destroyed(1);
        let pool = (*c).pool;
        ngx_close_connection(c);
        ngx_destroy_pool(pool);
    }
}

/// nginx has counted the connection among those that are open.
fn uncount() {
    #[cfg(stat_stub)]
    // SAFETY: nginx sets it at its start, and shares it with all workers.
    unsafe {
        use std::sync::atomic::AtomicUsize;
        if let Some(count) = ngx::ffi::ngx_stat_active.cast::<AtomicUsize>().as_ref() {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
