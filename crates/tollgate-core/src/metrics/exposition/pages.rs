//! What is written.

use std::collections::BTreeMap;

use super::family::{self, Family};
use super::format::Format;
use super::writer::{Labels, Writer};
use super::{ClusterGauges, Gauges, GuardFile};
use crate::metrics::bounds::{self, Bounds};
use crate::metrics::counter::{AuthResult, ExchangeResult};
use crate::metrics::flow::{cells, SOURCES, TOKEN_TYPES};
use crate::metrics::{event, tier_cells, Counter, Outcome, Part, Readings};
use crate::principal::AuthMethod;

/// What a line takes, about; a little more costs less than to move all of it.
const LINE: usize = 140;

/// All metrics in this format.
#[must_use]
pub fn write(readings: &Readings, gauges: &Gauges, format: Format) -> Vec<u8> {
    // A flow has its histogram, a model of a tier four of them and some counters.
    let lines = readings.flows.len().saturating_mul(90).saturating_add(200);
    let mut writer = Writer::new(format, lines.saturating_mul(LINE));
    of_flows(&mut writer, readings);
    of_tiers(&mut writer, readings);
    of_workers(&mut writer, readings, gauges);
    of_clients(&mut writer, readings, gauges);
    writer.begin(&family::WORKERS);
    writer.sample(&family::WORKERS, &Labels::default(), &[], gauges.workers);
    writer.begin(&family::BUILD);
    writer.sample(&family::BUILD, &Labels::default(), &[&gauges.version, &gauges.nginx], 1);
    writer.finish()
}

/// The sums of a tier and a model, at whatever endpoint.
struct Model {
    labels: Labels,
    cells: Vec<u64>,
}

/// The cells that are not told by the endpoint: those behind the histogram of durations.
const OF_MODEL: usize = cells::FIRST_TOKENS;

fn of_flows(writer: &mut Writer, readings: &Readings) {
    let mut models: BTreeMap<(&str, &str), Model> = BTreeMap::new();
    let mut flows = Vec::with_capacity(readings.flows.len());
    for (flow, sums) in &readings.flows {
        let labels = Labels::of(&family::REQUESTS, &[&flow.tier, &flow.model, &flow.endpoint]);
        flows.push((labels, sums));
        let key = (flow.tier.as_str(), flow.model.as_str());
        let model = models.entry(key).or_insert_with(|| Model {
            labels: Labels::of(&family::TOKENS, &[&flow.tier, &flow.model]),
            cells: vec![0; cells::COUNT - OF_MODEL],
        });
        let of_model = sums.get(OF_MODEL..).unwrap_or_default();
        for (sum, cell) in model.cells.iter_mut().zip(of_model) {
            *sum = sum.wrapping_add(*cell);
        }
    }
    writer.begin(&family::REQUESTS);
    for (labels, sums) in &flows {
        for (outcome, count) in Outcome::all().zip(sums.iter()).filter(|(_, count)| **count > 0) {
            let (decision, reason) = outcome.labels();
            writer.sample(&family::REQUESTS, labels, &[decision, reason], *count);
        }
    }
    let models: Vec<Model> = models.into_values().collect();
    of_models(writer, &models);
    writer.begin(&family::REQUEST_DURATION);
    for (labels, sums) in &flows {
        let at = cells::DURATIONS;
        let cells = sums.get(at..).unwrap_or_default();
        histogram(writer, &family::REQUEST_DURATION, labels, &bounds::DURATION, cells);
    }
    let histograms = [
        (family::FIRST_TOKEN, bounds::FIRST_TOKEN, cells::FIRST_TOKENS),
        (family::PER_OUTPUT_TOKEN, bounds::PER_OUTPUT_TOKEN, cells::PER_OUTPUT_TOKENS),
    ];
    for (family, bounds, at) in histograms {
        writer.begin(&family);
        for Model { labels, cells } in &models {
            histogram(
                writer,
                &family,
                labels,
                &bounds,
                cells.get(at - OF_MODEL..).unwrap_or_default(),
            );
        }
    }
    writer.begin(&family::TOKENS_PER_REQUEST);
    for Model { labels, cells } in &models {
        for (kind, at) in [("input", cells::INPUTS), ("output", cells::OUTPUTS)] {
            let labels = labels.and(&family::TOKENS_PER_REQUEST, kind);
            let cells = cells.get(at - OF_MODEL..).unwrap_or_default();
            histogram(writer, &family::TOKENS_PER_REQUEST, &labels, &bounds::TOKENS, cells);
        }
    }
}

