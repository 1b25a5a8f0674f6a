//! What files hold, as they are now: they are read again when they change, by one worker for all of
//! them, and beside its requests.
//!
//! Each worker looks at the files ten times a second ([`crate::watch`]). The worker that first sees a
//! change reads the files, in a thread, and makes a block of what they hold ([`SharedBlock`]); the others
//! take it over when they look next. Whatever can't be used changes nothing, and is told once. Requests
//! see a new [`Generation`] as soon as it is there, and never wait for one.

use std::cell::RefCell;
use std::fmt;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tollgate_core::limits::Zone;

use crate::ffi::guard::guard;
use crate::ffi::log::{cycle_error, cycle_warn};
use crate::ffi::shared_block::{Mapping, SharedBlock, Stamp};

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 30;

/// How long a file must have been left alone before it is read. Two changes that are closer together
/// may bear the same time, as the kernel counts it; and whoever writes a file in place needs a moment.
const SETTLED: Duration = Duration::from_millis(20);

/// How long a file must be of no use before that is told: until then, somebody may be writing it.
const PATIENCE: Duration = Duration::from_millis(100);

/// The number of no [`Look`].
const NEVER_SEEN: u64 = 0;

/// What is made of files.
pub(crate) trait Source: Send + Sync + 'static {
    /// What requests use.
    type Loaded: Send + Sync + 'static;
    /// What can be wrong.
    type Error: fmt::Display + Send + 'static;

    /// The files.
    fn paths(&self) -> &[String];

    /// The block that workers share, made of what the files hold.
    ///
    /// # Errors
    ///
    /// What is wrong, and in which file.
    fn build(&self, files: &[Vec<u8>]) -> Result<Vec<u8>, Self::Error>;

    /// What a block holds; `None` if it is damaged.
    fn open(&self, block: Mapping) -> Option<Self::Loaded>;

    /// What the operator should know of a set that is in force now.
    fn remark(&self, loaded: &Self::Loaded) -> Option<String>;
}

/// What the files held at a time. Its number tells it from all others in this process.
#[derive(Debug)]
pub(crate) struct Generation<T> {
    pub(crate) id: u64,
    pub(crate) loaded: T,
}

/// Sets are told apart over the life of the process, reloads included.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The number of the set that came into use last in this process.
static NEWEST: AtomicU64 = AtomicU64::new(0);

/// A number that changes with whatever requests use: of any files.
pub(crate) fn epoch() -> u64 {
    NEWEST.load(Ordering::Relaxed)
}

/// A set of this number is used from now on.
pub(crate) fn came_into_use(id: u64) {
    NEWEST.fetch_max(id, Ordering::Relaxed);
}

/// What requests use now.
pub(crate) struct Live<S: Source> {
    current: RefCell<Option<Arc<Generation<S::Loaded>>>>,
    followed: Arc<Followed<S>>,
}

/// The part of it that threads work on.
struct Followed<S: Source> {
    source: S,
    block: Arc<SharedBlock>,
    /// A generation that requests haven't seen yet.
    next: Mutex<Option<Arc<Generation<S::Loaded>>>>,
    has_next: AtomicBool,
    /// Generations that requests don't use any more: to take a large one down takes its time.
    retired: Mutex<Vec<Arc<Generation<S::Loaded>>>>,
    mapped: Mutex<Option<Stamp>>,
    /// It was said that this worker can't take over what is in force.
    failing: AtomicBool,
}

/// Why files can't be used.
#[derive(Debug)]
pub(crate) enum LoadError<E> {
    /// They were changed while they were read.
    Unsettled,
    /// One of them can't be read.
    Unreadable { path: String, error: io::Error },
    /// What is wrong in them.
    Bad(E),
    /// The kernel has no memory to share.
    NoMemory(io::Error),
    /// A bug, which has been logged.
    Bug { paths: String },
}

impl<E: fmt::Display> fmt::Display for LoadError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsettled => f.write_str("the files change all the time"),
            Self::Unreadable { path, error } => write!(f, "cannot read \"{path}\": {error}"),
            Self::Bad(error) => error.fmt(f),
            Self::NoMemory(error) => write!(f, "no memory to share between workers: {error}"),
            Self::Bug { paths } => write!(f, "internal error with \"{paths}\""),
        }
    }
}

