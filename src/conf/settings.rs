//! What one level of the configuration says. A value is inherited where a level is silent.

use nginx::conf::Position;
use nginx::file::Buffering;
use nginx::request::peer::Peer;
use tollgate_core::address::Cidr;
use tollgate_core::audit::Fields;
use tollgate_core::cache_salt::By;
use tollgate_core::cert::CertRule;
use tollgate_core::cors::Cors;
use tollgate_core::jwt::{AlgorithmSet, Binding, Lifetime};
use tollgate_core::limits::Oversize;
use tollgate_core::llm::engines::Exception;
use tollgate_core::llm::{Aliases, Engine};
use tollgate_core::ratelimit_headers::Styles;
use tollgate_core::scheduler::Scheduler;

/// `tollgate_auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Auth {
    pub(crate) api_key: bool,
    pub(crate) jwt: bool,
    pub(crate) client_cert: bool,
    pub(crate) introspection: bool,
}

impl Auth {
    /// `none`
    pub(crate) fn is_none(&self) -> bool {
        !(self.api_key || self.jwt || self.client_cert || self.introspection)
    }

    /// Whether what is in `Authorization` may be a token.
    pub(crate) fn has_tokens(&self) -> bool {
        self.jwt || self.introspection
    }
}

impl Default for Auth {
    fn default() -> Self {
        Self { api_key: true, jwt: false, client_cert: false, introspection: false }
    }
}

/// A value, and where it was given.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) place: Position,
}

// Two levels that say the same say the same, wherever they say it.
impl<T: PartialEq> PartialEq for Given<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// `tollgate_audit_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuditLog {
    Off,
    File { path: String, buffering: Buffering, seal: Option<String> },
}

/// `tollgate_estimate`: what is reserved where the request doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Estimate {
    /// Of text in the input; `None`: by what is learned of the model.
    pub(crate) bytes_per_token: Option<u32>,
    /// Tokens of output, as long as it isn't known what a model tends to answer.
    pub(crate) output: u32,
}

impl Default for Estimate {
    fn default() -> Self {
        Self { bytes_per_token: None, output: 1024 }
    }
}

/// `tollgate_include_usage`: whether streams are asked for their usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeUsage {
    /// Where the client says nothing about it.
    #[default]
    Auto,
    /// Where it declines it as well.
    Always,
    Off,
}

/// `tollgate_reserve`: how much output is reserved for a request that bounds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reserve {
    /// As much as it may have.
    #[default]
    Bound,
    /// As much as its like lately had, if that is less.
    Learned,
}

/// `tollgate_cached_answers`: whether what comes from nginx's cache is charged as the engine's answer was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CachedAnswers {
    #[default]
    Free,
    Charged,
}

/// `tollgate_on_revoke`: what becomes of a request that runs while its credential is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRevoke {
    /// It comes to its end.
    Finish,
    /// It is cut off.
    Close,
}

/// What tells tokens good from bad, the path of a key file or an internal location, and whose tokens it is
/// for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenSource {
    pub(crate) name: String,
    pub(crate) binding: Binding,
}

/// `tollgate_client_cert`: whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClientCert {
    pub(crate) rule: CertRule,
    /// Those that the keys file doesn't know, as well.
    pub(crate) takes_unlisted: bool,
    /// What the names of these begin with.
    pub(crate) client_prefix: String,
}

/// `tollgate_xfcc_from`: the proxies that may say which certificate a client has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProxyPeers {
    pub(crate) networks: Vec<Cidr>,
    pub(crate) unix: bool,
}

impl ProxyPeers {
    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether this is one of them. Whoever can't be told is none.
    pub(crate) fn names(&self, peer: Option<Peer>) -> bool {
        match peer {
            Some(Peer::Address(address)) => {
                self.networks.iter().any(|network| network.contains(address))
            }
            Some(Peer::Unix) => self.unix,
            None => false,
        }
    }
}

/// `tollgate_cache_salt`: who has a part of the engine's cache, and the file of the key that salts are made by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CacheSalt {
    pub(crate) by: By,
    /// `None`: by the random number of the zone.
    pub(crate) secret: Option<String>,
}

/// `tollgate_upgrade`: whether a connection may become one of another protocol, which nobody judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    Deny,
    Allow,
}

