//! What holds in a location: its settings, resolved and checked.

use std::rc::Rc;
use std::sync::Arc;

use super::api_keys::{self, ApiKeys};
use super::audit_log;
use super::cache_salt::CacheSalt;
use super::certs::{self, CertPolicy};
use super::credentials::{self, Verifier};
use super::guards::GuardsOf;
use super::loaded::RuleUse;
use super::main::MainConf;
use super::rules::{LimitRule, LimitSet, Tier};
use super::settings::{
    Auth, CachedAnswers, Estimate, Given, IncludeUsage, OnRevoke, ProxyPeers, Reserve, Settings,
    Upgrade,
};
use super::tenants;
use crate::keys::introspection::Introspector;
use crate::keys::per_server::PerServer;
use nginx::conf::{ConfContext, ConfError};
use nginx::file::LogFile;
use tollgate_core::audit::Fields;
use tollgate_core::cert::forwarded;
use tollgate_core::cors::Cors;
use tollgate_core::credential::Source;
use tollgate_core::limits::Oversize;
use tollgate_core::llm::engines::Exception;
use tollgate_core::llm::{self, Aliases, Engine};
use tollgate_core::nginx_text::rule_key;
use tollgate_core::principal::Principal;
use tollgate_core::ratelimit_headers::{Style, Styles};
use tollgate_core::scheduler::Scheduler;
use tollgate_core::websocket_key;

/// `tollgate_max_body`, unless it is given.
const DEFAULT_MAX_BODY: u64 = 8 << 20;
/// What a picture, a sound or a file is taken for, until the engine says.
const MEDIA_TOKENS: u64 = 1024;

/// What holds in a location.
pub(crate) struct Policy {
    pub(crate) dry_run: bool,
    pub(crate) pass_credentials: bool,
    /// `tollgate_auth none`.
    pub(crate) anonymous: bool,
    pub(crate) api_keys: Option<Rc<ApiKeys>>,
    pub(crate) jwt: Option<Rc<Verifier>>,
    pub(crate) introspector: Option<Rc<PerServer<Introspector>>>,
    pub(crate) client_cert: Option<Box<CertPolicy>>,
    /// Proxies that say which certificate the client has.
    pub(crate) xfcc_from: ProxyPeers,
    /// API keys have headers of their own, and what is in `Authorization` is a token.
    pub(crate) bearer_is_jwt: bool,
    /// Names in lower case.
    credential_headers: Vec<(Box<[u8]>, Source)>,
    pub(crate) tiers: Rc<[Rc<Tier>]>,
    pub(crate) default_tier: Option<Rc<Tier>>,
    pub(crate) limits: Vec<Rc<LimitRule>>,
    pub(crate) engine: Engine,
    /// What every request is for, whatever it says.
    pub(crate) model: Option<Box<str>>,
    /// Other names of models, as clients may call them.
    pub(crate) aliases: Aliases,
    /// Models that a client may not use look as if there were none.
    pub(crate) hide_models: bool,
    /// Endpoints that are opened or closed beside those of the engine.
    pub(crate) endpoints: Vec<Exception>,
    /// Responses in the background are let in where tokens are counted.
    pub(crate) background: bool,
    /// Clients may name a stream, by which the engine goes on with it when they have left.
    pub(crate) resumable_streams: bool,
    /// How tenants are kept apart in the engine's cache.
    pub(crate) cache_salt: Option<CacheSalt>,
    /// Who is told what of a request.
    pub(crate) scheduler: Scheduler,
    /// Who looks at requests and answers.
    pub(crate) guards: GuardsOf,
    /// Whether bodies are read: those of authenticated clients, and of strangers only where a rule
    /// counts their tokens.
    pub(crate) is_metered: bool,
    /// The largest body that is read, in bytes.
    pub(crate) max_body: u64,
    /// Streams are asked for their usage.
    pub(crate) include_usage: IncludeUsage,
    /// What is reserved where the request doesn't say.
    pub(crate) estimate: Guess,
    /// How much of a bound is reserved.
    pub(crate) reserve: Reserve,
    pub(crate) oversized: Oversize,
    pub(crate) cached_answers: CachedAnswers,
    pub(crate) ratelimit_headers: Styles,
    pub(crate) audit_log: Option<Rc<LogFile>>,
    /// What the log has of keys, beside who they belong to.
    pub(crate) audit_fields: Fields,
    pub(crate) on_revoke: OnRevoke,
    pub(crate) upgrade: Upgrade,
    /// Which pages may read answers.
    pub(crate) cors: Option<Cors>,
    pub(crate) security_headers: bool,
    /// Keys may be in `Sec-WebSocket-Protocol`.
    pub(crate) takes_subprotocols: bool,
    /// Any of these three.
    pub(crate) is_for_browsers: bool,
}

