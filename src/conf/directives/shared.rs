//! What `http` declares for all locations.

use std::rc::Rc;
use std::sync::Arc;

use super::words::{error, file_name, literal, once, word, words, Done};
use crate::conf::files;
use crate::conf::rules::{add_bucket, KeySource, LimitRule, LimitSet, Reach};
use crate::conf::MainConf;
use crate::types::Tollgate;
use crate::zone::control::{self, Control, SharedControl};
use crate::zone::objects::{Objects, SharedObjects};
use crate::zone::{Limits, SharedZone};
use nginx::conf::ComplexValue;
use nginx::conf::{parse_size, parse_time_ms, ConfContext, ConfError};
use nginx::local_socket::LocalSocket;
use nginx::shm::min_size;
use tollgate_core::limits::Dimension;
use tollgate_core::nginx_text::file_name::Use;
use tollgate_core::nginx_text::{expression, rule_key};
use tollgate_core::objects::memory::OBJECT_BYTES;
use tollgate_core::pattern::Pattern;
use tollgate_core::price::Price;
use tollgate_core::principal::is_valid_name;

/// `tollgate_zone zone=NAME:SIZE [state=PATH]`
pub(super) fn zone(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    const FORM: &str = "\"tollgate_zone\" takes \"zone=NAME:SIZE\" and optionally \"state=PATH\", \
                        such as \"zone=tollgate:10m state=/var/lib/tollgate/state\"";
    if conf.following.zone.is_some() {
        return Err(error(
            "\"tollgate_zone\" directive is duplicate: all locations share one zone",
        ));
    }
    let (mut zone, mut state) = (None, None);
    for parameter in words(args).1 {
        match parameter.split_once('=') {
            Some(("zone", value)) if zone.is_none() => zone = Some(value),
            Some(("state", path)) if state.is_none() && !path.is_empty() => {
                let path = file_name("\"state=\" of \"tollgate_zone\"", path, Use::Kept)?;
                state = Some(cx.prefix_path(path)?);
            }
            _ => return Err(error(FORM)),
        }
    }
    let (name, size) = zone.and_then(|zone| zone.split_once(':')).ok_or_else(|| error(FORM))?;
    let bytes =
        parse_size(size).ok_or_else(|| error(format!("invalid zone size \"{size}\"; {FORM}")))?;
    if name.is_empty() {
        return Err(error(FORM));
    }
    if bytes < min_size() {
        return Err(error(format!(
            "zone \"{name}\" is too small: at least {}k; 1m has room for about 2000 clients",
            min_size() / 1024
        )));
    }
    conf.following.zone = Some(SharedZone::add::<Tollgate>(cx, name, bytes, Limits::new(state))?);
    conf.keep_clients(cx)?;
    check_state_files(conf)
}

/// `tollgate_owned_objects zone=NAME:SIZE [ttl=TIME] [state=PATH]`
pub(super) fn owned_objects(
    cx: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut MainConf,
) -> Done {
    const FORM: &str = "\"tollgate_owned_objects\" takes \"zone=NAME:SIZE\" and optionally \"ttl=TIME\" and \
                        \"state=PATH\", such as \"zone=objects:1m state=/var/lib/tollgate/objects\"";
    if conf.following.objects.is_some() {
        return Err(error(
            "\"tollgate_owned_objects\" directive is duplicate: all locations share one memory",
        ));
    }
    let (mut zone, mut ttl, mut state) = (None, None, None);
    for parameter in words(args).1 {
        match parameter.split_once('=') {
            Some(("zone", value)) if zone.is_none() => zone = Some(value),
            Some(("ttl", value)) if ttl.is_none() => ttl = Some(object_ttl(value)?),
            Some(("state", path)) if state.is_none() && !path.is_empty() => {
                let path = file_name("\"state=\" of \"tollgate_owned_objects\"", path, Use::Kept)?;
                state = Some(cx.prefix_path(path)?);
            }
            _ => return Err(error(FORM)),
        }
    }
    let (name, size) = zone.and_then(|zone| zone.split_once(':')).ok_or_else(|| error(FORM))?;
    let bytes =
        parse_size(size).ok_or_else(|| error(format!("invalid zone size \"{size}\"; {FORM}")))?;
    if name.is_empty() {
        return Err(error(FORM));
    }
    if bytes < min_size() {
        return Err(error(format!(
            "zone \"{name}\" is too small: at least {}k; 1m has room for about {} objects",
            min_size() / 1024,
            (1 << 20) / OBJECT_BYTES / 1000 * 1000,
        )));
    }
    let objects = Objects::new(ttl.unwrap_or(DEFAULT_OBJECT_TTL), state);
    conf.following.objects = Some(SharedObjects::add::<Tollgate>(cx, name, bytes, objects)?);
    check_state_files(conf)
}

/// Seconds.
const DEFAULT_OBJECT_TTL: u64 = 30 * 24 * 3600;
const MAX_OBJECT_TTL: u64 = 10 * 366 * 24 * 3600;

