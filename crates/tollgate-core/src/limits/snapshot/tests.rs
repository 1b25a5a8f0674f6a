use super::saving::put;
use super::*;
use crate::limits::fixtures::*;
use crate::limits::{Ask, Group, Period, Quota, Refused, TextRates};
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;

const BOOT: BootId = [7; 16];
const RATES: TextRates = TextRates([65_536; crate::limits::learned::FEATURES]);
const OTHER_BOOT: BootId = [8; 16];

/// The limits of one client, so that each kind of word is in use.
fn asks(zone: &Zone<'_>, client: &str) -> [Ask; 4] {
    let key = zone.client_key(client);
    [
        tokens(zone, key, "60/m", 200),
        requests(zone, key, "1000r/d"),
        money(key, "5/month", 2_000_000_000),
        requests(zone, rule_key(zone, "per_address", client.as_bytes()), "10r/h"),
    ]
}

fn stand(zone: &Zone<'_>, now: Now) -> [u64; 4] {
    asks(zone, "acme").map(|ask| left(zone, &ask, now))
}

/// A state file in which `acme` is deep in debt, and has used some of everything.
fn file() -> Vec<u8> {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    reserve(&zone, &mut asks(&zone, "acme"), START).unwrap();
    let output = crate::limits::Output { tokens: 9_000, is_whole: true };
    let of = zone.learned_keys(("pro", "llama"), Group::Clients, zone.author(b"acme"));
    zone.learn_output(&of, output, 1_024, START.mono);
    let text = [10; crate::limits::learned::FEATURES];
    zone.learn_input(&of, (&text, 300), &RATES, START.mono);
    zone.save(START, BOOT)
}

#[test]
fn what_was_used_survives_a_restart() {
    let file = file();
    let snapshot = Snapshot::read(&file).unwrap();
    let words = memory(8);
    let (zone, restored) = snapshot.format(&words, START, BOOT).unwrap();
    assert_eq!(restored, Restored { kept: 2, ..Restored::default() });
    assert_eq!(stand(&zone, START), [0, 999, 3_000_000_000, 9]);
    let of = zone.learned_keys(("pro", "llama"), Group::Clients, zone.author(b"acme"));
    let guess = zone.guess_output(&of, 1_024, START.mono);
    assert!(guess.own > 2_000, "{guess:?}");
    let rates = zone.text_rates(&of, &RATES, START.mono);
    assert!(rates.is_some_and(|rates| rates != RATES));
    // 140 of debt, and one more.
    let one = tokens(&zone, zone.client_key("acme"), "60/m", 1);
    let Err(Refused::Exceeded(exceeded)) = reserve(&zone, &mut [one], START) else { panic!() };
    assert!(exceeded.wait_nanos.abs_diff(141 * SECOND) < 256);
    // Others are as they were: unused.
    assert_eq!(asks(&zone, "other").map(|ask| left(&zone, &ask, START))[1], 1_000);
}

#[test]
fn a_changed_rate_is_still_converted_after_a_restart() {
    let file = file();
    let words = memory(8);
    let (zone, _) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    let raised = requests(&zone, zone.client_key("acme"), "2000r/d");
    assert_eq!(left(&zone, &raised, START), 1_999);
}

#[test]
fn requests_in_flight_end_with_their_processes() {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    let (mut holder, key) = (holder(&zone), zone.client_key("acme"));
    let mut both = [places(key, 3), requests(&zone, key, "10r/h")];
    let seats = enter(&zone, &mut holder, &mut both, START).unwrap();
    let file = zone.save(START, BOOT);
    seats.into_iter().for_each(|seat| zone.release(seat, &mut holder));
    let words = memory(8);
    let (zone, _) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    assert_eq!(both.map(|ask| left(&zone, &ask, START)), [3, 9]);
}

