//! What files hold, as they are now: they are read again when they change, by one worker for all of
//! them, and beside its requests.
//!
//! The workers look at the files in turn, ten times a second altogether ([`crate::watch`]). The worker that
//! first sees a change reads the files, in a thread, and makes a block of what they hold ([`SharedBlock`]); the others
//! take it over when they look next. Whatever can't be used changes nothing, and is told once. Requests
//! see a new [`Generation`] as soon as it is there, and never wait for one. What was taken and what was
//! not is told in the [status file](crate::overview::status_file).
//!
//! * [`files`]: how files look from outside, and what they hold;
//! * [`followed`]: what is done about a change.

pub(crate) mod files;
mod followed;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use tollgate_core::clock::UnixMillis;
use tollgate_core::cluster::revocations::{InFiles, KeyHash};
use tollgate_core::keys::KeyStates;
use tollgate_core::limits::Zone;
use tollgate_core::status::{SetDescription, SetKind, SetState};

use followed::Followed;
use nginx::log::cycle_error;
use shared_block::Mapping;

/// What is made of files.
pub(crate) trait Source: Send + Sync + 'static {
    /// What requests use.
    type Loaded: Send + Sync + 'static;
    /// What can be wrong.
    type Error: fmt::Display + Send + 'static;

    /// What is in the files.
    const KIND: SetKind;

    /// The files.
    fn paths(&self) -> &[String];

    /// What is looked at to see whether the files have changed: more than they, where they are in a folder.
    fn looked_at(&self) -> Cow<'_, [String]> {
        Cow::Borrowed(self.paths())
    }

    /// What is at one of the paths.
    ///
    /// # Errors
    ///
    /// Those of reading it, and that it is too large.
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        files::read(path, files::MAX_FILE)
    }

    /// Whether what requests had before is still used by some: then it is taken down later.
    fn is_held(_loaded: &Self::Loaded) -> bool {
        false
    }

    /// How many keys are good for what, at this moment.
    fn states(_loaded: &Self::Loaded, _now: UnixMillis) -> KeyStates {
        KeyStates::default()
    }

    /// What is said of a key of this hash; `None`: it has no such keys.
    fn says(_loaded: &Self::Loaded, _key: &KeyHash) -> Option<InFiles> {
        None
    }

    /// What can be used of what the files hold.
    ///
    /// # Errors
    ///
    /// What is wrong with all of it, and in which file.
    fn build(&self, files: &[Vec<u8>]) -> Result<Content, Self::Error>;

    /// What a block holds; `None` if it is damaged.
    fn open(&self, block: Mapping) -> Option<Self::Loaded>;
}

/// What is made of what files hold.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// The block that workers share.
    pub(crate) block: Vec<u8>,
    /// How many keys are in it; or rules, or terms.
    pub(crate) keys: usize,
    /// What the files call it; empty: nothing.
    pub(crate) version: String,
    /// What the log says when it comes into force; empty: nothing.
    pub(crate) notice: String,
    /// What is in the files and not in force, and why: the first ones.
    pub(crate) refused: Vec<Remark>,
    /// How many entries that are.
    pub(crate) refused_count: usize,
    /// What else the operator should know.
    pub(crate) warnings: Vec<String>,
}

/// An entry that is not in force.
#[derive(Clone, Debug)]
pub(crate) struct Remark {
    pub(crate) text: String,
    /// Somebody has made a mistake in the file.
    pub(crate) is_mistake: bool,
}

/// What the files held at a time. Its number tells it from all others in this process.
#[derive(Debug)]
pub(crate) struct Generation<T> {
    pub(crate) id: u64,
    /// Its number among those of its files: the same in all processes.
    number: u64,
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
    /// What was made of the files at first.
    first: SetState,
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
            Self::NoMemory(error) if error.kind() == io::ErrorKind::FileTooLarge => write!(
                f,
                "no memory to share between workers: {error}; raise the limit on the size of files \
                 (\"ulimit -f\", \"LimitFSIZE=\"), which holds for this memory as well, to 33 times the size of \
                 the keys"
            ),
            Self::NoMemory(error) => write!(f, "no memory to share between workers: {error}"),
            Self::Bug { paths } => write!(f, "internal error with \"{paths}\""),
        }
    }
}

impl<S: Source> Live<S> {
    /// Reads the files for the first time, in the process that reads the configuration. What of them is
    /// not in force is left to whoever reads the configuration to tell.
    pub(crate) fn load(source: S) -> Result<(Self, Vec<Remark>), LoadError<S::Error>> {
        let (followed, first, refused) = Followed::load(source)?;
        let current = followed.next.lock().take();
        followed.has_next.store(false, Ordering::Release);
        Ok((Self { current: RefCell::new(current), followed: Arc::new(followed), first }, refused))
    }

    /// How many entries are in the files and not in force, and what else the operator should know.
    pub(crate) fn first(&self) -> &SetState {
        &self.first
    }

    /// The files, and where they are in a folder, that too.
    pub(crate) fn looked_at(&self) -> Cow<'_, [String]> {
        self.followed.source.looked_at()
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

/// Where it is told what was taken from the files of each set, and what was not.
pub(crate) trait Report: Send + Sync {
    /// Tells it of the set of this number: `change` makes the new state from the one before.
    fn set(&self, set: usize, change: &mut dyn FnMut(SetState) -> SetState);
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

    /// Which files these are.
    fn description(&self) -> SetDescription;

    /// In the master: has it told in this file, as this set, what is made of the files.
    fn tell_in(&self, report: &Arc<dyn Report>, set: usize);

    /// The number of the generation that requests use; 0: they have none.
    fn in_use(&self) -> u64;

    /// How many of its keys are good for what, at this moment.
    fn states(&self, now: UnixMillis) -> KeyStates;
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

    fn description(&self) -> SetDescription {
        SetDescription { kind: S::KIND, paths: self.followed.source.paths().to_vec() }
    }

    fn tell_in(&self, report: &Arc<dyn Report>, set: usize) {
        report.set(set, &mut |_| self.first.clone());
        // There is one file for each configuration, and so for each of us.
        let _ = self.followed.told_in.set((Arc::clone(report), set));
    }

    fn in_use(&self) -> u64 {
        self.current.borrow().as_ref().map_or(0, |generation| generation.number)
    }

    fn states(&self, now: UnixMillis) -> KeyStates {
        let current = self.current.borrow();
        current.as_ref().map_or_else(KeyStates::default, |set| S::states(&set.loaded, now))
    }
}

/// Whether there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Not,
    /// In a moment.
    Soon,
    Now,
}

/// What a worker looks at from time to time.
pub(crate) trait Watched: Send + Sync {
    /// Whether there is something to do. That takes no time. `now_ms` is on the monotonic clock, and the
    /// files are looked at so often, by one of the workers.
    fn is_due(&self, now_ms: u64, interval_ms: u64) -> Due;

    /// Does it, which may take its time. Failures to load are counted in the zone.
    fn follow_up(&self, zone: &Zone<'_>);

    /// What is in force now says of these keys, over what others said of them: that one is enabled counts more than that
    /// it is disabled, and that more than nothing.
    ///
    /// # Errors
    ///
    /// It can't be read.
    fn look_up(&self, keys: &[KeyHash], said: &mut [InFiles]) -> io::Result<()>;
}
