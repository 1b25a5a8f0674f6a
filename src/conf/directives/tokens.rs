//! What a location may say of tokens, and of the keys that verify them.

use super::words::{error, file_name, flag, given, literal, once, word, words, Done};
use crate::conf::settings::TokenSource;
use crate::conf::LocConf;
use nginx::conf::{parse_size, parse_time_ms, ConfContext, ConfError};
use tollgate_core::jwt;
use tollgate_core::nginx_text::file_name::Use;
use tollgate_core::nginx_text::literal as literals;

/// `tollgate_jwt_key_file PATH [issuer=VALUE]... [client_prefix=TEXT]`, repeatable
pub(super) fn key_file(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let source = TokenSource {
        name: cx.full_path(file_name("\"tollgate_jwt_key_file\"", word(args, 1), Use::Read)?)?,
        binding: binding(cx, args)?,
    };
    match &mut conf.settings.jwt_key_files {
        Some(files) if files.value.iter().any(|other| other.name == source.name) => {
            return Err(error(format!(
                "the key file \"{}\" is named twice; once is enough, with an \"issuer=\" for each \
                 issuer whose keys it has",
                source.name
            )));
        }
        Some(files) => files.value.push(source),
        none => *none = Some(given(cx, vec![source])),
    }
    Ok(())
}

/// Whose tokens a source is for: what is said behind its name.
fn binding(cx: &ConfContext<'_>, args: &[String]) -> Result<jwt::Binding, ConfError> {
    let mut binding = jwt::Binding::default();
    let (directive, rest) = words(args);
    for parameter in rest.iter().skip(1) {
        match parameter.split_once('=') {
            Some(("issuer", issuer)) if !issuer.is_empty() => {
                if binding.issuers.iter().any(|other| other == issuer) {
                    return Err(error(format!(
                        "\"{}\" of \"{directive}\" is given twice; once is enough",
                        parameter.escape_debug()
                    )));
                }
                check_value(cx, directive, issuer)?;
                binding.issuers.push(issuer.to_owned());
            }
            Some(("client_prefix", prefix))
                if binding.client_prefix.is_none() && jwt::is_valid_client_prefix(prefix) =>
            {
                literal(&format!("\"client_prefix=\" of \"{directive}\":"), prefix)?;
                binding.client_prefix = Some(prefix.to_owned());
            }
            _ => {
                return Err(error(format!(
                "invalid parameter \"{}\" of \"{directive}\"; it takes \"issuer=VALUE\" for each \
                     issuer whose keys these are, and one \"client_prefix=TEXT\" of up to 64 bytes \
                     without blanks around it",
                parameter.escape_debug()
            )))
            }
        }
    }
    Ok(binding)
}

/// `tollgate_jwt_client_prefix TEXT`
pub(super) fn client_prefix(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let prefix = word(args, 1);
    if !jwt::is_valid_client_prefix(prefix) {
        return Err(error(format!(
            "invalid value \"{}\" in \"tollgate_jwt_client_prefix\"; it takes up to 64 bytes without \
             control characters and without blanks around them, such as \"jwt:\", or \"\"",
            prefix.escape_debug()
        )));
    }
    literal("\"tollgate_jwt_client_prefix\":", prefix)?;
    once(&mut conf.settings.jwt_client_prefix, args, prefix.to_owned())
}

/// An internal location, or `off`.
fn location(args: &[String]) -> Result<Option<String>, ConfError> {
    match word(args, 1) {
        "off" => Ok(None),
        uri if uri.starts_with('/') && !uri.contains(['?', '#', '$']) => Ok(Some(uri.to_owned())),
        other => Err(error(format!(
            "invalid location \"{}\" in \"{}\"; it takes the path of an internal location, such as \
             \"/_provider\", without arguments and variables, or \"off\"",
            other.escape_debug(),
            word(args, 0)
        ))),
    }
}

/// An internal location, with whose tokens it is for; or `off` alone.
fn bound_location(cx: &ConfContext<'_>, args: &[String]) -> Result<Option<TokenSource>, ConfError> {
    match (location(args)?, args.get(2)) {
        (None, Some(_)) => Err(error(format!("\"off\" in \"{}\" stands alone", word(args, 0)))),
        (None, None) => Ok(None),
        (Some(name), _) => Ok(Some(TokenSource { name, binding: binding(cx, args)? })),
    }
}

/// `tollgate_jwt_key_request URI [issuer=VALUE]... [client_prefix=TEXT] | off`
pub(super) fn key_request(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = bound_location(cx, args)?;
    once(&mut conf.settings.jwt_key_request, args, given(cx, value))
}

