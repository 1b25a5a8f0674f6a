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

#[test]
fn what_is_known_of_a_client_is_of_one_directory() {
    let known = Known::new((1, 2), who("acme"));
    assert!(known.is_of((1, 2)));
    assert!(!known.is_of((2, 1)) && !known.is_of((1, 3)));
}

#[test]
fn each_tier_has_a_mark_of_its_own_and_none_is_that_of_no_tier() {
    let marks: std::collections::HashSet<u64> = ["", "pro", "free", "Pro"].map(tier_mark).into();
    assert!(marks.len() == 4 && !marks.contains(&0));
    assert_eq!(tier_mark("pro"), tier_mark("pro"));
}