fn histogram(
    writer: &mut Writer,
    family: &Family,
    labels: &Labels,
    bounds: &Bounds,
    cells: &[u64],
) {
    writer.histogram(family, labels, bounds, cells.get(..bounds.cells()).unwrap_or_default());
}

fn of_models(writer: &mut Writer, models: &[Model]) {
    writer.begin(&family::TOKENS);
    for Model { labels, cells } in models {
        let counts = cells.get(cells::TOKEN_COUNTS - OF_MODEL..).unwrap_or_default();
        for (source, counts) in SOURCES.into_iter().zip(counts.chunks(TOKEN_TYPES.len())) {
            for (kind, count) in TOKEN_TYPES.into_iter().zip(counts).filter(|(_, n)| **n > 0) {
                writer.sample(&family::TOKENS, labels, &[kind, source.as_str()], *count);
            }
        }
    }
    writer.begin(&family::COST);
    for Model { labels, cells } in models {
        let nanos = cells.get(cells::COST - OF_MODEL).copied().unwrap_or(0);
        if nanos > 0 {
            writer.money(&family::COST, labels, nanos);
        }
    }
}

fn of_tiers(writer: &mut Writer, readings: &Readings) {
    let tiers: Vec<(Labels, &Vec<u64>)> = readings
        .tiers
        .iter()
        .map(|(tier, cells)| (Labels::of(&family::IN_FLIGHT, &[tier]), cells))
        .collect();
    writer.begin(&family::QUEUE_WAIT);
    for (labels, cells) in &tiers {
        let cells = cells.get(tier_cells::QUEUE_WAITS..).unwrap_or_default();
        histogram(writer, &family::QUEUE_WAIT, labels, &bounds::DURATION, cells);
    }
    let singles = [
        (family::IN_FLIGHT, tier_cells::IN_FLIGHT),
        (family::QUEUED, tier_cells::QUEUED),
        (family::KEY_NETWORKS_EXCEEDED, tier_cells::NETWORKS_EXCEEDED),
    ];
    for (family, at) in singles {
        writer.begin(&family);
        for (labels, cells) in &tiers {
            writer.sample(&family, labels, &[], cells.get(at).copied().unwrap_or(0));
        }
    }
}

