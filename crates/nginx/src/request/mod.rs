//! The request of a callback.

pub(crate) mod attachment;
pub mod body;
pub(crate) mod early_id;
pub(crate) mod flags;
pub mod handles;
pub mod header_removal;
pub(crate) mod header_variables;
pub mod headers;
mod headers_out;
pub(crate) mod kept;
mod log_context;
pub mod peer;
pub(crate) mod variable_cache;

use std::marker::PhantomData;
use std::net::IpAddr;

use ngx::ffi::{
    ngx_http_core_access_phase, ngx_http_core_loc_conf_t, ngx_http_core_main_conf_t,
    ngx_http_core_module, ngx_http_request_t, ngx_http_upstream_state_t, ngx_int_t, ngx_pnalloc,
    NGX_DECLINED, NGX_DONE, NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_GET, NGX_HTTP_HEAD,
    NGX_HTTP_SATISFY_ANY, NGX_OK,
};

use crate::log::Log;

use crate::main_entry::MainEntry;
use crate::text;
use crate::types::Types;
pub use kept::{Keeper, Kept};

/// What a phase handler tells nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Access granted; enough for `satisfy any`.
    Ok,
    /// No opinion.
    Declined,
    /// Refused, with this status.
    Status(u16),
    /// Not decided yet: the handler is going to be called again, as the request is parked.
    Pending,
    /// Not decided yet: nginx is to read the body of the request, and to call the handler again.
    ReadBody,
}

impl Verdict {
    /// What nginx is told.
    pub(crate) fn code(self) -> ngx_int_t {
        match self {
            Self::Ok => NGX_OK as ngx_int_t,
            Self::Declined => NGX_DECLINED as ngx_int_t,
            Self::Status(status) => ngx_int_t::from(i16::try_from(status).unwrap_or(500)),
            Self::Pending | Self::ReadBody => NGX_DONE as ngx_int_t,
        }
    }
}

/// What nginx goes by when it makes the path that it forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// What the client sent is forwarded, unless `proxy_pass` names a path of its own.
    pub is_as_sent: bool,
    /// The path still begins with the name of the location.
    pub is_in_location: bool,
    /// The path is escaped anew.
    pub is_escaped: bool,
}

/// One try at an upstream server.
pub struct Attempt<'r> {
    /// Its name, as nginx logs it.
    pub peer: &'r [u8],
    /// HTTP status; 0: it had none.
    pub status: u64,
    /// Milliseconds; `None` when it didn't end.
    pub response_ms: Option<u64>,
}

/// A request, for as long as a callback lasts.
pub struct Request<'r, T> {
    r: *mut ngx_http_request_t,
    life: PhantomData<&'r ngx_http_request_t>,
    module: PhantomData<fn() -> T>,
}

impl<T> Clone for Request<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Request<'_, T> {}

impl<'r, T: Types> Request<'r, T> {
    /// # Safety
    ///
    /// `r` is the request that nginx passed to the callback that is running.
    pub(crate) unsafe fn from_raw(r: *mut ngx_http_request_t) -> Self {
        Self { r, life: PhantomData, module: PhantomData }
    }

    pub(crate) fn as_ptr(self) -> *mut ngx_http_request_t {
        self.r
    }

