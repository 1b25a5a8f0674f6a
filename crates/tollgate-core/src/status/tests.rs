use std::io;

use super::*;
use proptest::prelude::*;

const NOW: i64 = 1_767_225_600_000;

fn description(sets: usize) -> Description {
    let set = |number| SetDescription {
        kind: SetKind::ApiKeys,
        paths: vec![format!("/etc/nginx/keys-{number}.json")],
    };
    Description {
        version: "0.1.0".to_owned(),
        since_ms: NOW,
        tiers: vec!["free".to_owned(), "pro".to_owned()],
        sets: (0..sets).map(set).collect(),
    }
}

/// A file, and how it is written to.
struct File {
    board: Board,
    bytes: Vec<u8>,
}

impl File {
    fn new(sets: usize, workers: usize) -> Self {
        let (board, bytes) = Board::new(&description(sets), workers);
        Self { board, bytes }
    }

    fn write(&mut self, part: &Part) {
        let at = usize::try_from(part.at).unwrap();
        self.bytes[at..at + part.bytes.len()].copy_from_slice(&part.bytes);
    }

    fn set(&self, set: usize) -> (u64, Option<SetState>) {
        let (at, len) = self.board.set(set).unwrap();
        Board::read_set(&self.bytes[at..at + len])
    }

    fn set_state(&mut self, set: usize, state: &SetState) {
        let (turn, _) = self.set(set);
        for part in self.board.set_parts(set, turn, state).unwrap() {
            self.write(&part);
        }
    }

    fn worker(&mut self, index: usize, phase: Phase, beat_ms: i64, generations: &[u64]) {
        self.signing(index, phase, Sign::Beat(beat_ms), generations);
    }

    fn signing(&mut self, index: usize, phase: Phase, sign: Sign, generations: &[u64]) {
        let pid = 100 + u32::try_from(index).unwrap();
        let worker = Worker { pid, phase, sign, generations: generations.to_vec() };
        let part = self.board.worker_part(index, &worker).unwrap();
        self.write(&part);
    }

    fn read(&self) -> Status {
        self.read_while(&[])
    }

    /// What it says while those workers hold their locks.
    fn read_while(&self, locking: &[usize]) -> Status {
        let is_locked = |at, len| {
            locking.iter().any(|worker| self.board.worker_lock(*worker) == Some((at, len)))
        };
        read(&self.bytes, is_locked).unwrap()
    }
}

fn read(file: &[u8], is_locked: impl Fn(u64, u64) -> bool) -> Option<Status> {
    Status::look(|| Ok(file.to_vec()), |at, len| Ok(is_locked(at, len))).unwrap()
}

fn state(generation: u64) -> SetState {
    SetState {
        generation,
        since_ms: NOW,
        digests: vec![digest(b"test")],
        keys: 3,
        version: "acme-1".to_owned(),
        refused: vec!["key \"k_1\": field \"tier\" names the tier \"prro\"".to_owned()],
        refused_count: 1,
        warnings: Vec::new(),
        failure: None,
    }
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut file = File::new(2, 3);
    file.set_state(0, &state(7));
    for worker in 0..3 {
        file.worker(worker, Phase::Running, NOW, &[7, 0]);
    }
    let status = file.read();
    assert_eq!(status.description, description(2));
    assert_eq!(status.sets, [Some(state(7)), None]);
    assert_eq!((file.set(0), file.set(1)), ((1, Some(state(7))), (0, None)));
    assert_eq!((status.workers[2].pid, status.workers[2].phase), (102, Phase::Running));
    assert_eq!((status.following(0, NOW), status.following(1, NOW)), (3, 0));
    assert!(status.is_alive(NOW));
}

#[test]
fn only_workers_that_take_requests_and_are_alive_count() {
    let mut file = File::new(1, 4);
    file.set_state(0, &state(2));
    assert_eq!(file.read().following(0, NOW), 0);
    (0..4).for_each(|worker| file.worker(worker, Phase::Running, NOW, &[0]));
    assert_eq!(file.read().following(0, NOW), 0, "they have begun, and use nothing yet");
    (0..4).for_each(|worker| file.worker(worker, Phase::Running, NOW, &[2]));
    assert_eq!(file.read().following(0, NOW), 4);
    file.worker(0, Phase::Running, NOW, &[1]);
    file.worker(1, Phase::Exiting, NOW, &[2]);
    file.worker(2, Phase::Running, NOW - WORKER_SILENCE_MS - 1, &[2]);
    assert_eq!(file.read().following(0, NOW), 1);
    file.set_state(0, &state(3));
    assert_eq!(file.read().following(0, NOW), 0);
}

