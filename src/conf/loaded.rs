//! What was read while the configuration was put together.

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use super::api_keys::KeysFiles;
use super::audit_log::OpenLog;
use super::credentials::Judges;
use super::rules::{LimitRule, Tier};
use nginx::conf::Position;
use tollgate_core::metrics::KnownModels;
use tollgate_core::nginx_text::rule_key;

/// What was read while the configuration was put together: each file once.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) keys_files: KeysFiles,
    pub(super) judges: Judges,
    pub(super) audit_logs: Vec<OpenLog>,
    pub(super) tiers: Option<Rc<[Rc<Tier>]>>,
    pub(super) applied: HashSet<Arc<str>>,
    pub(super) uses: Vec<RuleUse>,
    pub(super) in_use: bool,
    /// Those by whose names requests are counted.
    pub(super) known_models: KnownModels,
    /// A `tollgate_audit_fields`, and whether any location with it has a log and keys.
    pub(super) audit_fields: Option<Position>,
    pub(super) logs_fields: bool,
    /// Whether any location tells a scheduler of objectives, or of priorities.
    pub(super) tells_objectives: bool,
    pub(super) tells_priorities: bool,
    /// Rules by tenants of which it was said that some keys have none.
    pub(super) warned_of_tenants: HashSet<Arc<str>>,
}

/// A rule that is applied somewhere.
pub(super) struct RuleUse {
    pub(super) rule: Rc<LimitRule>,
    /// Of the `tollgate_apply`.
    pub(super) place: Position,
    /// What is known of requests there.
    pub(super) knowledge: rule_key::Knowledge,
}