    pub(crate) fn raw(self) -> &'r ngx_http_request_t {
        // SAFETY: live by the contract of `from_raw`. Nothing keeps such a reference over a call
        // into nginx.
        unsafe { &*self.r }
    }

    /// Whether it is a client's request, and not a subrequest.
    pub fn is_main(self) -> bool {
        std::ptr::eq(self.r, self.raw().main)
    }

    /// Whether one of nginx's flags is set.
    #[inline]
    fn has(self, flag: unsafe fn(*const ngx_http_request_t) -> u32) -> bool {
        // SAFETY: live by the contract of `from_raw`, and the flags read no more than that.
        unsafe { flag(self.r) != 0 }
    }

    /// Whether it has been answered, and is led to a `post_action`.
    pub fn is_after_answer(self) -> bool {
        self.has(flags::post_action)
    }

    /// Whether its location has a `post_action`.
    pub fn has_post_action(self) -> bool {
        !self.core_loc_conf().post_action.data.is_null()
    }

    /// Our configuration of the location it is in.
    #[inline]
    pub fn loc_conf(self) -> &'r T::Loc {
        // SAFETY: nginx makes the array, and `create_loc` our entry. After merging nothing changes
        // a configuration.
        unsafe { &*(*self.raw().loc_conf.add(T::registration().ctx_index())).cast() }
    }

    /// Our main configuration.
    #[inline]
    pub fn main_conf(self) -> &'r T::Main {
        &self.main_entry().main
    }

    /// The same, and what we keep beside it.
    pub(crate) fn main_entry(self) -> &'r MainEntry<T> {
        // SAFETY: as above, by `create_main`.
        unsafe { &*(*self.raw().main_conf.add(T::registration().ctx_index())).cast() }
    }

    fn core_loc_conf(self) -> &'r ngx_http_core_loc_conf_t {
        // SAFETY: as above, for nginx's core module.
        unsafe {
            let index = ngx_http_core_module.ctx_index;
            &*(*self.raw().loc_conf.add(index)).cast()
        }
    }

    /// Tells the `server` that it is in from others of the same configuration.
    pub fn server(self) -> usize {
        // SAFETY: as above.
        unsafe { *self.raw().srv_conf.add(ngx_http_core_module.ctx_index) as usize }
    }

    /// The client's request that this one belongs to.
    pub fn main(self) -> Self {
        Self { r: self.raw().main, life: PhantomData, module: PhantomData }
    }

    /// Whether nginx is in the ACCESS phase with it.
    pub fn is_in_access(self) -> bool {
        // SAFETY: nginx makes the engine of phases, and ends it with an entry without a checker; a
        // request's place in it is one of its entries.
        unsafe {
            let index = ngx_http_core_module.ctx_index;
            let core: *const ngx_http_core_main_conf_t = (*self.raw().main_conf.add(index)).cast();
            let place = usize::try_from(self.raw().phase_handler).unwrap_or(0);
            let checker = (*(*core).phase_engine.handlers.add(place)).checker;
            checker
                .is_some_and(|it| it as usize == ngx_http_core_access_phase as *const () as usize)
        }
    }

    /// Has nginx answer an error itself from now on, and not with an `error_page`.
    pub fn end_error_pages(self) {
        // SAFETY: live by the contract of `from_raw`; nginx's own flag for a request that had one.
        unsafe { flags::set_error_page(self.r, 1) };
    }

    /// Whether another module has granted access where we refused: under `satisfy any`, nginx forgets
    /// the refusals then.
    pub fn is_granted_by_another(self) -> bool {
        self.core_loc_conf().satisfy == NGX_HTTP_SATISFY_ANY as usize && self.raw().access_code == 0
    }

    /// Whether it came over TLS.
    pub fn is_tls(self) -> bool {
        #[cfg(any(ngx_feature = "ssl", ngx_feature = "compat"))]
        // SAFETY: a live request has a connection.
        unsafe {
            !(*self.raw().connection).ssl.is_null()
        }
        #[cfg(not(any(ngx_feature = "ssl", ngx_feature = "compat")))]
        {
            false
        }
    }

    /// Whether nginx has led it here from another location.
    pub fn was_led_here(self) -> bool {
        self.has(flags::internal)
    }

    /// Whether what nginx does next is serving a file. (A PUT would write one.)
    pub fn serves_file(self) -> bool {
        !self.has_content_handler()
            && [NGX_HTTP_GET, NGX_HTTP_HEAD].iter().any(|one| self.raw().method == *one as usize)
    }

    /// Whether the location has a content handler of its own, such as `proxy_pass`; else nginx
    /// serves a file.
    pub fn has_content_handler(self) -> bool {
        self.core_loc_conf().handler.is_some() || self.raw().content_handler.is_some()
    }

    /// The client's address as nginx sees it (`realip` included); `None` on a UNIX-domain socket.
    pub fn client_addr(self) -> Option<IpAddr> {
        // SAFETY: a live request has a connection, and a connection an address, of the structure
        // that its family says.
        unsafe { peer::address_of((*self.raw().connection).sockaddr) }
    }

    /// The client's address as text.
    pub fn client_addr_text(self) -> &'r [u8] {
        // SAFETY: a live request has a connection; the text lives in its pool.
        unsafe { text::bytes((*self.raw().connection).addr_text) }
    }

    /// The log of the connection.
    pub fn log(self) -> Log<'r> {
        // SAFETY: a live request has a connection, with a log.
        unsafe { Log::from_raw((*self.raw().connection).log) }
    }

    /// Tells the error log of its location from those of others.
    pub fn error_log(self) -> usize {
        self.core_loc_conf().error_log as usize
    }

    /// The method, as the client sent it.
    pub fn method(self) -> &'r [u8] {
        // SAFETY: points into the request's header, or at a constant.
        unsafe { text::bytes(self.raw().method_name) }
    }

    /// The target as the client sent it, without query string and fragment.
    pub fn path(self) -> &'r [u8] {
        // SAFETY: points into the request's header.
        let uri = unsafe { text::bytes(self.raw().unparsed_uri) };
        // Most often there is nothing to take off, nor was anything decoded.
        if uri == self.uri() && self.has(flags::valid_unparsed_uri) {
            return self.uri();
        }
        uri.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or(uri)
    }

    /// The target as the client sent it, without query string.
    pub fn target(self) -> &'r [u8] {
        // SAFETY: points into the request's header.
        let uri = unsafe { text::bytes(self.raw().unparsed_uri) };
        if uri == self.uri() && self.has(flags::valid_unparsed_uri) {
            return self.uri();
        }
        uri.split(|byte| *byte == b'?').next().unwrap_or(uri)
    }

    /// The path as locations are chosen by: decoded, normalised, without query string.
    pub fn uri(self) -> &'r [u8] {
        // SAFETY: points into the request's header, or into its pool.
        unsafe { text::bytes(self.raw().uri) }
    }

    /// What nginx goes by when it makes the path that it forwards.
    pub fn forwarding(self) -> Forwarding {
        Forwarding {
            is_as_sent: self.has(flags::valid_unparsed_uri),
            is_in_location: self.has(flags::valid_location),
            is_escaped: self.has(flags::quoted_uri) || self.has(flags::internal),
        }
    }

    /// Whether nginx has led it here from another location.
    pub fn is_internal(self) -> bool {
        self.has(flags::internal)
    }

    /// The name of the location that it is in.
    pub fn location_name(self) -> &'r [u8] {
        // SAFETY: nginx keeps it as long as the configuration.
        unsafe { text::bytes(self.core_loc_conf().name) }
    }

    /// The query string, as it goes on.
    pub fn query(self) -> &'r [u8] {
        // SAFETY: points into the request's header, or into its pool.
        unsafe { text::bytes(self.raw().args) }
    }

    /// Whether the client left before it had a status. (Where a `post_action` comes before the log, the
    /// connection knows, and the status doesn't yet.)
    pub fn is_client_gone(self) -> bool {
        // SAFETY: a live request has a connection.
        let has_failed = || unsafe { (*self.raw().connection).error() != 0 };
        u32::from(self.status()) == NGX_HTTP_CLIENT_CLOSED_REQUEST
            || (self.is_after_answer() && has_failed())
    }

    /// Whether an upstream server was sent the request.
    pub fn was_sent_upstream(self) -> bool {
        // SAFETY: null, or what nginx made in the request's pool.
        unsafe { self.raw().upstream.as_ref() }.is_some_and(|upstream| upstream.request_sent() != 0)
    }

    /// Whether the answer at hand comes from nginx's cache, also where a backend was asked, and it failed
    /// (stale) or had nothing new (revalidated). What an internal redirect came from doesn't count.
    pub fn is_from_cache(self) -> bool {
        #[cfg(ngx_feature = "http_cache")]
        {
            use ngx::ffi::{
                NGX_HTTP_CACHE_HIT, NGX_HTTP_CACHE_REVALIDATED, NGX_HTTP_CACHE_STALE,
                NGX_HTTP_CACHE_UPDATING,
            };
            // SAFETY: null, or what nginx made in the request's pool for the location that it is in.
            let upstream = unsafe { self.raw().upstream.as_ref() };
            let served = [
                NGX_HTTP_CACHE_HIT,
                NGX_HTTP_CACHE_STALE,
                NGX_HTTP_CACHE_UPDATING,
                NGX_HTTP_CACHE_REVALIDATED,
            ];
            self.has(flags::cached)
                && upstream.is_some_and(|upstream| served.contains(&upstream.cache_status()))
        }
        #[cfg(not(ngx_feature = "http_cache"))]
        {
            false
        }
    }

    /// The status that the client was sent; 0 when there was none.
    pub fn status(self) -> u16 {
        let r = self.raw();
        // As ngx_http_log_module does it.
        let status = match (r.err_status, r.headers_out.status) {
            (0, 0) if r.http_version == 9 => 9,
            (0, status) => status,
            (error, _) => error,
        };
        u16::try_from(status).unwrap_or(0)
    }

    /// The status in the header that is being sent.
    pub fn status_out(self) -> u16 {
        u16::try_from(self.raw().headers_out.status).unwrap_or(0)
    }

    /// When the request began: milliseconds since 1970.
    pub fn start_ms(self) -> i64 {
        let msec = i64::try_from(self.raw().start_msec).unwrap_or(0);
        self.raw().start_sec.saturating_mul(1000).saturating_add(msec)
    }

    /// Bytes received from the client: request line, header and body.
    pub fn bytes_in(self) -> u64 {
        u64::try_from(self.raw().request_length).unwrap_or(0)
    }

    /// Bytes sent to the client.
    pub fn bytes_out(self) -> u64 {
        // SAFETY: a live request has a connection.
        u64::try_from(unsafe { (*self.raw().connection).sent }).unwrap_or(0)
    }

    /// The tries at upstream servers, as in `$upstream_addr`.
    pub fn attempts(self) -> impl Iterator<Item = Attempt<'r>> {
        // SAFETY: nginx keeps the array in the request's pool, with such elements.
        let states = unsafe {
            self.raw()
                .upstream_states
                .as_ref()
                .map_or(&[][..], |states| states.as_slice::<ngx_http_upstream_state_t>())
        };
        states.iter().filter_map(|state| {
            // SAFETY: the name of a peer lives as long as the request.
            let peer = unsafe { text::bytes(*state.peer.as_ref()?) };
            // nginx marks a time that was not taken by the largest value.
            let response_ms = (state.response_time != usize::MAX).then_some(state.response_time);
            Some(Attempt {
                peer,
                status: state.status as u64,
                response_ms: response_ms.map(|ms| ms as u64),
            })
        })
    }

    /// A copy of `bytes` that lives as long as the request.
    pub fn copy(self, bytes: &[u8]) -> Option<&'r [u8]> {
        // SAFETY: the pool is live; the block is new, so nobody else refers to it, and all of it is written.
        unsafe {
            let data: *mut u8 = ngx_pnalloc(self.raw().pool, bytes.len().max(1)).cast();
            if data.is_null() {
                return None;
            }
            data.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            Some(std::slice::from_raw_parts(data, bytes.len()))
        }
    }
}