impl<S: Source> Live<S> {
    /// Reads the files for the first time, in the process that reads the configuration.
    pub(crate) fn load(source: S) -> Result<Self, LoadError<S::Error>> {
        let block = SharedBlock::new().map_err(LoadError::NoMemory)?;
        let followed = Followed {
            source,
            block,
            next: Mutex::new(None),
            has_next: AtomicBool::new(false),
            retired: Mutex::new(Vec::new()),
            mapped: Mutex::new(None),
            failing: AtomicBool::new(false),
        };
        let (look, bytes) = followed.read_first()?;
        if let Some(maker) = followed.block.make() {
            maker.publish(&bytes).map_err(LoadError::NoMemory)?;
            // A file that was changed just before may be changed again without looking it.
            maker.set_seen(if look.is_fresh { NEVER_SEEN } else { look.number });
        }
        drop(bytes);
        followed.follow().map_err(LoadError::NoMemory)?;
        let current = followed.next.lock().take();
        followed.has_next.store(false, Ordering::Release);
        Ok(Self { current: RefCell::new(current), followed: Arc::new(followed) })
    }

    /// What the files hold. `None`: this worker can't have it, and can't decide.
    pub(crate) fn current(&self) -> Option<Arc<Generation<S::Loaded>>> {
        self.catch_up();
        self.current.borrow().clone()
    }

    /// The number of [`Live::current`].
    pub(crate) fn id(&self) -> Option<u64> {
        self.catch_up();
        self.current.borrow().as_ref().map(|generation| generation.id)
    }

    fn catch_up(&self) {
        if !self.followed.has_next.load(Ordering::Acquire) {
            return;
        }
        // Not now, if that means to wait.
        let Some(mut next) = self.followed.next.try_lock() else { return };
        self.followed.has_next.store(false, Ordering::Release);
        let Some(next) = next.take() else { return };
        came_into_use(next.id);
        let before = self.current.replace(Some(next));
        if let Some(mut retired) = self.followed.retired.try_lock() {
            retired.extend(before);
        }
    }
}

/// A [`Live`], whatever it is of.
pub(crate) trait Follow {
    /// The configuration is complete. What was read stays for the workers; this process needs it no
    /// more, and would keep the memory of what changes later.
    fn leave(&self);

    /// In a new process: takes over what is in force, since what a fork left behind may be written
    /// over.
    fn enter(&self);

    /// Has requests use what is in force, if they don't yet: also where none comes.
    fn catch_up(&self);

    /// What the worker looks at.
    fn watched(&self) -> Arc<dyn Watched>;
}

impl<S: Source> Follow for Live<S> {
    fn leave(&self) {
        drop(self.current.take());
    }

    fn enter(&self) {
        *self.followed.mapped.lock() = None;
        let before = match self.followed.follow() {
            Ok(()) => self.current.take(),
            Err(error) => {
                cycle_error(format_args!(
                    "tollgate: cannot use what was read from \"{}\": {error}; requests that need \
                     it are refused",
                    self.followed.source.paths().join("\", \"")
                ));
                self.current.take()
            }
        };
        drop(before);
        // What requests use is the new one from the first on.
        drop(self.current());
    }

    fn catch_up(&self) {
        Live::catch_up(self);
    }

    fn watched(&self) -> Arc<dyn Watched> {
        Arc::clone(&self.followed) as Arc<dyn Watched>
    }
}

/// What a worker looks at from time to time.
pub(crate) trait Watched: Send + Sync {
    /// Whether there is something to do. That takes no time.
    fn is_due(&self) -> bool;

    /// Does it, which may take its time. Failures to load are counted in the zone.
    fn follow_up(&self, zone: &Zone<'static>);
}

/// What files look like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    number: u64,
    /// The last change is too recent.
    is_fresh: bool,
}

impl Look {
    fn at(paths: &[String]) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut is_fresh = false;
        for path in paths {
            match fs::metadata(path) {
                Ok(found) => {
                    let changed = (found.ctime(), found.ctime_nsec());
                    let written = (found.mtime(), found.mtime_nsec());
                    (found.dev(), found.ino(), found.size(), written, changed).hash(&mut hasher);
                    is_fresh |= is_recent(changed);
                }
                Err(error) => (0u8, error.raw_os_error()).hash(&mut hasher),
            }
        }
        Self { number: hasher.finish().max(NEVER_SEEN + 1), is_fresh }
    }
}

/// Whether this was less than [`SETTLED`] ago, by the clock of this machine.
fn is_recent((secs, nanos): (i64, i64)) -> bool {
    let since = Duration::new(u64::try_from(secs).unwrap_or(0), u32::try_from(nanos).unwrap_or(0));
    let Some(changed) = SystemTime::UNIX_EPOCH.checked_add(since) else { return false };
    SystemTime::now().duration_since(changed).is_ok_and(|ago| ago < SETTLED)
}

