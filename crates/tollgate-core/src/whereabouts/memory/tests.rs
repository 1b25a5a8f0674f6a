//! The table: against a plain model, where there is little room, with several workers, and with one that dies.

use std::collections::HashMap;
use std::sync::Mutex;

use proptest::prelude::*;

use super::super::{NetworkMemo, MAX_MINUTE, MAX_NETWORKS};
use super::*;

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

const SEED: (u64, u64) = (1, 2);

fn words(sets: usize) -> Vec<AtomicU64> {
    let mut len = sets * SET_WORDS;
    while len < HEADER_WORDS + ranking::words_of(len) + sets * SET_WORDS {
        len += 1;
    }
    (0..len).map(|_| AtomicU64::new(7)).collect()
}

fn network(number: u32) -> Network {
    let address: std::net::IpAddr = match number % 2 {
        0 => std::net::Ipv4Addr::from(number << 8).into(),
        _ => std::net::Ipv6Addr::from(u128::from(number) << 80).into(),
    };
    address.into()
}

struct Table<'m>(Whereabouts<'m>, TestLock);

impl<'m> Table<'m> {
    fn new(words: &'m [AtomicU64]) -> Self {
        Self(Whereabouts::format(words, SEED).unwrap(), lock())
    }

    fn key(&self, key: usize) -> KeyHash {
        self.0.key(&format!("client-{key}"), Some("k_1"))
    }

    fn note(&self, key: usize, number: u32, most: u16, minute: u32) -> Sighting {
        plain(self.0.note(self.key(key), network(number), most, Minute(minute), &self.1))
    }

    fn count(&self, key: usize, minute: u32) -> u16 {
        self.0.count(self.key(key), Minute(minute))
    }

    fn is_told(&self, key: usize, minute: u32) -> bool {
        self.0.is_to_be_told(self.key(key), Minute(minute), &self.1)
    }
}

/// But for whether it is new.
fn plain(sighting: Sighting) -> Sighting {
    Sighting { is_new: false, ..sighting }
}

fn counts(networks: u16) -> Sighting {
    Sighting { networks, counts: true, crowded: false, is_new: false }
}

fn does_not(networks: u16) -> Sighting {
    Sighting { networks, counts: false, crowded: false, is_new: false }
}

#[test]
fn networks_count_for_an_hour_after_they_were_last_seen() {
    let words = words(4);
    let table = Table::new(&words);
    assert_eq!(table.count(1, 100), 0);
    assert_eq!(table.note(1, 1, 256, 100), counts(1));
    assert_eq!(table.note(1, 1, 256, 100), counts(1));
    assert_eq!(table.note(1, 2, 256, 130), counts(2));
    assert_eq!(table.note(2, 3, 256, 130), counts(1), "each key for itself");
    assert_eq!(table.count(1, 160), 2);
    assert_eq!(table.count(1, 161), 1);
    assert_eq!(table.note(1, 2, 256, 190), counts(1));
    assert_eq!(table.count(1, 250), 1);
    assert_eq!(table.note(1, 1, 256, 250), counts(2));
    assert_eq!(table.count(1, 251), 1);
    assert_eq!(table.count(1, 400), 0);
}

#[test]
fn who_was_first_stays_and_further_networks_are_not_remembered() {
    let words = words(4);
    let table = Table::new(&words);
    assert_eq!(table.note(1, 1, 2, 100), counts(1));
    assert_eq!(table.note(1, 2, 2, 101), counts(2));
    for number in 3..3000 {
        assert_eq!(table.note(1, number, 2, 102), does_not(2));
    }
    for minute in 102..300 {
        assert_eq!(table.note(1, 1, 2, minute), counts(if minute <= 161 { 2 } else { 1 }));
    }
    // The other one has left.
    assert_eq!(table.note(1, 3, 2, 300), counts(2));
    assert_eq!(table.note(1, 2, 2, 300), does_not(2));
    // The limit becomes smaller, and larger.
    assert_eq!(table.note(1, 3, 1, 301), counts(2));
    assert_eq!(table.note(1, 2, 1, 301), does_not(2));
    assert_eq!(table.note(1, 2, 3, 301), counts(3));
}

