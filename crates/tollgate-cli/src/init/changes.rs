//! Files that are made, and how to unmake them.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{chown, symlink, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use super::layout::inside;
use crate::exit::{tell, Failure};
use crate::keys_file::{self, Entry};

/// How a change is taken back.
enum Undo {
    File(PathBuf),
    Folder(PathBuf),
    /// Of nginx's, which were not there before.
    Tree(PathBuf),
    Content(PathBuf, Vec<u8>, Permissions),
    Link(PathBuf, PathBuf),
}

/// What was changed so far, in the system of a folder.
pub(super) struct Changes<'r> {
    root: &'r Path,
    /// Whether files can be given to somebody else.
    is_root: bool,
    is_quiet: bool,
    undo: Vec<Undo>,
    interrupted: Arc<AtomicBool>,
}

impl<'r> Changes<'r> {
    pub(super) fn new(root: &'r Path, is_root: bool, is_quiet: bool) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in
            [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            // Where that can't be arranged, whoever interrupts finds a part of it.
            let _ = signal_hook::flag::register(signal, Arc::clone(&interrupted));
        }
        Self { root, is_root, is_quiet, undo: Vec::new(), interrupted }
    }

    /// Tells what is done.
    pub(super) fn say(&self, line: &str) {
        if !self.is_quiet {
            tell(line);
        }
    }