/// `tollgate_estimate`
pub(crate) struct Guess {
    pub(crate) input: llm::Estimate,
    /// Tokens of output, as long as nothing is known of the model.
    pub(crate) output: u32,
}

impl Guess {
    fn of(setting: Estimate) -> Self {
        let fixed = setting.bytes_per_token;
        let fixed = fixed.and_then(|bytes| llm::Estimate::fixed(bytes, MEDIA_TOKENS));
        let input = fixed.unwrap_or_else(|| llm::Estimate::learned(MEDIA_TOKENS));
        Self { input, output: setting.output }
    }
}

impl Policy {
    /// The policy that `settings` make; `None` where the module is off.
    pub(super) fn resolve(
        cx: &ConfContext<'_>,
        settings: &Settings,
        main: &mut MainConf,
    ) -> Result<Option<Self>, ConfError> {
        let Some(Given { value: true, place: on }) = &settings.enabled else {
            return Ok(None);
        };
        main.loaded.in_use = true;
        main.know_models(settings);
        if main.following.zone.is_none() {
            return Err(ConfError::new(format!(
                "\"tollgate on\" needs shared memory; add \"tollgate_zone zone=tollgate:10m;\" to \
                 the http block {on}"
            )));
        }
        main.share_whereabouts(cx)?;
        main.share_leases(cx)?;
        let auth = settings.auth.as_ref().map(|given| given.value.clone()).unwrap_or_default();
        let tiers = Rc::clone(
            main.loaded.tiers.get_or_insert_with(|| main.tiers.iter().map(Rc::clone).collect()),
        );
        let default_tier = match &settings.default_tier {
            None => None,
            Some(Given { value, place }) => {
                let found = tiers.iter().find(|tier| tier.name == *value).map(Rc::clone);
                Some(found.ok_or_else(|| {
                    ConfError::new(format!(
                        "\"tollgate_default_tier {value}\" names no tier; declare it with \
                         \"tollgate_tier {value} {{ ... }}\" in the http block {place}"
                    ))
                })?)
            }
        };
        let keys_file = match auth.api_key || certs::reads_keys(settings, &auth) {
            true => {
                let known = (&mut main.loaded.keys_files, &mut main.following);
                let has_default_tier = default_tier.is_some();
                Some(api_keys::load_keys(cx, settings, &tiers, known, has_default_tier, on)?)
            }
            false => None,
        };
        let keys = (keys_file.as_ref(), default_tier.is_some());
        let client_cert = certs::resolve(cx, settings, &auth, keys, on)?.map(Box::new);
        let api_keys = keys_file.clone().filter(|_| auth.api_key);
        credentials::check_tokens_are_wanted(settings)?;
        let jwt = match auth.jwt {
            true => {
                let known = (&mut main.loaded.judges, &mut main.following);
                credentials::load_verifier(cx, settings, known, on)?
            }
            false => None,
        };
        let introspector = {
            let known = &mut main.loaded.judges;
            credentials::load_introspector(cx, settings, &auth, known, on)?
        };
        let anonymous = auth.is_none();
        let limits = applied_limits(settings, main)?;
        // Where nobody authenticates, nobody fails to, either.
        if anonymous && limits.iter().all(|rule| rule.limits.is_empty()) {
            return Err(ConfError::new(format!(
                "\"tollgate_auth none\" without \"tollgate_apply\" lets everybody pass without any \
                 limit; apply a tollgate_limit with \"requests=\", or say \"tollgate off\" {on}"
            )));
        }
        check_prices(main, &limits)?;
        let aliases = aliases(settings)?;
        let known = (&mut main.guards, &mut main.following);
        // Where nobody authenticates, nobody is in a tier.
        let of_tiers = if anonymous { &[] } else { &*tiers };
        let guards = GuardsOf::resolve(settings, of_tiers, known)?;
        let is_metered = !anonymous
            || !aliases.is_empty()
            || !guards.is_empty()
            || limits.iter().any(|rule| rule.limits.is_metered());
        let credential_headers = credential_headers(settings, &auth);
        let takes_subprotocols =
            credential_headers.iter().any(|(_, source)| *source == Source::Subprotocol);
        let security_headers = settings.security_headers.unwrap_or(false);
        let has_cors = matches!(settings.cors, Some(Some(_)));
        note_uses(cx, settings, &auth, (is_metered, keys_file.as_deref()), &limits, main);
        let engine = settings.engine.unwrap_or_default();
        let cache_salt = CacheSalt::resolve(cx, settings.cache_salt.as_ref(), engine, anonymous)?;
        let scheduler = tenants::scheduler(settings, engine, &mut main.loaded)?;
        let audit_log = audit_log::open(cx, settings, &mut main.loaded)?;
        let logs_keys = audit_log.is_some() && keys_file.is_some();
        let audit_fields = tenants::audit_fields(settings, logs_keys, &mut main.loaded);
        Ok(Some(Self {
            dry_run: settings.dry_run.unwrap_or(false),
            pass_credentials: settings.pass_credentials.unwrap_or(false),
            anonymous,
            bearer_is_jwt: auth.has_tokens() && !api_key_headers(settings).any(is_authorization),
            credential_headers,
            api_keys,
            jwt,
            introspector,
            client_cert,
            xfcc_from: settings.proxies(),
            tiers,
            default_tier,
            is_metered,
            limits,
            engine,
            model: settings.model.clone().flatten(),
            aliases,
            hide_models: settings.hide_models.as_ref().is_some_and(|given| given.value),
            endpoints: settings.endpoints.clone().unwrap_or_default(),
            background: settings.background.unwrap_or(false),
            resumable_streams: settings.resumable_streams.unwrap_or(false),
            cache_salt,
            guards,
            scheduler,
            max_body: settings.max_body.as_ref().map_or(DEFAULT_MAX_BODY, |given| given.value),
            include_usage: settings.include_usage.unwrap_or_default(),
            estimate: Guess::of(settings.estimate.unwrap_or_default()),
            reserve: settings.reserve.unwrap_or_default(),
            oversized: settings.oversized.unwrap_or(Oversize::Debt),
            cached_answers: settings.cached_answers.unwrap_or_default(),
            ratelimit_headers: settings
                .ratelimit_headers
                .unwrap_or_else(|| Styles::default().with(Style::OpenAi)),
            audit_log,
            audit_fields,
            on_revoke: settings.on_revoke.unwrap_or(OnRevoke::Finish),
            upgrade: settings.upgrade.unwrap_or(Upgrade::Deny),
            cors: settings.cors.clone().flatten(),
            security_headers,
            takes_subprotocols,
            is_for_browsers: takes_subprotocols || security_headers || has_cors,
        }))
    }

