//! A keys file, as `tollgate key` changes it.
#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::keys::KeySet;

use crate::command::{tollgate, Run};

/// A keys file in a folder of its own.
pub(crate) struct Keys {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        Self { _folder: folder, path }
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        let (command, rest) = arguments.split_first().unwrap();
        let file = ["key", command, "--file", self.path.to_str().unwrap()];
        tollgate(file.iter().chain(rest))
    }

    /// A new key and its id.
    pub(crate) fn create(&self, arguments: &[&str]) -> (String, String) {
        let run = self.run(&[&["create", "--json"], arguments].concat());
        assert_eq!(run.status, 0, "{}", run.err);
        let made: Value = serde_json::from_str(&run.out).unwrap();
        (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }

    pub(crate) fn entries(&self) -> Vec<Value> {
        let file: Value = serde_json::from_slice(&fs::read(&self.path).unwrap()).unwrap();
        file["keys"].as_array().unwrap().clone()
    }

    /// What nginx would say of the key now.
    pub(crate) fn judge(&self, key: &str) -> String {
        let set = KeySet::parse(&fs::read(&self.path).unwrap()).unwrap();
        let now = UnixSeconds(jiff::Timestamp::now().as_second());
        match set.lookup(key.as_bytes(), now, Some("203.0.113.7".parse().unwrap())) {
            Ok(principal) => principal.client().to_owned(),
            Err(refusal) => refusal.reason.as_str().to_owned(),
        }
    }

    pub(crate) fn column(&self, arguments: &[&str], name: &str) -> Vec<String> {
        let run = self.run(&[&["list", "--json"], arguments].concat());
        let list: Vec<Value> = serde_json::from_str(&run.out).unwrap();
        assert_eq!(run.status, i32::from(list.is_empty()));
        list.iter().map(|entry| entry[name].as_str().unwrap_or("-").to_owned()).collect()
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}
