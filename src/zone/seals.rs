//! What the workers of a sealed log know of each other's chains: in memory, and in a file beside the key, which
//! tells the next nginx.

use std::cell::OnceCell;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::AtomicU64;

use nginx::file::NO_FOLLOW;
use nginx::log::cycle_error;
use nginx::process::{self, Workers};
use nginx::shm::{Attached, Shared};
use tollgate_core::audit::seal::{Generation, KeyId, SealingKey, Seals, Signer, SEALS_BYTES};
use tollgate_core::clock::UnixMillis;
use zeroize::Zeroizing;

use super::state_file::boot_id;
use crate::clock::wall_ms;

/// The memory of one configuration.
pub(crate) type SharedSeals = nginx::shm::SharedZone<SealedLog>;

/// What lies in it, and the memory.
pub(crate) type MappedSeals = Attached<SealedLog>;

/// What a configuration says of a sealed log.
#[derive(Debug)]
pub(crate) struct SealedLog {
    /// As `seal=` has it.
    path: String,
    id: KeyId,
    signer: Rc<Signer>,
    /// The file of heads, and that of the key, which whoever starts nginx has opened for the workers.
    files: OnceCell<Rc<Files>>,
}

/// What workers write. They can't read it.
#[derive(Debug)]
pub(crate) struct Files {
    pub(crate) heads: File,
    pub(crate) key: File,
}

impl SealedLog {
    /// How much memory it takes, in bytes.
    pub(crate) const BYTES: usize = SEALS_BYTES;

    /// Reads the key. The part of it by which lines are sealed is used when nginx starts, and not kept.
    ///
    /// # Errors
    ///
    /// Why it can't be used, and the way out.
    pub(crate) fn new(path: &str) -> Result<Self, String> {
        let key = read(path)?;
        // nginx writes it at each start.
        OpenOptions::new().write(true).open(path).map_err(|error| {
            format!("can't be written: {error}; nginx has to change it at each start")
        })?;
        let signer = key.signer().map_err(|error| error.to_string())?;
        let (id, signer) = (key.id().clone(), Rc::new(signer));
        let sealed = Self { path: path.to_owned(), id, signer, files: OnceCell::new() };
        let found = sealed.heads_path().symlink_metadata().ok();
        match found.is_none_or(|found| is_own(&found)) {
            true => Ok(sealed),
            false => Err(format!(
                "can't have \"{}\" beside it: {NOT_OWN}",
                sealed.heads_path().display()
            )),
        }
    }

    /// What the key is called.
    pub(crate) fn id(&self) -> &KeyId {
        &self.id
    }

    /// As `seal=` has it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn signer(&self) -> &Rc<Signer> {
        &self.signer
    }

    /// What workers write; `None`: it could not be opened, which was said.
    pub(crate) fn files(&self) -> Option<&Rc<Files>> {
        self.files.get()
    }

    fn heads_path(&self) -> PathBuf {
        PathBuf::from(format!("{}.heads", self.path))
    }

    fn open_heads(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        // Whoever starts nginx may write anywhere: somebody else's link must not lead there.
        let file = options.custom_flags(NO_FOLLOW).open(self.heads_path())?;
        match is_own(&file.metadata()?) {
            true => Ok(file),
            false => Err(io::Error::other(NOT_OWN)),
        }
    }

    fn open_files(&self) -> io::Result<Files> {
        let key = OpenOptions::new().write(true).open(&self.path)?;
        Ok(Files { heads: self.open_heads()?, key })
    }

    /// The next generation, and its key. When this has come back, the file holds the key of the one after it.
    fn begin(&self) -> Result<Generation, String> {
        let failed = |error: io::Error| format!("can't write \"{}\": {error}", self.path);
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(failed)?;
        // Of two that start at once, each has a generation of its own.
        file.lock().map_err(failed)?;
        let mut key =
            read(&self.path).map_err(|error| format!("\"seal={}\" {error}", self.path))?;
        let begun = key
            .begin(UnixMillis(wall_ms()))
            .map_err(|error| format!("\"seal={}\" {error}", self.path))?;
        file.write_all_at(&key.to_file(), 0).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(begun)
    }

    /// The workers must not have the key itself: whoever gets hold of one could seal what he likes.
    fn check_owner(&self, workers: Option<&Workers>) -> Result<(), String> {
        let Some(workers) = workers.filter(|workers| workers.user != 0) else { return Ok(()) };
        match std::fs::metadata(&self.path) {
            Ok(found) if found.uid() == workers.user => Err(format!(
                "\"seal={}\" belongs to the user of the workers, so that whoever gets hold of a worker could seal \
                 what he likes; \"chown root\" it",
                self.path
            )),
            _ => Ok(()),
        }
    }
}

