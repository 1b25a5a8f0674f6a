//! What is done about a change of files.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tollgate_core::cluster::revocations::{InFiles, KeyHash};
use tollgate_core::limits::Zone;
use tollgate_core::metrics::Family;
use tollgate_core::status::{digest, message, Failure, SetState};

use super::files::{blindness, Look, NEVER_SEEN};
use super::{next_id, Content, Due, Generation, LoadError, Remark, Report, Source, Watched};
use crate::clock::{mono_now, wall_ms};
use crate::observed::{self, Noted};
use nginx::guard::guard;
use nginx::log::{cycle_error, cycle_notice, cycle_warn};
use shared_block::{Maker, SharedBlock, Stamp};

/// How long a file must be of no use before that is told: until then, somebody may be writing it.
const SETTLES_WITHIN: Duration = Duration::from_millis(100);

/// How long nobody tries again to take over files for which there was no memory. Nothing tells that there is
/// some, and to read large files takes its time.
const RETRY_MS: u64 = 5000;

/// How many entries of a file the error log names; the status file has more.
const TOLD: usize = 5;

/// The part of a [`super::Live`] that threads work on.
pub(super) struct Followed<S: Source> {
    pub(super) source: S,
    block: Arc<SharedBlock>,
    /// A generation that requests haven't seen yet.
    pub(super) next: Mutex<Option<Arc<Generation<S::Loaded>>>>,
    pub(super) has_next: AtomicBool,
    /// Generations that requests don't use any more: to take a large one down takes its time.
    pub(super) retired: Mutex<Vec<Arc<Generation<S::Loaded>>>>,
    pub(super) mapped: Mutex<Option<Stamp>>,
    /// A change was seen that is too recent to be read.
    is_waiting: AtomicBool,
    /// It was said that this worker can't take over what is in force.
    failing: AtomicBool,
    /// Where what is made of the files is told, and as which set.
    pub(super) told_in: OnceLock<(Arc<dyn Report>, usize)>,
}

/// What files held, and what was made of it.
struct Reading {
    content: Content,
    digests: Vec<String>,
}

impl<S: Source> Followed<S> {
    /// Reads the files while nobody waits for anything else, and takes them into use.
    #[allow(clippy::type_complexity)]
    pub(super) fn load(source: S) -> Result<(Self, SetState, Vec<Remark>), LoadError<S::Error>> {
        let followed = Self {
            source,
            block: SharedBlock::new().map_err(LoadError::NoMemory)?,
            next: Mutex::new(None),
            has_next: AtomicBool::new(false),
            retired: Mutex::new(Vec::new()),
            mapped: Mutex::new(None),
            is_waiting: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            told_in: OnceLock::new(),
        };
        let (look, Reading { content, digests }) = followed.read_first()?;
        let mut state = SetState::default();
        if let Some(maker) = followed.block.make() {
            maker.publish(&content.block).map_err(LoadError::NoMemory)?;
            state = followed.state_of(&content, digests, wall_ms());
            maker.set_told(told(&content));
            // A file that was changed just before may be changed again without looking it.
            maker.set_seen(if look.is_fresh { NEVER_SEEN } else { look.number });
        }
        let Content { block, refused, .. } = content;
        drop(block);
        followed.follow().map_err(LoadError::NoMemory)?;
        Ok((followed, state, refused))
    }

    fn look(&self) -> Look {
        Look::at(self.source.looked_at().iter())
    }

    fn read_first(&self) -> Result<(Look, Reading), LoadError<S::Error>> {
        const TRIES: usize = 5;
        let mut tries = 0;
        loop {
            tries += 1;
            let look = self.look();
            match self.read_and_build(&mut Vec::new()) {
                Err(LoadError::Unsettled) if tries < TRIES => std::thread::sleep(SETTLES_WITHIN),
                result => return Ok((look, result?)),
            }
        }
    }

    /// Whether or not anything can be made of the files, `digests` are those of what was read.
    fn read_and_build(&self, digests: &mut Vec<String>) -> Result<Reading, LoadError<S::Error>> {
        #[cfg(debug_assertions)]
        crate::faults::in_files();
        let look = self.look();
        let files: Result<Vec<Vec<u8>>, LoadError<S::Error>> = self
            .source
            .paths()
            .iter()
            .map(|path| {
                let bytes = self
                    .source
                    .read(path)
                    .map_err(|error| LoadError::Unreadable { path: path.clone(), error });
                digests.push(bytes.as_ref().map(|bytes| digest(bytes)).unwrap_or_default());
                bytes
            })
            .collect();
        // A file that was changed meanwhile may be half of one and half of the other.
        if self.look().number != look.number {
            return Err(LoadError::Unsettled);
        }
        let mut content = self.source.build(&files?).map_err(LoadError::Bad)?;
        content
            .warnings
            .extend(self.source.paths().iter().filter_map(|path| blindness(path, S::KIND)));
        Ok(Reading { content, digests: digests.clone() })
    }