#[test]
fn a_key_has_256_networks_at_most() {
    let words = words(16);
    let table = Table::new(&words);
    for number in 0..256_u32 {
        let expected = u16::try_from(number + 1).unwrap();
        assert_eq!(table.note(1, number, MAX_NETWORKS, 100), counts(expected), "{number}");
    }
    for number in 256..300 {
        assert_eq!(table.note(1, number, u16::MAX, 100), does_not(256));
    }
    for number in 0..256 {
        assert_eq!(table.note(1, number, MAX_NETWORKS, 101), counts(256), "{number}");
    }
    assert_eq!(table.note(1, 999, MAX_NETWORKS, 161), does_not(256));
    // Their places are taken by those of the next hours.
    for hour in 1..10_u32 {
        for number in 0..256_u32 {
            let sighting = table.note(1, 1000 * hour + number, MAX_NETWORKS, 100 + 100 * hour);
            assert_eq!(sighting, counts(u16::try_from(number + 1).unwrap()));
        }
    }
}

#[test]
fn one_who_comes_from_everywhere_pushes_out_nobody() {
    let words = words(4);
    let table = Table::new(&words);
    for key in 0..20 {
        assert_eq!(table.note(key, 1, 256, 100), counts(1));
    }
    let seen: Vec<Sighting> = (0..1000).map(|number| table.note(99, number, 256, 101)).collect();
    let last = seen.last().unwrap();
    assert!(!last.counts && last.crowded && last.networks >= 16, "{last:?}");
    for key in 0..20 {
        assert_eq!(table.note(key, 1, 256, 102), counts(1), "{key}");
    }
    // Keys that come later have its further records.
    for key in 200..206 {
        assert!(table.note(key, 1, 256, 102).counts);
    }
    for key in 0..20 {
        assert_eq!(table.note(key, 1, 256, 103), counts(1), "{key}");
    }
}

#[test]
fn the_key_that_was_silent_for_longest_gives_way_and_nobody_is_refused() {
    let words = words(4);
    let table = Table::new(&words);
    let mut crowded = 0;
    for key in 0..500 {
        let minute = 100 + u32::try_from(key / 20).unwrap();
        let sighting = table.note(key, 1, 1, minute);
        assert_eq!((sighting.networks, sighting.counts), (1, true), "{key}");
        crowded += usize::from(sighting.crowded);
    }
    assert!((468..=475).contains(&crowded), "{crowded}");
    let kept = (480..500).filter(|key| table.count(*key, 124) == 1).count();
    assert_eq!(kept, 20, "the latest");
    // Whoever is gone makes room without a word.
    for key in 1000..1020 {
        assert_eq!(table.note(key, 1, 1, 200), counts(1));
    }
}

#[test]
fn it_is_told_once_an_hour_of_each_key() {
    let words = words(4);
    let table = Table::new(&words);
    assert!(!table.is_told(1, 100), "nothing is known of it");
    table.note(1, 1, 256, 100);
    table.note(2, 1, 256, 100);
    assert!(table.is_told(1, 100));
    assert!(!table.is_told(1, 100) && !table.is_told(1, 159));
    assert!(table.is_told(2, 159));
    // Networks that are added don't change that.
    (2..40).for_each(|number| _ = table.note(1, number, 256, 130));
    assert!(!table.is_told(1, 159));
    assert!(table.is_told(1, 160) && !table.is_told(1, 161));
    // From the first minute on, and to the last.
    table.note(3, 1, 256, 0);
    assert!(table.is_told(3, 0) && !table.is_told(3, 1));
    table.note(4, 1, 256, MAX_MINUTE);
    assert!(table.is_told(4, MAX_MINUTE) && !table.is_told(4, MAX_MINUTE));
}

/// Notes networks of a key, and ranks it as requests do.
fn visit(
    table: &Table<'_>,
    client: &str,
    id: Option<&str>,
    numbers: std::ops::Range<u32>,
    minute: u32,
) {
    let key = table.0.key(client, id);
    for number in numbers {
        let seen = table.0.note(key, network(number), 256, Minute(minute), &table.1);
        if seen.is_new {
            table.0.rank((client, id), seen.networks, Minute(minute), &table.1);
        }
    }
}

fn ranked(table: &Table<'_>, minute: u32) -> Vec<(String, String, u16)> {
    let ranking = table.0.ranking(Minute(minute));
    ranking.into_iter().map(|one| (one.client, one.key_id, one.networks)).collect()
}

