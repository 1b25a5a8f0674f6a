//! What a location may say.

use super::words::{error, file_name, flag, given, literal, once, word, words, Done};
use crate::conf::settings::{AuditLog, Auth, Estimate, OnRevoke, Reserve, Upgrade};
use crate::conf::LocConf;
use nginx::conf::{parse_offset, parse_size, parse_time_ms, ConfContext, ConfError};
use nginx::file::Buffering;
use tollgate_core::limits::Oversize;
use tollgate_core::nginx_text::file_name::Use;
use tollgate_core::nginx_text::header_name;
use tollgate_core::ratelimit_headers::{Style, Styles};

/// `tollgate on | off`
pub(super) fn enable(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = flag(args)?;
    once(&mut conf.settings.enabled, args, given(cx, value))
}

/// `tollgate_dry_run on | off`
pub(super) fn dry_run(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    once(&mut conf.settings.dry_run, args, flag(args)?)
}

/// `tollgate_pass_credentials on | off`
pub(super) fn pass_credentials(
    _: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
    once(&mut conf.settings.pass_credentials, args, flag(args)?)
}

/// `tollgate_auth METHOD...`
pub(super) fn auth(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let mut auth = Auth { api_key: false, jwt: false, client_cert: false, introspection: false };
    let (_, methods) = words(args);
    for method in methods {
        match method.as_str() {
            "api_key" => auth.api_key = true,
            "jwt" => auth.jwt = true,
            "client_cert" => auth.client_cert = true,
            "introspection" => auth.introspection = true,
            "none" if methods.len() == 1 => {}
            "none" => return Err(error("\"none\" in \"tollgate_auth\" stands alone")),
            other => {
                return Err(error(format!(
                "unknown method \"{other}\" in \"tollgate_auth\"; known are \"api_key\", \"jwt\", \
                     \"client_cert\", \"introspection\" and \"none\""
            )))
            }
        }
    }
    once(&mut conf.settings.auth, args, given(cx, auth))
}

/// `tollgate_api_keys PATH`
pub(super) fn api_keys(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let path = cx.full_path(file_name("\"tollgate_api_keys\"", word(args, 1), Use::Read)?)?;
    once(&mut conf.settings.api_keys, args, given(cx, path))
}

/// `tollgate_api_key_header NAME...`
pub(super) fn api_key_header(
    cx: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
    let (_, names) = words(args);
    for (index, name) in names.iter().enumerate() {
        header_name::check(name)
            .map_err(|problem| error(format!("\"{}\" {problem}", name.escape_debug())))?;
        if names.iter().skip(index + 1).any(|other| other.eq_ignore_ascii_case(name)) {
            return Err(error(format!(
                "the header \"{name}\" is named twice, as case is ignored; once is enough"
            )));
        }
    }
    once(&mut conf.settings.api_key_headers, args, given(cx, names.to_vec()))
}

/// `tollgate_default_tier NAME`
pub(super) fn default_tier(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    literal("\"tollgate_default_tier\":", word(args, 1))?;
    once(&mut conf.settings.default_tier, args, given(cx, word(args, 1).to_owned()))
}

/// `tollgate_apply LIMIT-NAME...`
pub(super) fn apply(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let (_, names) = words(args);
    if names == ["off"] {
        return once(&mut conf.settings.apply, args, given(cx, Vec::new()));
    }
    for (index, name) in names.iter().enumerate() {
        literal("\"tollgate_apply\":", name)?;
        if name.contains('=') {
            return Err(error(format!(
                "invalid parameter \"{}\" of \"tollgate_apply\"; it takes names of \"tollgate_limit\" \
                 alone, such as \"tollgate_apply per_address;\"",
                name.escape_debug()
            )));
        }
        if names.iter().skip(index + 1).any(|other| other == name) {
            return Err(error(format!("the limit \"{name}\" is applied twice; once is enough")));
        }
    }
    once(&mut conf.settings.apply, args, given(cx, names.to_vec()))
}

/// `tollgate_max_body SIZE`
pub(super) fn max_body(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = word(args, 1);
    match parse_offset(value) {
        Some(size @ 1024..=1_073_741_824) => {
            once(&mut conf.settings.max_body, args, given(cx, size))
        }
        _ => Err(error(format!(
            "invalid size \"{value}\" in \"tollgate_max_body\"; it takes 1k to 1g"
        ))),
    }
}

/// `tollgate_estimate [bytes_per_token=N | bytes_per_token=learned] [output=N]`
pub(super) fn estimate(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let mut estimate = Estimate::default();
    let (mut bytes_given, mut output_given) = (false, false);
    for parameter in words(args).1 {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u32>().ok().filter(|_| is_number)
        };
        match parameter.split_once('=') {
            Some(("bytes_per_token", "learned")) if !bytes_given => bytes_given = true,
            Some(("bytes_per_token", value)) if !bytes_given => {
                let bytes = number(value).filter(|bytes| (1..=16).contains(bytes));
                estimate.bytes_per_token = Some(bytes.ok_or_else(|| {
                    error(format!(
                        "invalid \"bytes_per_token={value}\" of \"tollgate_estimate\"; it takes 1 to 16, or \
                         \"learned\""
                    ))
                })?);
                bytes_given = true;
            }
            Some(("output", value)) if !output_given => {
                let tokens = number(value).filter(|tokens| (1..=10_000_000).contains(tokens));
                estimate.output = tokens.ok_or_else(|| {
                    error(format!(
                        "invalid \"output={value}\" of \"tollgate_estimate\"; it takes 1 to 10000000 tokens"
                    ))
                })?;
                output_given = true;
            }
            _ => {
                return Err(error(format!(
                    "invalid parameter \"{}\" of \"tollgate_estimate\"; it takes \
                     \"bytes_per_token=N\" and \"output=N\", each once",
                    parameter.escape_debug()
                )))
            }
        }
    }
    once(&mut conf.settings.estimate, args, estimate)
}

