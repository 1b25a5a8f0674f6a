//! Who is let in with a token: the keys that tokens are verified by, and the providers that know them.

use std::fmt;
use std::rc::Rc;

use super::api_keys::tell_warnings;
use super::following::Following;
use super::settings::{Auth, Given, Settings, TokenSource};
use crate::keys::introspection::Introspector;
use crate::keys::jwks::KeyProvider;
use crate::keys::key_file::KeyFile;
use crate::keys::live::{Content, Follow, Live, LoadError, Source};
use crate::keys::per_server::PerServer;
use crate::types::Request;
use nginx::conf::{ConfContext, ConfError, Position};
use shared_block::Mapping;
use tollgate_core::clock::UnixMillis;
use tollgate_core::file_rights::Purpose;
use tollgate_core::jwt;
use tollgate_core::keys::KeyStates;
use tollgate_core::status::SetKind;

/// `tollgate_introspection_cache`, unless it is given.
const DEFAULT_INTROSPECTION_CACHE_SECS: i64 = 60;

/// The files of the keys that tokens are verified with.
pub(crate) struct KeyFiles {
    paths: Vec<String>,
    /// Whose tokens the keys of each are for.
    bindings: Vec<jwt::Binding>,
    algorithms: Option<jwt::AlgorithmSet>,
}

impl KeyFiles {
    fn load(&self, files: &[Vec<u8>]) -> Result<jwt::KeySet, jwt::KeyError> {
        let contents = files.iter().map(Vec::as_slice);
        let sources = self.paths.iter().map(String::as_str).zip(contents).zip(&self.bindings);
        let sources: Vec<_> =
            sources.map(|((path, contents), binding)| (path, contents, binding)).collect();
        jwt::KeySet::load_bound(&sources)
    }
}

impl Source for KeyFiles {
    type Loaded = jwt::KeySet;
    type Error = KeyFilesError;

    const KIND: SetKind = SetKind::JwtKeys;

    fn paths(&self) -> &[String] {
        &self.paths
    }

