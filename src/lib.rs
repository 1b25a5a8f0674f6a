//! Tollgate: API keys, JWTs, limits and an audit log in front of an LLM inference server, inside the
//! nginx worker.
//!
//! This file is the table of contents: what nginx calls, and which function does it.
//!
//! * [`conf`]: what nginx.conf says;
//! * [`request`]: what happens to a request, phase by phase;
//! * [`keys`]: what credentials are judged by, and how it stays current;
//! * [`observed`]: what is counted; [`clients`]: and of whom;
//! * [`zone`]: the limits and counters that all workers see;
//! * [`overview`]: how things are;
//! * [`worker`]: what a worker does beside its requests.
//!
//! What is decided, and how, is in `tollgate-core`. What has to do with nginx's C interface is in the crate
//! `nginx`, for which [`types`] has short names.
#![deny(unsafe_code)]

mod clients;
mod clock;
mod conf;
#[allow(unsafe_code)]
mod exports;
#[cfg(debug_assertions)]
mod faults;
mod keys;
mod observed;
mod overview;
mod per_worker;
mod random;
mod request;
mod types;
mod worker;
mod zone;

use nginx::conf::{ConfContext, ConfError, Position};
use nginx::local_socket::Peer;
use nginx::process::Processes;
use nginx::{Header, Kept, Module, Page, Release, Types, Verdict};

use conf::{LocConf, MainConf};
use overview::status_file;
use request::state::State;
use request::{access, answer, audit, browser, id, identity, pages, settlement, variables};
use types::{Command, Request, Server, Tollgate};
use worker::{control, sealing, upkeep, watch};

impl Types for Tollgate {
    const NAME: &'static str = "tollgate";

    type Main = MainConf;
    type Loc = LocConf;
    type State = State;
    type Zone = zone::Limits;

    fn log_id(state: &State) -> Kept {
        state.request_id
    }
}

impl Module for Tollgate {
    const DIRECTIVES: &'static [Command] = conf::directives::DIRECTIVES;
    const VARIABLES: &'static [&'static str] = &variables::NAMES;

    // Configuration.

    fn note(conf: &mut LocConf, directive: &str, position: Position) {
        conf.note(directive, position);
    }

    fn proxies(
        cx: &ConfContext<'_>,
        conf: &mut LocConf,
        location: &[u8],
        url: &str,
    ) -> Result<(), ConfError> {
        conf.proxies(cx, location, url)
    }

    fn merge(
        cx: &ConfContext<'_>,
        parent: &LocConf,
        own: &mut LocConf,
        main: &mut MainConf,
    ) -> Result<(), ConfError> {
        own.merge(cx, parent, main)
    }

    fn in_use(main: &MainConf) -> bool {
        main.in_use()
    }

    fn complete(main: &MainConf, cx: &ConfContext<'_>, servers: &[Server<'_>]) {
        main.finish(cx, servers);
    }

    // Processes.

    fn takes_effect(conf: Option<(&MainConf, &Processes)>) {
        match conf {
            Some((main, processes)) => {
                status_file::begin(main, processes);
                control::begin(main);
            }
            None => status_file::end(),
        }
    }

    fn master_ends() {
        status_file::end();
    }

    fn worker_starts(main: &MainConf) {
        watch::start(main);
        upkeep::start(main);
        sealing::start(main);
    }

    fn worker_ends() {
        status_file::leave();
        watch::stop();
        upkeep::stop();
        sealing::stop();
    }

    fn control(main: Option<&MainConf>, line: Option<&[u8]>, peer: Peer) -> Vec<u8> {
        control::answer(main, line, peer)
    }

    // Phases of a request.

    fn early_id<'r>(r: Request<'r>) -> Option<&'r [u8]> {
        id::early(r)
    }

    fn preaccess(r: Request<'_>) -> Verdict {
        settlement::before_post_action(r);
        identity::silence(r);
        browser::preflight(r).unwrap_or(Verdict::Declined)
    }

    fn access(r: Request<'_>) -> Verdict {
        access::judge(r)
    }

    fn precontent(r: Request<'_>) -> Option<Verdict> {
        identity::seal(r)
    }

    fn log(r: Request<'_>) {
        audit::write(r);
    }

    fn fail(r: Request<'_>) -> Verdict {
        access::fail(r)
    }

    fn variable<'r>(index: usize, r: Request<'r>) -> Option<&'r [u8]> {
        variables::value(index, r)
    }

    fn variable_failed(r: Request<'_>) {
        variables::failed(r);
    }

    fn page(r: Request<'_>) -> Option<Page> {
        pages::answer(r)
    }

    // Its answer.

    type Reader = State;

    fn headers(r: Request<'_>) -> Option<Header> {
        answer::headers(r)
    }

    fn abandon(r: Request<'_>) -> bool {
        answer::abandon(r)
    }

    fn body<'r>(r: Request<'r>) -> Option<&'r [u8]> {
        answer::body(r)
    }

    fn owes_body(r: Request<'_>) -> bool {
        answer::owes_body(r)
    }

    fn hold(r: Request<'_>, bytes: &[u8]) {
        answer::hold(r, bytes);
    }

    fn release<'r>(r: Request<'r>) -> Option<Release<'r>> {
        answer::release(r)
    }

    fn reader(state: &mut State) -> Option<&mut State> {
        let is_metered = state.metering.as_deref().is_some_and(|metering| metering.is_reading());
        let is_read = state.keeping.as_deref().is_some_and(|keeping| keeping.is_reading());
        let is_shown = state.guarded.as_deref().is_some_and(|guarded| guarded.shows());
        let is_renamed = state.renaming.as_deref().is_some_and(|renaming| renaming.is_reading());
        (is_metered || is_read || is_shown || is_renamed).then_some(state)
    }

    fn is_wanted_without_client(state: &State, has_begun: bool) -> bool {
        state.metering.as_ref().is_some_and(|metering| !metering.stream || has_begun)
    }

    fn answer_ends(r: Request<'_>) {
        settlement::end(r);
    }
}
