//! Questions to a provider: subrequests to an internal location, whose answer is ours and nobody else's.
//!
//! Each is one of a request of the worker's own ([`own_request`]), so that no client's request is kept by
//! it, and none takes it along when it ends. Nothing of the client's goes with it.

mod answer;
mod outfit;
mod own_request;
mod server_phase;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

use ngx::ffi::{
    ngx_chain_t, ngx_http_post_subrequest_t, ngx_http_request_t, ngx_http_subrequest, ngx_int_t,
    ngx_palloc, ngx_pool_cleanup_add, ngx_post_event, ngx_posted_events, ngx_uint_t, NGX_ERROR,
    NGX_HTTP_CLIENT_CLOSED_REQUEST, NGX_HTTP_CLOSE, NGX_HTTP_CREATED, NGX_HTTP_NO_CONTENT,
    NGX_HTTP_REQUEST_TIME_OUT, NGX_HTTP_SPECIAL_RESPONSE, NGX_HTTP_SUBREQUEST_BACKGROUND, NGX_OK,
};

use crate::clock::mono_nanos;
use crate::guard::{guard, inside};
use answer::{sends_too_much, Answer};
use outfit::Outfit;

use crate::process;
use crate::request::Request;
use crate::timer::Timer;
use crate::types::Types;

fn next_number() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed)
}

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

/// A question for which a request of our own is open.
#[derive(Clone, Copy)]
struct Pending {
    /// That request.
    main: *mut ngx_http_request_t,
    subrequest: *mut ngx_http_request_t,
    /// Nanoseconds of the monotonic clock.
    deadline: u64,
    end: Option<End>,
}

/// How a request of our own ends, when whatever runs at the moment is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Its subrequest is at its end.
    Close,
    /// Its subrequest isn't waited for any longer.
    Cut,
}

/// What is wrong with an answer of which that holds, and what to do about it.
pub const COMPRESSED: &str = "its answer is compressed, which is not read; have \
     \"proxy_set_header Accept-Encoding identity;\" in that location";

/// Whether an answer is compressed, with gzip.
pub fn is_compressed(body: &[u8]) -> bool {
    body.starts_with(b"\x1f\x8b")
}

/// What came of a question.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// The provider answered, with this status and this body.
    Answer {
        /// Its HTTP status.
        status: u16,
        /// All of its body.
        body: &'a [u8],
    },
    /// The answer is longer than we read.
    TooLong,
    /// The answer sends nginx elsewhere (`X-Accel-Redirect`), where somebody else would answer.
    Astray,
    /// The answer broke off, or there was none.
    Incomplete,
    /// Nobody waits for the answer, and the worker ends, or needs the connections.
    Abandoned,
}

/// Who is told.
type OnOutcome = Box<dyn FnOnce(Outcome<'_>)>;

/// What is asked, and for whom.
pub struct Ask<'a> {
    /// The internal location.
    pub uri: &'a str,
    /// Sent by POST.
    pub form: Option<&'a [u8]>,
    /// Whether it is asked again; see [`Request::is_refetch`].
    pub is_refetch: bool,
    /// Whether anybody waits for the answer: a worker that is to end doesn't otherwise.
    pub is_awaited: Box<dyn Fn() -> bool>,
    /// Nor does one with few connections left: there can be many such questions.
    pub gives_way: bool,
    /// Called once, later.
    pub on_outcome: OnOutcome,
}

/// A question, from the asking to its end.
struct Question {
    number: u64,
    is_awaited: Box<dyn Fn() -> bool>,
    gives_way: bool,
    on_outcome: Option<OnOutcome>,
    answer: Answer,
    /// nginx was sent elsewhere. What comes after that is no answer of the provider's.
    is_astray: bool,
    /// Whether it is asked again; see [`Request::is_refetch`].
    is_refetch: bool,
}