#[test]
fn what_is_idle_is_not_written() {
    let words = memory(64);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    let empty = zone.save(START, BOOT);
    for n in 0..100 {
        let mut asks = asks(&zone, &format!("c{n}"));
        reserve(&zone, &mut asks[1..], START).unwrap();
        zone.give_back(&asks[1..], START);
    }
    let idle = zone.save(after(SECOND), BOOT);
    // Three rates have been entered.
    assert_eq!(idle.len(), empty.len() + 3 * 8);
    let snapshot = Snapshot::read(&idle).unwrap();
    let restored = snapshot.format(&words, START, BOOT).unwrap().1;
    assert_eq!(restored, Restored::default());
}

/// What is left of the 10r/h of an address after `now`, with the boot id then.
fn hourly(mono: u64, wall: i64, boot: BootId) -> u64 {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    let key = zone.client_key("acme");
    for _ in 0..10 {
        reserve(&zone, &mut [requests(&zone, key, "10r/h")], START).unwrap();
    }
    let file = zone.save(START, BOOT);
    let now = Now { mono: MonoNanos(mono), wall: UnixSeconds(START.wall.0 + wall) };
    let words = memory(8);
    let (zone, _) = Snapshot::read(&file).unwrap().format(&words, now, boot).unwrap();
    let ask = requests(&zone, key, "10r/h");
    let remaining = left(&zone, &ask, now);
    // Whatever the clocks did: nobody is locked for longer than a refill (and a tick).
    let hour = Now { mono: MonoNanos(mono + 3_600 * SECOND + 128), ..now };
    assert_eq!(left(&zone, &ask, hour), 10);
    remaining
}

#[test]
fn the_time_between_is_that_of_the_monotonic_clock_or_after_a_reboot_of_the_wall_clock() {
    let (then, day) = (START.mono.0, 86_400);
    // The same boot: the wall clock may say what it likes.
    for wall in [-day, 0, day] {
        assert_eq!(hourly(then + 1_801 * SECOND, wall, BOOT), 5);
        assert_eq!(hourly(then, wall, BOOT), 0);
    }
    // Another boot, with a small uptime or a large one.
    for mono in [0, 5 * SECOND, then, 10 * then] {
        assert_eq!(hourly(mono, 1_802, OTHER_BOOT), 5);
        assert_eq!(hourly(mono, day, OTHER_BOOT), 10);
        assert_eq!(hourly(mono, 0, OTHER_BOOT), 0);
        // A wall clock that was set back gives nothing for free.
        assert_eq!(hourly(mono, -day, OTHER_BOOT), 0);
    }
}

#[test]
fn a_boot_id_that_is_not_known_is_not_taken_for_the_same() {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    reserve(&zone, &mut asks(&zone, "acme"), START).unwrap();
    let unknown = BootId::default();
    let file = zone.save(START, unknown);
    let later = Now { mono: after(86_400 * SECOND).mono, wall: START.wall };
    let words = memory(8);
    let (zone, _) = Snapshot::read(&file).unwrap().format(&words, later, unknown).unwrap();
    assert_eq!(stand(&zone, later)[0], 0);
}

#[test]
fn a_budget_of_a_period_that_is_over_is_left_behind() {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    let ask = money(zone.client_key("acme"), "5/day", 2_000_000_000);
    reserve(&zone, &mut [ask], START).unwrap();
    let file = zone.save(START, BOOT);
    let snapshot = Snapshot::read(&file).unwrap();
    for (hours, kept, remaining) in [(11, 1, 3_000_000_000), (13, 0, 5_000_000_000)] {
        let now = after(hours * 3_600 * SECOND);
        let words = memory(8);
        let (zone, restored) = snapshot.format(&words, now, OTHER_BOOT).unwrap();
        assert_eq!((restored.kept, left(&zone, &ask, now)), (kept, remaining));
    }
}

