//! The table of directives, and what each of them accepts.

use std::rc::Rc;
use std::sync::Arc;

use super::rules::{KeySource, Limit, LimitRule, Tier};
use super::settings::{AuditLog, Auth, Given};
use super::{LocConf, MainConf};
use crate::ffi::commands::{Args, Command};
use crate::ffi::complex_value::ComplexValue;
use crate::ffi::conf::{parse_size, parse_time_ms, ConfContext, ConfError, Directive};
use crate::ffi::open_file::Buffering;
use crate::ffi::shm::SharedZone;
use tollgate_core::jwt;
use tollgate_core::limits::Quota;
use tollgate_core::principal::is_valid_name;
use tollgate_core::ratelimit_headers::{Style, Styles};

macro_rules! command {
    ($name:literal, $args:ident, $level:ident, $set:path) => {
        Command {
            name: concat!($name, "\0"),
            args: Args::$args,
            directive: Directive::$level($set),
        }
    };
}

/// Every directive, as in docs/directives.md.
pub(crate) static DIRECTIVES: [Command; COUNT] = [
    command!("tollgate_zone", OneOrTwo, Main, zone),
    command!("tollgate_tier", Block, Main, tier),
    command!("tollgate_limit", TwoOrMore, Main, limit),
    command!("tollgate", One, Loc, enable),
    command!("tollgate_dry_run", One, Loc, dry_run),
    command!("tollgate_auth", OneOrMore, Loc, auth),
    command!("tollgate_api_keys", One, Loc, api_keys),
    command!("tollgate_api_key_header", OneOrMore, Loc, api_key_header),
    command!("tollgate_jwt_key_file", One, Loc, jwt_key_file),
    command!("tollgate_jwt_algorithms", OneOrMore, Loc, jwt_algorithms),
    command!("tollgate_jwt_issuer", OneOrMore, Loc, jwt_issuer),
    command!("tollgate_jwt_audience", OneOrMore, Loc, jwt_audience),
    command!("tollgate_jwt_leeway", One, Loc, jwt_leeway),
    command!("tollgate_jwt_require_exp", One, Loc, jwt_require_exp),
    command!("tollgate_jwt_max_size", One, Loc, jwt_max_size),
    command!("tollgate_jwt_claim", Two, Loc, jwt_claim),
    command!("tollgate_default_tier", One, Loc, default_tier),
    command!("tollgate_apply", OneOrMore, Loc, apply),
    command!("tollgate_pass_credentials", One, Loc, pass_credentials),
    command!("tollgate_ratelimit_headers", OneOrMore, Loc, ratelimit_headers),
    command!("tollgate_audit_log", OneOrMore, Loc, audit_log),
    #[cfg(debug_assertions)]
    command!("tollgate_debug_panic", One, Loc, debug_panic),
];

const COUNT: usize = if cfg!(debug_assertions) { 22 } else { 21 };

type Outcome = Result<(), ConfError>;

fn error(message: impl Into<String>) -> ConfError {
    ConfError::new(message)
}

fn words(args: &[String]) -> (&str, &[String]) {
    args.split_first().map_or(("", &[]), |(name, rest)| (name.as_str(), rest))
}

fn word(args: &[String], index: usize) -> &str {
    args.get(index).map_or("", String::as_str)
}

/// Fills a value that a level may give once.
fn once<T>(place: &mut Option<T>, args: &[String], value: T) -> Outcome {
    if place.is_some() {
        return Err(error(format!("\"{}\" directive is duplicate", word(args, 0))));
    }
    *place = Some(value);
    Ok(())
}

fn flag(args: &[String]) -> Result<bool, ConfError> {
    match word(args, 1) {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(error(format!(
            "invalid value \"{other}\" in \"{}\" directive, it must be \"on\" or \"off\"",
            word(args, 0)
        ))),
    }
}

fn given<T>(cx: &ConfContext<'_>, value: T) -> Given<T> {
    Given { value, place: cx.place() }
}

