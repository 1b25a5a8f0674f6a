//! A keys file that is imported into.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::keys::KeySet;

use crate::command::{tollgate_with, Run};

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

    /// Imports `text`, of which nothing secret may be seen or kept.
    pub(crate) fn import(&self, text: &str, arguments: &[&str]) -> Run {
        let file = self.path.to_str().unwrap();
        let all = ["key", "import", "-", "--file", file];
        let run = tollgate_with(all.iter().chain(arguments), text.as_bytes());
        let kept = fs::read_to_string(&self.path).unwrap_or_default();
        for seen in [&run.out, &run.err, &kept] {
            assert!(!seen.contains("secret"), "{seen}");
        }
        run
    }

    /// Client and tier of a key.
    pub(crate) fn judge(&self, key: &str) -> Option<(String, String)> {
        let set = KeySet::parse(&fs::read(&self.path).unwrap()).unwrap();
        let now = UnixSeconds(1_767_225_600);
        let principal = set.lookup(key.as_bytes(), now, None).ok()?;
        let tier = principal.tier().unwrap_or("-").to_owned();
        Some((principal.client().to_owned(), tier))
    }

    pub(crate) fn entries(&self) -> Vec<Value> {
        let file: Value = serde_json::from_slice(&fs::read(&self.path).unwrap()).unwrap();
        file["keys"].as_array().unwrap().clone()
    }
}

pub(crate) fn belongs(client: &str, tier: &str) -> Option<(String, String)> {
    Some((client.to_owned(), tier.to_owned()))
}
