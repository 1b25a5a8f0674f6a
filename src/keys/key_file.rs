//! A file that keys are in, or what guards look for: whether others than the operator could change it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tollgate_core::file_rights::{dangers, Placement, Purpose, Rights};

use crate::keys::mounts::Mounts;
use nginx::conf::Position;
use nginx::process::Workers;

/// A file of keys or guards that a directive names.
#[derive(Debug)]
pub(crate) struct KeyFile {
    directive: &'static str,
    pub(crate) path: String,
    /// Of the directive.
    place: Position,
    purpose: Purpose,
}

impl KeyFile {
    pub(crate) fn new(
        directive: &'static str,
        path: &str,
        place: &Position,
        purpose: Purpose,
    ) -> Self {
        Self { directive, path: path.to_owned(), place: place.clone(), purpose }
    }

    /// What the operator should know; `workers` is who they are, if somebody else than this process.
    pub(crate) fn dangers(&self, workers: Option<&Workers>) -> Vec<String> {
        let mounts = Mounts::now();
        let Ok(resolved) = fs::canonicalize(&self.path) else { return Vec::new() };
        let Some(file) = rights(&resolved, mounts.as_ref()) else { return Vec::new() };
        let folders = folders(Path::new(&self.path), &resolved);
        let Self { directive, path, place, .. } = self;
        let mut told = Vec::new();
        if let Some(workers) = workers {
            let can_enter = || folders.iter().all(|folder| workers.may(folder, 0o1));
            if !(workers.may(&resolved, 0o4) && can_enter()) {
                told.push(format!(
                    "\"{directive}\": the user of the workers may not be able to read \"{path}\", so that \
                     changes of it would be in force only after a reload; let that user's group read the \
                     file, and enter its folder {place}"
                ));
            }
        }
        let names: Vec<String> = folders.iter().map(|path| path.display().to_string()).collect();
        let with_rights = names
            .iter()
            .zip(&folders)
            .filter_map(|(name, path)| Some((name.as_str(), rights(path, mounts.as_ref())?)));
        let mount = mounts.as_ref().and_then(|mounts| mounts.of(&resolved));
        let placement = Placement {
            file,
            folders: with_rights.collect(),
            purpose: self.purpose,
            worker_groups: workers.map_or(&[], |workers| workers.groups.as_slice()),
            is_handed_in: mount.is_some_and(|mount| mount.is_read_only && mount.is_memory),
        };
        let found = dangers(&placement, workers.map(|workers| workers.user));
        let found = found.iter();
        told.extend(found.map(|danger| format!("\"{directive}\": \"{path}\" {danger} {place}")));
        told
    }
}

/// The folders around a file, without links in their names, the nearest first; and those around the links
/// that lead to it. Links themselves are open to everybody, and who may write in their folder replaces them.
fn folders(path: &Path, resolved: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut add = |path: &Path| {
        for folder in path.ancestors().skip(1) {
            if !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_path_buf());
            }
        }
    };
    add(resolved);
    let mut link = path.to_path_buf();
    // More than that is a circle, which was refused.
    for _ in 0..40 {
        let Some(folder) = link.parent().and_then(|folder| fs::canonicalize(folder).ok()) else {
            break;
        };
        add(&folder.join("file"));
        let Ok(target) = fs::read_link(&link) else { break };
        link = folder.join(target);
    }
    folders
}

fn rights(path: &Path, mounts: Option<&Mounts>) -> Option<Rights> {
    let found = fs::metadata(path).ok()?;
    let mount = mounts.and_then(|mounts| mounts.of(path));
    Some(Rights {
        user: found.uid(),
        group: found.gid(),
        mode: found.mode(),
        is_read_only: mount.is_some_and(|mount| mount.is_read_only),
    })
}
