//! The files that a configuration names, and what for.

use crate::conf::{Conf, Place};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// `tollgate_api_keys`
    ApiKeys,
    /// `tollgate_jwt_key_file`
    TokenKeys,
    /// `tollgate_cache_salt`
    Salt,
    /// `tollgate_audit_log`
    AuditLog,
    /// `state=` of `tollgate_zone`
    State,
    /// `ssl_certificate_key`
    TlsKey,
}

/// A file that the configuration names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its path.
    pub path: String,
    /// What it is for.
    pub used_as: Use,
    /// Where it is named.
    pub place: Place,
}

/// From where relative paths are taken.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// The folder of nginx.conf.
    pub conf: String,
    /// nginx's prefix.
    pub prefix: String,
}

impl Folders {
    fn resolve(&self, path: &str, is_from_prefix: bool) -> String {
        let folder = if is_from_prefix { &self.prefix } else { &self.conf };
        match path.starts_with('/') || folder.is_empty() {
            true => path.to_owned(),
            false => format!("{}/{path}", folder.trim_end_matches('/')),
        }
    }
}

/// The files that the configuration names, each once for each use.
#[must_use]
pub fn named(conf: &Conf, folders: &Folders) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    for directive in conf.all() {
        let words = directive.args.iter().map(String::as_str);
        let (used_as, is_from_prefix) = match directive.name.as_str() {
            "tollgate_api_keys" => (Use::ApiKeys, false),
            "tollgate_jwt_key_file" => (Use::TokenKeys, false),
            "tollgate_cache_salt" => (Use::Salt, false),
            "tollgate_audit_log" => (Use::AuditLog, true),
            "tollgate_zone" => (Use::State, true),
            "ssl_certificate_key" => (Use::TlsKey, false),
            _ => continue,
        };
        let paths: Vec<&str> = match used_as {
            Use::Salt => words.filter_map(|word| word.strip_prefix("secret=")).collect(),
            Use::State => words.filter_map(|word| word.strip_prefix("state=")).collect(),
            Use::ApiKeys | Use::TokenKeys => words.collect(),
            Use::AuditLog | Use::TlsKey => words.take(1).collect(),
        };
        // What is no file, or another one with each connection.
        let is_file = |path: &&str| {
            *path != "off"
                && !path.contains('$')
                && !path.starts_with("/dev/")
                && !path.contains("://")
                && !path.starts_with("data:")
                && !path.starts_with("engine:")
                && !path.starts_with("store:")
        };
        for path in paths.into_iter().filter(is_file) {
            let path = folders.resolve(path, is_from_prefix);
            if !found.iter().any(|known| known.path == path && known.used_as == used_as) {
                found.push(Named { path, used_as, place: directive.place.clone() });
            }
        }
    }
    found
}
