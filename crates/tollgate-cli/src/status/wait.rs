//! Until what was written is in force.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tollgate_core::status::{digest, Status};

use super::source::{now_ms, of_keys_file, Running, Source, Unknown};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Whoever restarts nginx just now has it back by then.
const RESTART: Duration = Duration::from_secs(2);

/// For so long after a reload the workers of before may still take requests, in milliseconds.
const SETTLING_MS: i64 = 1000;

/// What became of a change of a keys file.
pub(crate) enum Effect {
    /// All workers of each nginx decide by it; how many they are.
    InForce { workers: usize, running: Vec<Running> },
    /// nginx has read it, and not taken it.
    Refused(String),
    /// nginx uses other files.
    NotUsed(Vec<String>),
    /// Nothing is known.
    Unknown(Unknown),
    /// It is not in force yet: what is missing.
    TimedOut(String),
}

/// Waits until what the file holds is in force. Should somebody else change it meanwhile, that counts:
/// whoever changes the file with this command, changes what is in it.
pub(crate) fn wait(source: &Source, file: &Path, patience: Duration) -> Effect {
    let begun = Instant::now();
    let mut content = Content::default();
    loop {
        let wanted = content.digest(file);
        let is_restarted = begun.elapsed() >= RESTART.min(patience);
        let missing = match source.read() {
            Err(unknown) if is_restarted => return Effect::Unknown(unknown),
            Err(unknown) => unknown.to_string(),
            Ok(running) => match judge(&running, file, wanted) {
                Verdict::Done(workers) => return Effect::InForce { workers, running },
                Verdict::Refused(error) => return Effect::Refused(error),
                Verdict::NotUsed(used) if is_restarted => return Effect::NotUsed(used),
                Verdict::NotUsed(_) => String::new(),
                Verdict::Waiting(missing) => missing,
            },
        };
        if begun.elapsed() >= patience {
            return Effect::TimedOut(missing);
        }
        std::thread::sleep(PAUSE.min(patience.saturating_sub(begun.elapsed())));
    }
}

/// What a file holds, read again only when it has changed: it may be large.
#[derive(Default)]
struct Content {
    seen: Option<[i64; 5]>,
    digest: Option<String>,
}

impl Content {
    /// The digest; `None`: the file can't be read.
    fn digest(&mut self, file: &Path) -> Option<&str> {
        let look = || {
            let found = fs::metadata(file).ok()?;
            let inode = found.ino().cast_signed();
            let size = found.size().cast_signed();
            Some([inode, size, found.mtime(), found.mtime_nsec(), found.ctime_nsec()])
        };
        let now = look();
        if now.is_none() || now != self.seen {
            self.digest = fs::read(file).map(|bytes| digest(&bytes)).ok();
            self.seen = now;
        }
        self.digest.as_deref()
    }
}

enum Verdict {
    Done(usize),
    Refused(String),
    NotUsed(Vec<String>),
    Waiting(String),
}

fn judge(running: &[Running], file: &Path, wanted: Option<&str>) -> Verdict {
    let now = now_ms();
    let Some(wanted) = wanted else { return Verdict::Waiting("the file can't be read".to_owned()) };
    let (mut workers, mut is_used) = (0, false);
    for Running { status, .. } in running {
        let found = of_keys_file(status, file);
        if found.is_empty() {
            continue;
        }
        is_used = true;
        for of in found {
            let Some(state) = of.state else { return Verdict::Waiting(String::new()) };
            let failure = state.failure.as_ref();
            if let Some(failure) =
                failure.filter(|failure| failure.digests.iter().any(|digest| digest == wanted))
            {
                return Verdict::Refused(failure.error.clone());
            }
            if of.digest != Some(wanted) {
                return Verdict::Waiting(match failure {
                    Some(failure) => failure.error.clone(),
                    None => "nginx has not read it yet".to_owned(),
                });
            }
            let (following, all) = (status.following(of.set, now), status.workers.len());
            if following < all || all == 0 {
                return Verdict::Waiting(format!("it is in force in {following} of {all} workers"));
            }
        }
        if is_settling(status, now) {
            return Verdict::Waiting("nginx has just been reloaded".to_owned());
        }
        workers += status.workers.len();
    }
    match is_used {
        true => Verdict::Done(workers),
        false => Verdict::NotUsed(used_files(running)),
    }
}

fn is_settling(status: &Status, now_ms: i64) -> bool {
    (0..SETTLING_MS).contains(&now_ms.saturating_sub(status.description.since_ms))
}

/// The files that are used.
pub(crate) fn used_files(running: &[Running]) -> Vec<String> {
    let sets = running.iter().flat_map(|running| &running.status.description.sets);
    let mut paths: Vec<String> = sets.flat_map(|set| set.paths.iter().cloned()).collect();
    paths.sort();
    paths.dedup();
    paths
}