/// `tollgate_reserve bound | learned`
pub(super) fn reserve(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = match word(args, 1) {
        "bound" => Reserve::Bound,
        "learned" => Reserve::Learned,
        other => {
            return Err(error(format!(
                "invalid value \"{}\" in \"tollgate_reserve\"; it takes \"bound\" or \"learned\"",
                other.escape_debug()
            )))
        }
    };
    once(&mut conf.settings.reserve, args, value)
}

/// `tollgate_oversized debt | refuse`
pub(super) fn oversized(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = match word(args, 1) {
        "debt" => Oversize::Debt,
        "refuse" => Oversize::Refuse,
        other => {
            return Err(error(format!(
                "invalid value \"{}\" in \"tollgate_oversized\"; it takes \"debt\" or \"refuse\"",
                other.escape_debug()
            )))
        }
    };
    once(&mut conf.settings.oversized, args, value)
}

/// `tollgate_ratelimit_headers openai | ietf | legacy | off ...`
pub(super) fn ratelimit_headers(
    _: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
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

/// `tollgate_on_revoke finish | close`
pub(super) fn on_revoke(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = match word(args, 1) {
        "finish" => OnRevoke::Finish,
        "close" => OnRevoke::Close,
        other => {
            return Err(error(format!(
                "invalid value \"{}\" in \"tollgate_on_revoke\"; it takes \"finish\" or \"close\"",
                other.escape_debug()
            )))
        }
    };
    once(&mut conf.settings.on_revoke, args, value)
}

/// `tollgate_upgrade deny | allow`
pub(super) fn upgrade(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let value = match word(args, 1) {
        "deny" => Upgrade::Deny,
        "allow" => Upgrade::Allow,
        other => {
            return Err(error(format!(
                "invalid value \"{}\" in \"tollgate_upgrade\"; it takes \"deny\" or \"allow\"",
                other.escape_debug()
            )))
        }
    };
    once(&mut conf.settings.upgrade, args, value)
}

/// `tollgate_audit_log PATH [buffer=SIZE] [flush=TIME] [seal=KEYFILE] | off`
pub(super) fn audit_log(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let setting = match words(args).1 {
        [off] if off == "off" => AuditLog::Off,
        [path, parameters @ ..] if !path.is_empty() && path != "off" => {
            // From the prefix, as nginx's own logs.
            let path = file_name("\"tollgate_audit_log\"", path, Use::Log)?.to_owned();
            let (buffering, seal) = log_parameters(parameters)?;
            // From the folder of nginx.conf, as other keys.
            let seal = seal.map(|path| cx.full_path(path)).transpose()?;
            AuditLog::File { path, buffering, seal }
        }
        _ => return Err(error("\"tollgate_audit_log\" takes a path, or \"off\" alone")),
    };
    once(&mut conf.settings.audit_log, args, given(cx, setting))
}

/// Lines that nobody asked to be kept wait until the worker has dealt with the events at hand: then
/// they are in the file as soon as the client has its answer, and a busy worker still writes many at
/// a time.
fn log_parameters(parameters: &[String]) -> Result<(Buffering, Option<&str>), ConfError> {
    let (mut size, mut flush_ms, mut seal) = (None, None, None);
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
            Some(("seal", _)) if seal.is_some() => {
                return Err(error("\"seal=\" of \"tollgate_audit_log\" is given twice"));
            }
            Some(("seal", path)) => {
                seal = Some(file_name("\"seal=\" of \"tollgate_audit_log\"", path, Use::Read)?);
            }
            _ => return Err(not_of_audit_log(parameter)),
        }
    }
    let buffering = match (size, flush_ms) {
        (None, None) => Buffering { size: 65_536, flush_ms: 0 },
        (size, flush_ms) => {
            Buffering { size: size.unwrap_or(65_536), flush_ms: flush_ms.unwrap_or(1000) }
        }
    };
    Ok((buffering, seal))
}

/// Parameters of `access_log` say why they are none here.
fn not_of_audit_log(parameter: &str) -> ConfError {
    let why = match parameter.split_once('=').map_or(parameter, |(name, _)| name) {
        "gzip" => "; lines are written as they are, so leave it out, and compress what logrotate has moved",
        "if" => "; every request that was judged has its line, so leave it out, and filter who reads it",
        "format" | "main" | "combined" | "escape" => {
            "; lines are JSON with fields of their own, so leave it out (docs/audit-log.md)"
        }
        _ => "",
    };
    error(format!(
        "invalid parameter \"{}\" of \"tollgate_audit_log\"; it takes \"buffer=SIZE\", \"flush=TIME\" \
         and \"seal=KEYFILE\"{why}",
        parameter.escape_debug()
    ))
}

/// `tollgate_debug_panic CALLBACK`, in debug builds
#[cfg(debug_assertions)]
pub(super) fn debug_panic(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let callback = crate::faults::Callback::from_name(word(args, 1));
    conf.planted = Some(callback.ok_or_else(|| error("unknown callback"))?);
    Ok(())
}