/// `tollgate_zone zone=NAME:SIZE`
fn zone(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Outcome {
    const FORM: &str = "\"tollgate_zone\" takes \"zone=NAME:SIZE\", such as \"zone=tollgate:10m\"";
    if conf.zone.is_some() {
        return Err(error(
            "\"tollgate_zone\" directive is duplicate: all locations share one zone",
        ));
    }
    if word(args, 2).starts_with("state=") {
        return Err(error("\"state=\" of \"tollgate_zone\" is not supported by this version"));
    }
    let zone = word(args, 1).strip_prefix("zone=").filter(|_| args.len() == 2);
    let (name, size) = zone.and_then(|zone| zone.split_once(':')).ok_or_else(|| error(FORM))?;
    let bytes =
        parse_size(size).ok_or_else(|| error(format!("invalid zone size \"{size}\"; {FORM}")))?;
    if name.is_empty() {
        return Err(error(FORM));
    }
    if bytes < SharedZone::min_size() {
        return Err(error(format!(
            "zone \"{name}\" is too small: at least {}k; 1m has room for about 5000 clients",
            SharedZone::min_size() / 1024
        )));
    }
    conf.zone = Some(SharedZone::add(cx, name, bytes)?);
    Ok(())
}

/// Directives of `tollgate_tier` and limits of `tollgate_limit` that other versions have.
const LATER: [&str; 9] = [
    "tokens",
    "input_tokens",
    "output_tokens",
    "concurrency",
    "budget",
    "models",
    "scopes",
    "model",
    "default_price",
];

/// `tollgate_tier NAME { ... }`
fn tier(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Outcome {
    let name = word(args, 1).to_owned();
    if !is_valid_name(&name) {
        return Err(error(format!(
            "invalid tier name \"{}\"; it has no control characters, no space at either end, and \
             1 to 256 bytes",
            name.escape_debug()
        )));
    }
    if conf.tiers.iter().any(|tier| tier.name == name) {
        return Err(error(format!("the tier \"{name}\" is declared twice; keep one of them")));
    }
    let mut requests = Vec::new();
    cx.block(&mut |_, entry| {
        tier_entry(entry, &mut requests).map_err(|error| error.of(&format!("tollgate_tier {name}")))
    })?;
    conf.tiers.push(Rc::new(Tier { name, requests }));
    Ok(())
}

fn tier_entry(entry: &[String], requests: &mut Vec<Limit>) -> Outcome {
    let (name, rest) = words(entry);
    match (name, rest) {
        ("requests", [rate]) => Limit::add(requests, quota(name, rate, None)?, name, None),
        ("requests", [rate, burst]) => {
            let burst = burst.strip_prefix("burst=").ok_or_else(|| {
                error(format!(
                    "invalid parameter \"{burst}\" of \"requests\"; it takes \"burst=N\""
                ))
            })?;
            Limit::add(requests, quota(name, rate, Some(burst))?, name, None)
        }
        ("requests", _) => Err(error(
            "\"requests\" takes a rate and optionally a burst: \"requests 100r/m burst=20;\"",
        )),
        (name, _) if LATER.contains(&name) => Err(error(format!(
            "\"{name}\" in a tier is not supported by this version; leave it out"
        ))),
        _ => Err(error(format!("unknown directive \"{name}\"; a tier takes \"requests\""))),
    }
}

fn quota(name: &str, rate: &str, burst: Option<&str>) -> Result<Quota, ConfError> {
    Quota::parse(rate, burst)
        .map_err(|problem| error(format!("invalid rate \"{rate}\" of \"{name}\": {problem}")))
}

/// `tollgate_limit NAME key=EXPR LIMIT...`
fn limit(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Outcome {
    let name = word(args, 1);
    if !is_valid_name(name) || name.contains('=') {
        return Err(error(format!(
            "invalid limit name \"{}\"; \"tollgate_limit\" takes a name, \"key=\" and limits",
            name.escape_debug()
        )));
    }
    if conf.limits.iter().any(|rule| *rule.name == *name) {
        return Err(error(format!("the limit \"{name}\" is declared twice; keep one of them")));
    }
    let mut key = None;
    let mut key_text = String::new();
    let mut limits: Vec<(&str, &str, Option<&str>)> = Vec::new();
    for parameter in args.get(2..).unwrap_or_default() {
        match parameter.split_once('=') {
            Some(("key", expression)) if key.is_none() && !expression.is_empty() => {
                key = Some(key_source(cx, expression)?);
                // "${name}" is "$name".
                key_text = expression.replace("${", "$");
            }
            Some((what @ ("requests" | "auth_failures"), rate)) => limits.push((what, rate, None)),
            Some(("burst", burst)) => match limits.last_mut() {
                Some((_, _, slot @ None)) => *slot = Some(burst),
                _ => {
                    return Err(error(
                        "\"burst=\" belongs behind the limit that it is for: \"requests=10r/s burst=20\"",
                    ))
                }
            },
            Some((what, _)) if LATER.contains(&what) => {
                return Err(error(format!(
                    "\"{what}=\" of \"tollgate_limit\" is not supported by this version; leave it out"
                )));
            }
            _ => {
                return Err(error(format!(
                    "invalid parameter \"{}\" of \"tollgate_limit\"; it takes one \"key=\", and \
                     \"requests=\" and \"auth_failures=\" with \"burst=\"",
                    parameter.escape_debug()
                )));
            }
        }
    }
    let key = key.ok_or_else(|| {
        error("\"tollgate_limit\" needs a \"key=\": what it is counted by, such as \"key=$binary_remote_addr\"")
    })?;
    let (mut requests, mut auth_failures) = (Vec::new(), Vec::new());
    for (what, rate, burst) in limits {
        let list = if what == "requests" { &mut requests } else { &mut auth_failures };
        Limit::add(list, quota(what, rate, burst)?, what, Some(name))?;
    }
    if !auth_failures.is_empty() && key_text.contains("$tollgate_") {
        return Err(error(format!(
            "\"auth_failures=\" of the limit \"{name}\" would count nothing: who fails to \
             authenticate has no \"{key_text}\"; use \"key=$binary_remote_addr\""
        )));
    }
    if requests.is_empty() && auth_failures.is_empty() {
        return Err(error(format!(
            "the limit \"{name}\" limits nothing; add \"requests=\" or \"auth_failures=\""
        )));
    }
    conf.limits.push(Rc::new(LimitRule {
        name: Arc::from(name),
        key,
        requests,
        auth_failures,
        place: cx.place(),
    }));
    Ok(())
}

fn key_source(cx: &ConfContext<'_>, expression: &str) -> Result<KeySource, ConfError> {
    match expression {
        "$binary_remote_addr" | "${binary_remote_addr}" | "$remote_addr" | "${remote_addr}" => {
            Ok(KeySource::Address)
        }
        _ => ComplexValue::compile(cx, expression)
            .map(KeySource::Expression)
            .ok_or_else(|| error(format!("invalid \"key={expression}\" of \"tollgate_limit\""))),
    }
}

/// `tollgate on | off`
fn enable(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let value = flag(args)?;
    once(&mut conf.settings.enabled, args, given(cx, value))
}

/// `tollgate_dry_run on | off`
fn dry_run(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    once(&mut conf.settings.dry_run, args, flag(args)?)
}

/// `tollgate_pass_credentials on | off`
fn pass_credentials(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    once(&mut conf.settings.pass_credentials, args, flag(args)?)
}

/// `tollgate_auth METHOD...`
fn auth(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let mut auth = Auth { api_key: false, jwt: false };
    let (_, methods) = words(args);
    for method in methods {
        match method.as_str() {
            "api_key" => auth.api_key = true,
            "jwt" => auth.jwt = true,
            "none" if methods.len() == 1 => {}
            "none" => return Err(error("\"none\" in \"tollgate_auth\" stands alone")),
            "client_cert" => {
                return Err(error(
                    "\"client_cert\" in \"tollgate_auth\" is not supported by this version",
                ))
            }
            other => {
                return Err(error(format!(
                "unknown method \"{other}\" in \"tollgate_auth\"; known are \"api_key\", \"jwt\" \
                     and \"none\""
            )))
            }
        }
    }
    once(&mut conf.settings.auth, args, given(cx, auth))
}

/// `tollgate_api_keys PATH`
fn api_keys(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let path = cx.full_path(word(args, 1))?;
    once(&mut conf.settings.api_keys, args, given(cx, path))
}

/// `tollgate_api_key_header NAME...`
fn api_key_header(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let (_, names) = words(args);
    for name in names {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(error(format!(
                "\"{}\" is no header name; write it without a colon and blanks",
                name.escape_debug()
            )));
        }
    }
    once(&mut conf.settings.api_key_headers, args, names.to_vec())
}

/// `tollgate_jwt_key_file PATH`, repeatable
fn jwt_key_file(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let path = cx.full_path(word(args, 1))?;
    match &mut conf.settings.jwt_key_files {
        Some(files) if files.value.contains(&path) => {
            return Err(error(format!("the key file \"{path}\" is named twice; once is enough")));
        }
        Some(files) => files.value.push(path),
        none => *none = Some(given(cx, vec![path])),
    }
    Ok(())
}

/// `tollgate_jwt_algorithms ALG...`
fn jwt_algorithms(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let (_, names) = words(args);
    let mut set = jwt::AlgorithmSet::default();
    for name in names {
        let algorithm = name.parse::<jwt::Algorithm>().map_err(|_| {
            let known: Vec<_> = jwt::Algorithm::ALL.iter().map(|known| known.as_str()).collect();
            error(format!(
                "unknown algorithm \"{}\" in \"tollgate_jwt_algorithms\"; known are {}",
                name.escape_debug(),
                known.join(", ")
            ))
        })?;
        set = set.with(algorithm);
    }
    once(&mut conf.settings.jwt_algorithms, args, given(cx, set))
}

fn list(place: &mut Option<Vec<String>>, args: &[String]) -> Outcome {
    let (_, values) = words(args);
    if values.iter().any(String::is_empty) {
        return Err(error(format!("an empty value in \"{}\"", word(args, 0))));
    }
    once(place, args, values.to_vec())
}

/// `tollgate_jwt_issuer VALUE...`
fn jwt_issuer(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    list(&mut conf.settings.jwt_issuers, args)
}

/// `tollgate_jwt_audience VALUE...`
fn jwt_audience(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    list(&mut conf.settings.jwt_audiences, args)
}

/// `tollgate_jwt_leeway TIME`
fn jwt_leeway(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    /// More than that is no difference of clocks, but a longer life for every token.
    const MAX_SECS: u64 = 3600;
    let value = word(args, 1);
    let secs = parse_time_ms(value).filter(|ms| ms % 1000 == 0).map(|ms| ms / 1000);
    match secs.filter(|secs| *secs <= MAX_SECS).map(u32::try_from) {
        Some(Ok(secs)) => once(&mut conf.settings.jwt_leeway_secs, args, secs),
        _ => Err(error(format!(
            "invalid time \"{value}\" in \"tollgate_jwt_leeway\"; it takes whole seconds up to 1h, such as 30s"
        ))),
    }
}

/// `tollgate_jwt_require_exp on | off`
fn jwt_require_exp(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    once(&mut conf.settings.jwt_require_exp, args, flag(args)?)
}

/// `tollgate_jwt_max_size SIZE`
fn jwt_max_size(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let value = word(args, 1);
    match parse_size(value) {
        Some(size @ 256..=1_048_576) => once(&mut conf.settings.jwt_max_size, args, size),
        _ => Err(error(format!(
            "invalid size \"{value}\" in \"tollgate_jwt_max_size\"; it takes 256 to 1m"
        ))),
    }
}

/// `tollgate_jwt_claim FIELD CLAIM`, repeatable
fn jwt_claim(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let (field, claim) = (word(args, 1), word(args, 2));
    // Only to check it: the map is made from all that is said here.
    jwt::ClaimMap::default().set(field, claim).map_err(|problem| {
        error(format!(
            "invalid \"tollgate_jwt_claim {} {}\": {problem}",
            field.escape_debug(),
            claim.escape_debug()
        ))
    })?;
    let claims = conf.settings.jwt_claims.get_or_insert_with(Vec::new);
    if claims.iter().any(|(other, _)| other == field) {
        return Err(error(format!("the field \"{field}\" is given two claims; keep one of them")));
    }
    claims.push((field.to_owned(), claim.to_owned()));
    Ok(())
}

/// `tollgate_default_tier NAME`
fn default_tier(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    once(&mut conf.settings.default_tier, args, given(cx, word(args, 1).to_owned()))
}

/// `tollgate_apply LIMIT-NAME...`
fn apply(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let (_, names) = words(args);
    if names == ["off"] {
        return once(&mut conf.settings.apply, args, given(cx, Vec::new()));
    }
    for (index, name) in names.iter().enumerate() {
        if names.iter().skip(index + 1).any(|other| other == name) {
            return Err(error(format!("the limit \"{name}\" is applied twice; once is enough")));
        }
    }
    once(&mut conf.settings.apply, args, given(cx, names.to_vec()))
}

/// `tollgate_ratelimit_headers openai | ietf | legacy | off ...`
fn ratelimit_headers(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let (_, names) = words(args);
    let mut styles = Styles::default();
    for name in names {
        match Style::from_name(name) {
            Some(style) => styles = styles.with(style),
            None if name == "off" && names.len() == 1 => {}
            None => {
                return Err(error(format!(
                    "invalid value \"{name}\" in \"tollgate_ratelimit_headers\"; it takes \
                     \"openai\", \"ietf\", \"legacy\", or \"off\" alone"
                )))
            }
        }
    }
    once(&mut conf.settings.ratelimit_headers, args, styles)
}

/// `tollgate_audit_log PATH [buffer=SIZE] [flush=TIME] | off`
fn audit_log(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let setting = match words(args).1 {
        [off] if off == "off" => AuditLog::Off,
        [path, parameters @ ..] if !path.is_empty() && path != "off" => {
            // From the prefix, as nginx's own logs.
            AuditLog::File { path: path.clone(), buffering: buffering(parameters)? }
        }
        _ => return Err(error("\"tollgate_audit_log\" takes a path, or \"off\" alone")),
    };
    once(&mut conf.settings.audit_log, args, given(cx, setting))
}

/// Lines that nobody asked to be kept wait until the worker has dealt with the events at hand: then
/// they are in the file as soon as the client has its answer, and a busy worker still writes many at
/// a time.
fn buffering(parameters: &[String]) -> Result<Buffering, ConfError> {
    let (mut size, mut flush_ms) = (None, None);
    for parameter in parameters {
        match parameter.split_once('=') {
            Some(("buffer", _)) if size.is_some() => {
                return Err(error("\"buffer=\" of \"tollgate_audit_log\" is given twice"));
            }
            Some(("flush", _)) if flush_ms.is_some() => {
                return Err(error("\"flush=\" of \"tollgate_audit_log\" is given twice"));
            }
            Some(("buffer", value)) => match parse_size(value) {
                Some(bytes @ 1024..=67_108_864) => size = Some(bytes),
                _ => {
                    return Err(error(format!(
                        "invalid \"buffer={value}\" of \"tollgate_audit_log\"; it takes 1k to 64m"
                    )))
                }
            },
            Some(("flush", value)) => match parse_time_ms(value) {
                Some(ms @ 1..=3_600_000) => flush_ms = Some(ms),
                _ => {
                    return Err(error(format!(
                        "invalid \"flush={value}\" of \"tollgate_audit_log\"; it takes 1ms to 1h"
                    )))
                }
            },
            _ => {
                return Err(error(format!(
                    "invalid parameter \"{parameter}\" of \"tollgate_audit_log\"; it takes \
                     \"buffer=SIZE\" and \"flush=TIME\""
                )))
            }
        }
    }
    Ok(match (size, flush_ms) {
        (None, None) => Buffering { size: 65_536, flush_ms: 0 },
        (size, flush_ms) => {
            Buffering { size: size.unwrap_or(65_536), flush_ms: flush_ms.unwrap_or(1000) }
        }
    })
}

/// `tollgate_debug_panic CALLBACK`, in debug builds
#[cfg(debug_assertions)]
fn debug_panic(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Outcome {
    let callback = crate::faults::Callback::from_name(word(args, 1));
    conf.planted = Some(callback.ok_or_else(|| error("unknown callback"))?);
    Ok(())
}
