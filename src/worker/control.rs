//! What a worker answers at the socket of `tollgate_control`. Whichever worker it is: what it does is done in
//! memory that all of them share.

use std::collections::BTreeSet;

use tollgate_core::clients::view::to_json;
use tollgate_core::control::answer::{line, ok};
use tollgate_core::control::request::limits_named;
use tollgate_core::control::{Done, Refused, Request};
use tollgate_core::limits::Reset;

use crate::clients::report;
use crate::clock::{mono_now, now};
use crate::conf::MainConf;
use crate::overview;
use crate::request::drops;
use crate::zone::lock::ZoneLock;
use crate::zone::member;
use nginx::guard::guard;
use nginx::local_socket::Peer;
use nginx::log::{cycle_error, cycle_notice};

/// In the master: a configuration comes into use.
pub(crate) fn begin(conf: &MainConf) {
    let Some(socket) = conf.control_socket() else { return };
    if let Err(error) = socket.close_to_others() {
        // Whoever connects is looked at, too.
        cycle_error(format_args!(
            "tollgate: cannot close the socket \"{}\" to other users: {error}",
            socket.path()
        ));
    }
}

/// The answer to a line; `None`: it is too long to be read.
pub(crate) fn answer(conf: Option<&MainConf>, request: Option<&[u8]>, peer: Peer) -> Vec<u8> {
    let found = guard(Err(Refused::Internal), || {
        let request = Request::parse(request)?;
        handle(conf.ok_or(Refused::NotInUse)?, request, peer)
    });
    found.unwrap_or_else(|refused| line(&Err(refused)))
}

fn handle(conf: &MainConf, request: Request, peer: Peer) -> Result<Vec<u8>, Refused> {
    let done = match request {
        Request::Status {} => {
            let overview = overview::look(conf).ok_or(Refused::NotInUse)?;
            return Ok(ok(&overview.to_json()));
        }
        Request::Clients(listed) => {
            let query = listed.query()?;
            let list = report::list(conf, &query).ok_or(Refused::NotInUse)?;
            return Ok(ok(&to_json(&list)));
        }
        Request::Client { client } => {
            let shown = report::show(conf, &client).ok_or(Refused::UnknownClient)?;
            return Ok(ok(&to_json(&shown)));
        }
        Request::Reset { client, limit } => reset(conf, &client, limit.as_deref(), peer)?,
        Request::Drop { client } => drop_client(conf, &client, peer)?,
        Request::Dropped { order } => {
            let drops = conf.drops().ok_or(Refused::NotInUse)?;
            let requests = drops.get().ended(order).ok_or(Refused::UnknownOrder)?;
            Done::Dropped { requests }
        }
    };
    Ok(line(&Ok(done)))
}

/// Tells the error log who did what.
fn tell(peer: Peer, client: &str, what: &str) {
    let Peer { pid, user } = peer;
    cycle_notice(format_args!(
        "tollgate: by order of process {pid} of user {user}, client \"{}\" {what}",
        client.escape_debug()
    ));
}

/// Has limits of a client begin anew: its own, and those that it has in `model` blocks.
fn reset(conf: &MainConf, client: &str, limit: Option<&str>, peer: Peer) -> Result<Done, Refused> {
    let what = limits_named(limit)?;
    let mapped = conf.zone().ok_or(Refused::NotInUse)?;
    let zone = mapped.get();
    let lock = ZoneLock::of(zone);
    let blocks = conf.tiers.iter().flat_map(|tier| &tier.models);
    let blocks: BTreeSet<&str> = blocks.map(|block| block.pattern.as_str()).collect();
    let keys = blocks.into_iter().map(|block| zone.model_key(client, block));
    let keys = std::iter::once(zone.client_key(client)).chain(keys);
    member::note_changed();
    let now = now();
    let slots = keys.filter(|key| zone.reset(*key, what, now, &lock)).count();
    match what {
        Reset::All => tell(peer, client, "begins anew with all of its limits"),
        named => tell(
            peer,
            client,
            &format!("begins anew with its limits of the kind \"{}\"", named.as_str()),
        ),
    }
    Ok(Done::Reset { slots })
}

/// Has the requests of a client end: here at once, and in other workers when they look.
fn drop_client(conf: &MainConf, client: &str, peer: Peer) -> Result<Done, Refused> {
    let mapped = conf.drops().ok_or(Refused::NotInUse)?;
    let drops = mapped.get();
    let lock = ZoneLock::new(drops.lock());
    let order = drops.order(client, mono_now(), &lock).map_err(|_| Refused::TooMany)?;
    tell(peer, client, "loses its requests in flight");
    drops::enforce();
    Ok(Done::Drop { order })
}