fn object_ttl(value: &str) -> Result<u64, ConfError> {
    let secs = parse_time_ms(value).filter(|ms| ms % 1000 == 0).map(|ms| ms / 1000);
    secs.filter(|secs| (1..=MAX_OBJECT_TTL).contains(secs)).ok_or_else(|| {
        error(format!(
            "invalid \"ttl={}\" of \"tollgate_owned_objects\"; it is a time from 1s to 10y, such as \"30d\"",
            value.escape_debug()
        ))
    })
}

/// Refuses two states in one file.
fn check_state_files(conf: &MainConf) -> Done {
    match conf.state_file().zip(conf.objects_state()) {
        Some((limits, objects)) if limits.is_same(objects) => Err(error(
            "\"state=\" of \"tollgate_owned_objects\" is the file of \"tollgate_zone\"; give it one of its own",
        )),
        _ => Ok(()),
    }
}

/// `tollgate_status_file PATH | off`
pub(super) fn status_file(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let path = match word(args, 1) {
        "off" => None,
        path => {
            let path = file_name("\"tollgate_status_file\"", path, Use::Kept)?;
            Some(cx.prefix_path(path)?)
        }
    };
    if let Some(path) = &path {
        files::check(path, Use::Kept)
            .map_err(|problem| error(format!("\"tollgate_status_file\": {problem}")))?;
    }
    once(&mut conf.status_file, args, path)
}

/// `tollgate_control unix:PATH`
pub(super) fn control(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    const FORM: &str = "\"tollgate_control\" takes the path of a socket, such as \
                        \"unix:/run/tollgate.sock\"";
    if conf.following.control.is_some() {
        return Err(error(
            "\"tollgate_control\" directive is duplicate: nginx has one such socket",
        ));
    }
    let path = word(args, 1).strip_prefix("unix:").filter(|path| path.starts_with('/'));
    let path = file_name("\"tollgate_control\"", path.ok_or_else(|| error(FORM))?, Use::Kept)?;
    let socket = LocalSocket::listen::<Tollgate>(cx, path)
        .map_err(|problem| problem.of("tollgate_control"))?;
    let control = Control { socket };
    let shared = SharedControl::add::<Tollgate>(cx, control::NAME, control::SIZE, control)?;
    conf.following.control = Some(shared);
    conf.observe(cx, true)
}

/// Limits of `tollgate_limit`, besides `auth_failures`.
const LIMITS: [&str; 6] =
    ["requests", "tokens", "input_tokens", "output_tokens", "concurrency", "budget"];
/// What belongs behind one of them.
const PARAMETERS: [&str; 4] = ["burst", "cached", "queue", "timeout"];

/// `tollgate_limit NAME key=EXPR LIMIT...`
pub(super) fn limit(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let name = word(args, 1);
    if !is_valid_name(name) || name.contains('=') {
        return Err(error(format!(
            "invalid limit name \"{}\"; \"tollgate_limit\" takes a name, \"key=\" and limits",
            name.escape_debug()
        )));
    }
    literal("\"tollgate_limit\": the name", name)?;
    if conf.limits.iter().any(|rule| *rule.name == *name) {
        return Err(error(format!("the limit \"{name}\" is declared twice; keep one of them")));
    }
    let (mut key, mut reach) = (None, None);
    let mut key_text = String::new();
    // Each with what stands behind it.
    let mut limits: Vec<(&str, Vec<&str>)> = Vec::new();
    for parameter in args.get(2..).unwrap_or_default() {
        match parameter.split_once('=') {
            Some(("key", expression)) if key.is_none() && !expression.is_empty() => {
                rule_key::check(expression)
                    .map_err(|problem| error(format!("the limit \"{name}\" {problem}")))?;
                key = Some(key_source(cx, expression)?);
                key_text = expression.to_owned();
            }
            Some(("scope", value)) if reach.is_none() => {
                reach = Some(Reach::parse(value).ok_or_else(|| {
                    error(format!(
                        "invalid \"scope={}\" of the limit \"{name}\"; it takes \"cluster\" or \"node\"",
                        value.escape_debug()
                    ))
                })?);
            }
            Some((what, value)) if LIMITS.contains(&what) || what == "auth_failures" => {
                limits.push((what, vec![value]));
            }
            Some((what, _)) if PARAMETERS.contains(&what) => match limits.last_mut() {
                Some((_, values)) => values.push(parameter),
                None => {
                    return Err(error(format!(
                        "\"{what}=\" belongs behind the limit that it is for: \
                         \"requests=10r/s burst=20\", \"concurrency=8 queue=16 timeout=5s\""
                    )))
                }
            },
            _ => {
                return Err(error(format!(
                    "invalid parameter \"{}\" of \"tollgate_limit\"; it takes one \"key=\", and \
                     \"{}=\" or \"auth_failures=\"",
                    parameter.escape_debug(),
                    LIMITS.join("=\", \"")
                )));
            }
        }
    }
    let key = key.ok_or_else(|| {
        error("\"tollgate_limit\" needs a \"key=\": what it is counted by, such as \"key=$binary_remote_addr\"")
    })?;
    let (mut set, mut auth_failures) = (LimitSet::default(), Vec::new());
    for (what, values) in &limits {
        match *what {
            "auth_failures" => {
                add_bucket(&mut auth_failures, Dimension::AuthFailures, what, values, Some(name))?
            }
            what => set.add(what, values, Some(name))?,
        }
    }
    let is_ours = |variable: String| variable.starts_with("tollgate_");
    if !auth_failures.is_empty() && expression::names(&key_text).any(is_ours) {
        return Err(error(format!(
            "\"auth_failures=\" of the limit \"{name}\" would count nothing: who fails to \
             authenticate has no \"{key_text}\"; use \"key=$binary_remote_addr\""
        )));
    }
    if set.is_empty() && auth_failures.is_empty() {
        return Err(error(format!(
            "the limit \"{name}\" limits nothing; add \"requests=\" or another limit"
        )));
    }
    if set.is_empty() && reach == Some(Reach::Cluster) {
        return Err(error(format!(
            "\"scope=cluster\" of the limit \"{name}\" has no effect on \"auth_failures=\", which each node counts for \
             itself; leave it out"
        )));
    }
    if rule_key::is_doubtful(&key_text) {
        cx.log().warn(format_args!(
            "\"key={key_text}\" of the limit \"{name}\" (tollgate_limit) is a constant, by which all \
             requests are counted together; if the variable is meant, write \"key=${key_text}\" {}",
            cx.position()
        ));
    }
    if let Some(variable) = rule_key::chosen_address(&key_text) {
        cx.log().warn(format_args!(
            "\"${variable}\" in the key of the limit \"{name}\" (tollgate_limit) is what clients write, who so \
             escape the limit; use \"key=$binary_remote_addr\", with \"set_real_ip_from\" and \
             \"real_ip_header X-Forwarded-For;\" where a proxy stands before nginx {}",
            cx.position()
        ));
    }
    conf.limits.push(Rc::new(LimitRule {
        name: Arc::from(name),
        key,
        key_text,
        limits: set,
        reach,
        auth_failures,
        place: cx.position(),
    }));
    Ok(())
}

