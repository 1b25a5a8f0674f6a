//! The pages that a location may be answered with.

use super::words::{error, words, Done};
use crate::conf::pages::{Shown, MAX_CLIENTS};
use crate::conf::LocConf;
use nginx::conf::ConfContext;

/// `tollgate_metrics`
pub(super) fn metrics(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let clients = match words(args).1 {
        [] => 0,
        [word] => {
            let number = word.strip_prefix("clients=").and_then(|number| number.parse().ok());
            number.filter(|number| (1..=MAX_CLIENTS).contains(number)).ok_or_else(|| {
                error(format!(
                    "invalid value \"{}\" in \"tollgate_metrics\" directive, it must be \"clients=N\" with a \
                     number from 1 to {MAX_CLIENTS}, or nothing",
                    word.escape_debug()
                ))
            })?
        }
        [_, second, ..] => {
            return Err(error(format!(
                "\"tollgate_metrics\" takes nothing but \"clients=N\", and no \"{}\"",
                second.escape_debug()
            )))
        }
    };
    conf.shown = Some(Shown::Metrics { clients });
    Ok(())
}

/// `tollgate_usage`
pub(super) fn usage(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    if let Some(other) = words(args).1.first() {
        return Err(error(format!("\"tollgate_usage\" takes no \"{}\"", other.escape_debug())));
    }
    conf.shown = Some(Shown::Usage);
    Ok(())
}

/// `tollgate_status`
pub(super) fn status(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    if let Some(other) = words(args).1.first() {
        return Err(error(format!("\"tollgate_status\" takes no \"{}\"", other.escape_debug())));
    }
    conf.shown = Some(Shown::Status);
    Ok(())
}
