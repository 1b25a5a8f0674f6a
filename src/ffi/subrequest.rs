//! Questions to a provider: subrequests to an internal location, whose answer is ours and nobody else's.
//!
//! They run in the background of the request that asks, which may go on meanwhile, and end with it.
//! Nothing of the client's goes with them: they have header lines, variables and a body of their own.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;

use ngx::ffi::{
    ngx_buf_t, ngx_chain_t, ngx_http_post_subrequest_t, ngx_http_request_t, ngx_http_subrequest,
    ngx_int_t, ngx_palloc, ngx_pool_cleanup_add, ngx_post_event, ngx_posted_events, ngx_str_t,
    ngx_uint_t, NGX_ERROR, NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_CLOSE, NGX_HTTP_CREATED,
    NGX_HTTP_NO_CONTENT, NGX_HTTP_REQUEST_TIME_OUT, NGX_HTTP_SPECIAL_RESPONSE,
    NGX_HTTP_SUBREQUEST_BACKGROUND, NGX_OK,
};

use super::body::in_memory;
use super::clock::mono_now;
use super::guard::guard;
use super::outfit::Outfit;
use super::relay::bytes_of;
use super::request::Request;
use super::timer::Timer;
use crate::live::next_id;

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// How long a provider may take, in nanoseconds. The internal location may allow less.
const PATIENCE: u64 = 5_000_000_000;

/// Statuses with which nginx ends a request, and its main one with it, instead of answering.
const ENDS_REQUEST: [u32; 3] =
    [NGX_HTTP_REQUEST_TIME_OUT, NGX_HTTP_CLOSE, NGX_HTTP_CLIENT_CLOSED_REQUEST];

/// Statuses below 300 for which nginx has pages.
const HAVE_PAGES: [u32; 2] = [NGX_HTTP_CREATED, NGX_HTTP_NO_CONTENT];

/// Milliseconds between two looks at what providers have sent so far.
const POLL_MS: u64 = 100;

static TIMER: Timer = Timer::for_requests(poll);

thread_local! {
    /// The questions that are being asked, by their numbers.
    static PENDING: RefCell<BTreeMap<u64, Pending>> = const { RefCell::new(BTreeMap::new()) };
}

/// A subrequest that runs. It is taken out when its question is at its end.
#[derive(Clone, Copy)]
struct Pending {
    subrequest: *mut ngx_http_request_t,
    /// Nanoseconds of the monotonic clock.
    deadline: u64,
}

/// What came of a question.
#[derive(Debug)]
pub(crate) enum Outcome<'a> {
    /// The provider answered, with this status and this body.
    Answer { status: u16, body: &'a [u8] },
    /// The answer is longer than we read.
    TooLong,
    /// The answer sends nginx elsewhere (`X-Accel-Redirect`), where somebody else would answer.
    Astray,
    /// The answer broke off, or there was none.
    Incomplete,
    /// The request that asked is gone.
    Abandoned,
}

