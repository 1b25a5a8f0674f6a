//! What salts of an engine's cache are made by: `tollgate_cache_salt`.

use std::cell::OnceCell;
use std::os::unix::fs::MetadataExt as _;

use super::settings::{self, Given};
use nginx::conf::{ConfContext, ConfError};
use tollgate_core::cache_salt::{is_known_to, By, Salting, MIN_KEY_LEN};
use tollgate_core::limits::Zone;
use tollgate_core::llm::Engine;

/// What holds in a location.
pub(crate) struct CacheSalt {
    by: By,
    /// Made by the file; or by the zone, once it is there.
    salting: OnceCell<Salting>,
}

impl CacheSalt {
    /// What `setting` asks for. The file is read now, by whoever starts nginx.
    pub(super) fn resolve(
        cx: &ConfContext<'_>,
        setting: Option<&Given<Option<settings::CacheSalt>>>,
        engine: Engine,
        anonymous: bool,
    ) -> Result<Option<Self>, ConfError> {
        let Some(Given { value: Some(setting), place }) = setting else { return Ok(None) };
        let refused = |problem: String| {
            Err(ConfError::new(format!("\"tollgate_cache_salt\" {problem} {place}")))
        };
        if !is_known_to(engine) {
            return refused(format!(
                "has no effect on \"tollgate_engine {}\", which takes no salts; name the engine, \"vllm\" or \
                 \"sglang\", or say \"tollgate_cache_salt off;\"",
                engine.as_str()
            ));
        }
        if anonymous {
            return refused(
                "has no effect with \"tollgate_auth none\", by which there are no tenants; say \
                 \"tollgate_cache_salt off;\" there"
                    .to_owned(),
            );
        }
        let salting = OnceCell::new();
        if let Some(path) = &setting.secret {
            let bytes = match std::fs::read(path) {
                Ok(bytes) => bytes,
                Err(error) => return refused(format!("can't read \"secret={path}\": {error}")),
            };
            // What editors and `echo` end a file with.
            let key = bytes.trim_ascii_end();
            if key.len() < MIN_KEY_LEN {
                return refused(format!(
                    "needs a secret of at least {MIN_KEY_LEN} bytes, and \"secret={path}\" has {}; make one \
                     with \"openssl rand -base64 48\"",
                    key.len()
                ));
            }
            let mode = std::fs::metadata(path).map_or(0, |found| found.mode());
            if mode & 0o007 != 0 {
                cx.log().warn(format_args!(
                    "\"tollgate_cache_salt\": \"{path}\" can be read by every user of this machine, who could \
                     so make the salts of all tenants; \"chmod o-rwx\" it: only who starts nginx reads it {place}"
                ));
            }
            let _ = salting.set(Salting::new(key, setting.by));
        }
        Ok(Some(Self { by: setting.by, salting }))
    }

    /// What salts are made by.
    pub(crate) fn salting(&self, zone: &Zone<'_>) -> &Salting {
        self.salting.get_or_init(|| Salting::of_zone(zone, self.by))
    }
}
