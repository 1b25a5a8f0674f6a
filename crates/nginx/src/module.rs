//! What a module does: the functions that nginx's phases, filters and processes come to.

use std::ops::Range;

use crate::conf::{Command, ConfContext, ConfError, Position, Server};
use crate::local_socket::Peer;
use crate::process::Processes;
use crate::request::{Request, Verdict};
use crate::types::Types;

/// What a module does.
///
/// No panic in these functions gets out: the request fails, or is passed on as it is.
pub trait Module: Types {
    /// Its directives.
    const DIRECTIVES: &'static [Command<Self>];

    /// The names of its variables.
    const VARIABLES: &'static [&'static str];

    /// What reads an answer as it goes by.
    type Reader: Reader<Self>;

    // Configuration.

    /// A level has this directive.
    fn note(conf: &mut Self::Loc, directive: &str, position: Position);

    /// A level has `proxy_pass` with this value; `location` is the name of the location that it is in.
    ///
    /// # Errors
    ///
    /// What can't be used.
    fn proxies(
        cx: &ConfContext<'_>,
        conf: &mut Self::Loc,
        location: &[u8],
        url: &str,
    ) -> Result<(), ConfError>;

    /// Puts what a level says together with what the level around it says.
    ///
    /// # Errors
    ///
    /// What can't be used.
    fn merge(
        cx: &ConfContext<'_>,
        parent: &Self::Loc,
        own: &mut Self::Loc,
        main: &mut Self::Main,
    ) -> Result<(), ConfError>;

    /// Whether the module does anything. If not, it costs nothing.
    fn in_use(main: &Self::Main) -> bool;

    /// The configuration has been read.
    fn complete(main: &Self::Main, cx: &ConfContext<'_>, servers: &[Server<'_, Self>]);

    // Processes.

    /// In the master: a configuration comes into use; `None`: the module does nothing in it.
    fn takes_effect(conf: Option<(&Self::Main, &Processes)>);

    /// In the master: nginx ends.
    fn master_ends();

    /// A worker comes to life.
    fn worker_starts(main: &Self::Main);

    /// A worker ends.
    fn worker_ends();

    /// The answer to a line at the socket of the module's own ([`LocalSocket`](crate::local_socket::LocalSocket)),
    /// without a line break. No configuration: the module does nothing in it. No line: it is too long.
    fn control(main: Option<&Self::Main>, line: Option<&[u8]>, peer: Peer) -> Vec<u8>;

    // Requests.

    /// POST_READ: an id for the error log, which writes of a request that has no state. `None`: it has none.
    fn early_id<'r>(r: Request<'r, Self>) -> Option<&'r [u8]>;

    /// PREACCESS.
    fn preaccess(r: Request<'_, Self>) -> Verdict;

    /// ACCESS, as the last module of that phase.
    fn access(r: Request<'_, Self>) -> Verdict;

    /// PRECONTENT, as the first module of that phase. `None`: it can't be done; see [`Module::fail`].
    fn precontent(r: Request<'_, Self>) -> Option<Verdict>;

    /// LOG, as the first module of that phase.
    fn log(r: Request<'_, Self>);

    /// One of the functions above could not do its work, or panicked: the request has to fail.
    fn fail(r: Request<'_, Self>) -> Verdict;

    /// The value of the variable with this index.
    fn variable<'r>(index: usize, r: Request<'r, Self>) -> Option<&'r [u8]>;

    /// [`Module::variable`] panicked, and nginx takes the variable as empty.
    fn variable_failed(r: Request<'_, Self>);

    /// CONTENT, where a directive says [`Directive::Page`](crate::conf::Directive::Page): the answer to a request by
    /// GET or HEAD. `None`: it can't be made; a 500 takes its place.
    fn page(r: Request<'_, Self>) -> Option<Page>;

    // Answers.

    /// The header filter. `None`: it can't be done; see [`Module::abandon`].
    fn headers(r: Request<'_, Self>) -> Option<Header>;

    /// The header filter failed: the answer becomes a 500. `false`: that is not possible either.
    fn abandon(r: Request<'_, Self>) -> bool;

    /// The body filter: what takes the place of the buffers that are passing, if anything does.
    fn body<'r>(r: Request<'r, Self>) -> Option<&'r [u8]>;

    /// Whether the client was promised a body of [`Module::body`] that it hasn't got.
    fn owes_body(r: Request<'_, Self>) -> bool;

    /// The next bytes of an answer whose header is held.
    fn hold(r: Request<'_, Self>, bytes: &[u8]);

    /// An answer whose header is held is whole: what the client gets of it. The header goes out as it is then.
    /// `None`: it gets nothing.
    fn release<'r>(r: Request<'r, Self>) -> Option<Release<'r>>;

    /// What reads the answer of this request.
    fn reader(state: &mut Self::State) -> Option<&mut Self::Reader>;

    /// Whether the answer is to be read to its end though the client has left. `has_begun`: some of it was
    /// sent.
    fn is_wanted_without_client(state: &Self::State, has_begun: bool) -> bool;

    /// The last of an answer is about to go out.
    fn answer_ends(r: Request<'_, Self>);
}

/// An answer of the module's own, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// `Content-Type`, with its parameters.
    pub content_type: &'static str,
    /// Other header lines.
    pub headers: Vec<(&'static str, String)>,
    /// The body. Where it is empty, nginx answers with its own page for the status, which is an error then.
    pub body: Vec<u8>,
}

/// What becomes of the header of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// It goes on.
    Passes,
    /// It waits until all of the body is there: [`Module::hold`], [`Module::release`].
    Held,
    /// A 502 takes its place.
    BadGateway,
}

/// What becomes of an answer whose header is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release<'r> {
    /// It goes out, with this body.
    Body(&'r [u8]),
    /// It waits until [`Paused::go_on`](crate::request::handles::Paused::go_on), and is asked for again then.
    Waits,
}

/// What reads the body of an answer, and says what of it the client gets.
pub trait Reader<T: Types> {
    /// Whether it may keep anything from the client. If not, nothing is asked of `pass`.
    fn hides(&self) -> bool;

    /// Reads the bytes of a buffer; `pass` is told what of them the client gets.
    fn read(&mut self, r: Request<'_, T>, bytes: &[u8], pass: impl FnMut(Part<'_>));

    /// The answer is at its end.
    fn finish(&mut self, r: Request<'_, T>, pass: impl FnMut(Part<'_>));

    /// A part of the answer may have waited long enough ([`Paused::go_on`](crate::request::handles::Paused::go_on)):
    /// `pass` is told what of it the client gets now.
    fn go_on(&mut self, r: Request<'_, T>, pass: impl FnMut(Part<'_>));

    /// Whether a part of what was read waits, so that the end of the answer has to.
    fn is_waiting(&self) -> bool;

    /// Whether so much waits that nothing more is to be read.
    fn is_full(&self) -> bool;
}

/// A part of an answer that the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of buffers before, which were kept until now.
    Held(&'a [u8]),
    /// A part of the buffer that is being read.
    Range(Range<usize>),
}