    /// Reads what has changed, unless another worker does.
    fn lead(&self, look: Look, zone: &Zone<'_>) {
        let Some(maker) = self.block.make() else { return };
        let is_seen = self.block.seen() == look.number;
        let is_retry = is_seen && self.is_retry_due(mono_ms());
        if is_seen && !is_retry || look.is_fresh {
            return;
        }
        let mut retry_at_ms = 0;
        // A bug with what these files hold is come by once, and not ten times a second.
        let bug = LoadError::Bug { paths: self.source.paths().join("\", \"") };
        let mut digests = Vec::new();
        let taken = guard(Err(bug), || self.read_and_build(&mut digests)).and_then(|reading| {
            let is_new = !self.is_in_force(&reading.content.block);
            if is_new {
                maker.publish(&reading.content.block).map_err(LoadError::NoMemory)?;
            }
            Ok((reading, is_new))
        });
        match taken {
            // Whoever dies before the end is followed by one who does all of it again.
            Ok((reading, is_new)) => guard((), || self.tell(&maker, reading, is_new, zone)),
            Err(LoadError::Unsettled) => return,
            // It was said when it was first tried.
            Err(LoadError::NoMemory(_)) if is_retry => {
                retry_at_ms = mono_ms().saturating_add(RETRY_MS);
            }
            Err(error) => {
                std::thread::sleep(SETTLES_WITHIN);
                if self.look().number != look.number {
                    return;
                }
                self.count_failed_load(zone);
                cycle_error(format_args!("tollgate: {error}; what was read before stays in force"));
                let failure =
                    Failure { at_ms: wall_ms(), digests, error: message(&error.to_string()) };
                self.write_state(|before| SetState { failure: Some(failure), ..before });
                if matches!(error, LoadError::NoMemory(_)) {
                    retry_at_ms = mono_ms().saturating_add(RETRY_MS);
                }
            }
        }
        maker.set_retry_at_ms(retry_at_ms);
        maker.set_seen(look.number);
    }

    /// What the files hold now could not be taken, or not all of it.
    fn count_failed_load(&self, zone: &Zone<'_>) {
        zone.count_failed_load();
        for path in self.source.paths() {
            observed::note(Noted::Event(Family::LoadFailures, path.clone()));
        }
    }

    /// Whether files that were seen are to be tried again now, as there was no memory for them.
    fn is_retry_due(&self, now_ms: u64) -> bool {
        let at_ms = self.block.retry_at_ms();
        at_ms > 0 && now_ms >= at_ms
    }

    /// Says what was taken, and what of it is not in force: in the error log once, until that changes.
    fn tell(&self, maker: &Maker<'_>, reading: Reading, is_new: bool, zone: &Zone<'_>) {
        let Reading { content, digests } = reading;
        let now = wall_ms();
        let state = self.state_of(&content, digests, now);
        self.write_state(|before| match is_new {
            true => state,
            false => SetState { since_ms: before.since_ms, ..state },
        });
        let told = told(&content);
        if is_new && !content.notice.is_empty() {
            cycle_notice(format_args!("tollgate: {}", content.notice));
        }
        if maker.told() == told {
            return;
        }
        if content.refused_count > 0 {
            self.count_failed_load(zone);
        }
        for Remark { text, is_mistake } in content.refused.iter().take(TOLD) {
            match is_mistake {
                true => cycle_error(format_args!("tollgate: {text}; that key is refused")),
                false => cycle_warn(format_args!("tollgate: {text}; that key is refused")),
            }
        }
        let more = content.refused_count.saturating_sub(TOLD);
        if more > 0 {
            cycle_error(format_args!(
                "tollgate: {more} more entries of \"{}\" are refused; \"tollgate status\" and \
                 \"tollgate check\" tell which",
                self.source.paths().join("\", \"")
            ));
        }
        for warning in &content.warnings {
            cycle_warn(format_args!("tollgate: {warning}"));
        }
        maker.set_told(told);
    }

