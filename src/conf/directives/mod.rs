//! The table of directives, and what each of them accepts:
//!
//! * [`shared`]: zone, limits and prices, which `http` declares;
//! * [`cluster`]: the store that nodes share;
//! * [`tier`]: the blocks of tiers; [`models`]: what they say of models;
//! * [`location`]: what a location may say;
//! * [`tokens`]: what it may say of tokens;
//! * [`certs`]: and of client certificates;
//! * [`browsers`]: what it says of pages in browsers;
//! * [`engine`]: what it says of the engine behind it;
//! * [`guards`]: the blocks of guards, and who uses them;
//! * [`tenants`]: what it says of tenants, and of what the engine and the log get to know;
//! * [`pages`]: and what it may show;
//! * [`words`]: how the words of a directive are read.

mod browsers;
mod certs;
mod cluster;
mod engine;
mod guards;
mod location;
mod models;
mod pages;
mod shared;
mod tenants;
mod tier;
mod tokens;
mod words;

use crate::types::{Command, Directive};
use nginx::conf::{Args, Level};

/// In the block of a tier.
const TIER: Level = Level::Block(0);
/// In a `model` block of a tier.
const MODEL: Level = Level::Block(1);
/// In the block of a guard.
const GUARD: Level = Level::Block(2);

macro_rules! command {
    ($name:literal, $args:ident, Tier, $set:path) => {
        command!($name, $args, Directive::Inside(&[TIER, MODEL], $set))
    };
    ($name:literal, $args:ident, OnlyTier, $set:path) => {
        command!($name, $args, Directive::Inside(&[TIER], $set))
    };
    ($name:literal, $args:ident, OnlyGuard, $set:path) => {
        command!($name, $args, Directive::Inside(&[GUARD], $set))
    };
    ($name:literal, $args:ident, $level:ident, $set:path) => {
        command!($name, $args, Directive::$level($set))
    };
    ($name:literal, $args:ident, $directive:expr) => {
        Command { name: concat!($name, "\0"), args: Args::$args, directive: $directive }
    };
}

macro_rules! block {
    ($name:literal, $level:expr, $inside:expr, $open:path, $close:path) => {
        command!(
            $name,
            Block,
            Directive::Block { level: $level, inside: $inside, open: $open, close: $close }
        )
    };
}

