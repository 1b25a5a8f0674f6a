//! The table of all metrics. docs/monitoring.md has the same; a test compares them.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Counts up; its samples have `_total` at the end of their name.
    Counter,
    /// Is what it is at the moment.
    Gauge,
    /// Counts in buckets.
    Histogram,
    /// Is always 1, and tells something in its labels; its sample has `_info` at the end of its name.
    Info,
}

impl Kind {
    /// What its samples have at the end of their name.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// A metric, with all of its labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, but for the end that its samples have.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// In what it is measured, which its name ends with; empty: it counts something.
    pub unit: &'static str,
    /// The names of its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it tells: without a backslash, a quote or a line feed, which the formats escape differently.
    pub help: &'static str,
}

macro_rules! families {
    ($($id:ident = $kind:ident $name:literal $labels:tt $unit:literal $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: Family = Family {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &$labels,
                help: $help,
            };
        )*

        /// All of them, in the order in which they are written.
        pub const ALL: &[Family] = &[$($id),*];
    };
}

families! {
    REQUESTS = Counter "tollgate_requests" ["tier", "model", "endpoint", "decision", "reason"] ""
        "Requests that have ended, by what was decided.";
    TOKENS = Counter "tollgate_tokens" ["tier", "model", "type", "usage"] ""
        "Tokens that requests took. Cached ones are part of the input, reasoning is part of the output.";
    COST = Counter "tollgate_cost" ["tier", "model"] ""
        "Money that requests cost, in units of tollgate_price.";
    REQUEST_DURATION = Histogram "tollgate_request_duration_seconds" ["tier", "model", "endpoint"] "seconds"
        "From the first byte of a request to the last byte of its answer.";
    FIRST_TOKEN = Histogram "tollgate_time_to_first_token_seconds" ["tier", "model"] "seconds"
        "From the first byte of a request to the first token of its answer.";
    PER_OUTPUT_TOKEN = Histogram "tollgate_time_per_output_token_seconds" ["tier", "model"] "seconds"
        "Time for each token of an answer after the first one.";
    TOKENS_PER_REQUEST = Histogram "tollgate_tokens_per_request" ["tier", "model", "type"] ""
        "Tokens that a request took.";
    QUEUE_WAIT = Histogram "tollgate_queue_wait_seconds" ["tier"] "seconds"
        "How long requests waited for a concurrency slot, those included that got none.";
    IN_FLIGHT = Gauge "tollgate_in_flight" ["tier"] ""
        "Requests that were let in and have not ended.";
    QUEUED = Gauge "tollgate_queued" ["tier"] ""
        "Requests that wait for a concurrency slot.";
    KEY_NETWORKS_EXCEEDED = Counter "tollgate_key_networks_exceeded" ["tier"] ""
        "Requests of keys that were used from more networks than their tier allows.";
    AUTH = Counter "tollgate_auth" ["method", "result"] ""
        "Requests by what their credential came to.";
    UPSTREAM_ERRORS = Counter "tollgate_upstream_errors" ["model", "status"] ""
        "Attempts at an engine that failed: its status of 500 or more, or that of nginx where it gave none.";
    KEYS = Gauge "tollgate_keys" ["file", "state"] ""
        "Keys in a file, by what they are good for.";
    KEYS_GENERATION = Gauge "tollgate_keys_generation" ["file"] ""
        "Counts up with each content of a keys file that came into force.";
    KEYS_IN_FORCE = Gauge "tollgate_keys_in_force" ["file"] ""
        "1, if what the file holds is in force; 0, if it could not be taken.";
    KEYS_WORKERS = Gauge "tollgate_keys_workers" ["file", "state"] ""
        "Workers that take requests, by whether they use what came into force last.";
    LOAD_FAILURES = Counter "tollgate_load_failures" ["file"] ""
        "Changes of a file that could not be taken, or not all of it.";
    PROVIDER_REQUESTS = Counter "tollgate_provider_requests" ["provider", "result"] ""
        "Questions to identity providers, for their keys or about tokens.";
    GUARD = Counter "tollgate_guard" ["guard", "rule", "action"] ""
        "What guards found, by what is done about it.";
    GUARD_FILE = Gauge "tollgate_guard_file" ["file", "kind", "version", "sha256"] ""
        "Rules or terms of a file of guards that are in force; of the digest of the file, the first 12 digits.";
    GUARD_FILE_SINCE = Gauge "tollgate_guard_file_since_timestamp_seconds" ["file"] "seconds"
        "Since when that is in force.";
    GUARD_FILE_IN_FORCE = Gauge "tollgate_guard_file_in_force" ["file"] ""
        "1, if what the file holds is in force; 0, if it could not be taken.";
    GUARD_FILE_WORKERS = Gauge "tollgate_guard_file_workers" ["file", "state"] ""
        "Workers that take requests, by whether they use what came into force last.";
    ZONE_SLOTS = Gauge "tollgate_zone_slots" ["part", "state"] ""
        "Places in the zone.";
    ZONE_FULL = Counter "tollgate_zone_full" ["part"] ""
        "How often there was no room in the zone for somebody.";
    AUDIT_LINES = Counter "tollgate_audit_lines" ["result"] ""
        "Lines of the audit log.";
    STATE_WRITES = Counter "tollgate_state_writes" ["result"] ""
        "Attempts to write the state of the zone, or of owned objects.";
    CLUSTER_UP = Gauge "tollgate_cluster_up" [] ""
        "1, if the store of the cluster was heard within the last second.";
    CLUSTER_NODES = Gauge "tollgate_cluster_nodes" [] ""
        "Nodes of the cluster that its store has heard of within the last five seconds.";
    CLUSTER_EXPECTED_NODES = Gauge "tollgate_cluster_expected_nodes" [] ""
        "As many as there should be.";
    CLUSTER_EXCHANGE = Histogram "tollgate_cluster_exchange_seconds" ["result"] "seconds"
        "How long exchanges with the store of the cluster took.";
    CLUSTER_LEASES = Gauge "tollgate_cluster_leases" ["state"] ""
        "Places for leases of limits that hold over the cluster.";
    CLUSTER_WAITS = Counter "tollgate_cluster_waits" [] ""
        "Requests that have waited for the store of the cluster.";
    CLUSTER_WAIT_SECONDS = Counter "tollgate_cluster_wait_seconds" [] "seconds"
        "How long they have waited in all.";
    CLUSTER_ALONE = Counter "tollgate_cluster_alone" [] ""
        "Limits that requests were judged by without the store of the cluster, as it was lost.";
    CLUSTER_LOST_SECONDS = Counter "tollgate_cluster_lost_seconds" [] "seconds"
        "For how long the store of the cluster was lost.";
    PANICS = Counter "tollgate_panics" [] ""
        "Bugs: callbacks of the module that panicked.";
    UNCOUNTED = Counter "tollgate_uncounted_requests" [] ""
        "Requests that are in no other metric, for want of room.";
    BUDGET_USED = Gauge "tollgate_budget_used_ratio" ["client", "tier", "limit"] "ratio"
        "How much of its limits a client has used. Only with clients=N: the limits that are nearest to be spent.";
    CLIENT_REQUESTS = Counter "tollgate_client_requests" ["client"] ""
        "Requests of a client. Only with clients=N: of those that use most.";
    CLIENT_REFUSED = Counter "tollgate_client_refused" ["client"] ""
        "Refused requests of a client. Only with clients=N: of those that use most.";
    CLIENT_TOKENS = Counter "tollgate_client_tokens" ["client"] ""
        "Tokens of a client, input and output. Only with clients=N: of those that use most.";
    CLIENT_COST = Counter "tollgate_client_cost" ["client"] ""
        "Money that a client has spent. Only with clients=N: of those that use most.";
    KEY_NETWORKS = Gauge "tollgate_key_networks" ["client", "key_id"] ""
        "From how many networks a key was used within the last hour. Only with clients=N.";
    WORKERS = Gauge "tollgate_workers" [] ""
        "Worker processes that live, also those that are about to end.";
    BUILD = Info "tollgate_build" ["version", "nginx"] ""
        "The versions of Tollgate and of nginx.";
}
