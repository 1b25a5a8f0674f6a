//! Who is let in: the keys that credentials are judged by, out of the files that hold them.

use std::fmt;
use std::rc::Rc;

use super::settings::{Auth, Given, Settings};
use super::MainConf;
use crate::ffi::clock::precise_now;
use crate::ffi::conf::{ConfContext, ConfError, Place};
use crate::ffi::request::Request;
use crate::ffi::shared_block::Mapping;
use crate::introspector::Introspector;
use crate::live::{Content, Follow, Live, LoadError, Remark, Source};
use crate::per_server::PerServer;
use crate::provider::KeyProvider;
use tollgate_core::jwt;
use tollgate_core::keys;
use tollgate_core::status::SetKind;

/// `tollgate_introspection_cache`, unless it is given.
const DEFAULT_INTROSPECTION_CACHE_SECS: i64 = 60;

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
        })
    }

    fn open(&self, block: Mapping) -> Option<Self::Loaded> {
        keys::KeySet::from_block(block)
    }
}

/// The files of the keys that tokens are verified with.
pub(crate) struct KeyFiles {
    paths: Vec<String>,
    algorithms: Option<jwt::AlgorithmSet>,
}

impl KeyFiles {
    fn load(&self, files: &[Vec<u8>]) -> Result<jwt::KeySet, jwt::KeyError> {
        let named: Vec<(&str, &[u8])> =
            self.paths.iter().map(String::as_str).zip(files.iter().map(Vec::as_slice)).collect();
        jwt::KeySet::load(&named)
    }
}

impl Source for KeyFiles {
    type Loaded = jwt::KeySet;
    type Error = KeyFilesError;

    const KIND: SetKind = SetKind::JwtKeys;

    fn paths(&self) -> &[String] {
        &self.paths
    }

    /// The files one behind the other, each behind its length: what is made of them has no form that
    /// could be shared, and is small.
    fn build(&self, files: &[Vec<u8>]) -> Result<Content, KeyFilesError> {
        let keys = self.load(files).map_err(KeyFilesError::Keys)?;
        keys.check(self.algorithms.as_ref())
            .map_err(|error| KeyFilesError::Algorithms(self.paths.join("\", \""), error))?;
        let mut block = Vec::new();
        for file in files {
            block.extend_from_slice(&(file.len() as u64).to_le_bytes());
            block.extend_from_slice(file);
        }
        Ok(Content { block, keys: keys.len(), ..Content::default() })
    }

    fn open(&self, block: Mapping) -> Option<Self::Loaded> {
        let mut rest = block.as_ref();
        let mut files = Vec::new();
        while let Some((len, behind)) = rest.split_first_chunk() {
            let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
            let (file, behind) = behind.split_at_checked(len)?;
            files.push(file.to_vec());
            rest = behind;
        }
        self.load(&files).ok()
    }
}

/// What can be wrong with key files.
pub(crate) enum KeyFilesError {
    Keys(jwt::KeyError),
    /// Those of these files don't go together with `tollgate_jwt_algorithms`, or with each other.
    Algorithms(String, jwt::KeyError),
}

impl fmt::Display for KeyFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys(error) => write!(f, "\"tollgate_jwt_key_file\": {error}"),
            Self::Algorithms(files, error) => {
                write!(f, "\"tollgate_jwt_algorithms\": \"{files}\": {error}")
            }
        }
    }
}

/// A JWT key set with what is demanded of a token.
pub(crate) struct Verifier {
    pub(crate) keys: TokenKeys,
    pub(crate) policy: jwt::Policy,
}

/// Where the keys of tokens come from.
pub(crate) enum TokenKeys {
    Files(Rc<Live<KeyFiles>>),
    Provider(Rc<PerServer<KeyProvider>>),
}