impl<S: Source> Followed<S> {
    /// Reads the files while nobody waits for anything else.
    fn read_first(&self) -> Result<(Look, Vec<u8>), LoadError<S::Error>> {
        const TRIES: usize = 5;
        let mut tries = 0;
        loop {
            tries += 1;
            let look = Look::at(self.source.paths());
            match self.read_and_build() {
                Err(LoadError::Unsettled) if tries < TRIES => std::thread::sleep(PATIENCE),
                result => return Ok((look, result?)),
            }
        }
    }

    fn read_and_build(&self) -> Result<Vec<u8>, LoadError<S::Error>> {
        #[cfg(debug_assertions)]
        crate::faults::in_files();
        let look = Look::at(self.source.paths());
        let files: Result<Vec<Vec<u8>>, LoadError<S::Error>> = self
            .source
            .paths()
            .iter()
            .map(|path| {
                read(path).map_err(|error| LoadError::Unreadable { path: path.clone(), error })
            })
            .collect();
        // A file that was changed meanwhile may be half of one and half of the other.
        if Look::at(self.source.paths()).number != look.number {
            return Err(LoadError::Unsettled);
        }
        self.source.build(&files?).map_err(LoadError::Bad)
    }

    /// Reads what has changed, unless another worker does. Whether something else is in force now.
    fn lead(&self, look: Look, zone: &Zone<'static>) -> bool {
        let Some(maker) = self.block.make() else { return false };
        if self.block.seen() == look.number || look.is_fresh {
            return false;
        }
        // A bug with what these files hold is come by once, and not ten times a second.
        let bug = LoadError::Bug { paths: self.source.paths().join("\", \"") };
        let published = match guard(Err(bug), || self.read_and_build()) {
            Ok(bytes) if self.is_in_force(&bytes) => Ok(false),
            Ok(bytes) => maker.publish(&bytes).map(|()| true).map_err(LoadError::NoMemory),
            Err(LoadError::Unsettled) => return false,
            Err(error) => Err(error),
        };
        if let Err(error) = &published {
            std::thread::sleep(PATIENCE);
            if Look::at(self.source.paths()).number != look.number {
                return false;
            }
            zone.count_failed_load();
            cycle_error(format_args!("tollgate: {error}; what was read before stays in force"));
        }
        maker.set_seen(look.number);
        published.unwrap_or(false)
    }

    fn is_in_force(&self, bytes: &[u8]) -> bool {
        self.block.map().is_ok_and(|current| current.as_ref() == bytes)
    }

    /// Takes over the block in force, if it is another one.
    fn follow(&self) -> io::Result<()> {
        let mut mapped = self.mapped.lock();
        if *mapped == self.block.current() && mapped.is_some() {
            return Ok(());
        }
        let block = self.block.map()?;
        let stamp = block.stamp();
        let loaded = self.source.open(block).ok_or(io::ErrorKind::InvalidData)?;
        let generation = Arc::new(Generation { id: next_id(), loaded });
        // One that requests never saw is dropped here.
        let before = self.next.lock().replace(generation);
        self.has_next.store(true, Ordering::Release);
        *mapped = Some(stamp);
        drop(before);
        Ok(())
    }
}

impl<S: Source> Watched for Followed<S> {
    fn is_due(&self) -> bool {
        let look = Look::at(self.source.paths());
        let has_changed = look.number != self.block.seen() && !look.is_fresh;
        // Whatever is locked is being worked on.
        let is_behind = || {
            self.mapped.try_lock().is_none_or(|mapped| *mapped != self.block.current())
                || self.retired.try_lock().is_none_or(|retired| !retired.is_empty())
        };
        has_changed || is_behind() || self.block.is_untidy()
    }

    fn follow_up(&self, zone: &Zone<'static>) {
        // Not while requests might wait for the lock.
        let retired = std::mem::take(&mut *self.retired.lock());
        drop(retired);
        let look = Look::at(self.source.paths());
        let has_led = look.number != self.block.seen() && self.lead(look, zone);
        match self.follow() {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            Err(error) if self.failing.swap(true, Ordering::Relaxed) => drop(error),
            Err(error) => cycle_error(format_args!(
                "tollgate: cannot use what was read from \"{}\": {error}; what was read before \
                 stays in force in this worker",
                self.source.paths().join("\", \"")
            )),
        }
        if has_led {
            let remark = self.next.lock().as_ref().and_then(|new| self.source.remark(&new.loaded));
            if let Some(remark) = remark {
                cycle_warn(format_args!("tollgate: {remark}"));
            }
        }
        if let Some(maker) = self.block.make() {
            maker.clean();
        }
    }
}

fn read(path: &str) -> io::Result<Vec<u8>> {
    // To open a pipe would be to wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > MAX_FILE {
        return Err(io::Error::other("it is larger than 1 GiB"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
    file.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}
