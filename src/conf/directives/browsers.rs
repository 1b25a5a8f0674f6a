//! What a location may say of pages in browsers.

use super::words::{error, flag, literal, once, words, Done};
use crate::conf::LocConf;
use nginx::conf::{parse_time_ms, ConfContext};
use tollgate_core::cors::origin::Pattern;
use tollgate_core::cors::Cors;

/// A day, which is as long as any browser remembers a preflight.
const MAX_AGE_SECS: u64 = 86_400;

/// `tollgate_cors ORIGIN... [credentials] [max_age=TIME] | off`
pub(super) fn cors(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let (_, values) = words(args);
    if values == ["off"] {
        return once(&mut conf.settings.cors, args, None);
    }
    let (mut origins, mut credentials, mut max_age) = (Vec::new(), false, None);
    for value in values {
        match value.split_once('=') {
            _ if value == "off" => {
                return Err(error("\"off\" in \"tollgate_cors\" stands alone"));
            }
            _ if value == "credentials" && !credentials => credentials = true,
            Some(("max_age", time)) if max_age.is_none() => {
                let secs =
                    parse_time_ms(time).map(|ms| ms / 1000).filter(|secs| *secs <= MAX_AGE_SECS);
                let secs = secs.and_then(|secs| u32::try_from(secs).ok()).ok_or_else(|| {
                    error(format!(
                        "invalid \"max_age={time}\" of \"tollgate_cors\"; it takes 0s to 24h"
                    ))
                })?;
                max_age = Some(secs);
            }
            _ if matches!(value.as_str(), "credentials") || value.starts_with("max_age=") => {
                let name = value.split('=').next().unwrap_or_default();
                return Err(error(format!("\"{name}\" of \"tollgate_cors\" is given twice")));
            }
            _ => {
                literal("\"tollgate_cors\":", value)?;
                origins.push(origin(cx, value)?);
            }
        }
    }
    if origins.is_empty() {
        return Err(error(
            "\"tollgate_cors\" names no origin; write \"tollgate_cors https://app.example.com;\"",
        ));
    }
    let cors = Cors::new(origins, credentials, max_age)
        .map_err(|problem| error(format!("\"tollgate_cors\": {problem}")))?;
    once(&mut conf.settings.cors, args, Some(cors))
}

fn origin(cx: &ConfContext<'_>, text: &str) -> Result<Pattern, nginx::conf::ConfError> {
    let pattern = Pattern::parse(text).map_err(|problem| {
        error(format!("\"{}\" in \"tollgate_cors\" {problem}", text.escape_debug()))
    })?;
    if let Some(doubt) = pattern.doubt() {
        cx.log().warn(format_args!("\"{text}\" in \"tollgate_cors\" {doubt} {}", cx.position()));
    }
    Ok(pattern)
}

/// `tollgate_security_headers on | off`
pub(super) fn security_headers(
    _: &mut ConfContext<'_>,
    args: &[String],
    conf: &mut LocConf,
) -> Done {
    once(&mut conf.settings.security_headers, args, flag(args)?)
}