/// What workers counted beside their requests, and how it is just now.
fn of_workers(writer: &mut Writer, readings: &Readings, gauges: &Gauges) {
    let none = Labels::default();
    writer.begin(&family::AUTH);
    for counter in Counter::all() {
        let (Counter::Auth(method, result), count) = (counter, readings.counter(counter)) else {
            continue;
        };
        // What is alerted of is there from the start: of a series that begins with many, nobody sees that it grew.
        let (is_watched, result) = match result {
            AuthResult::Accepted => (false, "accepted"),
            AuthResult::Refused(reason) => {
                (method.is_some() && reason.is_auth_failure(), reason.as_str())
            }
        };
        if count > 0 || is_watched {
            let method = method.map_or("none", AuthMethod::as_str);
            writer.sample(&family::AUTH, &none, &[method, result], count);
        }
    }
    of_events(writer, readings, &family::UPSTREAM_ERRORS, event::Family::UpstreamErrors);
    writer.begin(&family::KEYS);
    for keys in &gauges.keys {
        let labels = Labels::of(&family::KEYS, &[&keys.file]);
        for (state, count) in &keys.states {
            writer.sample(&family::KEYS, &labels, &[state], *count);
        }
    }
    writer.begin(&family::KEYS_GENERATION);
    for keys in &gauges.keys {
        writer.sample(&family::KEYS_GENERATION, &none, &[&keys.file], keys.generation);
    }
    of_told(writer, gauges);
    of_events(writer, readings, &family::LOAD_FAILURES, event::Family::LoadFailures);
    let files = gauges.keys.iter().map(|keys| &keys.file);
    for file in files.chain(gauges.guard_files.iter().map(|guards| &guards.file)) {
        let of_file = |event: &&(event::Family, String, String)| {
            event.0 == event::Family::LoadFailures && event.1 == *file
        };
        if !readings.events.keys().any(|event| of_file(&event)) {
            writer.sample(&family::LOAD_FAILURES, &none, &[file], 0);
        }
    }
    of_events(writer, readings, &family::PROVIDER_REQUESTS, event::Family::ProviderRequests);
    writer.begin(&family::GUARD);
    for ([guard, rule, action], count) in &readings.guards {
        writer.sample(&family::GUARD, &none, &[guard, rule, action], *count);
    }
    of_guard_files(writer, &gauges.guard_files);
    writer.begin(&family::ZONE_SLOTS);
    for (part, census) in &gauges.zone {
        let labels = Labels::of(&family::ZONE_SLOTS, &[part.as_str()]);
        for (state, count) in
            [("used", census.used), ("free", census.places.saturating_sub(census.used))]
        {
            writer.sample(&family::ZONE_SLOTS, &labels, &[state], count as u64);
        }
    }
    writer.begin(&family::ZONE_FULL);
    for part in Part::ALL {
        let count = readings.counter(Counter::ZoneFull(part));
        writer.sample(&family::ZONE_FULL, &none, &[part.as_str()], count);
    }
    let pairs = [
        (family::AUDIT_LINES, [("written", Counter::AuditWritten), ("lost", Counter::AuditLost)]),
        (family::STATE_WRITES, [("ok", Counter::StateWritten), ("error", Counter::StateFailed)]),
    ];
    for (family, results) in pairs {
        writer.begin(&family);
        for (result, counter) in results {
            writer.sample(&family, &none, &[result], readings.counter(counter));
        }
    }
    if let Some(cluster) = gauges.cluster {
        of_cluster(writer, readings, cluster);
    }
    for (family, counter) in
        [(family::PANICS, Counter::Panic), (family::UNCOUNTED, Counter::Uncounted)]
    {
        writer.begin(&family);
        writer.sample(&family, &none, &[], readings.counter(counter));
    }
}

/// How the node stands to the store of its cluster.
fn of_cluster(writer: &mut Writer, readings: &Readings, cluster: ClusterGauges) {
    let none = Labels::default();
    writer.begin(&family::CLUSTER_UP);
    writer.sample(&family::CLUSTER_UP, &none, &[], u64::from(cluster.is_up));
    // Without the store nobody knows how many there are.
    let alive = if cluster.is_up { cluster.nodes } else { 0 };
    for (family, nodes) in
        [(family::CLUSTER_NODES, alive), (family::CLUSTER_EXPECTED_NODES, cluster.expected_nodes)]
    {
        if nodes > 0 {
            writer.begin(&family);
            writer.sample(&family, &none, &[], nodes);
        }
    }
    writer.begin(&family::CLUSTER_EXCHANGE);
    for result in ExchangeResult::ALL {
        let labels = Labels::of(&family::CLUSTER_EXCHANGE, &[result.as_str()]);
        let cells: Vec<u64> =
            Counter::exchanges(result).map(|cell| readings.counter(cell)).collect();
        histogram(writer, &family::CLUSTER_EXCHANGE, &labels, &bounds::EXCHANGE, &cells);
    }
    writer.begin(&family::CLUSTER_LEASES);
    for (state, count) in [("used", cluster.leases), ("free", cluster.free())] {
        writer.sample(&family::CLUSTER_LEASES, &none, &[state], count);
    }
    writer.begin(&family::CLUSTER_WAITS);
    let waits = readings.counter(Counter::StoreWaits);
    writer.sample(&family::CLUSTER_WAITS, &none, &[], waits);
    writer.begin(&family::CLUSTER_WAIT_SECONDS);
    let micros = readings.counter(Counter::StoreWaitMicros);
    writer.scaled_sample(&family::CLUSTER_WAIT_SECONDS, micros, 1_000_000);
    writer.begin(&family::CLUSTER_ALONE);
    let alone = readings.counter(Counter::Alone);
    writer.sample(&family::CLUSTER_ALONE, &none, &[], alone);
    writer.begin(&family::CLUSTER_LOST_SECONDS);
    let lost = readings.counter(Counter::StoreLostMillis);
    writer.scaled_sample(&family::CLUSTER_LOST_SECONDS, lost, 1_000);
}