impl TokenKeys {
    /// The number of the set in use.
    pub(crate) fn id(&self, r: Request<'_>) -> Option<u64> {
        match self {
            Self::Files(files) => files.id(),
            Self::Provider(providers) => Some(providers.of(r).id()),
        }
    }
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
            let tiers = main.tiers.iter().map(|tier| tier.name.clone()).collect();
            let loaded = Live::load(KeysFile { path: [path.clone()], tiers });
            let (keys, refused) = loaded.map_err(|error| {
                ConfError::new(format!("\"tollgate_api_keys\": {error} {place}"))
            })?;
            tell_refused(cx, &refused, &keys, place)?;
            let keys = Rc::new(keys);
            main.follow(Rc::clone(&keys) as Rc<dyn Follow>, std::slice::from_ref(path));
            main.loaded.keys_files.push((path.clone(), Rc::clone(&keys)));
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
    if without_tier > 0 && !has_default_tier && main.loaded.warned.insert(path.clone()) {
        cx.log().warn(format_args!(
            "{without_tier} of {} keys in \"{path}\" name no tier and will be refused; add \
             \"tollgate_default_tier NAME;\" {place}",
            set.len()
        ));
    }
    if is_new {
        if let Some((count, first)) = set.restricted() {
            cx.log().warn(format_args!(
                "{count} of {} keys in \"{path}\" have \"models\" or \"scopes\" (the first is \"{}\"): \
                 this version does not enforce them {place}",
                set.len(),
                first.escape_debug()
            ));
        }
    }
    Ok(keys)
}