const NOT_OWN: &str = "it is no file that only its owner can write; remove it, and nginx makes one";

fn is_own(found: &Metadata) -> bool {
    found.is_file() && found.mode() & 0o022 == 0
}

/// The key in a file that nobody else can read.
fn read(path: &str) -> Result<SealingKey, String> {
    let unreadable = |error: io::Error| {
        format!("can't be read: {error}; \"tollgate audit seal keygen\" makes such a file")
    };
    let found = std::fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(
            "is no file; name the one that \"tollgate audit seal keygen\" has made".to_owned()
        );
    }
    if found.mode() & 0o077 != 0 {
        return Err(format!(
            "can be read or written by others than its owner, who could so seal what they like; \"chmod 600 {path}\""
        ));
    }
    let bytes = Zeroizing::new(std::fs::read(path).map_err(unreadable)?);
    SealingKey::parse(&bytes).map_err(|error| error.to_string())
}

impl Shared for SealedLog {
    const DIRECTIVE: &'static str = "tollgate_audit_log";
    const MEMORY: &'static str = "tollgate-seals";
    const NUMBER: u8 = 3;

    type View<'m> = Seals<'m>;

    fn shorten<'s, 'm: 's>(view: &'s Seals<'m>) -> &'s Seals<'s> {
        view
    }

    // The file is for a nginx that starts anew.
    fn is_filed(&self) -> bool {
        false
    }

    fn attach(words: &[AtomicU64]) -> Result<Seals<'_>, String> {
        Seals::attach(words).map_err(|error| error.to_string())
    }

    /// nginx starts, or seals its log from now on: a generation begins.
    fn format<'m>(
        &self,
        _name: &str,
        words: &'m [AtomicU64],
        workers: Option<&Workers>,
    ) -> Result<Seals<'m>, String> {
        self.check_owner(workers)?;
        let failed = |error: &dyn std::fmt::Display| {
            format!("can't write \"{}\": {error}", self.heads_path().display())
        };
        let make = |begun: &Generation, before: Option<&[u8]>| {
            Seals::format(words, begun, boot_id(), before).map_err(|error| error.to_string())
        };
        if process::is_test() {
            return make(&Generation::none(), None);
        }
        let file = self.open_heads().map_err(|error| failed(&error))?;
        let before = std::fs::read(self.heads_path()).map_err(|error| failed(&error))?;
        let seals = make(&self.begin()?, Some(&before))?;
        file.write_all_at(&seals.to_file(), 0).map_err(|error| failed(&error))?;
        Ok(seals)
    }

    fn ready(&self, _workers: Option<&Workers>) {
        if process::is_test() {
            return;
        }
        match self.open_files() {
            Ok(files) => drop(self.files.set(Rc::new(files))),
            Err(error) => cycle_error(format_args!(
                "\"seal={}\" of \"tollgate_audit_log\": can't open it or \"{}\": {error}; if nginx is killed, nobody will \
                 know how far its lines had come",
                self.path,
                self.heads_path().display()
            )),
        }
    }
}
