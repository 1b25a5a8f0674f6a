//! The files of `tollgate_audit_log`, and what seals them.

use std::fmt;
use std::rc::Rc;

use super::files;
use super::loaded::Loaded;
use super::settings::{AuditLog, Given, Settings};
use crate::types::Tollgate;
use crate::zone::seals::{SealedLog, SharedSeals};
use nginx::conf::{ConfContext, ConfError};
use nginx::file::{LogFile, Title};
use tollgate_core::nginx_text::file_name::Use;

/// A file, and what seals it.
pub(super) struct OpenLog {
    pub(super) log: Rc<LogFile>,
    /// Where it is.
    full_path: String,
    /// As `seal=` has it.
    seal: Option<String>,
    pub(super) seals: Option<Rc<SharedSeals>>,
}

/// Opens the log of a location, once for all locations that have the same.
pub(super) fn open(
    cx: &ConfContext<'_>,
    settings: &Settings,
    loaded: &mut Loaded,
) -> Result<Option<Rc<LogFile>>, ConfError> {
    let Some(Given { value: AuditLog::File { path, buffering, seal }, place }) =
        &settings.audit_log
    else {
        return Ok(None);
    };
    if let Some(known) = loaded.audit_logs.iter().find(|known| known.log.path() == path) {
        let differs = match (known.log.buffering() != *buffering, known.seal != *seal) {
            (true, _) => "\"buffer=\" or \"flush=\"",
            (false, true) => "\"seal=\"",
            (false, false) => return Ok(Some(Rc::clone(&known.log))),
        };
        return Err(ConfError::new(format!(
            "\"tollgate_audit_log {path}\" is used with different {differs} elsewhere; give both the same \
             {place}"
        )));
    }
    const TITLE: Title =
        Title { module: "tollgate", log: "audit log", directive: "tollgate_audit_log" };
    let failed = |problem: &dyn fmt::Display| {
        ConfError::new(format!("\"tollgate_audit_log\": {problem} {place}"))
    };
    let full_path = cx.prefix_path(path)?;
    let doubt = files::check(&full_path, Use::Log).map_err(|error| failed(&error))?;
    let mut others = loaded.audit_logs.iter();
    // By another name, it would be opened twice, and what is sealed would have other lines among it.
    if let Some(other) = others.find(|known| {
        (seal.is_some() || known.seal.is_some()) && files::is_same(&known.full_path, &full_path)
    }) {
        return Err(failed(&format!(
            "\"{}\" is the file of \"{}\" as well, which is sealed; give both the same name and the same \"seal=\"",
            path.escape_debug(),
            other.log.path().escape_debug()
        )));
    }
    let log = LogFile::open(cx, TITLE, path, *buffering).map_err(|error| failed(&error))?;
    let shown = path.escape_debug();
    if log.is_shared() && seal.is_some() {
        return Err(failed(&format!(
            "\"{shown}\" is the file of another log, whose lines nothing would seal; give it a file of its own"
        )));
    }
    let shared = (log.is_shared() && !path.starts_with("/dev/")).then(|| {
        format!(
            "\"{shown}\" is the file of another log, whose lines would be among those of JSON; give it a file of \
             its own"
        )
    });
    for doubt in doubt.into_iter().chain(shared) {
        cx.log().warn(format_args!("\"tollgate_audit_log\": {doubt} {place}"));
    }
    let seals = match seal {
        Some(seal) => Some(sealed_by(cx, seal, loaded).map_err(|error| failed(&error))?),
        None => None,
    };
    let seal = seal.clone();
    loaded.audit_logs.push(OpenLog { log: Rc::clone(&log), full_path, seal, seals });
    Ok(Some(log))
}

/// What seals a log: of one key, there are chains of one log.
fn sealed_by(cx: &ConfContext<'_>, path: &str, loaded: &Loaded) -> Result<Rc<SharedSeals>, String> {
    let sealed = SealedLog::new(path).map_err(|error| format!("\"seal={path}\" {error}"))?;
    let others =
        || loaded.audit_logs.iter().filter_map(|log| Some((&log.log, log.seals.as_ref()?)));
    if let Some((log, _)) = others().find(|(_, seals)| seals.content().id() == sealed.id()) {
        return Err(format!(
            "\"seal={path}\" is the key of \"{}\" as well, and lines of one log could be taken for missing lines of \
             the other; make a further key with \"tollgate audit seal keygen\"",
            log.path().escape_debug()
        ));
    }
    let name = format!("tollgate_seals_{}", sealed.id());
    SharedSeals::add::<Tollgate>(cx, &name, SealedLog::BYTES, sealed)
        .map_err(|error| error.to_string())
}
