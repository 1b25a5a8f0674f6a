//! Who is let in: the keys that credentials are judged by, out of the files that hold them.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::policy::Loaded;
use super::settings::{Given, Settings};
use super::MainConf;
use crate::ffi::conf::{ConfContext, ConfError, Place};
use tollgate_core::jwt;
use tollgate_core::keys;

/// The largest keys file or JWT key file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// The API keys of one file.
pub(crate) struct ApiKeys {
    /// Tells the keys of one set from those of another in the worker's memory.
    pub(crate) id: u64,
    pub(crate) set: keys::KeySet,
}

/// A JWT key set with what is demanded of a token.
pub(crate) struct Verifier {
    /// Tells the tokens of one verifier from those of another in the worker's cache.
    pub(crate) id: u64,
    pub(crate) keys: jwt::KeySet,
    pub(crate) policy: jwt::Policy,
}

/// Key sets and verifiers are told apart over the life of the process, reloads included.
fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn read(path: &str, directive: &str, place: &Place) -> Result<Vec<u8>, ConfError> {
    let failed = |why: &dyn std::fmt::Display| {
        ConfError::new(format!("\"{directive}\": cannot read \"{path}\": {why} {place}"))
    };
    let size = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if size > MAX_FILE {
        return Err(failed(&"it is larger than 1 GiB"));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

pub(super) fn load_keys(
    cx: &ConfContext<'_>,
    settings: &Settings,
    main: &mut MainConf,
    has_default_tier: bool,
    on: &Place,
) -> Result<Rc<ApiKeys>, ConfError> {
    let Some(Given { value: path, place }) = &settings.api_keys else {
        return Err(ConfError::new(format!(
            "\"tollgate on\" without keys would refuse everybody; add \"tollgate_api_keys PATH;\", \
             or choose another \"tollgate_auth\" {on}"
        )));
    };
    let known = main.loaded.keys_files.iter().find(|(other, _)| other == path);
    let is_new = known.is_none();
    let keys = match known {
        Some((_, keys)) => Rc::clone(keys),
        None => {
            let json = read(path, "tollgate_api_keys", place)?;
            let set = keys::KeySet::parse(&json).map_err(|error| {
                ConfError::new(format!("\"tollgate_api_keys\": \"{path}\": {error} {place}"))
            })?;
            if set.is_empty() {
                return Err(ConfError::new(format!(
                    "\"tollgate_api_keys\": \"{path}\" holds no keys, so everybody would be \
                     refused; add one with scripts/new-key {place}"
                )));
            }
            let keys = Rc::new(ApiKeys { id: next_id(), set });
            main.loaded.keys_files.push((path.clone(), Rc::clone(&keys)));
            keys
        }
    };
    let set = &keys.set;
    let mut without_tier = 0usize;
    for (id, tier) in set.tiers() {
        match tier {
            Some(name) if !main.tiers.iter().any(|tier| tier.name == name) => {
                return Err(ConfError::new(format!(
                    "\"tollgate_api_keys\": \"{path}\": key \"{}\" names the tier \"{}\", which is \
                     not declared; add \"tollgate_tier {} {{ ... }}\" to the http block {place}",
                    id.escape_debug(),
                    name.escape_debug(),
                    name.escape_debug()
                )));
            }
            Some(_) => {}
            None => without_tier += 1,
        }
    }
    if without_tier > 0 && !has_default_tier && main.loaded.warned.insert(path.clone()) {
        cx.log().warn(format_args!(
            "{without_tier} of {} keys in \"{path}\" name no tier and will be refused; add \
             \"tollgate_default_tier NAME;\" {place}",
            set.len()
        ));
    }
    if is_new {
        let restricted: Vec<&str> = set.restricted_entries().collect();
        if let Some(first) = restricted.first() {
            cx.log().warn(format_args!(
                "{} of {} keys in \"{path}\" have \"models\" or \"scopes\" (the first is \"{}\"): \
                 this version does not enforce them {place}",
                restricted.len(),
                set.len(),
                first.escape_debug()
            ));
        }
    }
    Ok(keys)
}

/// A key file for tokens that nobody accepts is a mistake.
pub(super) fn check_jwt_is_wanted(settings: &Settings) -> Result<(), ConfError> {
    match (&settings.jwt_key_files, &settings.auth) {
        (Some(Given { place, .. }), None) => Err(ConfError::new(format!(
            "\"tollgate_jwt_key_file\" has no effect, as tokens are not accepted; add \
             \"tollgate_auth jwt;\" or \"tollgate_auth api_key jwt;\" {place}"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn load_verifier(
    settings: &Settings,
    loaded: &mut Loaded,
    on: &Place,
) -> Result<Rc<Verifier>, ConfError> {
    let Some(Given { value: paths, place }) = &settings.jwt_key_files else {
        return Err(ConfError::new(format!(
            "\"tollgate_auth jwt\" without keys would refuse every token; add \
             \"tollgate_jwt_key_file PATH;\" {on}"
        )));
    };
    // Only what concerns tokens, so that locations which differ in other things share a verifier.
    let concerned = Settings {
        jwt_key_files: settings.jwt_key_files.clone(),
        jwt_algorithms: settings.jwt_algorithms.clone(),
        jwt_issuers: settings.jwt_issuers.clone(),
        jwt_audiences: settings.jwt_audiences.clone(),
        jwt_leeway_secs: settings.jwt_leeway_secs,
        jwt_require_exp: settings.jwt_require_exp,
        jwt_max_size: settings.jwt_max_size,
        jwt_claims: settings.jwt_claims.clone(),
        ..Settings::default()
    };
    if let Some((_, known)) = loaded.verifiers.iter().find(|(other, _)| *other == concerned) {
        return Ok(Rc::clone(known));
    }
    let files = paths
        .iter()
        .map(|path| read(path, "tollgate_jwt_key_file", place))
        .collect::<Result<Vec<_>, _>>()?;
    let named: Vec<(&str, &[u8])> =
        paths.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice)).collect();
    let keys = jwt::KeySet::load(&named)
        .map_err(|error| ConfError::new(format!("\"tollgate_jwt_key_file\": {error} {place}")))?;
    let algorithms = settings.jwt_algorithms.as_ref();
    keys.check(algorithms.map(|given| &given.value)).map_err(|error| {
        let place = algorithms.map_or(place, |given| &given.place);
        ConfError::new(format!("\"tollgate_jwt_algorithms\": {error} {place}"))
    })?;
    let mut claims = jwt::ClaimMap::default();
    for (field, claim) in settings.jwt_claims.iter().flatten() {
        claims.set(field, claim).map_err(|error| ConfError::new(error.to_string()))?;
    }
    let defaults = jwt::Policy::default();
    let policy = jwt::Policy {
        algorithms: algorithms.map(|given| given.value),
        issuers: settings.jwt_issuers.clone().unwrap_or_default(),
        audiences: settings.jwt_audiences.clone().unwrap_or_default(),
        leeway_secs: settings.jwt_leeway_secs.unwrap_or(defaults.leeway_secs),
        require_exp: settings.jwt_require_exp.unwrap_or(defaults.require_exp),
        max_len: settings.jwt_max_size.unwrap_or(defaults.max_len),
        claims,
    };
    let verifier = Rc::new(Verifier { id: next_id(), keys, policy });
    loaded.verifiers.push((concerned, Rc::clone(&verifier)));
    Ok(verifier)
}