#[test]
fn file_of_an_nginx_that_is_gone_is_not_alive() {
    let mut file = File::new(1, 1);
    let is_alive = |file: &File, now| file.read().is_alive(now);
    assert!(is_alive(&file, NOW + 1000));
    assert!(!is_alive(&file, NOW + WORKER_SILENCE_MS + 1), "nobody ever came");
    file.worker(0, Phase::Running, NOW + 60_000, &[0]);
    assert!(is_alive(&file, NOW + 61_000) && !is_alive(&file, NOW + 70_000));
    file.worker(0, Phase::Exiting, NOW + 60_000, &[0]);
    assert!(is_alive(&file, NOW + 61_000), "it ends, and is there");
    file.worker(0, Phase::Gone, NOW + 60_000, &[0]);
    assert!(!is_alive(&file, NOW + 61_000));
}

#[test]
fn worker_that_locks_its_part_is_there_until_the_lock_is_free() {
    let mut file = File::new(1, 3);
    file.set_state(0, &state(2));
    (0..3).for_each(|worker| file.signing(worker, Phase::Running, Sign::Lock, &[2]));
    let late = NOW + 10 * WORKER_SILENCE_MS;
    for (locking, following) in [(&[0, 1, 2][..], 3), (&[1], 1), (&[2], 1), (&[], 0)] {
        let status = file.read_while(locking);
        assert_eq!(status.following(0, late), following, "{locking:?}");
        assert_eq!(status.is_alive(late), following > 0, "{locking:?}");
        for (index, worker) in status.workers.iter().enumerate() {
            assert_eq!(worker.phase == Phase::Gone, !locking.contains(&index), "{locking:?}");
        }
    }
    file.signing(0, Phase::Exiting, Sign::Lock, &[2]);
    assert!(
        file.read_while(&[0]).is_alive(late) && !file.read_while(&[0]).workers[0].is_serving(late)
    );
    // One that can't is asked for no lock.
    file.worker(0, Phase::Running, late, &[2]);
    assert_eq!(file.read_while(&[1]).following(0, late), 2);
}

#[test]
fn part_that_a_worker_locks_is_its_own() {
    let board = File::new(2, 4).board;
    let locks: Vec<_> = (0..4).map(|worker| board.worker_lock(worker).unwrap()).collect();
    for pair in locks.windows(2) {
        assert!(pair[0].1 > 0 && pair[0].0 + pair[0].1 <= pair[1].0, "{locks:?}");
    }
    assert_eq!(board.worker_lock(4), None);
}

/// A worker is killed, and another one takes its place while the file is read.
#[test]
fn nobody_is_taken_for_the_worker_that_it_replaces() {
    let mut before = File::new(1, 1);
    before.set_state(0, &state(2));
    before.signing(0, Phase::Running, Sign::Lock, &[2]);
    let mut after = File { board: before.board, bytes: before.bytes.clone() };
    after.signing(0, Phase::Running, Sign::Lock, &[0]);
    let mut contents = vec![after.bytes.clone(), after.bytes, before.bytes];
    let status = Status::look(|| Ok(contents.pop().unwrap()), |_, _| Ok(true)).unwrap().unwrap();
    assert_eq!((status.following(0, NOW), status.workers[0].generations.clone()), (0, vec![0]));
    assert!(contents.is_empty());
}

#[test]
fn file_that_changes_all_the_time_is_read_all_the_same() {
    let mut file = File::new(1, 1);
    let mut turn = 0;
    let content = || {
        turn += 1;
        file.worker(0, Phase::Running, NOW + turn, &[0]);
        Ok(file.bytes.clone())
    };
    let status = Status::look(content, |_, _| Ok(true)).unwrap().unwrap();
    assert_eq!(status.workers[0].sign, Sign::Beat(NOW + turn));
}

#[test]
fn lock_that_can_not_be_asked_for_is_an_error() {
    let mut file = File::new(1, 1);
    let content = |file: &File| Ok(file.bytes.clone());
    let none = |_, _| Err(io::Error::from(io::ErrorKind::Unsupported));
    file.worker(0, Phase::Running, NOW, &[0]);
    assert!(Status::look(|| content(&file), none).unwrap().unwrap().is_alive(NOW));
    file.signing(0, Phase::Running, Sign::Lock, &[0]);
    assert!(Status::look(|| content(&file), none).is_err());
}