impl Question {
    fn end(&mut self, end: End, outcome: Outcome<'_>) {
        PENDING.with_borrow_mut(|all| {
            if let Some(pending) = all.get_mut(&self.number) {
                pending.end = Some(end);
            }
        });
        // What runs now may be the subrequest.
        TIMER.soon();
        if let Some(on_outcome) = self.on_outcome.take() {
            on_outcome(outcome);
        }
    }
}

impl Drop for Question {
    /// The request is gone. nginx may have ended it.
    fn drop(&mut self) {
        let _ = PENDING.try_with(|pending| pending.borrow_mut().remove(&self.number));
        if let Some(on_outcome) = self.on_outcome.take() {
            on_outcome(match process::is_exiting() {
                true => Outcome::Abandoned,
                false => Outcome::Incomplete,
            });
        }
    }
}

unsafe extern "C" fn drop_question(data: *mut c_void) {
    guard((), || {
        // SAFETY: `ask` put a box here, and nginx runs a cleanup once.
        drop(unsafe { Box::from_raw(data.cast::<Question>()) });
    });
}

impl<T: Types> Request<'_, T> {
    /// Asks a provider, in the server that this request is in, and for all of its clients. `None` when
    /// nginx can't; nobody is told then.
    pub fn ask(self, ask: Ask<'_>) -> Option<()> {
        let method = if ask.form.is_some() { "POST" } else { "GET" };
        // SAFETY: the request is live, and the one that is opened is until it is closed.
        unsafe {
            let main = own_request::open(self.as_ptr(), method, ask.uri, T::NAME)?;
            let begun = begin_subrequest::<T>(main, ask);
            if begun.is_none() {
                own_request::close(main);
            }
            begun
        }
    }

    /// Whether this is a question that was asked before, and is asked again..
    pub fn is_refetch(self) -> bool {
        // SAFETY: nginx passed the request to the callback that is running.
        unsafe { question(self.as_ptr()).is_some_and(|(question, _)| question.is_refetch) }
    }

    /// Whether it is a question to a provider that its answer has sent elsewhere in nginx. That isn't
    /// followed: what a provider may say is what is in its answer.
    pub fn is_led_astray(self) -> bool {
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
}

