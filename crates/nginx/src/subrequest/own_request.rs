//! Requests of the worker's own, for which it asks providers. Nobody has sent them, and nobody is answered.
//!
//! To nginx, a request has a connection. So each of these has one, of a socket with nobody at the other
//! end: a client that says nothing, and stays. All that nginx does with connections (close them, count
//! them, look for those that are still open) it can do with this one.

use std::ffi::CStr;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicU64, Ordering};

use ngx::ffi::{
    ngx_connection_counter, ngx_connection_log_error_e_NGX_ERROR_INFO, ngx_connection_t,
    ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED,
    ngx_connection_tcp_nopush_e_NGX_TCP_NOPUSH_DISABLED, ngx_create_pool, ngx_create_temp_buf,
    ngx_cycle, ngx_destroy_pool, ngx_event_t, ngx_get_connection, ngx_http_close_connection,
    ngx_http_connection_t, ngx_http_core_module, ngx_http_core_srv_conf_t, ngx_http_create_request,
    ngx_http_finalize_request, ngx_http_free_request, ngx_http_request_empty_handler,
    ngx_http_request_t, ngx_http_run_posted_requests, ngx_inet_get_port, ngx_int_t, ngx_io,
    ngx_list_init, ngx_log_t, ngx_pcalloc, ngx_pool_t, ngx_post_event, ngx_posted_events,
    ngx_table_elt_t, sockaddr_in, u_char, AF_INET, NGX_DONE, NGX_ERROR, NGX_HTTP_VERSION_11,
    NGX_OK,
};

use crate::guard::inside;
use crate::request::flags;
use crate::text;

/// Of a connection's pool, in bytes: about as nginx has it for those that it accepts.
const POOL_SIZE: usize = 1024;

/// `limit_req` and `limit_conn` have let the request pass: those around the location are for clients.
const PASSED: u32 = 1;

/// What nginx's handlers of the log find out about a connection (`ngx_http_log_ctx_t`).
#[repr(C)]
struct LogContext {
    connection: *mut ngx_connection_t,
    request: *mut ngx_http_request_t,
    current_request: *mut ngx_http_request_t,
    /// Ours: the module that asks.
    module: &'static str,
}

/// Opens a request in the server that `asker` is in. It does nothing by itself: it is there for its
/// subrequests, which nginx begins with after [`run_soon`]. It is closed by [`close`] or [`cut`]; nginx
/// may do so earlier, as with any other. `None` when nginx has no memory or file, or no two connections
/// left: for this, and for one to a provider.
///
/// # Safety
///
/// `asker` is live.
pub(crate) unsafe fn open(
    asker: *mut ngx_http_request_t,
    method: &'static str,
    uri: &str,
    module: &'static str,
) -> Option<*mut ngx_http_request_t> {
    // SAFETY: by the contract of this function; the cycle is there as long as the process is. Until the
    // request is made, nobody but us knows of the connection, and then it is complete.
    unsafe {
        let cycle = ngx_cycle.as_ref()?;
        if cycle.free_connection_n.saturating_add(cycle.reusable_connections_n) < 2 {
            // nginx would make an alert of it.
            return None;
        }
        let pool = ngx_create_pool(POOL_SIZE, cycle.log);
        let Some(c) = connect(asker, pool.as_mut()?, cycle.log, module) else {
            ngx_destroy_pool(pool);
            return None;
        };
        let r = ngx_http_create_request(c);
        let Some(()) = fill(r, method, uri) else {
            if !r.is_null() {
                flags::set_logged(r, 1);
                ngx_http_free_request(r, 0);
            }
            ngx_http_close_connection(c);
            return None;
        };
        (*c).data = r.cast();
        Some(r)
    }
}

/// Whether few connections are left: whoever asks without need makes room for clients.
pub(crate) fn is_tight() -> bool {
    // SAFETY: the cycle is there as long as the process is.
    unsafe { ngx_cycle.as_ref() }
        .is_some_and(|cycle| cycle.free_connection_n < cycle.connection_n / 4)
}