fn key_source(cx: &ConfContext<'_>, expression: &str) -> Result<KeySource, ConfError> {
    match expression {
        "$binary_remote_addr" | "${binary_remote_addr}" | "$remote_addr" | "${remote_addr}" => {
            Ok(KeySource::Address)
        }
        _ => ComplexValue::compile::<Tollgate>(cx, expression)
            .map(key_kind(expression))
            .ok_or_else(|| error(format!("invalid \"key={expression}\" of \"tollgate_limit\""))),
    }
}

/// Variables that are the same for all requests to a server.
const FIXED: [&str; 5] = ["server_name", "server_port", "server_addr", "hostname", "nginx_version"];
/// Variables that only authentication sets.
const AUTHENTICATED: [&str; 5] =
    ["tollgate_client", "tollgate_tenant", "tollgate_tier", "tollgate_key_id", "tollgate_auth"];

/// Who can mint what an expression says?
fn key_kind(expression: &str) -> fn(ComplexValue) -> KeySource {
    // What a regular expression found is nobody's name.
    if expression.split('$').skip(1).count() != expression::names(expression).count() {
        return KeySource::Expression;
    }
    let mut kind: fn(ComplexValue) -> KeySource = KeySource::Constant;
    for name in expression::names(expression) {
        if AUTHENTICATED.contains(&name.as_str()) {
            kind = KeySource::Authenticated;
        } else if !FIXED.contains(&name.as_str()) {
            return KeySource::Expression;
        }
    }
    kind
}

/// `tollgate_price MODEL-PATTERN input=N output=N [cached_input=N] [cache_write=N] [above=N input=N ...]`
pub(super) fn price(cx: &mut ConfContext<'_>, args: &[String], conf: &mut MainConf) -> Done {
    let text = word(args, 1);
    if text.contains('=') {
        return Err(error(
            "\"tollgate_price\" takes a pattern of model names first: \"tollgate_price llama-3.1-* \
             input=0.15 output=0.60\"",
        ));
    }
    let pattern = Pattern::of_models(text).map_err(|problem| {
        error(format!(
            "invalid pattern \"{}\" of \"tollgate_price\": {problem}",
            text.escape_debug()
        ))
    })?;
    if let Some(doubt) = pattern.doubt() {
        cx.log().warn(format_args!("\"tollgate_price {text}\" {doubt} {}", cx.position()));
    }
    let of_price = |problem| error(format!("\"tollgate_price {text}\": {problem}"));
    let parameters = args.get(2..).unwrap_or_default().iter().map(String::as_str);
    let price = Price::parse(parameters).map_err(of_price)?;
    if price.is_of_one_token() {
        cx.log().warn(format_args!(
            "\"tollgate_price {text}\" is a price of a million tokens, and so low that budgets hardly count; if \
             it is that of one token, multiply it by a million {}",
            cx.position()
        ));
    }
    conf.prices.push(pattern, price).map_err(of_price)
}