/// A writer is killed after any byte that it writes.
#[test]
fn killed_writer_leaves_what_was_there_before_or_what_it_wrote() {
    for before in 0..3 {
        let mut file = File::new(1, 1);
        (0..before).for_each(|number| file.set_state(0, &state(number + 1)));
        let (turn, was) = file.set(0);
        let [copy, last] = file.board.set_parts(0, turn, &state(9)).unwrap();
        for end in 0..=copy.bytes.len() {
            let part = Part { at: copy.at, bytes: copy.bytes[..end].to_vec() };
            file.write(&part);
            assert_eq!(file.read().sets[0], was, "{end}");
        }
        file.write(&last);
        assert_eq!(file.read().sets[0], Some(state(9)));
        // The next one is none the worse for it.
        file.set_state(0, &state(10));
        assert_eq!(file.read().sets[0], Some(state(10)));
    }
}

#[test]
fn copy_that_is_being_written_is_not_taken_for_a_whole_one() {
    let mut file = File::new(1, 1);
    file.set_state(0, &state(1));
    let at = file.bytes.windows(4).position(|part| part == b"prro").unwrap();
    file.bytes[at] = b'x';
    assert_eq!(file.read().sets, [None]);
}

#[test]
fn state_that_is_too_long_tells_the_first() {
    let mut file = File::new(1, 1);
    let long: Vec<String> = (0..100).map(|_| message(&"\u{1b}é\"".repeat(500))).collect();
    file.set_state(0, &SetState { refused: long.clone(), refused_count: 100, ..state(4) });
    let read = file.read().sets[0].clone().unwrap();
    assert_eq!((read.generation, read.refused_count), (4, 100));
    assert!(!read.refused.is_empty() && read.refused.len() < 100 && read.refused[0] == long[0]);
    let digests = vec![digest(b"test"); 1000];
    file.set_state(0, &SetState { digests, ..state(5) });
    assert_eq!(file.read().sets[0].as_ref().unwrap().generation, 5);
}

#[test]
fn messages_are_cut_between_characters() {
    assert_eq!(message("short"), "short");
    for text in ["é".repeat(600), "x".repeat(MAX_MESSAGE + 1), "🚪".repeat(400)] {
        let cut = message(&text);
        assert!(cut.len() <= MAX_MESSAGE + 3 && cut.ends_with("...") && cut.len() > 400, "{cut}");
    }
    assert_eq!(message(&"x".repeat(MAX_MESSAGE)), "x".repeat(MAX_MESSAGE));
}

#[test]
fn there_are_no_more_places_than_those_of_the_sets_and_workers() {
    let (board, bytes) = Board::new(&description(3), 2);
    assert!(board.set(2).is_some() && board.set(3).is_none() && board.set(usize::MAX).is_none());
    assert!(board.worker_at(1).is_some() && board.worker_at(2).is_none());
    // The last place ends with the file, or before what it is rounded up to.
    let (at, len) = board.worker_at(1).unwrap();
    assert!(at + len <= bytes.len());
}

#[test]
fn file_that_claims_more_than_it_holds_is_refused() {
    let (_, bytes) = Board::new(&description(3), 2);
    assert!(Board::read(&bytes).is_some());
    assert!(Board::read(&bytes[..bytes.len() - 1]).is_none());
    let at = |number: usize| 8 + 8 * number..16 + 8 * number;
    for number in 0..3 {
        for claim in [bytes.len() as u64 + 1, 1 << 17, 1 << 40, u64::MAX] {
            let mut damaged = bytes.clone();
            damaged[at(number)].copy_from_slice(&claim.to_le_bytes());
            assert!(Board::read(&damaged).is_none(), "{claim} for {number}");
        }
    }
}

#[test]
fn phases_and_digests_are_told_by_their_usual_names() {
    let names = Phase::ALL.map(Phase::as_str);
    assert_eq!(names, ["absent", "running", "exiting", "gone"]);
    assert_eq!(digest(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        prop_assert!(read(&bytes, |_, _| true).is_none());
    }

    #[test]
    fn damaged_file_never_panics(
        damage in prop::collection::vec((0_usize..4096, any::<u8>()), 1..8), cut: prop::sample::Index,
    ) {
        let mut file = File::new(1, 2);
        file.set_state(0, &state(1));
        let mut file = file.bytes;
        for (at, byte) in damage {
            // Mostly where the numbers are.
            let at = if at % 2 == 0 { at % 64 } else { at % file.len() };
            file[at] = byte;
        }
        let len = file.len();
        let _ = read(&file, |_, _| true).map(|status| (status.following(0, NOW), status.is_alive(NOW)));
        file.truncate(cut.index(len));
        prop_assert!(read(&file, |_, _| true).is_none());
    }
}