/// The directives of a location.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) enabled: Option<Given<bool>>,
    pub(crate) dry_run: Option<bool>,
    pub(crate) pass_credentials: Option<bool>,
    pub(crate) auth: Option<Given<Auth>>,
    pub(crate) api_keys: Option<Given<String>>,
    pub(crate) api_key_headers: Option<Given<Vec<String>>>,
    pub(crate) jwt_key_files: Option<Given<Vec<TokenSource>>>,
    /// `None` inside: `off`.
    pub(crate) jwt_key_request: Option<Given<Option<TokenSource>>>,
    pub(crate) jwt_key_cache: Option<Lifetime>,
    pub(crate) jwt_algorithms: Option<Given<AlgorithmSet>>,
    pub(crate) jwt_issuers: Option<Vec<String>>,
    pub(crate) jwt_client_prefix: Option<String>,
    pub(crate) jwt_audiences: Option<Vec<String>>,
    pub(crate) jwt_leeway_secs: Option<u32>,
    pub(crate) jwt_require_exp: Option<bool>,
    pub(crate) jwt_max_size: Option<usize>,
    pub(crate) jwt_claims: Option<Vec<(String, String)>>,
    /// `None` inside: `off`.
    pub(crate) introspection_request: Option<Given<Option<TokenSource>>>,
    pub(crate) introspection_cache_secs: Option<i64>,
    pub(crate) client_cert: Option<Given<ClientCert>>,
    pub(crate) xfcc_from: Option<Given<ProxyPeers>>,
    pub(crate) default_tier: Option<Given<String>>,
    pub(crate) apply: Option<Given<Vec<String>>>,
    pub(crate) engine: Option<Engine>,
    /// `None` inside: `off`.
    pub(crate) model: Option<Option<Box<str>>>,
    /// Empty: `off`.
    pub(crate) model_aliases: Option<Given<Aliases>>,
    pub(crate) hide_models: Option<Given<bool>>,
    pub(crate) endpoints: Option<Vec<Exception>>,
    pub(crate) background: Option<bool>,
    pub(crate) resumable_streams: Option<bool>,
    /// Empty: `off`.
    pub(crate) guards: Option<Given<Vec<String>>>,
    pub(crate) max_body: Option<Given<u64>>,
    /// `None` inside: `off`.
    pub(crate) cache_salt: Option<Given<Option<CacheSalt>>>,
    pub(crate) scheduler: Option<Given<Scheduler>>,
    pub(crate) include_usage: Option<IncludeUsage>,
    pub(crate) estimate: Option<Estimate>,
    pub(crate) reserve: Option<Reserve>,
    pub(crate) oversized: Option<Oversize>,
    pub(crate) cached_answers: Option<CachedAnswers>,
    pub(crate) ratelimit_headers: Option<Styles>,
    pub(crate) audit_log: Option<Given<AuditLog>>,
    pub(crate) audit_fields: Option<Given<Fields>>,
    pub(crate) on_revoke: Option<OnRevoke>,
    pub(crate) upgrade: Option<Upgrade>,
    /// `None` inside: `off`.
    pub(crate) cors: Option<Option<Cors>>,
    pub(crate) security_headers: Option<bool>,
}

impl Settings {
    /// The proxies that say which certificate a client has.
    pub(crate) fn proxies(&self) -> ProxyPeers {
        self.xfcc_from.as_ref().map(|given| given.value.clone()).unwrap_or_default()
    }

    /// Whether there are any.
    pub(crate) fn believes_proxies(&self) -> bool {
        self.xfcc_from.as_ref().is_some_and(|given| !given.value.is_empty())
    }

    /// Fills in from the level around this one. Of the two sources of a token's keys, a level that names
    /// one doesn't get the other.
    pub(crate) fn or(mut self, parent: &Self) -> Self {
        if self.jwt_key_files.is_some() && self.jwt_key_request.is_none() {
            self.jwt_key_request = self
                .jwt_key_files
                .as_ref()
                .map(|files| Given { value: None, place: files.place.clone() });
        }
        let has_request = self.jwt_key_request.as_ref().is_some_and(|given| given.value.is_some());
        let without_files = has_request && self.jwt_key_files.is_none();
        let mut merged = self.inherit(parent);
        if without_files {
            merged.jwt_key_files = None;
        }
        merged
    }

    fn inherit(self, parent: &Self) -> Self {
        macro_rules! inherit {
            ($($field:ident)*) => {
                Self { $($field: self.$field.or_else(|| parent.$field.clone())),* }
            };
        }
        inherit!(
            enabled dry_run pass_credentials auth api_keys api_key_headers jwt_key_files
            jwt_key_request jwt_key_cache introspection_request introspection_cache_secs
            jwt_algorithms jwt_issuers jwt_client_prefix jwt_audiences jwt_leeway_secs
            jwt_require_exp jwt_max_size jwt_claims client_cert xfcc_from default_tier apply engine model model_aliases
            hide_models endpoints
            background resumable_streams cache_salt scheduler guards max_body include_usage estimate reserve
            oversized cached_answers ratelimit_headers audit_log audit_fields on_revoke upgrade cors
            security_headers
        )
    }
}