    /// Whether anything counts the tokens, or the money, of a client of this tier.
    pub(crate) fn counts_tokens(&self, tier: Option<&Tier>) -> bool {
        tier.is_some_and(Tier::is_metered)
            || self.limits.iter().any(|rule| rule.limits.is_metered())
    }

    /// The headers by which clients would have the engine do something else than they are charged for.
    pub(crate) fn steering_headers(&self) -> impl Iterator<Item = &'static [u8]> {
        let resumable = self.resumable_streams;
        let all = self.engine.steering_headers().iter();
        all.filter(move |header| !(resumable && header.resumes)).map(|header| header.name)
    }

    /// Whether a stream may go on when its client has left.
    pub(crate) fn may_resume(&self) -> bool {
        let headers = self.engine.steering_headers();
        self.resumable_streams && headers.iter().any(|header| header.resumes)
    }

    /// The names of the headers that carry credentials, in lower case.
    pub(crate) fn credential_header_names(&self) -> impl Iterator<Item = &[u8]> {
        self.credential_headers.iter().map(|(name, _)| &**name)
    }

    /// The tier of a principal: the one that it names, or the default one. `None`: there is none.
    pub(crate) fn tier_of(&self, principal: &Principal) -> Option<&Rc<Tier>> {
        match principal.tier() {
            Some(name) => self.tiers.iter().find(|tier| tier.name == name),
            None => self.default_tier.as_ref(),
        }
    }

    /// How a header (its name in lower case) carries a credential; `None`: it doesn't.
    pub(crate) fn credential_source(&self, name: &[u8]) -> Option<Source> {
        let found = self.credential_headers.iter().find(|(header, _)| **header == *name);
        found.map(|(_, source)| *source)
    }
}

/// `tollgate_api_key_header`.
fn api_key_headers(settings: &Settings) -> impl Iterator<Item = &str> {
    const DEFAULT: [&str; 2] = ["Authorization", "X-API-Key"];
    let own = settings.api_key_headers.as_ref().map(|given| given.value.as_slice());
    let default = DEFAULT.iter().copied().filter(move |_| own.is_none());
    own.unwrap_or_default().iter().map(String::as_str).chain(default)
}

fn is_authorization(name: &str) -> bool {
    name.eq_ignore_ascii_case("authorization")
}