/// Who is told.
type OnOutcome = Box<dyn FnOnce(Outcome<'_>)>;

/// A question, from the asking to its end.
struct Question {
    number: u64,
    on_outcome: Option<OnOutcome>,
    answer: Vec<u8>,
    is_too_long: bool,
    /// nginx was sent elsewhere. What comes after that is no answer of the provider's.
    is_astray: bool,
    /// All of it is there.
    is_complete: bool,
    /// `$tollgate_key_refetch`
    is_refetch: bool,
}

impl Question {
    fn end(&mut self, outcome: Outcome<'_>) {
        let _ = PENDING.try_with(|pending| pending.borrow_mut().remove(&self.number));
        if let Some(on_outcome) = self.on_outcome.take() {
            on_outcome(outcome);
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        self.end(Outcome::Abandoned);
    }
}

unsafe extern "C" fn drop_question(data: *mut c_void) {
    guard((), || {
        // SAFETY: `ask` put a box here, and nginx runs a cleanup once.
        drop(unsafe { Box::from_raw(data.cast::<Question>()) });
    });
}

impl Request<'_> {
    /// Asks the internal location `uri`; with a `form`, by POST. `on_outcome` is called once, later:
    /// if not before, then when the request is gone. `None` when nginx can't; it isn't called then.
    pub(crate) fn ask(
        self,
        uri: &str,
        form: Option<&[u8]>,
        is_refetch: bool,
        on_outcome: OnOutcome,
    ) -> Option<()> {
        let mut uri = self.copied(uri.as_bytes())?;
        let form = match form {
            Some(form) => Some(self.copy(form)?),
            None => None,
        };
        let r = self.as_ptr();
        // SAFETY: the request is live, and so is its pool, which all that is made here lives in. As
        // nginx's own modules do it, the subrequest is completed before nginx runs it, which is after
        // this callback.
        unsafe {
            let cleanup = ngx_pool_cleanup_add((*r).pool, 0).as_mut()?;
            let post: *mut ngx_http_post_subrequest_t =
                ngx_palloc((*r).pool, size_of::<ngx_http_post_subrequest_t>()).cast();
            let outfit = Outfit::new(self, form)?;
            let number = next_id();
            let question = Box::into_raw(Box::new(Question {
                number,
                on_outcome: None,
                answer: Vec::new(),
                is_too_long: false,
                is_astray: false,
                is_complete: false,
                is_refetch,
            }));
            cleanup.data = question.cast();
            cleanup.handler = Some(drop_question);
            let post = post.as_mut()?;
            post.handler = Some(on_end);
            post.data = question.cast();
            let mut sr = null_mut();
            let flags = NGX_HTTP_SUBREQUEST_BACKGROUND as ngx_uint_t;
            let rc = ngx_http_subrequest(r, &raw mut uri, null_mut(), &raw mut sr, post, flags);
            if rc != NGX_OK as ngx_int_t {
                return None;
            }
            (*question).on_outcome = Some(on_outcome);
            outfit.dress(sr, uri);
            let deadline = mono_now().0.saturating_add(PATIENCE);
            let pending = Pending { subrequest: sr, deadline };
            PENDING.with_borrow_mut(|all| all.insert(number, pending));
        }
        TIMER.start(POLL_MS);
        Some(())
    }

    /// The value of `$tollgate_key_refetch`.
    pub(crate) fn is_refetch(self) -> bool {
        // SAFETY: nginx passed the request to the callback that is running.
        unsafe { question(self.as_ptr()).is_some_and(|(question, _)| question.is_refetch) }
    }

    /// Whether it is a question to a provider that its answer has sent elsewhere in nginx. That isn't
    /// followed: what a provider may say is what is in its answer.
    pub(crate) fn is_led_astray(self) -> bool {
        let r = self.as_ptr();
        // SAFETY: as above.
        unsafe {
            match question(r) {
                Some((question, true)) => {
                    question.is_astray |= is_redirected(r);
                    question.is_astray
                }
                _ => false,
            }
        }
    }

    /// Whether it is a question to a provider, or a subrequest of one.
    pub(crate) fn is_question(self) -> bool {
        // SAFETY: as above.
        unsafe { question(self.as_ptr()).is_some() }
    }

    pub(super) fn copied(self, bytes: &[u8]) -> Option<ngx_str_t> {
        let copy = self.copy(bytes)?;
        Some(ngx_str_t { len: copy.len(), data: copy.as_ptr().cast_mut() })
    }
}

/// The question that a subrequest asks, if it is one of ours, or one within it; and whether it is that
/// itself.
///
/// # Safety
///
/// `r` is live, and the result isn't kept.
unsafe fn question<'q>(mut r: *mut ngx_http_request_t) -> Option<(&'q mut Question, bool)> {
    let mut is_itself = true;
    // SAFETY: by the contract of this function; a subrequest with our handler has such data, which
    // lives as long as the pool, and requests live as long as those within them.
    unsafe {
        while r != (*r).main {
            if let Some(post) = (*r).post_subrequest.as_ref() {
                if post.handler.is_some_and(|h| h as usize == on_end as *const () as usize) {
                    return Some((post.data.cast::<Question>().as_mut()?, is_itself));
                }
            }
            is_itself = false;
            r = (*r).parent;
        }
    }
    None
}

/// Whether `X-Accel-Redirect` has led the request to where it is. nginx is done with the upstream then,
/// while it isn't yet where such a line is ignored.
///
/// # Safety
///
/// `r` is live.
unsafe fn is_redirected(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function; an upstream lives as long as its request.
    unsafe { (*r).upstream.as_ref() }.is_some_and(|upstream| {
        !upstream.headers_in.x_accel_redirect.is_null() && upstream.cleanup.is_null()
    })
}

/// An answer begins; maybe not the first one, where there is an `error_page`.
///
/// # Safety
///
/// nginx passed the request to the header filter.
pub(super) unsafe fn begin(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function.
    unsafe {
        if let Some((question, true)) = question(r) {
            (*r).set_filter_need_in_memory(1);
            question.is_astray |= is_redirected(r);
            question.answer.clear();
            (question.is_too_long, question.is_complete) = (false, false);
        }
    }
}

/// The handler of the timer: ends what takes too long, or is too long. While it is read, nginx may keep
/// an answer to itself, for as long as it grows.
fn poll() {
    let pending: Vec<(u64, Pending)> = PENDING
        .with_borrow(|all| all.iter().map(|(number, pending)| (*number, *pending)).collect());
    if !pending.is_empty() {
        // First, so that a bug in what follows doesn't end it.
        TIMER.start(POLL_MS);
    }
    let now = mono_now().0;
    for (number, Pending { subrequest, deadline }) in pending {
        // What is done for one may be the end of another one.
        if !PENDING.with_borrow(|all| all.contains_key(&number)) {
            continue;
        }
        // SAFETY: it is live, as its question isn't at its end.
        unsafe {
            if now < deadline && !sends_too_much(subrequest) {
                continue;
            }
            stop(subrequest);
            // nginx may still be waiting for a name to be found, which can't be stopped.
            if let Some((question, true)) = question(subrequest) {
                question.end(match now < deadline {
                    true => Outcome::TooLong,
                    false => Outcome::Incomplete,
                });
            }
        }
    }
}