#[test]
fn the_ranking_has_the_keys_with_most_networks_by_name() {
    let words = words(200);
    let table = Table::new(&words);
    let places = ranking::words_of(words.len()) / ranking::words_of(16 * 72);
    assert_eq!(places, 26);
    let longest = "ü".repeat(128);
    visit(&table, "acme", Some("k_1"), 0..3, 100);
    visit(&table, &longest, Some(&longest), 0..9, 100);
    visit(&table, "tokens", None, 0..5, 100);
    let expected = |at: usize| ranked(&table, 100).get(at).cloned().unwrap();
    assert_eq!(expected(0), (longest.clone(), longest.clone(), 9));
    assert_eq!(expected(1), ("tokens".to_owned(), String::new(), 5));
    assert_eq!(expected(2), ("acme".to_owned(), "k_1".to_owned(), 3));
    assert_eq!(ranked(&table, 100).len(), 3);
    // Many with fewer push out none with more.
    for key in 0..100 {
        visit(&table, &format!("few-{key}"), Some("k"), 0..2, 110);
    }
    assert_eq!(ranked(&table, 110).len(), places);
    assert_eq!(ranked(&table, 110)[..3].iter().map(|one| one.2).collect::<Vec<_>>(), [9, 5, 3]);
    // One with more comes in; those whose hour is over go.
    visit(&table, "many", Some("k"), 0..4, 120);
    assert_eq!(ranked(&table, 120)[2], ("many".to_owned(), "k".to_owned(), 4));
    assert_eq!(ranked(&table, 165)[0], ("many".to_owned(), "k".to_owned(), 4));
    assert_eq!(ranked(&table, 300), []);
    for key in 0..100 {
        visit(&table, &format!("late-{key}"), Some("k"), 0..1, 300);
    }
    assert_eq!(ranked(&table, 300).len(), places);
}

#[test]
fn a_key_that_goes_on_as_it_was_stays_in_the_ranking() {
    let words = words(200);
    let table = Table::new(&words);
    visit(&table, "steady", Some("k"), 0..9, 100);
    for minute in 0..10 {
        visit(&table, "steady", Some("k"), 0..9, 100 + 30 * minute);
        for key in 0..40 {
            visit(&table, &format!("{minute}-{key}"), Some("k"), 0..3, 100 + 30 * minute);
        }
        let first = ranked(&table, 100 + 30 * minute).swap_remove(0);
        assert_eq!(first, ("steady".to_owned(), "k".to_owned(), 9), "{minute}");
    }
}

#[test]
fn where_there_is_little_memory_the_ranking_is_short() {
    let words = words(1);
    let table = Table::new(&words);
    visit(&table, "acme", Some("k"), 0..3, 100);
    assert_eq!(
        (ranked(&table, 100).len(), table.0.count(table.0.key("acme", Some("k")), Minute(100))),
        (0, 3)
    );
}

#[test]
fn keys_of_a_client_are_apart_and_names_are_not_mixed_up() {
    let words = words(1);
    let table = Whereabouts::format(&words, SEED).unwrap();
    let names = [("a", None), ("a", Some("")), ("a", Some("b")), ("ab", None), ("ab", Some(""))];
    let mut hashes: Vec<u64> = names.iter().map(|(name, id)| table.key(name, *id).0).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), names.len());
    let other = self::words(1);
    let other = Whereabouts::format(&other, (3, 4)).unwrap();
    assert_ne!(other.key("a", None), table.key("a", None));
}

#[test]
fn a_record_whose_writer_died_is_empty() {
    let words = words(1);
    let table = Table::new(&words);
    table.note(1, 1, 256, 100);
    let first = table.0.find(table.key(1).tag(0)).unwrap();
    // As far as it came: the tag is gone, and some of the next one's entries are there.
    first.tag.store(0, Ordering::Release);
    first.entries[1].store(u64::MAX, Ordering::Release);
    assert_eq!(table.count(1, 100), 0);
    assert_eq!(table.note(1, 1, 1, 100), counts(1));
    assert_eq!(table.note(1, 2, 1, 100), does_not(1));
}

#[test]
fn only_a_table_of_this_version_is_taken_for_one() {
    let words = words(2);
    assert!(matches!(Whereabouts::attach(&words), Err(LayoutError::Foreign)));
    assert!(matches!(Whereabouts::format(&words[..20], SEED), Err(LayoutError::TooSmall)));
    let table = Table::new(&words);
    table.note(1, 1, 256, 100);
    let same = Whereabouts::attach(&words).unwrap();
    assert_eq!(same.seed(), SEED);
    assert_eq!(same.count(table.key(1), Minute(100)), 1);
    assert!(matches!(Whereabouts::attach(&words[..20]), Err(LayoutError::TooSmall)));
    words[1].store(2, Ordering::Release);
    assert!(matches!(Whereabouts::attach(&words), Err(LayoutError::Version { found: 2, .. })));
}