    fn states(loaded: &Self::Loaded, _now: UnixMillis) -> KeyStates {
        KeyStates { active: loaded.len() as u64, ..KeyStates::default() }
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
        let told = keys.notes().iter().filter(|note| note.is_mistake());
        let warnings = told
            .map(|note| match note.is_remark() {
                true => note.to_string(),
                false => format!("{note}; that key is not used"),
            })
            .collect();
        Ok(Content { block, keys: keys.len(), warnings, ..Content::default() })
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

/// Keys for tokens that nobody accepts are a mistake.
pub(super) fn check_tokens_are_wanted(settings: &Settings) -> Result<(), ConfError> {
    if settings.auth.is_some() {
        return Ok(());
    }
    let files = settings.jwt_key_files.iter().map(|given| ("tollgate_jwt_key_file", &given.place));
    let request = settings.jwt_key_request.as_ref().filter(|given| given.value.is_some());
    let request = request.map(|given| ("tollgate_jwt_key_request", &given.place));
    let asked = settings.introspection_request.as_ref().filter(|given| given.value.is_some());
    let asked = asked.map(|given| ("tollgate_introspection_request", &given.place));
    match files.chain(request).chain(asked).next() {
        Some((name, place)) => Err(ConfError::new(format!(
            "\"{name}\" has no effect, as tokens are not accepted; add \"tollgate_auth jwt;\" or \
             \"tollgate_auth api_key jwt;\" {place}"
        ))),
        None => Ok(()),
    }
}

/// Where the provider is that is asked about tokens.
fn introspection(settings: &Settings) -> Option<(&TokenSource, &Position)> {
    let given = settings.introspection_request.as_ref()?;
    Some((given.value.as_ref()?, &given.place))
}

/// What tokens are judged by, of each set of settings once.
#[derive(Default)]
pub(super) struct Judges {
    verifiers: Vec<(Settings, Rc<Verifier>)>,
    introspectors: Vec<(Settings, Rc<PerServer<Introspector>>)>,
}

/// Who tells what opaque tokens are worth.
pub(super) fn load_introspector(
    cx: &ConfContext<'_>,
    settings: &Settings,
    auth: &Auth,
    loaded: &mut Judges,
    on: &Position,
) -> Result<Option<Rc<PerServer<Introspector>>>, ConfError> {
    let (asked, place) = match introspection(settings) {
        Some(asked) if auth.has_tokens() => asked,
        None if auth.introspection => {
            return Err(ConfError::new(format!(
                "\"tollgate_auth introspection\" without a provider would refuse every token; add \
                 \"tollgate_introspection_request URI;\" {on}"
            )))
        }
        _ => return Ok(None),
    };
    let concerned = concerning_tokens(settings);
    let known = loaded.introspectors.iter().find(|(other, _)| *other == concerned);
    if let Some((_, known)) = known {
        return Ok(Some(Rc::clone(known)));
    }
    let policy = token_policy(settings)?;
    let alone = std::slice::from_ref(asked);
    check_bindings(cx, "tollgate_introspection_request", &[], alone, &policy, place)?;
    let policy = policy.bound(&asked.binding);
    let cache_secs = settings.introspection_cache_secs.unwrap_or(DEFAULT_INTROSPECTION_CACHE_SECS);
    let uri = asked.name.clone();
    let introspector = PerServer::new(move || Introspector::new(&uri, policy.clone(), cache_secs));
    loaded.introspectors.push((concerned, Rc::clone(&introspector)));
    Ok(Some(introspector))
}

/// What there is to verify tokens with; `None` where all tokens are asked about.
pub(super) fn load_verifier(
    cx: &ConfContext<'_>,
    settings: &Settings,
    (loaded, following): (&mut Judges, &mut Following),
    on: &Position,
) -> Result<Option<Rc<Verifier>>, ConfError> {
    let request = settings.jwt_key_request.as_ref();
    let request = request.and_then(|given| given.value.as_ref().map(|from| (from, &given.place)));
    match (&settings.jwt_key_files, request) {
        (Some(_), Some((_, place))) => {
            return Err(ConfError::new(format!(
                "\"tollgate_jwt_key_request\" and \"tollgate_jwt_key_file\" are two sources of the same \
                 keys; keep one of them {place}"
            )))
        }
        (None, None) if introspection(settings).is_some() => return Ok(None),
        (None, None) => {
            return Err(ConfError::new(format!(
                "\"tollgate_auth jwt\" without keys would refuse every token; add \
                 \"tollgate_jwt_key_file PATH;\" or \"tollgate_jwt_key_request URI;\" {on}"
            )))
        }
        _ => {}
    }
    let concerned = concerning_tokens(settings);
    if let Some((_, known)) = loaded.verifiers.iter().find(|(other, _)| *other == concerned) {
        return Ok(Some(Rc::clone(known)));
    }
    let policy = token_policy(settings)?;
    let others = introspection(settings).map_or(&[][..], |(asked, _)| std::slice::from_ref(asked));
    match (&settings.jwt_key_files, request) {
        (Some(Given { value: files, place }), _) => {
            check_bindings(cx, "tollgate_jwt_key_file", files, others, &policy, place)?;
        }
        (None, Some((from, place))) => {
            let from = std::slice::from_ref(from);
            check_bindings(cx, "tollgate_jwt_key_request", from, others, &policy, place)?;
        }
        (None, None) => {}
    }
    let keys = match (&settings.jwt_key_files, request) {
        (Some(files), _) => TokenKeys::Files(load_key_files(cx, settings, files, following)?),
        (None, Some((from, _))) => {
            let lifetime = settings.jwt_key_cache.unwrap_or_default();
            let (from, algorithms) = (from.clone(), policy.algorithms);
            TokenKeys::Provider(PerServer::new(move || {
                KeyProvider::new(&from.name, from.binding.clone(), algorithms, lifetime)
            }))
        }
        (None, None) => return Ok(None),
    };
    let verifier = Rc::new(Verifier { keys, policy });
    loaded.verifiers.push((concerned, Rc::clone(&verifier)));
    Ok(Some(verifier))
}

/// Whether whose keys these are goes together with what is accepted, and with whom else is asked.
fn check_bindings(
    cx: &ConfContext<'_>,
    directive: &str,
    keys: &[TokenSource],
    others: &[TokenSource],
    policy: &jwt::Policy,
    place: &Position,
) -> Result<(), ConfError> {
    match jwt::check_bindings(&named(keys), &named(others), policy) {
        Ok(None) => Ok(()),
        Ok(Some(unbound)) => {
            cx.log().warn(format_args!("\"{directive}\": {unbound} {place}"));
            Ok(())
        }
        Err(error) => Err(ConfError::new(format!("\"{directive}\": {error} {place}"))),
    }
}

fn named(sources: &[TokenSource]) -> Vec<(&str, &jwt::Binding)> {
    sources.iter().map(|source| (source.name.as_str(), &source.binding)).collect()
}

fn load_key_files(
    cx: &ConfContext<'_>,
    settings: &Settings,
    Given { value: sources, place }: &Given<Vec<TokenSource>>,
    following: &mut Following,
) -> Result<Rc<Live<KeyFiles>>, ConfError> {
    let algorithms = settings.jwt_algorithms.as_ref();
    let files = KeyFiles {
        paths: sources.iter().map(|source| source.name.clone()).collect(),
        bindings: sources.iter().map(|source| source.binding.clone()).collect(),
        algorithms: algorithms.map(|given| given.value),
    };
    let paths = files.paths.clone();
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
    let files = paths
        .iter()
        .map(|path| KeyFile::new("tollgate_jwt_key_file", path, place, purpose_of(path)));
    following.add(Rc::clone(&keys) as Rc<dyn Follow>, files.collect());
    Ok(keys)
}

/// Whether whoever reads the file can make the tokens that it is to verify.
fn purpose_of(path: &str) -> Purpose {
    let bytes = std::fs::read(path).unwrap_or_default();
    match jwt::KeySet::load(&[(path, &bytes)]) {
        Ok(keys) if keys.has_hmac() => Purpose::Secret,
        Ok(_) | Err(_) => Purpose::Keys,
    }
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
        jwt_client_prefix: settings.jwt_client_prefix.clone(),
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
        client_prefix: settings.jwt_client_prefix.clone().unwrap_or_default(),
    })
}