/// # Safety
///
/// As for [`open`]; the pool is new, and the connection's if there is one.
unsafe fn connect(
    asker: *mut ngx_http_request_t,
    pool: &mut ngx_pool_t,
    cycle_log: *mut ngx_log_t,
    module: &'static str,
) -> Option<*mut ngx_connection_t> {
    // SAFETY: by the contract of this function; as nginx does it with what it accepts.
    unsafe {
        let log: *mut ngx_log_t = zeroed(pool)?;
        let context: *mut LogContext = zeroed(pool)?;
        let hc: *mut ngx_http_connection_t = zeroed(pool)?;
        // Both ends are this machine; on its side, the port that the asker came to.
        let (here, there): (*mut sockaddr_in, *mut sockaddr_in) = (zeroed(pool)?, zeroed(pool)?);
        let buffer = ngx_create_temp_buf(pool, 1);
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        let c = match buffer.is_null() {
            true => return None,
            false => ngx_get_connection(socket.as_raw_fd(), cycle_log).as_mut()?,
        };
        // nginx closes it from now on.
        let _ = socket.into_raw_fd();
        count();
        let listening = (*(*asker).connection).listening;
        for end in [here, there] {
            (*end).sin_family = u16::try_from(AF_INET).unwrap_or(0);
            (*end).sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        }
        if let Some(listening) = listening.as_ref() {
            (*here).sin_port = ngx_inet_get_port(listening.sockaddr).to_be();
        }
        let socklen = u32::try_from(size_of::<sockaddr_in>()).unwrap_or(0);
        (c.sockaddr, c.socklen) = (there.cast(), socklen);
        (c.local_sockaddr, c.local_socklen) = (here.cast(), socklen);
        c.addr_text = text::of_static(b"127.0.0.1");
        c.listening = listening;
        c.type_ = 1; // SOCK_STREAM
        c.buffer = buffer;
        #[cfg(connection_start)]
        {
            c.start_time = ngx::ffi::ngx_current_msec;
        }
        c.number = next(ngx_connection_counter);
        (c.recv, c.recv_chain) = (ngx_io.recv, ngx_io.recv_chain);
        (c.send, c.send_chain) = (ngx_io.send, ngx_io.send_chain);
        c.set_log_error(ngx_connection_log_error_e_NGX_ERROR_INFO);
        // As for all sockets that aren't TCP.
        c.set_tcp_nodelay(ngx_connection_tcp_nodelay_e_NGX_TCP_NODELAY_DISABLED);
        c.set_tcp_nopush(ngx_connection_tcp_nopush_e_NGX_TCP_NOPUSH_DISABLED);

        *log = *cycle_log;
        (*log).connection = c.number;
        (*log).handler = Some(describe);
        (*log).data = context.cast();
        (*log).action = c"asking a provider".as_ptr().cast_mut();
        (*context).connection = c;
        (*context).module = module;
        (c.log, pool.log) = (log, log);
        c.pool = pool;
        for event in [c.read, c.write] {
            (*event).log = log;
            (*event).handler = Some(on_event);
        }
        (*c.write).set_ready(1);

        let server: *const ngx_http_core_srv_conf_t =
            (*(*asker).srv_conf.add(ngx_http_core_module.ctx_index)).cast();
        (*hc).addr_conf = (*(*asker).http_connection).addr_conf;
        (*hc).conf_ctx = (*server).ctx;
        c.data = hc.cast();
        Some(c)
    }
}

/// What nginx sets when it has read a request. `None` when it has no memory.
///
/// # Safety
///
/// `r` is null, or what nginx has just made.
unsafe fn fill(r: *mut ngx_http_request_t, method: &'static str, uri: &str) -> Option<()> {
    // SAFETY: by the contract of this function; what is put into it lives in its pool.
    unsafe {
        let pool = r.as_mut()?.pool;
        let line = text::copied(pool, format!("{method} {uri} HTTP/1.1").as_bytes())?;
        let r = &mut *r;
        r.request_line = line;
        r.uri = text::copied(pool, uri.as_bytes())?;
        r.unparsed_uri = r.uri;
        r.method_name = text::of_static(method.as_bytes());
        r.http_version = NGX_HTTP_VERSION_11 as usize;
        r.http_protocol = text::of_static(b"HTTP/1.1");
        let headers = &raw mut r.headers_in.headers;
        if ngx_list_init(headers, r.pool, 1, size_of::<ngx_table_elt_t>()) != NGX_OK as ngx_int_t {
            return None;
        }
        r.write_event_handler = Some(ngx_http_request_empty_handler);
        // No line in a log, and no `post_action`: it is nobody's request.
        flags::set_logged(r, 1);
        flags::set_post_action(r, 1);
        flags::set_uri_changes(r, 0);
        flags::set_limit_req_status(r, PASSED);
        flags::set_limit_conn_status(r, PASSED);
        Some(())
    }
}