#[test]
fn anything_else_than_a_whole_unchanged_file_is_refused() {
    let file = file();
    assert!(Snapshot::read(&file).is_ok());
    for other in [&b""[..], b"{}", b"tgstate\n", &[0; 4096], b"tgstate\nxxxxxxx"] {
        assert_eq!(Snapshot::read(other).unwrap_err(), SnapshotError::Foreign);
    }
    for end in 16..file.len() {
        assert_eq!(Snapshot::read(&file[..end]).unwrap_err(), SnapshotError::Damaged, "{end}");
    }
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 0x20;
        let expected = match at {
            ..8 => SnapshotError::Foreign,
            8..16 => SnapshotError::Version(VERSION ^ 0x20 << (8 * (at - 8))),
            _ => SnapshotError::Damaged,
        };
        assert_eq!(Snapshot::read(&changed).unwrap_err(), expected, "{at}");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert_eq!(Snapshot::read(&longer).unwrap_err(), SnapshotError::Damaged);
    // Half of one and half of another, as a writer that doesn't replace whole files would leave it.
    let mixed = [&file[..file.len() / 2], &file[file.len() / 2 - 8..]].concat();
    assert_eq!(Snapshot::read(&mixed).unwrap_err(), SnapshotError::Damaged);
}

/// The file with one word changed, and a checksum that fits.
fn forged(file: &[u8], at: usize, word: u64) -> Vec<u8> {
    let mut file = file[..file.len() - CHECKSUM_LEN].to_vec();
    file[at..at + 8].copy_from_slice(&word.to_le_bytes());
    let checksum = Sha256::digest(&file);
    file.extend_from_slice(&checksum);
    file
}

#[test]
fn a_checksum_alone_does_not_make_a_file_sound() {
    let file = file();
    let counts = file.len() - TAIL_LEN;
    for (at, word) in [
        (HEAD_LEN, u64::MAX),
        (HEAD_LEN, 1 << 32 << 4),
        (HEAD_LEN + 24, u64::MAX),
        (counts, 3),
        (counts + 8, u64::MAX),
        (counts + 8, 0),
        (counts + 16, u64::MAX / 16),
        (counts + 24, u64::MAX / 16),
        (counts + 40, 0),
    ] {
        let forged = forged(&file, at, word);
        assert_eq!(Snapshot::read(&forged).unwrap_err(), SnapshotError::Damaged, "{at} {word}");
    }
    let same = forged(&file, 16, 1);
    assert!(Snapshot::read(&same).is_ok());
}

/// A zone that is full to the last slot, where client `n` has used `n + 1` tokens.
fn full_zone(words: &[AtomicU64]) -> (Zone<'_>, Vec<u32>) {
    let zone = Zone::format(words, (5, 6)).unwrap();
    let ask = |n: u32| tokens(&zone, zone.client_key(&format!("c{n}")), "1000/d", n + 1);
    let used = (0..900).filter(|n| reserve(&zone, &mut [ask(*n)], START).is_ok()).collect();
    (zone, used)
}

#[test]
fn a_zone_of_the_same_size_takes_everything_even_when_it_is_full() {
    let words = memory(32);
    let (zone, used) = full_zone(&words);
    assert_eq!(used.len(), zone.capacity(Area::Clients));
    let file = zone.save(START, BOOT);
    let words = memory(32);
    let (zone, restored) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    assert_eq!(restored, Restored { kept: used.len(), left_out: 0, outdated: 0 });
    for n in used {
        let ask = tokens(&zone, zone.client_key(&format!("c{n}")), "1000/d", 1);
        assert_eq!(left(&zone, &ask, START), u64::from(1_000 - (n + 1)));
    }
}

#[test]
fn a_smaller_zone_keeps_those_that_are_furthest_from_being_unused() {
    let words = memory(32);
    let (zone, used) = full_zone(&words);
    let file = zone.save(START, BOOT);
    let words = memory(16);
    let (zone, restored) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    assert_eq!(restored.kept + restored.left_out, used.len());
    assert!(restored.kept * 100 >= zone.capacity(Area::Clients) * 90, "{restored:?}");
    let is_kept = |n: &&u32| {
        let ask = tokens(&zone, zone.client_key(&format!("c{n}")), "1000/d", 1);
        left(&zone, &ask, START) < 1_000
    };
    let (low, high) = used.split_at(used.len() / 2);
    let (low, high) = (low.iter().filter(is_kept).count(), high.iter().filter(is_kept).count());
    assert!(high > 4 * low, "{high} of the upper half, {low} of the lower");
    // And a larger one keeps all.
    let words = memory(128);
    let (_, restored) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    assert_eq!(restored.left_out, 0);
}

