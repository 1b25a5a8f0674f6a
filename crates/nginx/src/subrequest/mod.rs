//! Questions to a provider: subrequests to an internal location, whose answer is ours and nobody else's.
//!
//! Each is one of a request of the worker's own ([`own_request`]), so that no client's request is kept by
//! it, and none takes it along when it ends. Nothing of the client's goes with it.

mod answer;
mod outfit;
mod own_request;
mod pending;
pub(crate) mod question;
mod server_phase;

use std::ptr::null_mut;

use ngx::ffi::{
    ngx_http_post_subrequest_t, ngx_http_request_t, ngx_http_subrequest, ngx_int_t, ngx_palloc,
    ngx_pool_cleanup_add, ngx_uint_t, NGX_HTTP_SUBREQUEST_BACKGROUND, NGX_OK,
};

use answer::Answer;
use outfit::Outfit;
pub use question::Outcome;
use question::{drop_question, is_redirected, on_end, question, OnOutcome, Question};

use crate::request::headers::HeaderName;
use crate::request::Request;
use crate::types::Types;

/// What is wrong with an answer of which that holds, and what to do about it.
pub const COMPRESSED: &str = "its answer is compressed, which is not read; have \
     \"proxy_set_header Accept-Encoding identity;\" in that location";

/// Whether an answer is compressed, with gzip.
pub fn is_compressed(body: &[u8]) -> bool {
    body.starts_with(b"\x1f\x8b")
}

/// How long a provider of keys may take, in milliseconds. The internal location may allow less.
pub const WITHIN_MS: u64 = 5000;

/// What is sent by POST.
pub struct Sent<'a> {
    /// The body.
    pub body: &'a [u8],
    /// What it is: a media type.
    pub kind: &'static [u8],
    /// Further lines of the header.
    pub lines: &'a [(HeaderName, &'a [u8])],
}

/// What is asked, and for whom.
pub struct Ask<'a> {
    /// The internal location.
    pub uri: &'a str,
    /// What is sent by POST; nothing: it is asked by GET.
    pub sent: Option<Sent<'a>>,
    /// How long an answer is waited for, in milliseconds. The internal location may allow less.
    pub within_ms: u64,
    /// Whether it is asked again; see [`Request::is_refetch`].
    pub is_refetch: bool,
    /// Whether anybody waits for the answer: a worker that is to end doesn't otherwise.
    pub is_awaited: Box<dyn Fn() -> bool>,
    /// Nor does one with few connections left: there can be many such questions.
    pub gives_way: bool,
    /// Called once, later.
    pub on_outcome: OnOutcome,
}

impl<T: Types> Request<'_, T> {
    /// Asks a provider, in the server that this request is in, and for all of its clients. `None` when
    /// nginx can't; nobody is told then.
    pub fn ask(self, ask: Ask<'_>) -> Option<()> {
        let method = if ask.sent.is_some() { "POST" } else { "GET" };
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
        let cleanup = ngx_pool_cleanup_add((*main).pool, 0).as_mut()?;
        let post: *mut ngx_http_post_subrequest_t =
            ngx_palloc((*main).pool, size_of::<ngx_http_post_subrequest_t>()).cast();
        let post = post.as_mut()?;
        let outfit = Outfit::new(own, ask.sent.as_ref())?;
        let number = pending::next_number();
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
        pending::add(number, main, sr, ask.within_ms);
        own_request::run_soon(main);
    }
    Some(())
}
