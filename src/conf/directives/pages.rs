//! The pages that a location may be answered with.

use super::words::{error, words, Done};
use crate::conf::pages::Shown;
use crate::conf::LocConf;
use nginx::conf::ConfContext;

/// `tollgate_metrics`
pub(super) fn metrics(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    if let Some(other) = words(args).1.first() {
        return Err(error(format!("\"tollgate_metrics\" takes no \"{}\"", other.escape_debug())));
    }
    conf.shown = Some(Shown::Metrics);
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

/// `tollgate_usage`
pub(super) fn usage(_: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    if let Some(other) = words(args).1.first() {
        return Err(error(format!("\"tollgate_usage\" takes no \"{}\"", other.escape_debug())));
    }
    conf.shown = Some(Shown::Usage);
    Ok(())
}
