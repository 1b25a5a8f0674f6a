//! Who is let in with an API key: the keys files, and what is told of them.

use std::collections::HashSet;
use std::rc::Rc;

use super::following::Following;
use super::rules::Tier;
use super::settings::{Given, Settings};
use crate::clock::precise_now;
use crate::keys::key_file::KeyFile;
use crate::keys::live::{Content, Follow, Live, Remark, Source};
use nginx::conf::{ConfContext, ConfError, Position};
use shared_block::Mapping;
use tollgate_core::clock::UnixMillis;
use tollgate_core::cluster::revocations::{InFiles, KeyHash};
use tollgate_core::file_rights::Purpose;
use tollgate_core::keys::{self, KeyStates};
use tollgate_core::status::SetKind;

/// A keys file.
pub(crate) struct KeysFile {
    path: [String; 1],
    /// Those that are declared.
    tiers: Vec<String>,
}

/// The API keys of one file, as they are now.
pub(crate) type ApiKeys = Live<KeysFile>;

impl Source for KeysFile {
    type Loaded = keys::KeySet;
    type Error = String;

    const KIND: SetKind = SetKind::ApiKeys;

    fn paths(&self) -> &[String] {
        &self.path
    }

    fn states(loaded: &Self::Loaded, now: UnixMillis) -> KeyStates {
        loaded.states(now)
    }

    fn says(loaded: &Self::Loaded, key: &KeyHash) -> Option<InFiles> {
        Some(loaded.says(key))
    }

    fn build(&self, files: &[Vec<u8>]) -> Result<Content, String> {
        let [path] = &self.path;
        let json = files.first().map_or(&[][..], Vec::as_slice);
        let is_declared = |name: &str| self.tiers.iter().any(|tier| tier == name);
        let built = keys::KeySet::build(json, &is_declared, precise_now().wall)
            .map_err(|error| format!("\"{path}\": {error}"))?;
        let keys = built.set_len();
        let remark = |refused: keys::Refused| Remark {
            text: format!("\"{path}\": {}", refused.error),
            is_mistake: refused.is_mistake(),
        };
        let warnings = match keys {
            0 => vec![format!("\"{path}\" holds no keys now, so everybody is refused")],
            _ => Vec::new(),
        };
        Ok(Content {
            block: built.block,
            keys,
            refused: built.refused.into_iter().map(remark).collect(),
            refused_count: built.refused_count,
            warnings,
            ..Content::default()
        })
    }

    fn open(&self, block: Mapping) -> Option<Self::Loaded> {
        keys::KeySet::from_block(block)
    }
}

/// The keys files that were read: each once.
#[derive(Default)]
pub(super) struct KeysFiles {
    files: Vec<(String, Rc<ApiKeys>)>,
    /// Those of which it was said that some of their keys have no tier.
    warned: HashSet<String>,
}

pub(super) fn load_keys(
    cx: &ConfContext<'_>,
    settings: &Settings,
    tiers: &[Rc<Tier>],
    (loaded, following): (&mut KeysFiles, &mut Following),
    has_default_tier: bool,
    on: &Position,
) -> Result<Rc<ApiKeys>, ConfError> {
    let Some(Given { value: path, place }) = &settings.api_keys else {
        return Err(ConfError::new(format!(
            "\"tollgate on\" without keys would refuse everybody; add \"tollgate_api_keys PATH;\", \
             or choose another \"tollgate_auth\" {on}"
        )));
    };
    let known = loaded.files.iter().find(|(other, _)| other == path);
    let keys = match known {
        Some((_, keys)) => Rc::clone(keys),
        None => {
            let tiers = tiers.iter().map(|tier| tier.name.clone()).collect();
            let read = Live::load(KeysFile { path: [path.clone()], tiers });
            let (keys, refused) = read.map_err(|error| {
                ConfError::new(format!("\"tollgate_api_keys\": {error} {place}"))
            })?;
            tell_refused(cx, &refused, &keys, place)?;
            let keys = Rc::new(keys);
            let file = KeyFile::new("tollgate_api_keys", path, place, Purpose::Keys);
            following.add(Rc::clone(&keys) as Rc<dyn Follow>, vec![file]);
            loaded.files.push((path.clone(), Rc::clone(&keys)));
            keys
        }
    };
    let Some(generation) = keys.current() else {
        return Err(ConfError::new(format!("\"tollgate_api_keys\": \"{path}\" is lost {place}")));
    };
    let set = &generation.loaded;
    if set.is_empty() {
        return Err(ConfError::new(format!(
            "\"tollgate_api_keys\": \"{path}\" holds no keys, so everybody would be refused; add one \
             with \"tollgate key create\" {place}"
        )));
    }
    let without_tier = set.without_tier();
    if without_tier > 0 && !has_default_tier && loaded.warned.insert(path.clone()) {
        cx.log().warn(format_args!(
            "{without_tier} of {} keys in \"{path}\" name no tier and will be refused; add \
             \"tollgate_default_tier NAME;\" {place}",
            set.len()
        ));
    }
    Ok(keys)
}

/// Tells which entries of a keys file are not in force. A mistake is an error as long as nginx doesn't run:
/// who starts it is there to mend it. Later one key is no reason to refuse a configuration, or the file.
fn tell_refused(
    cx: &ConfContext<'_>,
    refused: &[Remark],
    keys: &ApiKeys,
    place: &Position,
) -> Result<(), ConfError> {
    for Remark { text, is_mistake } in refused {
        match is_mistake {
            true if !cx.is_running() => {
                return Err(ConfError::new(format!("\"tollgate_api_keys\": {text} {place}")));
            }
            true => cx.log().error(format_args!("tollgate: {text}; that key is refused {place}")),
            false => cx.log().warn(format_args!("{text}; that key is refused {place}")),
        }
    }
    let more = keys.first().refused_count.saturating_sub(refused.len() as u64);
    if more > 0 {
        cx.log().warn(format_args!("{more} more keys of that file are refused {place}"));
    }
    // Of a file without keys, an error follows.
    if keys.first().keys > 0 {
        tell_warnings(cx, keys, place);
    }
    Ok(())
}

/// Tells what else the operator should know of files.
pub(super) fn tell_warnings<S: Source>(cx: &ConfContext<'_>, live: &Live<S>, place: &Position) {
    for warning in &live.first().warnings {
        cx.log().warn(format_args!("{warning} {place}"));
    }
}