#[test]
fn a_file_that_was_written_in_steps_while_others_used_the_zone_is_whole() {
    let words = memory(64);
    let zone = Zone::format(&words, (5, 6)).unwrap();
    let (lock, done) = (lock(), AtomicBool::new(false));
    // Never idle, and only ever used more.
    let steady = |n: u32| tokens(&zone, zone.client_key(&format!("steady{n}")), "1000000/d", 1);
    (0..50).for_each(|n| drop(reserve(&zone, &mut [steady(n)], START).unwrap()));
    let file = std::thread::scope(|scope| {
        for thread in 0..2 {
            let (zone, lock, done, steady) = (&zone, &lock, &done, &steady);
            scope.spawn(move || {
                let (mut standings, mut seats) = (Vec::new(), Vec::new());
                let mut n = 0u32;
                while !done.load(Ordering::Relaxed) {
                    n = n.wrapping_add(1);
                    // Clients that come and go make slots change hands.
                    let key = zone.client_key(&format!("{thread} {n}"));
                    let now = after(u64::from(n) * 10_000);
                    let fleeting = requests(zone, key, "1000000r/s");
                    for ask in [fleeting, steady(n % 50)] {
                        let _ =
                            zone.reserve(&mut [ask], now, lock, None, &mut standings, &mut seats);
                    }
                }
            });
        }
        let mut out = Vec::new();
        for _ in 0..20 {
            out.clear();
            let mut saving = Saving::new(zone, START, BOOT, &mut out);
            while !saving.step(START, 3, &mut out) {}
            saving.finish(START, &mut out);
            assert!(Snapshot::read(&out).is_ok());
        }
        done.store(true, Ordering::Relaxed);
        out
    });
    let words = memory(64);
    let (copy, _) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    for n in 0..50 {
        let saved = left(&copy, &steady(n), START);
        assert!(saved < 1_000_000 && saved >= left(&zone, &steady(n), START), "{n}: {saved}");
    }
}

#[test]
fn a_state_file_is_small() {
    let words = memory(32);
    let (zone, used) = full_zone(&words);
    let per_client = zone.save(START, BOOT).len() / used.len();
    assert!(per_client <= 40, "{per_client}");
}

#[test]
fn every_error_says_what_to_do() {
    for error in [SnapshotError::Foreign, SnapshotError::Version(9), SnapshotError::Damaged] {
        let text = error.to_string();
        assert!(text.contains("; ") && !text.ends_with('.'), "{text}");
    }
}

#[test]
fn words_of_every_rate_keep_their_index() {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    // More rates than the table holds: the last ones are in plain ticks.
    for count in 1..1_100 {
        let _ = zone.scale(Quota::new(count, Period::Hour, count).unwrap());
    }
    let plain = tokens(&zone, zone.client_key("plain"), "77/m", 50);
    let exact = tokens(&zone, zone.client_key("exact"), "900/h", 50);
    reserve(&zone, &mut [plain, exact], START).unwrap();
    let file = zone.save(START, BOOT);
    let words = memory(8);
    let (copy, _) = Snapshot::read(&file).unwrap().format(&words, START, BOOT).unwrap();
    for ask in [plain, exact] {
        assert_eq!(left(&copy, &ask, START), left(&zone, &ask, START));
    }
}