fn is_subprotocol(name: &str) -> bool {
    name.as_bytes().eq_ignore_ascii_case(websocket_key::HEADER)
}

/// `Authorization` is where a JWT is, wherever the API keys are.
fn credential_headers(settings: &Settings, auth: &Auth) -> Vec<(Box<[u8]>, Source)> {
    let mut names: Vec<&str> = api_key_headers(settings).filter(|_| auth.api_key).collect();
    if auth.has_tokens() && !names.iter().any(|name| is_authorization(name)) {
        names.push("Authorization");
    }
    let has_proxies = !settings.proxies().is_empty();
    let forwarded = (Box::from(forwarded::HEADER), Source::Forwarded);
    names
        .into_iter()
        .map(|name| {
            let source = match () {
                () if is_authorization(name) => Source::Bearer,
                () if is_subprotocol(name) => Source::Subprotocol,
                () => Source::Raw,
            };
            (name.to_ascii_lowercase().into_bytes().into_boxed_slice(), source)
        })
        .chain(has_proxies.then_some(forwarded))
        .collect()
}

fn applied_limits(
    settings: &Settings,
    main: &mut MainConf,
) -> Result<Vec<Rc<LimitRule>>, ConfError> {
    let Some(Given { value: names, place }) = &settings.apply else {
        return Ok(Vec::new());
    };
    names
        .iter()
        .map(|name| {
            let rule = main.limits.iter().find(|rule| *rule.name == **name).ok_or_else(|| {
                ConfError::new(format!(
                    "\"tollgate_apply {name}\" names no limit; declare it with \"tollgate_limit \
                     {name} key=... requests=...;\" in the http block {place}"
                ))
            })?;
            main.loaded.applied.insert(Arc::clone(&rule.name));
            Ok(Rc::clone(rule))
        })
        .collect()
}

/// Remembers where rules are applied, and what is known there.
fn note_uses(
    cx: &ConfContext<'_>,
    settings: &Settings,
    auth: &Auth,
    (is_metered, api_keys): (bool, Option<&ApiKeys>),
    limits: &[Rc<LimitRule>],
    main: &mut MainConf,
) {
    let Some(Given { place, .. }) = &settings.apply else { return };
    let with_tenant = tenants::tell_keys_without(cx, api_keys, limits, &mut main.loaded, place);
    let names_tenant = settings.jwt_claims.iter().flatten().any(|(field, _)| field == "tenant");
    let knowledge = rule_key::Knowledge {
        clients: !auth.is_none(),
        key_ids: auth.api_key || auth.jwt || auth.client_cert,
        tenants: with_tenant > 0 || (auth.has_tokens() && names_tenant),
        models: is_metered,
    };
    main.loaded.uses.extend(limits.iter().map(|rule| RuleUse {
        rule: Rc::clone(rule),
        place: place.clone(),
        knowledge,
    }));
}

/// `tollgate_model_alias`
fn aliases(settings: &Settings) -> Result<Aliases, ConfError> {
    let Some(Given { value: aliases, place }) = &settings.model_aliases else {
        return Ok(Aliases::default());
    };
    match settings.model.as_ref().and_then(Option::as_ref) {
        Some(model) if !aliases.is_empty() => Err(ConfError::new(format!(
            "\"tollgate_model_alias\" has no effect with \"tollgate_model {model}\", as every request is for \
             that model; add \"tollgate_model_alias off;\", or \"tollgate_model off;\" {place}"
        ))),
        _ => Ok(aliases.clone()),
    }
}

/// Where a budget holds and nothing has a price, every request would be refused.
fn check_prices(main: &MainConf, rules: &[Rc<LimitRule>]) -> Result<(), ConfError> {
    if !main.prices.is_empty() {
        return Ok(());
    }
    let has_budget = |set: &LimitSet| !set.budgets.is_empty();
    let of_tiers = main.tiers.iter().filter(|tier| tier.default_price.is_none());
    let named = of_tiers
        .filter(|tier| tier.limit_sets().any(has_budget))
        .map(|tier| (format!("tollgate_tier {}", tier.name), &tier.place))
        .next();
    let named = named.or_else(|| {
        let rule = rules.iter().find(|rule| has_budget(&rule.limits))?;
        Some((format!("tollgate_limit {}", rule.name), &rule.place))
    });
    match named {
        Some((name, place)) => Err(ConfError::new(format!(
            "\"budget\" of \"{name}\" needs prices, or every request would be refused; add \
             \"tollgate_price MODEL-PATTERN input=N output=N;\" to the http block {place}"
        ))),
        None => Ok(()),
    }
}