/// Has nginx begin with its subrequests, when whatever runs now is done.
///
/// # Safety
///
/// `r` is open.
pub(crate) unsafe fn run_soon(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function. A connection that is closed is no longer posted.
    unsafe { ngx_post_event((*(*r).connection).write, &raw mut ngx_posted_events) };
}

/// Closes it as soon as its subrequests are at their ends.
///
/// # Safety
///
/// `r` is open. It isn't known to anybody afterwards, and none of its subrequests is running.
pub(crate) unsafe fn close(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function; a client that has gone isn't waited for.
    unsafe {
        (*(*(*r).connection).read).set_eof(1);
        ngx_http_finalize_request(r, NGX_DONE as ngx_int_t);
    }
}

/// Ends it and its subrequests; `false` if that isn't possible now, as a thread of nginx's works for it.
///
/// # Safety
///
/// As for [`close`].
pub(crate) unsafe fn cut(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function; a connection is there until the next one takes its place.
    unsafe {
        if flags::blocked(r) != 0 {
            return false;
        }
        let c = (*r).connection;
        ngx_http_finalize_request(r, NGX_ERROR as ngx_int_t);
        ngx_http_run_posted_requests(c);
    }
    true
}

/// The subrequests are to begin; or nginx closes all connections (`worker_shutdown_timeout`).
unsafe extern "C" fn on_event(event: *mut ngx_event_t) {
    inside((), || {
        // SAFETY: nginx passes an event of a connection, which `open` made.
        unsafe {
            let c: *mut ngx_connection_t = (*event).data.cast();
            match (*c).close() {
                0 => ngx_http_run_posted_requests(c),
                _ => {
                    cut((*c).data.cast());
                }
            }
        }
    });
}

/// The handler of the log: what nginx says of a client's request, and of us in the place of the client.
unsafe extern "C" fn describe(log: *mut ngx_log_t, buf: *mut u_char, len: usize) -> *mut u_char {
    // SAFETY: nginx passes the log of the connection, and so much room. An action is a C string.
    unsafe {
        let (mut at, mut left) = (buf, len);
        let mut add = |bytes: &[u8]| {
            let count = bytes.len().min(left);
            at.copy_from_nonoverlapping(bytes.as_ptr(), count);
            (at, left) = (at.add(count), left.saturating_sub(count));
        };
        if !(*log).action.is_null() {
            add(b" while ");
            add(CStr::from_ptr((*log).action).to_bytes());
        }
        let context: *const LogContext = (*log).data.cast();
        add(b", asked by ");
        add((*context).module.as_bytes());
        match (*context).request.as_ref() {
            Some(r) => match r.log_handler {
                Some(handler) => handler((*context).request, (*context).current_request, at, left),
                None => at,
            },
            None => at,
        }
    }
}

/// Room for a `T`, of zeros.
///
/// # Safety
///
/// Zero is a value of it.
unsafe fn zeroed<T>(pool: &mut ngx_pool_t) -> Option<*mut T> {
    // SAFETY: the pool is live; its blocks are aligned for what C has.
    let room = unsafe { ngx_pcalloc(pool, size_of::<T>()) };
    (!room.is_null()).then_some(room.cast())
}

/// # Safety
///
/// `counter` is one of nginx's.
unsafe fn next(counter: *mut u64) -> u64 {
    // SAFETY: by the contract of this function, which nginx changes in the same way.
    unsafe { AtomicU64::from_ptr(counter) }.fetch_add(1, Ordering::Relaxed)
}

/// Counts the connection among those that are open: nginx takes it off when it closes it.
fn count() {
    #[cfg(stat_stub)]
    // SAFETY: nginx sets it at its start.
    unsafe {
        next(ngx::ffi::ngx_stat_active);
    }
}