proptest! {
    /// After a restart, everything stands as if there had been none; rounding the clock may cost a
    /// tick of 64 to 128 ns, and so one token.
    #[test]
    fn a_restart_changes_nothing(
        used in proptest::collection::vec((0u32..40, 1u32..2_000, 0usize..3, 0u64..1_000_000_000), 1..60),
        downtime in 0u64..200_000_000_000,
    ) {
        let words = memory(32);
        let zone = Zone::format(&words, (5, 6)).unwrap();
        let quotas = ["1000/m", "77/h", "3000000/d"];
        let ask = |client: u32, quota: usize, n: u32| {
            tokens(&zone, zone.client_key(&format!("c{client}")), quotas[quota], n)
        };
        let cents = |client: u32, n: u32| {
            money(zone.client_key(&format!("c{client}")), "1/day", u64::from(n))
        };
        let mut time = 0;
        for (client, n, quota, step) in &used {
            time += step;
            let _ = reserve(&zone, &mut [ask(*client, *quota, *n)], after(time));
            let _ = reserve(&zone, &mut [cents(*client, *n)], after(time));
        }
        let file = zone.save(after(time), BOOT);
        let now = after(time + downtime);
        let words = memory(32);
        let (copy, _) = Snapshot::read(&file).unwrap().format(&words, now, BOOT).unwrap();
        for (client, n, quota, _) in used {
            let (before, after) =
                (left(&zone, &ask(client, quota, 1), now), left(&copy, &ask(client, quota, 1), now));
            prop_assert!(after <= before && after + 1 >= before, "{} {}", before, after);
            prop_assert_eq!(left(&zone, &cents(client, n), now), left(&copy, &cents(client, n), now));
        }
        // It can be saved again, and is the same.
        let again = copy.save(now, BOOT);
        prop_assert!(Snapshot::read(&again).is_ok());
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise(bytes: Vec<u8>, at in 0usize..400, word: u64) {
        let _ = Snapshot::read(&bytes);
        let _ = Snapshot::read(&[&MAGIC[..], &VERSION.to_le_bytes(), &bytes].concat());
        // Also with a checksum that fits.
        let file = file();
        let at = at.min(file.len() - CHECKSUM_LEN - 8);
        if at >= 16 {
            let forged = forged(&file, at, word);
            if let Ok(snapshot) = Snapshot::read(&forged) {
                let words = memory(6);
                let (zone, _) = snapshot.format(&words, START, BOOT).unwrap();
                let _ = stand(&zone, START);
            }
        }
    }
}

/// A file of the version before: one bit of area, and one table of what was learned.
fn old_file(slots: &[(u64, u64)]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    put(&mut file, OLD_VERSION);
    file.extend_from_slice(&BOOT);
    for word in [START.mono.0, u64::from_le_bytes(START.wall.0.to_le_bytes()), 3, 4] {
        put(&mut file, word);
    }
    for (area, low) in slots {
        // The first word of each slot follows: plain ticks of 64 ns, half an hour of them.
        for word in [area << 63 | 1 << 32, *low, 7, (1_800 * SECOND / 64) << 10] {
            put(&mut file, word);
        }
    }
    // A learned output.
    [5, 6].into_iter().for_each(|word| put(&mut file, word));
    [slots.len() as u64, 0, 1].into_iter().for_each(|count| put(&mut file, count));
    let length = (file.len() + 8 + CHECKSUM_LEN) as u64;
    put(&mut file, length);
    let checksum = Sha256::digest(&file);
    file.extend_from_slice(&checksum);
    file
}

#[test]
fn of_a_file_of_the_version_before_the_clients_are_taken_over() {
    let words = memory(8);
    let zone = Zone::format(&words, (3, 4)).unwrap();
    let client = zone.client_key("acme");
    let file = old_file(&[(0, client.low), (1, 99)]);
    let snapshot = Snapshot::read(&file).unwrap();
    let words = memory(8);
    let (_, restored) = snapshot.format(&words, START, BOOT).unwrap();
    assert_eq!(restored, Restored { kept: 1, left_out: 0, outdated: 1 });
    let mut changed = file.clone();
    changed[40] ^= 1;
    assert_eq!(Snapshot::read(&changed).unwrap_err(), SnapshotError::Damaged);
}