/// # Safety
///
/// `r` is live.
unsafe fn sends_too_much(r: *mut ngx_http_request_t) -> bool {
    // SAFETY: by the contract of this function; nginx keeps the structures of an upstream in its pool.
    unsafe {
        let Some(upstream) = (*r).upstream.as_ref() else { return false };
        let received = upstream.state.as_ref().map_or(0, |state| state.bytes_received);
        let piped = upstream.pipe.as_ref().map_or(0, |pipe| pipe.read_length);
        let most = i64::try_from(MAX_ANSWER).unwrap_or(i64::MAX).saturating_mul(2);
        received.max(piped) >= most
    }
}

/// As if the times of the internal location were over.
///
/// # Safety
///
/// `r` is live.
unsafe fn stop(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function; the events are handled after this callback.
    unsafe {
        let Some(upstream) = (*r).upstream.as_mut() else { return };
        if let Some(connection) = upstream.peer.connection.as_mut() {
            for event in [connection.read, connection.write] {
                (*event).set_timedout(1);
                ngx_post_event(event, &raw mut ngx_posted_events);
            }
        }
    }
}

/// The subrequest is at its end.
unsafe extern "C" fn on_end(
    r: *mut ngx_http_request_t,
    data: *mut c_void,
    rc: ngx_int_t,
) -> ngx_int_t {
    // SAFETY: nginx passes a live subrequest.
    let (status, is_busy, is_gone) = unsafe {
        let is_busy = (*r).buffered() != 0 || !(*r).postponed.is_null();
        ((*r).headers_out.status, is_busy, (*(*r).connection).error() != 0)
    };
    // With these, nginx would end the request that asked as well, which is to go on.
    let is_made = |status: &u32| rc == *status as ngx_int_t;
    let is_fatal = rc == NGX_ERROR as ngx_int_t || ENDS_REQUEST.iter().any(is_made);
    let has_page = rc >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t || HAVE_PAGES.iter().any(is_made);
    if !is_gone && !is_fatal && (has_page || is_busy) {
        // nginx makes a page, or goes to an error_page, or has something to write yet; and calls again.
        return rc;
    }
    guard((), || {
        // SAFETY: what `ask` made, and nobody else refers to now.
        let question = unsafe { &mut *data.cast::<Question>() };
        let answer = std::mem::take(&mut question.answer);
        let outcome = match question {
            Question { is_astray: true, .. } => Outcome::Astray,
            Question { is_too_long: true, .. } => Outcome::TooLong,
            Question { is_complete: false, .. } => Outcome::Incomplete,
            _ if is_fatal => Outcome::Incomplete,
            _ => Outcome::Answer { status: u16::try_from(status).unwrap_or(0), body: &answer },
        };
        question.end(outcome);
    });
    match is_fatal && !is_gone {
        true => {
            // SAFETY: as above. What it has buffered goes nowhere.
            unsafe { (*r).set_buffered(0) };
            NGX_OK as ngx_int_t
        }
        false => rc,
    }
}

/// Takes what goes by in a subrequest of ours. `None`: it is none.
///
/// # Safety
///
/// nginx passed both to the body filter.
pub(super) unsafe fn capture(
    r: *mut ngx_http_request_t,
    chain: *mut ngx_chain_t,
) -> Option<ngx_int_t> {
    // SAFETY: by the contract of this function.
    let (question, is_itself) = unsafe { question(r)? };
    let mut link = chain;
    // SAFETY: as above; what was taken is marked as sent.
    unsafe {
        while let Some(entry) = link.as_mut() {
            let buffer = &mut *entry.buf;
            if is_itself {
                question.take(buffer);
            }
            buffer.pos = buffer.last;
            buffer.file_pos = buffer.file_last;
            link = entry.next;
        }
    }
    // An error would be one of the request that asked.
    Some(NGX_OK as ngx_int_t)
}

impl Question {
    /// # Safety
    ///
    /// `buffer` is one of a chain that nginx passed to the body filter.
    unsafe fn take(&mut self, buffer: &ngx_buf_t) {
        // SAFETY: by the contract of this function.
        let bytes = unsafe { bytes_of(buffer) };
        self.is_too_long |= bytes.len() > MAX_ANSWER.saturating_sub(self.answer.len());
        if !self.is_too_long {
            self.answer.extend_from_slice(bytes);
        }
        // It was asked to be in memory.
        self.is_too_long |= !in_memory(buffer) && buffer.file_last > buffer.file_pos;
        self.is_complete |= buffer.last_in_chain() != 0 || buffer.last_buf() != 0;
    }
}