/// Tells which entries of a keys file are not in force. A mistake is an error as long as nginx doesn't run:
/// who starts it is there to mend it. Later one key is no reason to refuse a configuration, or the file.
fn tell_refused(
    cx: &ConfContext<'_>,
    refused: &[Remark],
    keys: &ApiKeys,
    place: &Place,
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

fn tell_warnings<S: Source>(cx: &ConfContext<'_>, live: &Live<S>, place: &Place) {
    for warning in &live.first().warnings {
        cx.log().warn(format_args!("{warning} {place}"));
    }
}

/// Keys for tokens that nobody accepts are a mistake.
pub(super) fn check_tokens_are_wanted(settings: &Settings) -> Result<(), ConfError> {
    if settings.auth.is_some() {
        return Ok(());
    }
    let files = settings.jwt_key_files.iter().map(|given| ("tollgate_jwt_key_file", &given.place));
    let requests = [
        ("tollgate_jwt_key_request", &settings.jwt_key_request),
        ("tollgate_introspection_request", &settings.introspection_request),
    ];
    let requests = requests.into_iter().filter_map(|(name, given)| {
        given.as_ref().filter(|given| given.value.is_some()).map(|given| (name, &given.place))
    });
    match files.chain(requests).next() {
        Some((name, place)) => Err(ConfError::new(format!(
            "\"{name}\" has no effect, as tokens are not accepted; add \"tollgate_auth jwt;\" or \
             \"tollgate_auth api_key jwt;\" {place}"
        ))),
        None => Ok(()),
    }
}

/// Where the provider is that is asked about tokens.
fn introspection_uri(settings: &Settings) -> Option<&String> {
    settings.introspection_request.as_ref()?.value.as_ref()
}

/// Who tells what opaque tokens are worth.
pub(super) fn load_introspector(
    settings: &Settings,
    auth: &Auth,
    main: &mut MainConf,
    on: &Place,
) -> Result<Option<Rc<PerServer<Introspector>>>, ConfError> {
    let uri = match introspection_uri(settings) {
        Some(uri) if auth.has_tokens() => uri,
        None if auth.introspection => {
            return Err(ConfError::new(format!(
                "\"tollgate_auth introspection\" without a provider would refuse every token; add \
                 \"tollgate_introspection_request URI;\" {on}"
            )))
        }
        _ => return Ok(None),
    };
    let concerned = concerning_tokens(settings);
    let known = main.loaded.introspectors.iter().find(|(other, _)| *other == concerned);
    if let Some((_, known)) = known {
        return Ok(Some(Rc::clone(known)));
    }
    let policy = token_policy(settings)?;
    let cache_secs = settings.introspection_cache_secs.unwrap_or(DEFAULT_INTROSPECTION_CACHE_SECS);
    let uri = uri.clone();
    let introspector = PerServer::new(move || Introspector::new(&uri, policy.clone(), cache_secs));
    main.loaded.introspectors.push((concerned, Rc::clone(&introspector)));
    Ok(Some(introspector))
}

/// What there is to verify tokens with; `None` where all tokens are asked about.
pub(super) fn load_verifier(
    cx: &ConfContext<'_>,
    settings: &Settings,
    main: &mut MainConf,
    on: &Place,
) -> Result<Option<Rc<Verifier>>, ConfError> {
    let request = settings.jwt_key_request.as_ref();
    let request = request.and_then(|given| given.value.as_ref().map(|uri| (uri, &given.place)));
    match (&settings.jwt_key_files, request) {
        (Some(_), Some((_, place))) => {
            return Err(ConfError::new(format!(
                "\"tollgate_jwt_key_request\" and \"tollgate_jwt_key_file\" are two sources of the same \
                 keys; keep one of them {place}"
            )))
        }
        (None, None) if introspection_uri(settings).is_some() => return Ok(None),
        (None, None) => {
            return Err(ConfError::new(format!(
                "\"tollgate_auth jwt\" without keys would refuse every token; add \
                 \"tollgate_jwt_key_file PATH;\" or \"tollgate_jwt_key_request URI;\" {on}"
            )))
        }
        _ => {}
    }
    let concerned = concerning_tokens(settings);
    if let Some((_, known)) = main.loaded.verifiers.iter().find(|(other, _)| *other == concerned) {
        return Ok(Some(Rc::clone(known)));
    }
    let policy = token_policy(settings)?;
    let keys = match (&settings.jwt_key_files, request) {
        (Some(files), _) => TokenKeys::Files(load_key_files(cx, settings, files, main)?),
        (None, Some((uri, _))) => {
            let lifetime = settings.jwt_key_cache.unwrap_or_default();
            let (uri, algorithms) = (uri.clone(), policy.algorithms);
            TokenKeys::Provider(PerServer::new(move || {
                KeyProvider::new(&uri, algorithms, lifetime)
            }))
        }
        (None, None) => return Ok(None),
    };
    let verifier = Rc::new(Verifier { keys, policy });
    main.loaded.verifiers.push((concerned, Rc::clone(&verifier)));
    Ok(Some(verifier))
}

fn load_key_files(
    cx: &ConfContext<'_>,
    settings: &Settings,
    Given { value: paths, place }: &Given<Vec<String>>,
    main: &mut MainConf,
) -> Result<Rc<Live<KeyFiles>>, ConfError> {
    let algorithms = settings.jwt_algorithms.as_ref();
    let files = KeyFiles { paths: paths.clone(), algorithms: algorithms.map(|given| given.value) };
    let (keys, _) = Live::load(files).map_err(|error| {
        let place = match (&error, algorithms) {
            (LoadError::Bad(KeyFilesError::Algorithms(..)), Some(given)) => &given.place,
            _ => place,
        };
        let error = match error {
            LoadError::Bad(error) => error.to_string(),
            error => format!("\"tollgate_jwt_key_file\": {error}"),
        };
        ConfError::new(format!("{error} {place}"))
    })?;
    tell_warnings(cx, &keys, place);
    let keys = Rc::new(keys);
    main.follow(Rc::clone(&keys) as Rc<dyn Follow>, paths);
    Ok(keys)
}

/// Only what concerns tokens, so that locations which differ in other things share what they have.
fn concerning_tokens(settings: &Settings) -> Settings {
    Settings {
        jwt_key_files: settings.jwt_key_files.clone(),
        jwt_key_request: settings.jwt_key_request.clone(),
        jwt_key_cache: settings.jwt_key_cache,
        introspection_request: settings.introspection_request.clone(),
        introspection_cache_secs: settings.introspection_cache_secs,
        jwt_algorithms: settings.jwt_algorithms.clone(),
        jwt_issuers: settings.jwt_issuers.clone(),
        jwt_audiences: settings.jwt_audiences.clone(),
        jwt_leeway_secs: settings.jwt_leeway_secs,
        jwt_require_exp: settings.jwt_require_exp,
        jwt_max_size: settings.jwt_max_size,
        jwt_claims: settings.jwt_claims.clone(),
        ..Settings::default()
    }
}

/// What is demanded of a token.
fn token_policy(settings: &Settings) -> Result<jwt::Policy, ConfError> {
    let mut claims = jwt::ClaimMap::default();
    for (field, claim) in settings.jwt_claims.iter().flatten() {
        claims.set(field, claim).map_err(|error| ConfError::new(error.to_string()))?;
    }
    let defaults = jwt::Policy::default();
    Ok(jwt::Policy {
        algorithms: settings.jwt_algorithms.as_ref().map(|given| given.value),
        issuers: settings.jwt_issuers.clone().unwrap_or_default(),
        audiences: settings.jwt_audiences.clone().unwrap_or_default(),
        leeway_secs: settings.jwt_leeway_secs.unwrap_or(defaults.leeway_secs),
        require_exp: settings.jwt_require_exp.unwrap_or(defaults.require_exp),
        max_len: settings.jwt_max_size.unwrap_or(defaults.max_len),
        claims,
    })
}
