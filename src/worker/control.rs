//! What a worker answers at the socket of `tollgate_control`. Whichever worker it is: what it does is done in
//! memory that all of them share.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::rc::Rc;

use tollgate_core::clients::view::to_json;
use tollgate_core::control::answer::{line, ok};
use tollgate_core::control::request::limits_named;
use tollgate_core::control::{Done, OfRule, Refused, Request};
use tollgate_core::limits::{CountedBy, Reset, Subject};

use crate::clients::report;
use crate::clock::{mono_now, now};
use crate::conf::rules::{KeySource, LimitRule};
use crate::conf::MainConf;
use crate::overview;
use crate::request::drops;
use crate::worker::resets;
use crate::zone::lock::ZoneLock;
use crate::zone::member;
use nginx::guard::guard;
use nginx::local_socket::Peer;
use nginx::log::{cycle_error, cycle_notice};

/// In the master: a configuration comes into use.
pub(crate) fn begin(conf: &MainConf) {
    let Some(socket) = conf.control_socket() else { return };
    if let Err(error) = socket.close_to_others() {
        if error.kind() == ErrorKind::NotFound {
            // nginx goes on listening there, where nobody can connect any more.
            cycle_error(format_args!(
                "tollgate: the socket \"{}\" of tollgate_control has been removed, so that nobody reaches it; restart \
                 nginx, or name another path and reload",
                socket.path()
            ));
            return;
        }
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
        Request::Limit { name, key } => {
            let rule = rule(conf, &name)?;
            let by = counted_by(rule, &key)?;
            let subject = Subject { rule: &rule.name, by, client: None };
            let shown = report::show_limit(conf, rule, (&key, &subject));
            return Ok(ok(&to_json(&shown.ok_or(Refused::NotInUse)?)));
        }
        Request::ResetLimit { name, key, limit } => {
            reset_limit(conf, (&name, &key), OfRule::named(limit.as_deref())?, peer)?
        }
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
    resets::of_client(conf, client, what);
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

/// The `tollgate_limit` of this name.
fn rule<'c>(conf: &'c MainConf, name: &str) -> Result<&'c LimitRule, Refused> {
    let rule = conf.limits.iter().find(|rule| &*rule.name == name);
    rule.map(Rc::as_ref).ok_or(Refused::UnknownLimit)
}

/// By what a rule counts whoever has this value of its key.
fn counted_by<'k>(rule: &LimitRule, key: &'k str) -> Result<CountedBy<'k>, Refused> {
    if key.is_empty() {
        return Err(Refused::Malformed(format!(
            "\"{}\" counts nobody with an empty key",
            rule.name
        )));
    }
    Ok(match rule.key {
        KeySource::Address => CountedBy::address(key).ok_or_else(|| {
            let name = &rule.name;
            Refused::Malformed(format!(
                "the key of tollgate_limit \"{name}\" is an address, such as 192.0.2.1 or 2001:db8::1, or \"unix:\""
            ))
        })?,
        KeySource::Constant(_) => CountedBy::Constant(key.as_bytes()),
        KeySource::Authenticated(_) => CountedBy::Authenticated(key.as_bytes()),
        KeySource::Expression(_) => CountedBy::Value(key.as_bytes()),
    })
}

/// Has the limits of a rule begin anew for one value of its key.
fn reset_limit(
    conf: &MainConf,
    (name, key): (&str, &str),
    what: OfRule,
    Peer { pid, user }: Peer,
) -> Result<Done, Refused> {
    let rule = rule(conf, name)?;
    let subject = Subject { rule: &rule.name, by: counted_by(rule, key)?, client: None };
    let mapped = conf.zone().ok_or(Refused::NotInUse)?;
    let zone = mapped.get();
    let (lock, now) = (ZoneLock::of(zone), now());
    member::note_changed();
    let mut slots = 0_usize;
    if let Some(what) = what.limits() {
        let keys = zone.own_limit_keys(&subject);
        slots = keys.into_iter().filter(|key| zone.reset(*key, what, now, &lock)).count();
        resets::of_rule(conf, rule, &subject, what);
    }
    if what.has_failures() {
        let keys = zone.own_failures_keys(&subject);
        let failures =
            keys.into_iter().filter(|key| zone.reset(*key, Reset::All, now, &lock)).count();
        slots = slots.saturating_add(failures);
    }
    cycle_notice(format_args!(
        "tollgate: by order of process {pid} of user {user}, tollgate_limit \"{name}\" begins anew for \"{}\"",
        key.escape_debug()
    ));
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
