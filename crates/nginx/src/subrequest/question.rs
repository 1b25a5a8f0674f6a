//! A question, from the asking to its end, and what its subrequest does meanwhile.

use std::ffi::c_void;

use ngx::ffi::{
    ngx_chain_t, ngx_http_request_t, ngx_int_t, NGX_ERROR, NGX_HTTP_CLIENT_CLOSED_REQUEST,
    NGX_HTTP_CLOSE, NGX_HTTP_CREATED, NGX_HTTP_NO_CONTENT, NGX_HTTP_REQUEST_TIME_OUT,
    NGX_HTTP_SPECIAL_RESPONSE, NGX_OK,
};

use super::answer::Answer;
use super::pending::{self, End};
use crate::guard::{guard, inside};
use crate::process;
use crate::request::flags;

/// Statuses with which nginx ends a request, and its main one with it, instead of answering.
const ENDS_REQUEST: [u32; 3] =
    [NGX_HTTP_REQUEST_TIME_OUT, NGX_HTTP_CLOSE, NGX_HTTP_CLIENT_CLOSED_REQUEST];

/// Statuses below 300 for which nginx has pages.
const HAVE_PAGES: [u32; 2] = [NGX_HTTP_CREATED, NGX_HTTP_NO_CONTENT];

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
    /// There was none for too long.
    Late,
    /// Nobody waits for the answer, and the worker ends, or needs the connections.
    Abandoned,
}

/// Who is told.
pub(super) type OnOutcome = Box<dyn FnOnce(Outcome<'_>)>;

/// A question, from the asking to its end.
pub(super) struct Question {
    pub(super) number: u64,
    pub(super) is_awaited: Box<dyn Fn() -> bool>,
    pub(super) gives_way: bool,
    pub(super) on_outcome: Option<OnOutcome>,
    pub(super) answer: Answer,
    /// nginx was sent elsewhere. What comes after that is no answer of the provider's.
    pub(super) is_astray: bool,
    /// Whether it is asked again; see [`Request::is_refetch`].
    pub(super) is_refetch: bool,
}

impl Question {
    pub(super) fn end(&mut self, end: End, outcome: Outcome<'_>) {
        pending::end(self.number, end);
        if let Some(on_outcome) = self.on_outcome.take() {
            on_outcome(outcome);
        }
    }
}

impl Drop for Question {
    /// The request is gone. nginx may have ended it.
    fn drop(&mut self) {
        pending::forget(self.number);
        if let Some(on_outcome) = self.on_outcome.take() {
            on_outcome(match process::is_exiting() {
                true => Outcome::Abandoned,
                false => Outcome::Incomplete,
            });
        }
    }
}

pub(super) unsafe extern "C" fn drop_question(data: *mut c_void) {
    guard((), || {
        // SAFETY: `ask` put a box here, and nginx runs a cleanup once.
        drop(unsafe { Box::from_raw(data.cast::<Question>()) });
    });
}

/// The question that a subrequest asks, if it is one of ours, or one within it; and whether it is that
/// itself.
///
/// # Safety
///
/// `r` is live, and the result isn't kept.
pub(super) unsafe fn question<'q>(
    mut r: *mut ngx_http_request_t,
) -> Option<(&'q mut Question, bool)> {
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
pub(super) unsafe fn is_redirected(r: *mut ngx_http_request_t) -> bool {
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
            flags::set_filter_need_in_memory(r, 1);
            question.is_astray |= is_redirected(r);
            question.answer = Answer::default();
        }
    }
}

/// The subrequest is at its end.
pub(super) unsafe extern "C" fn on_end(
    r: *mut ngx_http_request_t,
    data: *mut c_void,
    rc: ngx_int_t,
) -> ngx_int_t {
    // SAFETY: nginx passes a live subrequest.
    let (status, is_busy, is_gone) = unsafe {
        let is_busy = flags::buffered(r) != 0 || !(*r).postponed.is_null();
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
            unsafe { flags::set_buffered(r, 0) };
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