/// Every directive, as in docs/directives.md.
pub(crate) const DIRECTIVES: &[Command] = &[
    command!("tollgate_zone", OneOrTwo, Main, shared::zone),
    command!("tollgate_owned_objects", OneOrMore, Main, shared::owned_objects),
    command!("tollgate_status_file", One, Main, shared::status_file),
    command!("tollgate_control", One, Main, shared::control),
    command!("tollgate_cluster", OneOrMore, Main, cluster::cluster),
    block!("tollgate_tier", Level::Main, TIER, tier::open, tier::close),
    command!("requests", OneOrMore, Tier, tier::limit),
    command!("tokens", OneOrMore, Tier, tier::limit),
    command!("input_tokens", OneOrMore, Tier, tier::limit),
    command!("output_tokens", OneOrMore, Tier, tier::limit),
    command!("concurrency", OneOrMore, Tier, tier::limit),
    command!("budget", OneOrMore, Tier, tier::limit),
    command!("default_price", OneOrMore, Tier, tier::default_price),
    command!("objective", One, Tier, tier::objective),
    command!("priority", One, Tier, tier::priority),
    command!("cidrs", OneOrMore, Tier, tier::cidrs),
    command!("deny_cidrs", OneOrMore, Tier, tier::deny_cidrs),
    command!("addresses", OneOrMore, Tier, tier::addresses),
    command!("models", OneOrMore, Tier, models::open),
    command!("default_model", One, Tier, models::default),
    command!("scopes", OneOrMore, Tier, tier::scopes),
    command!("scope", One, OnlyTier, tier::reach),
    command!("allow", OneOrMore, OnlyTier, tier::features),
    command!("deny", OneOrMore, OnlyTier, tier::features),
    command!("max_output_tokens", OneOrMore, OnlyTier, tier::features),
    command!("max_input_tokens", OneOrMore, OnlyTier, tier::features),
    command!("max_n", OneOrMore, OnlyTier, tier::features),
    command!("max_messages", OneOrMore, OnlyTier, tier::features),
    command!("max_tools", OneOrMore, OnlyTier, tier::features),
    command!("max_schema_bytes", OneOrMore, OnlyTier, tier::features),
    command!("unknown_members", OneOrMore, OnlyTier, tier::features),
    command!("guards", OneOrMore, OnlyTier, guards::of_tier),
    block!("model", TIER, MODEL, tier::open_model, tier::close_model),
    block!("tollgate_guard", Level::Main, GUARD, guards::open, guards::close),
    command!("input", OneOrMore, OnlyGuard, guards::input),
    command!("output", OneOrMore, OnlyGuard, guards::output),
    command!("classifier", OneOrMore, OnlyGuard, guards::classifier),
    command!("roles", OneOrMore, OnlyGuard, guards::roles),
    command!("tollgate_guard_rules", OneOrTwo, Main, guards::rules),
    command!("tollgate_limit", TwoOrMore, Main, shared::limit),
    command!("tollgate_price", TwoOrMore, Main, shared::price),
    command!("tollgate", One, Loc, location::enable),
    command!("tollgate_dry_run", One, Loc, location::dry_run),
    command!("tollgate_auth", OneOrMore, Loc, location::auth),
    command!("tollgate_api_keys", One, Loc, location::api_keys),
    command!("tollgate_api_key_header", OneOrMore, Loc, location::api_key_header),
    command!("tollgate_jwt_key_file", OneOrMore, Loc, tokens::key_file),
    command!("tollgate_jwt_key_request", OneOrMore, Loc, tokens::key_request),
    command!("tollgate_jwt_key_cache", OneOrTwo, Loc, tokens::key_cache),
    command!("tollgate_introspection_request", OneOrMore, Loc, tokens::introspection_request),
    command!("tollgate_introspection_cache", One, Loc, tokens::introspection_cache),
    command!("tollgate_jwt_algorithms", OneOrMore, Loc, tokens::algorithms),
    command!("tollgate_jwt_issuer", OneOrMore, Loc, tokens::issuer),
    command!("tollgate_jwt_client_prefix", One, Loc, tokens::client_prefix),
    command!("tollgate_jwt_audience", OneOrMore, Loc, tokens::audience),
    command!("tollgate_jwt_leeway", One, Loc, tokens::leeway),
    command!("tollgate_jwt_require_exp", One, Loc, tokens::require_exp),
    command!("tollgate_jwt_max_size", One, Loc, tokens::max_size),
    command!("tollgate_jwt_claim", Two, Loc, tokens::claim),
    command!("tollgate_client_cert", OneOrMore, Loc, certs::client_cert),
    command!("tollgate_xfcc_from", OneOrMore, Loc, certs::xfcc_from),
    command!("tollgate_default_tier", One, Loc, location::default_tier),
    command!("tollgate_apply", OneOrMore, Loc, location::apply),
    command!("tollgate_engine", One, Loc, engine::engine),
    command!("tollgate_model", One, Loc, engine::model),
    command!("tollgate_model_alias", OneOrTwo, Loc, engine::model_alias),
    command!("tollgate_hide_models", One, Loc, models::hide),
    command!("tollgate_endpoints", OneOrMore, Loc, engine::endpoints),
    command!("tollgate_background", One, Loc, engine::background),
    command!("tollgate_resumable_streams", One, Loc, engine::resumable_streams),
    command!("tollgate_cache_salt", OneOrTwo, Loc, tenants::cache_salt),
    command!("tollgate_scheduler", One, Loc, tenants::scheduler),
    command!("tollgate_guards", OneOrMore, Loc, guards::applied),
    command!("tollgate_max_body", One, Loc, location::max_body),
    command!("tollgate_include_usage", One, Loc, engine::include_usage),
    command!("tollgate_estimate", OneOrMore, Loc, location::estimate),
    command!("tollgate_reserve", One, Loc, location::reserve),
    command!("tollgate_oversized", One, Loc, location::oversized),
    command!("tollgate_cached_answers", One, Loc, engine::cached_answers),
    command!("tollgate_pass_credentials", One, Loc, location::pass_credentials),
    command!("tollgate_ratelimit_headers", OneOrMore, Loc, location::ratelimit_headers),
    command!("tollgate_audit_log", OneOrMore, Loc, location::audit_log),
    command!("tollgate_audit_fields", OneOrMore, Loc, tenants::audit_fields),
    command!("tollgate_on_revoke", One, Loc, location::on_revoke),
    command!("tollgate_upgrade", One, Loc, location::upgrade),
    command!("tollgate_cors", OneOrMore, Loc, browsers::cors),
    command!("tollgate_security_headers", One, Loc, browsers::security_headers),
    command!("tollgate_metrics", Any, Page, pages::metrics),
    command!("tollgate_usage", Any, Page, pages::usage),
    command!("tollgate_status", Any, Page, pages::status),
    #[cfg(debug_assertions)]
    command!("tollgate_debug_panic", One, Loc, location::debug_panic),
];