/// # Safety
///
/// `main` is open, and has no subrequests.
unsafe fn begin_subrequest<T: Types>(main: *mut ngx_http_request_t, ask: Ask<'_>) -> Option<()> {
    // SAFETY: by the contract of this function; all that is made here lives in the pool of that request.
    // As nginx's own modules do it, the subrequest is completed before nginx runs it, which is after
    // this callback.
    unsafe {
        let own = Request::<T>::from_raw(main);
        let form = match ask.form {
            Some(form) => Some(own.copy(form)?),
            None => None,
        };
        let cleanup = ngx_pool_cleanup_add((*main).pool, 0).as_mut()?;
        let post: *mut ngx_http_post_subrequest_t =
            ngx_palloc((*main).pool, size_of::<ngx_http_post_subrequest_t>()).cast();
        let post = post.as_mut()?;
        let outfit = Outfit::new(own, form)?;
        let number = next_number();
        let question = Box::into_raw(Box::new(Question {
            number,
            is_awaited: ask.is_awaited,
            gives_way: ask.gives_way,
            on_outcome: None,
            answer: Answer::default(),
            is_astray: false,
            is_refetch: ask.is_refetch,
        }));
        cleanup.data = question.cast();
        cleanup.handler = Some(drop_question);
        post.handler = Some(on_end);
        post.data = question.cast();
        let mut uri = (*main).uri;
        let mut sr = null_mut();
        let flags = NGX_HTTP_SUBREQUEST_BACKGROUND as ngx_uint_t;
        let rc = ngx_http_subrequest(main, &raw mut uri, null_mut(), &raw mut sr, post, flags);
        if rc != NGX_OK as ngx_int_t {
            return None;
        }
        (*question).on_outcome = Some(ask.on_outcome);
        outfit.dress(sr);
        (*sr).write_event_handler = Some(server_phase::begin_behind);
        let deadline = mono_nanos().saturating_add(PATIENCE);
        let pending = Pending { main, subrequest: sr, deadline, end: None };
        PENDING.with_borrow_mut(|all| all.insert(number, pending));
        own_request::run_soon(main);
    }
    TIMER.start(POLL_MS);
    Some(())
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
pub(crate) unsafe fn begin(r: *mut ngx_http_request_t) {
    // SAFETY: by the contract of this function.
    unsafe {
        if let Some((question, true)) = question(r) {
            (*r).set_filter_need_in_memory(1);
            question.is_astray |= is_redirected(r);
            question.answer = Answer::default();
        }
    }
}

/// The handler of the timer: ends what takes too long, or is too long, and what is at its end. While it is
/// read, nginx may keep an answer to itself, for as long as it grows.
fn poll() {
    let numbers: Vec<u64> = PENDING.with_borrow(|all| all.keys().copied().collect());
    if !numbers.is_empty() {
        // First, so that a bug in what follows doesn't end it.
        TIMER.start(POLL_MS);
    }
    let now = mono_nanos();
    for number in numbers {
        // What is done for one may be the end of another one.
        let Some(pending) = PENDING.with_borrow(|all| all.get(&number).copied()) else { continue };
        // SAFETY: it is open, as it is among those that are; its subrequest runs, if it has no end.
        unsafe {
            match pending.end {
                None => look(pending, now),
                Some(end) => {
                    PENDING.with_borrow_mut(|all| all.remove(&number));
                    if end == End::Close {
                        own_request::close(pending.main);
                    } else if !own_request::cut(pending.main) {
                        PENDING.with_borrow_mut(|all| all.insert(number, pending));
                    }
                }
            }
        }
    }
}

/// Ends a question whose time is up, or that asks too much of us.
///
/// # Safety
///
/// Its request is open, and the subrequest runs.
unsafe fn look(pending: Pending, now: u64) {
    let Pending { subrequest, deadline, .. } = pending;
    // SAFETY: by the contract of this function.
    unsafe {
        let Some((question, true)) = question(subrequest) else { return };
        let has_to_end = process::is_exiting() || (question.gives_way && own_request::is_tight());
        let outcome = match () {
            () if now >= deadline => Outcome::Incomplete,
            () if sends_too_much(subrequest) => Outcome::TooLong,
            () if has_to_end && !(question.is_awaited)() => Outcome::Abandoned,
            () => return,
        };
        if !matches!(outcome, Outcome::Abandoned) {
            stop(subrequest);
        }
        question.end(End::Cut, outcome);
    }
}

/// As if the times of the internal location were over, so that the server counts as one that failed.
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
    // With these, nginx would end our own request at once, and us in the middle of it.
    let is_made = |status: &u32| rc == *status as ngx_int_t;
    let is_fatal = rc == NGX_ERROR as ngx_int_t || ENDS_REQUEST.iter().any(is_made);
    let has_page = rc >= NGX_HTTP_SPECIAL_RESPONSE as ngx_int_t || HAVE_PAGES.iter().any(is_made);
    if !is_gone && !is_fatal && (has_page || is_busy) {
        // nginx makes a page, or goes to an error_page, or has something to write yet; and calls again.
        return rc;
    }
    inside((), || {
        // SAFETY: what `ask` made, and nobody else refers to now.
        let question = unsafe { &mut *data.cast::<Question>() };
        let answer = std::mem::take(&mut question.answer);
        let outcome = match question {
            Question { is_astray: true, .. } => Outcome::Astray,
            _ if answer.is_too_long => Outcome::TooLong,
            _ if is_fatal || !answer.is_complete => Outcome::Incomplete,
            _ => {
                let status = u16::try_from(status).unwrap_or(0);
                Outcome::Answer { status, body: &answer.bytes }
            }
        };
        question.end(End::Close, outcome);
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
pub(crate) unsafe fn capture(
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
                question.answer.take(buffer);
            }
            buffer.pos = buffer.last;
            buffer.file_pos = buffer.file_last;
            link = entry.next;
        }
    }
    // An error would end it at once.
    Some(NGX_OK as ngx_int_t)
}