#[test]
fn workers_together_count_each_network_once_and_keep_to_the_limit() {
    let words = words(8);
    let table = Whereabouts::format(&words, SEED).unwrap();
    let lock = lock();
    let keys: Vec<KeyHash> = (0..6).map(|key| table.key(&key.to_string(), None)).collect();
    let told: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4_u32)
            .map(|worker| {
                let (lock, keys) = (&lock, &keys);
                scope.spawn(move || {
                    let (mut memo, mut told) = (NetworkMemo::default(), 0);
                    for round in 0..2000_u32 {
                        let number = (round * 7 + worker * 3) % 40;
                        for key in keys {
                            // It goes on meanwhile.
                            let now = Minute(100 + round / 500);
                            let noted = (*key, network(number));
                            let seen = memo.note(&table, noted, 20, now, lock);
                            assert!(seen.networks <= 20 && (seen.counts || seen.networks == 20));
                            told += usize::from(table.is_to_be_told(*key, now, lock));
                        }
                    }
                    told
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(told, keys.len());
    for key in keys {
        assert_eq!(table.count(key, Minute(104)), 20);
        let all = table.look(key, 0, Minute(104));
        assert_eq!(all.first.unwrap().1.records, 2);
    }
}

#[derive(Clone, Debug)]
struct Step {
    key: usize,
    network: u32,
    most: u16,
    minutes: u32,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..4_usize, 0..60_u32, prop_oneof![Just(256_u16), 1..40_u16], 0..30_u32);
    let step = step.prop_map(|(key, network, most, minutes)| Step {
        key,
        network,
        most,
        // Mostly the time stands still.
        minutes: minutes.saturating_sub(20) * 3,
    });
    prop::collection::vec(step, 1..300)
}

proptest! {
    /// With room for all it counts exactly, with and without what a worker remembers.
    #[test]
    fn it_counts_as_a_plain_model_does(steps in steps()) {
        let words = words(8);
        let table = Table::new(&words);
        let mut memos = [NetworkMemo::default(), NetworkMemo::default()];
        let mut model: HashMap<(usize, u32), u32> = HashMap::new();
        let mut minute = 0;
        for (index, step) in steps.iter().enumerate() {
            minute += step.minutes;
            model.retain(|_, seen| minute - *seen <= 60);
            let live = model.keys().filter(|(key, _)| *key == step.key).count();
            let known = model.contains_key(&(step.key, step.network));
            let may = known || live < usize::from(step.most);
            if may {
                model.insert((step.key, step.network), minute);
            }
            let expected = live + usize::from(may && !known);
            let expected =
                Sighting { counts: may, ..counts(u16::try_from(expected).unwrap()) };
            let key = table.key(step.key);
            let noted = (key, network(step.network));
            let seen = match index % 3 {
                2 => table.note(step.key, step.network, step.most, minute),
                // Two workers.
                worker => {
                    plain(memos[worker].note(&table.0, noted, step.most, Minute(minute), &table.1))
                }
            };
            prop_assert_eq!(seen, expected, "step {}", index);
            prop_assert_eq!(table.count(step.key, minute), expected.networks);
        }
    }

    /// Whatever the room: nobody is refused who has fewer networks than he may, and nothing is counted twice.
    #[test]
    fn without_room_it_counts_less_and_never_more(steps in steps(), keys in 1..60_usize) {
        let words = words(1);
        let table = Table::new(&words);
        let mut model: HashMap<(usize, u32), u32> = HashMap::new();
        let mut minute = 0;
        for (index, step) in steps.iter().enumerate() {
            minute += step.minutes;
            model.retain(|_, seen| minute - *seen <= 60);
            let key = step.key + index % keys;
            let seen = table.note(key, step.network, step.most, minute);
            if seen.counts {
                model.insert((key, step.network), minute);
            }
            let live = model.keys().filter(|(other, _)| *other == key).count();
            prop_assert!(usize::from(seen.networks) <= live.max(usize::from(step.most)));
            prop_assert!(seen.counts || seen.crowded || seen.networks >= step.most);
            prop_assert!(usize::from(table.count(key, minute)) <= live, "{:?}", seen);
        }
    }
}