    pub(super) fn check_interrupted(&self) -> Result<(), Failure> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(Failure::failed("interrupted")),
            false => Ok(()),
        }
    }

    /// The path here. What is to be made in another system must not be made in this one, by way of a link.
    fn place(&self, path: &str) -> Result<PathBuf, Failure> {
        self.check_interrupted()?;
        let place = inside(self.root, path);
        let folder = place.parent().unwrap_or(self.root);
        let real = fs::canonicalize(folder).map_err(|error| {
            Failure::failed(format!("cannot find {}: {error}", folder.display()))
        })?;
        match real.starts_with(self.root) {
            true => Ok(place),
            false => Err(Failure::failed(format!(
                "{} leads out of {}, by way of a link",
                folder.display(),
                self.root.display()
            ))),
        }
    }

    /// A folder for those of a group. One that is there stays as it is.
    pub(super) fn folder(&mut self, path: &str, mode: u32, gid: u32) -> Result<(), Failure> {
        let place = self.place(path)?;
        if place.is_dir() {
            self.say(&format!("{path} is there already"));
            return Ok(());
        }
        self.say(&format!("make the folder {path}, mode {mode:o}"));
        fs::create_dir(&place).map_err(|error| failed("make", &place, &error))?;
        self.undo.push(Undo::Folder(place.clone()));
        self.give(&place, gid)?;
        // After the owner, as that may take bits off.
        fs::set_permissions(&place, Permissions::from_mode(mode))
            .map_err(|error| failed("make", &place, &error))
    }

    /// A keys file with one key.
    pub(super) fn keys_file(&mut self, path: &str, entry: &Entry, gid: u32) -> Result<(), Failure> {
        let place = self.place(path)?;
        self.say(&format!("write {path}, with a key for \"{}\"", entry.client.escape_debug()));
        self.undo.push(Undo::File(place.clone()));
        keys_file::change_or_make(&place, |entries| {
            entries.push(entry.clone());
            Ok(())
        })?;
        self.give(&place, gid)
    }

    fn give(&self, place: &Path, gid: u32) -> Result<(), Failure> {
        match self.is_root {
            true => {
                chown(place, Some(0), Some(gid)).map_err(|error| failed("give away", place, &error))
            }
            false => {
                tell(&format!(
                    "tollgate: only root can give {} to root and the group {gid}: do that where it is installed",
                    place.display()
                ));
                Ok(())
            }
        }
    }

    /// A file that all may read. One that is there is kept beside it.
    pub(super) fn file(
        &mut self,
        path: &str,
        text: &str,
        may_replace: bool,
    ) -> Result<(), Failure> {
        let place = self.place(path)?;
        match fs::read(&place) {
            Ok(old) if old == text.as_bytes() => Ok(()),
            Ok(_) if !may_replace => {
                Err(Failure::failed(format!("{path} is there already; --force replaces it")))
            }
            Ok(old) => {
                let mode = fs::metadata(&place)
                    .map_err(|error| failed("read", &place, &error))?
                    .permissions();
                self.say(&format!("replace {path}; the old one is kept as {path}.before-init"));
                let mut kept = place.clone().into_os_string();
                kept.push(".before-init");
                let kept = PathBuf::from(kept);
                // An older one is kept no longer.
                match fs::read(&kept) {
                    Ok(older) => self.undo.push(Undo::Content(kept.clone(), older, mode.clone())),
                    Err(_) => self.undo.push(Undo::File(kept.clone())),
                }
                write(&kept, &old, mode.clone())?;
                self.undo.push(Undo::Content(place.clone(), old, mode.clone()));
                write(&place, text.as_bytes(), mode)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.say(&format!("write {path}"));
                self.undo.push(Undo::File(place.clone()));
                write(&place, text.as_bytes(), Permissions::from_mode(0o644))
            }
            Err(error) => Err(failed("read", &place, &error)),
        }
    }

    /// A link, which may be there already.
    pub(super) fn link(&mut self, path: &str, target: &str) -> Result<(), Failure> {
        let place = self.place(path)?;
        match fs::read_link(&place) {
            Ok(old) => {
                let name = Path::new(target).file_name();
                if old.file_name() == name
                    && old.parent().is_some_and(|folder| folder.ends_with("sites-available"))
                {
                    return Ok(());
                }
                return Err(Failure::failed(format!(
                    "{path} is a link to {} already; remove it, and try again",
                    old.display()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return Err(Failure::failed(format!("{path} is there already, and no link"))),
        }
        self.say(&format!("link {path} to it"));
        symlink(target, &place).map_err(|error| failed("make", &place, &error))?;
        self.undo.push(Undo::Link(place, PathBuf::from(target)));
        Ok(())
    }

    /// A log that is empty, as logrotate makes it: of the workers, and of the group of its folder. One that is there
    /// stays as it is. Where the folder isn't there, nginx says so.
    pub(super) fn log_file(&mut self, path: &str, mode: u32, uid: u32) -> Result<(), Failure> {
        let folder = inside(self.root, path).parent().and_then(|folder| fs::metadata(folder).ok());
        let Some(folder) = folder.filter(|_| !inside(self.root, path).exists()) else {
            return Ok(());
        };
        let place = self.place(path)?;
        self.say(&format!("make {path}, mode {mode:o}"));
        self.undo.push(Undo::File(place.clone()));
        write(&place, b"", Permissions::from_mode(mode))?;
        match self.is_root {
            true => chown(&place, Some(uid), Some(folder.gid()))
                .map_err(|error| failed("give away", &place, &error)),
            false => Ok(()),
        }
    }

    /// A folder that nginx makes when it reads the configuration, and that was not there before.
    pub(super) fn made_by_nginx(&mut self, path: &str) {
        let folder = inside(self.root, path);
        if !folder.exists() {
            self.undo.push(Undo::Tree(folder));
        }
    }

    /// All of it stays.
    pub(super) fn keep(mut self) {
        self.undo.clear();
    }

    /// Puts all back as it was, the latest change first; what can't be put back.
    pub(super) fn undo(mut self) -> Vec<String> {
        let mut left = Vec::new();
        while let Some(undo) = self.undo.pop() {
            let (path, outcome) = match undo {
                Undo::File(path) => (path.clone(), fs::remove_file(path)),
                Undo::Link(path, target) => {
                    let is_ours = fs::read_link(&path).is_ok_and(|found| found == target);
                    (path.clone(), if is_ours { fs::remove_file(path) } else { Ok(()) })
                }
                Undo::Folder(path) => (path.clone(), fs::remove_dir(path)),
                Undo::Tree(path) => (path.clone(), fs::remove_dir_all(path)),
                Undo::Content(path, content, mode) => {
                    (path.clone(), restore(&path, &content, mode))
                }
            };
            match outcome {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    left.push(format!("{} ({error})", path.display()));
                }
                _ => {}
            }
        }
        left
    }
}

fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot {what} {}: {error}", path.display()))
}

/// Writes a file beside its place, and moves it there: nginx sees the old one or the new one.
fn restore(path: &Path, content: &[u8], mode: Permissions) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new().prefix(".tollgate-").tempfile_in(folder)?;
    new.write_all(content)?;
    new.as_file().set_permissions(mode)?;
    new.as_file().sync_all()?;
    new.persist(path).map(|_| ()).map_err(|error| error.error)
}

fn write(path: &Path, content: &[u8], mode: Permissions) -> Result<(), Failure> {
    restore(path, content, mode).map_err(|error| failed("write", path, &error))
}
