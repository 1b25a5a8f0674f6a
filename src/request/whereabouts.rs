//! ACCESS: is the key used from too many networks?

use std::cell::RefCell;
use std::sync::Arc;

use nginx::clock::cached_mono_ms;
use tollgate_core::decision::Reason;
use tollgate_core::limits::Standing;
use tollgate_core::metrics::{Counter, Part};
use tollgate_core::principal::Principal;
use tollgate_core::whereabouts::{
    AddressLimit, KeyHash, Minute, NetworkMemo, Verdict, Whereabouts,
};

use crate::conf::rules::Tier;
use crate::observed;
use crate::per_worker::PerWorker;
use crate::request::authenticate::Denial;
use crate::request::complaint::may_say;
use crate::request::report::LimitReport;
use crate::request::state::State;
use crate::types::Request;
use crate::zone::lock::ZoneLock;

/// The networks that keys were used from a moment ago.
static SEEN: PerWorker<NetworkMemo> = PerWorker::new(NetworkMemo::default);

/// When it was last said that there is no room, in nanoseconds of the monotonic clock.
static SAID: PerWorker<Option<u64>> = PerWorker::new(|| None);

/// Notes from where the key of a request is used, and judges it by the tier.
#[inline]
pub(super) fn judge(
    r: Request<'_>,
    state: &RefCell<State>,
    principal: &Principal,
    tier: &Tier,
) -> Result<(), Denial> {
    match &tier.addresses {
        None => Ok(()),
        Some(limit) => judge_by(r, state, principal, (tier, limit)),
    }
}

fn judge_by(
    r: Request<'_>,
    state: &RefCell<State>,
    principal: &Principal,
    (tier, limit): (&Tier, &AddressLimit),
) -> Result<(), Denial> {
    // Whoever comes over a UNIX-domain socket comes from no network.
    let (Some(mapped), Some(address)) = (r.main_conf().whereabouts(), r.client_addr()) else {
        return Ok(());
    };
    let (table, now) = (mapped.get(), Minute::of_ms(cached_mono_ms()));
    let key = principal.network_key(table);
    let noted = (key, address.into());
    let lock = ZoneLock::new(table.lock());
    let seen = SEEN.with(|memo| memo.note(table, noted, limit.counted(), now, &lock));
    if seen.is_new {
        let whose = (principal.client(), principal.own_key());
        table.rank(whose, seen.networks, now, &lock);
    }
    if seen.crowded {
        observed::count(Counter::ZoneFull(Part::Addresses));
    }
    if seen.crowded && may_say(&SAID) {
        r.log().error(format_args!(
            "tollgate_zone \"{}\" has no room for all networks that keys are used from, which \"addresses\" counts; \
             make the zone larger",
            r.main_conf().zone_name()
        ));
    }
    let (networks, is_refused) = match limit.judge(&seen) {
        Verdict::Within => return Ok(()),
        Verdict::Over(networks) => (networks, false),
        Verdict::Refused(networks) => (networks, true),
    };
    state.borrow_mut().networks = Some(networks);
    tell(r, (table, key, now), principal, (tier, limit, networks));
    if !is_refused {
        return Ok(());
    }
    let most = u64::from(limit.most());
    let standing = Standing {
        quota: most,
        period_secs: 3600,
        capacity: most,
        remaining: 0,
        until_full_nanos: 0,
    };
    let label = Arc::clone(limit.label());
    let report = LimitReport { label, standing, is_own: true, is_money: false };
    state.borrow_mut().limit = Some(report);
    Err(Reason::AddressesExceeded.into())
}

/// Tells the error log, once an hour of each key, whichever worker sees it.
fn tell(
    r: Request<'_>,
    (table, key, now): (&Whereabouts<'_>, KeyHash, Minute),
    principal: &Principal,
    (tier, limit, networks): (&Tier, &AddressLimit, u16),
) {
    if !table.is_to_be_told(key, now, &ZoneLock::new(table.lock())) {
        return;
    }
    let whose = match principal.own_key() {
        Some(id) => format!("the key \"{}\"", id.escape_debug()),
        None => "a credential".to_owned(),
    };
    r.log().error(format_args!(
        "tollgate: {whose} of client \"{}\" is used from {networks} networks within an hour, more than \"{}\" of \
         tollgate_tier \"{}\" allows",
        principal.client().escape_debug(),
        limit.label(),
        tier.name.escape_debug(),
    ));
}