/// `tollgate_jwt_key_cache TIME [stale=TIME]`
pub(super) fn key_cache(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let mut lifetime = jwt::Lifetime::default();
    let fresh = word(args, 1);
    match parse_time_ms(fresh) {
        Some(ms @ 1000..=86_400_000) => lifetime.fresh_ms = ms,
        _ => {
            return Err(error(format!(
                "invalid time \"{}\" in \"tollgate_jwt_key_cache\"; it takes 1s to 1d",
                fresh.escape_debug()
            )))
        }
    }
    if let Some(parameter) = args.get(2) {
        match parameter.strip_prefix("stale=").and_then(parse_time_ms) {
            Some(ms @ 0..=604_800_000) => lifetime.stale_ms = ms,
            _ => {
                return Err(error(format!(
                    "invalid parameter \"{}\" of \"tollgate_jwt_key_cache\"; it takes \"stale=TIME\" up \
                     to 7d",
                    parameter.escape_debug()
                )))
            }
        }
    }
    once(&mut conf.settings.jwt_key_cache, args, lifetime)
}

/// `tollgate_introspection_request URI [issuer=VALUE]... [client_prefix=TEXT] | off`
pub(super) fn introspection_request(
    cx: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
    let value = bound_location(cx, args)?;
    once(&mut conf.settings.introspection_request, args, given(cx, value))
}

/// `tollgate_introspection_cache TIME`
pub(super) fn introspection_cache(
    _: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
    let value = word(args, 1);
    let secs = parse_time_ms(value).filter(|ms| ms % 1000 == 0).map(|ms| ms / 1000);
    match secs.filter(|secs| *secs <= 3600).map(i64::try_from) {
        Some(Ok(secs)) => once(&mut conf.settings.introspection_cache_secs, args, secs),
        _ => Err(error(format!(
            "invalid time \"{}\" in \"tollgate_introspection_cache\"; it takes whole seconds up to 1h, \
             such as 30s, or 0",
            value.escape_debug()
        ))),
    }
}

/// `tollgate_jwt_algorithms ALG...`
pub(super) fn algorithms(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
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

/// Refuses what can't be in a token; warns of what hardly is.
fn check_value(cx: &ConfContext<'_>, directive: &str, value: &str) -> Done {
    literal(&format!("\"{directive}\":"), value)?;
    if let Some(doubt) = literals::doubt(value) {
        let (value, place) = (value.escape_debug(), cx.position());
        cx.log().warn(format_args!("\"{directive}\": \"{value}\" {doubt} {place}"));
    }
    Ok(())
}

/// Values that are compared with those of tokens.
fn list(cx: &ConfContext<'_>, place: &mut Option<Vec<String>>, args: &[String]) -> Done {
    let (_, values) = words(args);
    if values.iter().any(String::is_empty) {
        return Err(error(format!("an empty value in \"{}\"", word(args, 0))));
    }
    for value in values {
        check_value(cx, word(args, 0), value)?;
    }
    once(place, args, values.to_vec())
}

/// `tollgate_jwt_issuer VALUE...`
pub(super) fn issuer(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    list(cx, &mut conf.settings.jwt_issuers, args)
}

/// `tollgate_jwt_audience VALUE...`
pub(super) fn audience(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    list(cx, &mut conf.settings.jwt_audiences, args)
}

/// `tollgate_jwt_leeway TIME`
pub(super) fn leeway(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
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
pub(super) fn require_exp(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    once(&mut conf.settings.jwt_require_exp, args, flag(args)?)
}

/// `tollgate_jwt_max_size SIZE`
pub(super) fn max_size(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = word(args, 1);
    match parse_size(value) {
        Some(size @ 256..=1_048_576) => once(&mut conf.settings.jwt_max_size, args, size),
        _ => Err(error(format!(
            "invalid size \"{value}\" in \"tollgate_jwt_max_size\"; it takes 256 to 1m"
        ))),
    }
}

/// `tollgate_jwt_claim FIELD CLAIM`, repeatable
pub(super) fn claim(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let (field, claim) = (word(args, 1), word(args, 2));
    if claim.starts_with('$') || claim.contains('[') {
        return Err(error(format!(
            "invalid \"tollgate_jwt_claim {} {}\": it takes the name of a claim, such as \"sub\", or a path \
             with dots, such as \"realm_access.tier\", without variables and indexes",
            field.escape_debug(),
            claim.escape_debug()
        )));
    }
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