/// Whether what files hold is in force, and in which workers.
fn of_told(writer: &mut Writer, gauges: &Gauges) {
    let none = Labels::default();
    let told = || gauges.keys.iter().filter_map(|keys| Some((keys.file.as_str(), keys.told?)));
    writer.begin(&family::KEYS_IN_FORCE);
    for (file, told) in told() {
        writer.sample(&family::KEYS_IN_FORCE, &none, &[file], u64::from(told.is_taken));
    }
    writer.begin(&family::KEYS_WORKERS);
    for (file, told) in told() {
        for (state, count) in [("current", told.current), ("behind", told.behind)] {
            writer.sample(&family::KEYS_WORKERS, &none, &[file, state], count);
        }
    }
}

/// How much of a digest is shown: as much as a person compares.
const DIGITS: usize = 12;

/// What is in force of the files of guards.
fn of_guard_files(writer: &mut Writer, files: &[GuardFile]) {
    let none = Labels::default();
    writer.begin(&family::GUARD_FILE);
    for GuardFile { file, what, version, sha256, count, .. } in files {
        let Some(count) = count else { continue };
        let digest = sha256.get(..DIGITS).unwrap_or(sha256);
        writer.sample(&family::GUARD_FILE, &none, &[file, what, version, digest], *count);
    }
    writer.begin(&family::GUARD_FILE_SINCE);
    for (file, since_ms) in files.iter().filter_map(|file| Some((&file.file, file.since_ms?))) {
        let seconds = u64::try_from(since_ms / 1000).unwrap_or(0);
        writer.sample(&family::GUARD_FILE_SINCE, &none, &[file], seconds);
    }
    let told = || files.iter().filter_map(|file| Some((&file.file, file.told?)));
    writer.begin(&family::GUARD_FILE_IN_FORCE);
    for (file, told) in told() {
        writer.sample(&family::GUARD_FILE_IN_FORCE, &none, &[file], u64::from(told.is_taken));
    }
    writer.begin(&family::GUARD_FILE_WORKERS);
    for (file, told) in told() {
        for (state, count) in [("current", told.current), ("behind", told.behind)] {
            writer.sample(&family::GUARD_FILE_WORKERS, &none, &[file, state], count);
        }
    }
}

fn of_events(writer: &mut Writer, readings: &Readings, family: &Family, of: event::Family) {
    writer.begin(family);
    for ((found, first, second), count) in &readings.events {
        if *found == of {
            let labels = Labels::of(family, &[first, second]);
            writer.sample(family, &labels, &[], *count);
        }
    }
}

fn of_clients(writer: &mut Writer, _: &Readings, gauges: &Gauges) {
    let none = Labels::default();
    writer.begin(&family::BUDGET_USED);
    for nearest in &gauges.nearest {
        let values = [nearest.client.as_str(), &nearest.tier, &nearest.limit];
        let labels = Labels::of(&family::BUDGET_USED, &values);
        writer.ratio(&family::BUDGET_USED, &labels, nearest.used_ratio);
    }
    writer.begin(&family::CLIENT_REQUESTS);
    for client in &gauges.clients {
        writer.sample(&family::CLIENT_REQUESTS, &none, &[&client.client], client.requests);
    }
    writer.begin(&family::CLIENT_REFUSED);
    for client in &gauges.clients {
        writer.sample(&family::CLIENT_REFUSED, &none, &[&client.client], client.refused);
    }
    writer.begin(&family::CLIENT_TOKENS);
    for client in &gauges.clients {
        let tokens = client.input_tokens.saturating_add(client.output_tokens);
        writer.sample(&family::CLIENT_TOKENS, &none, &[&client.client], tokens);
    }
    writer.begin(&family::CLIENT_COST);
    for client in &gauges.clients {
        let labels = Labels::of(&family::CLIENT_COST, &[&client.client]);
        writer.money(&family::CLIENT_COST, &labels, client.cost_nanos);
    }
    writer.begin(&family::KEY_NETWORKS);
    for key in &gauges.networks {
        let values = [key.client.as_str(), &key.key_id];
        writer.sample(&family::KEY_NETWORKS, &none, &values, key.networks);
    }
}
