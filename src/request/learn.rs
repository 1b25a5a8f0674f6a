//! What is learned from what requests took, for the estimates of their like.

use std::cell::RefCell;

use tollgate_core::address::AddressKey;
use tollgate_core::limits::{Author, Group, LearnedKeys, LearnedMemo, Output, Zone};
use tollgate_core::llm::estimate::START_RATES;
use tollgate_core::llm::Source;

use crate::clock::mono_now;
use crate::per_worker::PerWorker;
use crate::request::meter::{Metering, Taken};
use crate::request::state::State;
use crate::types::Request;
use crate::zone::member;

/// The keys that this worker remembers.
static KEYS: PerWorker<LearnedMemo> = PerWorker::new(LearnedMemo::default);

/// Where it is kept what requests like this one teach: of the client, else of the address.
pub(crate) fn learned_keys(
    r: Request<'_>,
    state: &RefCell<State>,
    zone: &Zone<'_>,
    model: &str,
) -> LearnedKeys {
    let state = state.borrow();
    let tier = state.tier.as_ref().map_or("", |tier| tier.name.as_str());
    let (group, author) = match &state.principal {
        Some(principal) => (Group::Clients, Author::of_client(principal.limit_key(zone))),
        None => match r.client_addr() {
            Some(address) => (Group::Strangers, zone.author(AddressKey::new(address).network())),
            None => (Group::Strangers, zone.author(b"unix:")),
        },
    };
    KEYS.with(|memo| memo.get(zone, (tier, model), group, author))
}

/// Notes what an answer took, for the estimates of those to come.
pub(crate) fn learn(state: &State, metering: &Metering, outcome: &Taken, zone: &Zone<'_>) {
    if outcome.source != Source::Measured {
        return;
    }
    let lesson = &metering.lesson;
    let now = mono_now();
    member::note_changed();
    if let Some(input) = &lesson.input {
        let tokens = outcome.usage.input.saturating_sub(input.token_ids);
        if tokens > 0 {
            zone.learn_input(&lesson.keys, (&input.text, tokens), &START_RATES, now);
        }
    }
    if let Some(tokens) = outcome.output_of_one(metering) {
        let output = Output { tokens, is_whole: outcome.is_whole(metering) };
        zone.learn_output(&lesson.keys, output, state.policy.estimate.output, now);
    }
}
