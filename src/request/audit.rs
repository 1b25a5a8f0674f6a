//! LOG: one audit line. What the answer didn't settle by its end, is settled now.

use tollgate_core::audit::{identity, Record, Remaining, TimeFormat};
use tollgate_core::disclosure::{carries, redacted};
use tollgate_core::llm::Source;

use crate::clock::wall_now;
use crate::observed;
use crate::per_worker::PerWorker;
use crate::request::observe::{self, End};
use crate::request::state::State;
use crate::request::{pages, screen, settlement};
use crate::types::Request;

/// The time of the lines, as it was written last.
static TIME: PerWorker<TimeFormat> = PerWorker::new(TimeFormat::default);

/// The log handler.
pub(crate) fn write(r: Request<'_>) {
    if !r.is_main() || pages::is_shell(r) {
        return;
    }
    let conf = r.loc_conf();
    #[cfg(debug_assertions)]
    crate::faults::at(conf.planted, crate::faults::Callback::Log);
    let state = r.find_state();
    if let Some(state) = state {
        settlement::settle(r, state);
        screen::count(&mut state.borrow_mut());
    }
    let state = state.map(|state| state.borrow());
    // A request belongs to the location that judged it; one that got nowhere, to where it ended.
    let policy = state.as_ref().map(|state| &state.policy).or_else(|| conf.policy());
    let now = wall_now();
    let metering = state.as_ref().and_then(|state| state.metering.as_deref());
    let taken = metering.map(|metering| metering.outcome(r));
    let status = r.status();
    let duration_ms = u64::try_from(now.0.saturating_sub(r.start_ms())).ok();
    if policy.is_some() && observed::is_on() {
        let end = End { at: now, status, duration_ms: duration_ms.unwrap_or(0) };
        observe::ended(r, state.as_deref(), taken.as_ref(), end);
    }
    let Some(log) = policy.and_then(|policy| policy.audit_log.as_ref()) else {
        return;
    };

    let (model, alias, tried);
    let mut other = None;
    let mut record = Record::new(now);
    record.status = Some(status).filter(|status| *status != 0);
    record.remote_addr = Some(r.client_addr_text());
    // A credential that the client put where it doesn't belong is no more for the log than elsewhere.
    let presented = state.as_ref().and_then(|state| state.credential.bytes(r));
    let path = redacted(r.path(), presented);
    record.method = Some(r.method());
    record.path = Some(&path);
    record.duration_ms = duration_ms;
    record.bytes_in = Some(r.bytes_in());
    record.bytes_out = Some(r.bytes_out());
    record.traceparent = r
        .headers_in()
        .find(|header| header.name == b"traceparent")
        .map(|header| header.value)
        .filter(|value| !presented.is_some_and(|bytes| carries(value, bytes)));
    tried = tried_before(r);
    record.tried = Some(&tried);
    if let Some(last) = r.attempts().last() {
        record.upstream = Some(last.peer);
        record.upstream_status = u16::try_from(last.status).ok().filter(|status| *status != 0);
        record.upstream_ms = last.response_ms;
    }
    if let Some(state) = &state {
        record.request_id = Some(r.kept(state.request_id));
        add_state(&mut record, state, &mut other);
        // With a refusal the limit that refused it, else the one that is nearest to that.
        if let Some(report) = state.limit.as_ref().or_else(|| state.shown.tightest()) {
            let remaining = report.standing.remaining;
            record.limit = Some(report.label.as_bytes());
            record.remaining = Some(match report.is_money {
                true => Remaining::Nanos(remaining),
                false => Remaining::Count(remaining),
            });
        }
        if let (Some(metering), Some(taken)) = (metering, &taken) {
            record.engine = Some(state.policy.engine.as_str());
            model = metering.model.as_deref().map(|model| redacted(model.as_bytes(), presented));
            record.model = model.as_deref();
            alias = metering.alias.as_deref().map(|alias| redacted(alias.as_bytes(), presented));
            record.alias = alias.as_deref();
            record.stream = Some(metering.stream);
            record.usage = Some((taken.source, taken.usage));
            record.cost_nanos = taken.cost.filter(|_| taken.source != Source::None);
            record.ttft_ms = metering.ttft_ms;
        } else if let Some(asked) = &state.asked_model {
            let real = state.policy.aliases.find(asked);
            model = Some(redacted(real.unwrap_or(asked).as_bytes(), presented));
            alias = real.map(|_| redacted(asked.as_bytes(), presented));
            (record.model, record.alias) = (model.as_deref(), alias.as_deref());
        }
    }
    TIME.with(|time| log.append(|out| record.write_line(time, out)));
}

/// The backends that were tried before the last one, each with its status. Most often there is none.
fn tried_before(r: Request<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut attempts = r.attempts().peekable();
    while let Some(attempt) = attempts.next() {
        if attempts.peek().is_none() {
            break;
        }
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(attempt.peer);
        if attempt.status != 0 {
            text.extend_from_slice(format!(" {}", attempt.status).as_bytes());
        }
    }
    text
}

fn add_state<'s>(record: &mut Record<'s>, state: &'s State, other: &'s mut Option<Box<[u8]>>) {
    record.decision = state.ruling.decision();
    record.cut_off = state.cut_off;
    record.detail = state.detail.as_ref();
    record.networks = state.networks.map(u64::from);
    record.guard = state.guarded.as_ref().map(|guarded| &guarded.found);
    record.dry_run = state.is_dry_run();
    let tier = state.tier.as_ref().map(|tier| tier.name.as_str());
    record.tier = tier.map(str::as_bytes);
    if let Some(principal) = &state.principal {
        let fields = &state.policy.audit_fields;
        let write = || identity(principal, tier, fields);
        let kept = principal.audit_identity(tier, fields.as_str(), write);
        // In another tier, or for another log, it is written anew.
        record.identity = Some(match kept {
            Some(kept) => kept,
            None => other.insert(write()),
        });
        record.auth = Some(principal.auth());
        record.client = Some(principal.client().as_bytes());
        record.tenant = principal.tenant().map(str::as_bytes);
        record.key_id = principal.key_id().map(str::as_bytes);
    } else if let Some(owner) = &state.refused_owner {
        record.client = Some(owner.client().as_bytes());
        record.tenant = owner.tenant().map(str::as_bytes);
        record.key_id = Some(owner.key_id().as_bytes());
    }
}
