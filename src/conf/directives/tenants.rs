//! What a location says of tenants: how they are kept apart in the engine's cache, what its scheduler gets to know
//! of them, and what the log has of keys.

use super::words::{error, file_name, given, once, word, words, Done};
use crate::conf::settings::CacheSalt;
use crate::conf::LocConf;
use nginx::conf::ConfContext;
use tollgate_core::audit::Fields;
use tollgate_core::cache_salt::By;
use tollgate_core::nginx_text::file_name::Use;
use tollgate_core::scheduler::Scheduler;

/// `tollgate_cache_salt tenant | client [secret=PATH] | off`
pub(super) fn cache_salt(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    const FORM: &str = "\"tollgate_cache_salt\" takes \"tenant\" or \"client\", and optionally \
                        \"secret=PATH\"; or \"off\" alone";
    let by = match (word(args, 1), args.len()) {
        ("tenant", _) => By::Tenant,
        ("client", _) => By::Client,
        ("off", 2) => return once(&mut conf.settings.cache_salt, args, given(cx, None)),
        _ => return Err(error(FORM)),
    };
    let secret = match args.get(2) {
        None => None,
        Some(parameter) => {
            // Without the text, which may be a secret.
            let path = parameter.strip_prefix("secret=").filter(|path| !path.is_empty());
            let path = path.ok_or_else(|| error(FORM))?;
            let path = file_name("\"secret=\" of \"tollgate_cache_salt\"", path, Use::Read)?;
            Some(cx.full_path(path)?)
        }
    };
    once(&mut conf.settings.cache_salt, args, given(cx, Some(CacheSalt { by, secret })))
}

/// `tollgate_scheduler off | vllm | llm-d | pass`
pub(super) fn scheduler(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let name = word(args, 1);
    let scheduler = Scheduler::from_name(name).ok_or_else(|| {
        error(format!(
            "invalid value \"{}\" in \"tollgate_scheduler\"; it takes \"vllm\", \"llm-d\", \"off\" or \
             \"pass\"",
            name.escape_debug()
        ))
    })?;
    once(&mut conf.settings.scheduler, args, given(cx, scheduler))
}

/// `tollgate_audit_fields name | created | metadata | metadata.KEY ... | off`
pub(super) fn audit_fields(cx: &mut ConfContext<'_>, args: &[String], conf: &mut LocConf) -> Done {
    let (_, names) = words(args);
    let mut fields = Fields::default();
    for name in names.iter().filter(|_| names != ["off"]) {
        fields.add(name).map_err(|problem| {
            error(format!("\"{}\" in \"tollgate_audit_fields\" {problem}", name.escape_debug()))
        })?;
    }
    once(&mut conf.settings.audit_fields, args, given(cx, fields))
}
