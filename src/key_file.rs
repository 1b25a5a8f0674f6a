//! A file that keys are in: whether others than the operator could change it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tollgate_core::file_rights::{dangers, Place as Standing, Rights};

use crate::ffi::conf::Place;

/// A file of keys that a directive names.
#[derive(Debug)]
pub(crate) struct KeyFile {
    directive: &'static str,
    pub(crate) path: String,
    /// Of the directive.
    place: Place,
    /// Whoever reads it can make tokens.
    is_secret: bool,
}

impl KeyFile {
    pub(crate) fn new(directive: &'static str, path: &str, place: &Place, is_secret: bool) -> Self {
        Self { directive, path: path.to_owned(), place: place.clone(), is_secret }
    }

    /// What the operator should know; `workers` is their user, if that is another one than this process's.
    pub(crate) fn dangers(&self, workers: Option<u32>) -> Vec<String> {
        // Links are followed: a container's are open to everybody, and the file behind them isn't.
        let Ok(resolved) = fs::canonicalize(&self.path) else { return Vec::new() };
        let Some(file) = rights(&resolved) else { return Vec::new() };
        let around: Vec<PathBuf> = resolved.ancestors().skip(1).map(Path::to_path_buf).collect();
        let names: Vec<String> = around.iter().map(|path| path.display().to_string()).collect();
        let folders = names
            .iter()
            .zip(&around)
            .filter_map(|(name, path)| Some((name.as_str(), rights(path)?)));
        let standing = Standing { file, folders: folders.collect(), is_secret: self.is_secret };
        let Self { directive, path, place, .. } = self;
        let told = dangers(&standing, workers);
        told.iter().map(|danger| format!("\"{directive}\": \"{path}\" {danger} {place}")).collect()
    }
}

fn rights(path: &Path) -> Option<Rights> {
    let found = fs::metadata(path).ok()?;
    Some(Rights { user: found.uid(), group: found.gid(), mode: found.mode() })
}
