mod directory;
mod flights;
mod list;
mod view;

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU64;
use std::sync::Mutex;

use super::*;
use crate::clock::UnixMillis;
use crate::limits::{ClaimLock, Process};

struct TestLock(Mutex<()>);

impl ClaimLock for TestLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        let _held = self.0.lock().unwrap();
        f()
    }
}

fn lock() -> TestLock {
    TestLock(Mutex::new(()))
}

fn memory(capacity: usize) -> Vec<AtomicU64> {
    (0..Directory::words_for(capacity).unwrap()).map(|_| AtomicU64::new(0)).collect()
}

fn directory(words: &[AtomicU64], capacity: usize) -> Directory<'_> {
    Directory::format(words, capacity, (1, 2), UnixMillis(1_000)).unwrap()
}

fn who(client: &str) -> Who<'_> {
    Who { client, tenant: None, rate_limit: None }
}

fn at(ms: i64) -> Seen {
    Seen { at: UnixMillis(ms), ..Seen::default() }
}

fn count(directory: &Directory<'_>, client: &str, seen: Seen) {
    let known = Known::new(directory.seed(), who(client));
    directory.count(&known, who(client), &seen, &lock());
}

fn process(pid: u32) -> Process {
    Process { pid, started: 1 }
}