    fn state_of(&self, content: &Content, digests: Vec<String>, now_ms: i64) -> SetState {
        SetState {
            generation: self.block.current().map_or(0, Stamp::number),
            since_ms: now_ms,
            digests,
            keys: content.keys as u64,
            version: message(&content.version),
            refused: content.refused.iter().map(|remark| message(&remark.text)).collect(),
            refused_count: content.refused_count as u64,
            warnings: content.warnings.iter().map(|text| message(text)).collect(),
            failure: None,
        }
    }

    fn write_state(&self, change: impl FnOnce(SetState) -> SetState) {
        let mut change = Some(change);
        if let Some((report, set)) = self.told_in.get() {
            report.set(*set, &mut |before| match change.take() {
                Some(change) => change(before),
                None => before,
            });
        }
    }

    /// Whether nobody uses it any more.
    fn is_idle(retired: &Arc<Generation<S::Loaded>>) -> bool {
        Arc::strong_count(retired) == 1 && !S::is_held(&retired.loaded)
    }

    fn is_in_force(&self, bytes: &[u8]) -> bool {
        self.block.map().is_ok_and(|current| current.as_ref() == bytes)
    }

    /// Takes over the block in force, if it is another one.
    pub(super) fn follow(&self) -> io::Result<()> {
        let mut mapped = self.mapped.lock();
        if *mapped == self.block.current() && mapped.is_some() {
            return Ok(());
        }
        let block = self.block.map()?;
        let stamp = block.stamp();
        let loaded = self.source.open(block).ok_or(io::ErrorKind::InvalidData)?;
        let number = stamp.number();
        let generation = Arc::new(Generation { id: next_id(), number, loaded });
        // One that requests never saw is dropped here.
        let before = self.next.lock().replace(generation);
        self.has_next.store(true, Ordering::Release);
        *mapped = Some(stamp);
        drop(before);
        Ok(())
    }
}

impl<S: Source> Watched for Followed<S> {
    fn is_due(&self, now_ms: u64, interval_ms: u64) -> Due {
        // Whatever is locked is being worked on.
        let is_behind = self.mapped.try_lock().is_none_or(|mapped| *mapped != self.block.current())
            || self.retired.try_lock().is_none_or(|retired| retired.iter().any(Self::is_idle));
        if is_behind || self.block.is_untidy() || self.is_retry_due(now_ms) {
            return Due::Now;
        }
        // Who has seen a change that is too recent looks again, whoever's turn it is.
        let is_ours = self.is_waiting.load(Ordering::Relaxed);
        if !is_ours && !self.block.is_turn(now_ms, interval_ms) {
            return Due::Not;
        }
        let look = self.look();
        let has_changed = look.number != self.block.seen();
        self.is_waiting.store(has_changed && look.is_fresh, Ordering::Relaxed);
        match (has_changed, look.is_fresh) {
            (false, _) => Due::Not,
            (true, true) => Due::Soon,
            (true, false) => Due::Now,
        }
    }

    fn follow_up(&self, zone: &Zone<'_>) {
        // Not while requests might wait for the lock.
        let retired: Vec<_> =
            self.retired.lock().extract_if(.., |one| Self::is_idle(one)).collect();
        drop(retired);
        let look = self.look();
        if look.number != self.block.seen() || self.is_retry_due(mono_ms()) {
            self.lead(look, zone);
        }
        match self.follow() {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            Err(error) if self.failing.swap(true, Ordering::Relaxed) => drop(error),
            Err(error) => cycle_error(format_args!(
                "tollgate: cannot use what was read from \"{}\": {error}; what was read before \
                 stays in force in this worker",
                self.source.paths().join("\", \"")
            )),
        }
        if let Some(maker) = self.block.make() {
            maker.clean();
        }
    }

    fn look_up(&self, keys: &[KeyHash], said: &mut [InFiles]) -> io::Result<()> {
        let loaded = self.source.open(self.block.map()?).ok_or(io::ErrorKind::InvalidData)?;
        for (key, said) in keys.iter().zip(said) {
            let Some(says) = S::says(&loaded, key) else { return Ok(()) };
            *said = said.or(says);
        }
        Ok(())
    }
}

fn mono_ms() -> u64 {
    mono_now().0 / 1_000_000
}

/// A number that changes with what is to be told.
fn told(content: &Content) -> u64 {
    let mut hasher = DefaultHasher::new();
    for remark in &content.refused {
        remark.text.hash(&mut hasher);
    }
    (content.refused_count, &content.warnings).hash(&mut hasher);
    hasher.finish()
}
