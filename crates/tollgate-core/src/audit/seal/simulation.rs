//! Workers that write a sealed log, and what happens to them: for tests.

use std::collections::VecDeque;
use std::sync::atomic::AtomicU64;

use zeroize::Zeroizing;

use super::dice::Dice;
use super::*;
use crate::clock::UnixMillis;
use crate::limits::{ClaimLock, Process};

struct NoLock;

impl ClaimLock for NoLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

struct Worker {
    sealer: Sealer,
    me: Process,
    lines: Vec<u8>,
    /// A part of the first line was written, and the file was as long then; whether that was all but its line feed.
    torn: Option<(usize, bool)>,
    /// Where the seals end.
    seals: VecDeque<usize>,
    has_open: bool,
    file: usize,
    is_old: bool,
}

/// A machine with an nginx on it.
pub(super) struct Machine {
    pub(super) dice: Dice,
    key: SealingKey,
    verifying: Vec<u8>,
    signer: Signer,
    words: Vec<AtomicU64>,
    heads: Vec<u8>,
    boot: [u8; 16],
    workers: Vec<Worker>,
    /// The oldest first.
    pub(super) files: Vec<Vec<u8>>,
    now_ms: u64,
    next_pid: u32,
    lines: u64,
    ticked_ms: u64,
    /// Bytes that the disk still takes.
    room: Option<usize>,
    pub(super) is_crashing: bool,
    /// Disks have room, and nobody is killed in the middle of a write.
    pub(super) is_orderly: bool,
    /// Nobody ends, or is killed, while something waits for room on the disk.
    pub(super) is_patient: bool,
}

const CAPACITY: usize = 2048;

impl Machine {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let random = Zeroizing::new(std::array::from_fn(|_| u8::try_from(dice.roll(256)).unwrap()));
        let (key, verifying) = generate(&random, 1_767_225_600).unwrap();
        let signer = key.signer().unwrap();
        let mut machine = Self {
            dice,
            key,
            verifying: verifying.to_file().to_vec(),
            signer,
            words: Vec::new(),
            heads: Vec::new(),
            boot: [1; 16],
            workers: Vec::new(),
            files: vec![Vec::new()],
            now_ms: 1_767_225_600_000,
            next_pid: 100,
            lines: 0,
            ticked_ms: 0,
            room: None,
            is_crashing: false,
            is_orderly: false,
            is_patient: false,
        };
        machine.start(2);
        machine
    }

    pub(super) fn key(&self) -> VerifyingKey {
        VerifyingKey::parse(&self.verifying).unwrap()
    }

    /// nginx stops, somebody makes a new pair of keys, begins a new log and starts nginx again. What was beside the old
    /// key is left there.
    pub(super) fn renew(&mut self) {
        self.stop();
        let random = Zeroizing::new([7; 104]);
        let since = self.stamp().time.0 / 1000;
        let (key, verifying) = generate(&random, since).unwrap();
        self.signer = key.signer().unwrap();
        self.verifying = verifying.to_file().to_vec();
        self.key = key;
        self.files = vec![Vec::new()];
        self.start(2);
    }

    fn stamp(&self) -> Stamp {
        let time = i64::try_from(self.now_ms).unwrap();
        Stamp { time: UnixMillis(time), up_ms: self.now_ms - 1_767_000_000_000 }
    }

    fn seals(&self) -> Seals<'_> {
        Seals::attach(&self.words).unwrap()
    }

    /// nginx starts.
    fn start(&mut self, workers: usize) {
        // As a file: the key is read anew each time.
        let mut key = SealingKey::parse(&self.key.to_file()).unwrap();
        let generation = key.begin(self.stamp().time).unwrap();
        self.key = key;
        // A small part of it has room for all chains of a test.
        self.words = (0..SEALS_BYTES / 256).map(|_| AtomicU64::new(0)).collect();
        let before = (!self.heads.is_empty()).then_some(self.heads.as_slice());
        Seals::format(&self.words, &generation, self.boot, before).unwrap();
        self.heads = self.seals().to_file();
        (0..workers).for_each(|_| self.spawn());
    }

    /// The clock goes on, in memory and in the file of the key.
    fn go_on(&mut self) {
        let Some(clock) = self.seals().go_on(&NoLock, self.stamp().time) else { return };
        let mut file = self.key.to_file();
        file[CLOCK_AT..].copy_from_slice(&clock);
        self.key = SealingKey::parse(&file).unwrap();
    }

    pub(super) fn spawn(&mut self) {
        self.next_pid += 1;
        let me = Process { pid: self.next_pid, started: 1 };
        let seals = self.seals();
        seals.go_on(&NoLock, self.stamp().time);
        let mut sealer = Sealer::begin(&seals, &NoLock, me, self.key.id().clone()).unwrap();
        let (offset, bytes) = seals.slot_to_file(sealer.slot());
        let offset = usize::try_from(offset).unwrap();
        let file = self.files.len() - 1;
        sealer.opened(&seals, &NoLock, 1, file as u64);
        let opening = sealer.opening(&seals, self.stamp(), &self.signer);
        let worker = Worker {
            sealer,
            me,
            lines: Vec::new(),
            torn: None,
            seals: VecDeque::new(),
            has_open: false,
            file,
            is_old: false,
        };
        self.heads[offset..offset + SLOT_BYTES].copy_from_slice(&bytes);
        self.workers.push(worker);
        let at = self.workers.len() - 1;
        assert!(self.add(at, &opening));
        self.flush(at, false, false);
    }

    fn add(&mut self, at: usize, line: &[u8]) -> bool {
        if self.workers[at].lines.len() >= CAPACITY {
            self.flush(at, false, false);
        }
        let words = std::mem::take(&mut self.words);
        let seals = Seals::attach(&words).unwrap();
        let worker = &mut self.workers[at];
        let is_taken = worker.lines.len() < CAPACITY;
        if is_taken {
            let start = worker.lines.len();
            worker.lines.extend_from_slice(line);
            assert!(!worker.sealer.add(&seals, &mut worker.lines, start));
            worker.has_open = true;
        } else {
            worker.sealer.lose(&seals, 1);
        }
        self.words = words;
        is_taken
    }

    pub(super) fn request(&mut self, at: usize) {
        self.lines += 1;
        let mut line = b"{\"time\":\"".to_vec();
        crate::audit::TimeFormat::default().write(self.stamp().time, &mut line);
        let width = usize::try_from(self.dice.roll(60)).unwrap();
        let odd =
            ["", "{\\\"time\\\":\\\"x", "\\u2028"][usize::try_from(self.dice.roll(3)).unwrap()];
        let number = self.lines;
        line.extend_from_slice(
            format!(
                "\",\"number\":{number},\"path\":\"{}{odd}\",\"m\":{{\"time\":\"x\"}}}}\n",
                "x".repeat(width)
            )
            .as_bytes(),
        );
        self.add(at, &line);
    }

    /// The lines that wait are sealed and written; `with_nothing`: also where there are none.
    fn flush(&mut self, at: usize, with_nothing: bool, is_end: bool) {
        let words = std::mem::take(&mut self.words);
        let seals = Seals::attach(&words).unwrap();
        let stamp = self.stamp();
        let worker = &mut self.workers[at];
        let is_idle = with_nothing && worker.lines.is_empty();
        let is_due = worker.has_open || is_end || worker.sealer.owes_seal() || is_idle;
        if is_due {
            worker.sealer.close(
                &seals,
                &mut worker.lines,
                &Closing { stamp, in_pieces: false, is_end },
            );
            worker.seals.push_back(worker.lines.len());
            worker.has_open = false;
        }
        let file = &mut self.files[worker.file];
        // The line that was begun is written again from its start, in a line of its own if nobody has written
        // behind it, unless all that it lacks is its line feed.
        let mine = worker.torn.filter(|(len, _)| file.len() == *len);
        let mut whole = 0;
        if mine.is_none() || self.room != Some(0) {
            worker.torn = None;
            let mut rest = 0;
            if let Some((_, lacks_line_feed)) = mine {
                file.push(b'\n');
                self.room = self.room.map(|room| room - 1);
                if lacks_line_feed {
                    rest = 1 + worker.lines.iter().position(|byte| *byte == b'\n').unwrap();
                }
            }
            let bytes = &worker.lines[rest..];
            let len = self.room.map_or(bytes.len(), |room| room.min(bytes.len()));
            file.extend_from_slice(&bytes[..len]);
            self.room = self.room.map(|room| room - len);
            if len > 0 && len < bytes.len() {
                worker.sealer.torn();
            }
            whole = bytes[..len].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            if whole < len {
                worker.torn = Some((file.len(), bytes[len] == b'\n'));
            }
            whole += rest;
        }
        let sealed = worker.seals.iter().filter(|end| **end <= whole).count();
        worker.seals.drain(..sealed);
        worker.seals.iter_mut().for_each(|end| *end -= whole);
        worker.lines.drain(..whole);
        let is_more = worker.sealer.written(&seals, sealed);
        if is_more {
            self.heads = seals.to_file();
        } else if sealed > 0 {
            let (offset, bytes) = seals.slot_to_file(worker.sealer.slot());
            let offset = usize::try_from(offset).unwrap();
            self.heads[offset..offset + SLOT_BYTES].copy_from_slice(&bytes);
        }
        self.words = words;
    }

    /// What a worker does every ten seconds.
    fn tick(&mut self, at: usize) {
        let words = std::mem::take(&mut self.words);
        let seals = Seals::attach(&words).unwrap();
        let alive: Vec<_> = self.workers.iter().map(|worker| worker.me).collect();
        let stamp = self.stamp();
        let worker = &mut self.workers[at];
        let me = worker.me;
        let is_alive = |other: Process| alive.contains(&other);
        let line = worker.sealer.manifest(&seals, stamp, &self.signer, me, is_alive);
        self.words = words;
        if let Some(line) = line {
            if !self.add(at, &line) {
                let words = std::mem::take(&mut self.words);
                let seals = Seals::attach(&words).unwrap();
                self.workers[at].sealer.give_up_manifest(&seals);
                self.words = words;
            }
        }
        self.flush(at, true, false);
    }

    fn reopen(&mut self, at: usize) {
        let newest = self.files.len() - 1;
        if self.workers[at].file == newest {
            return;
        }
        self.flush(at, false, false);
        let words = std::mem::take(&mut self.words);
        let seals = Seals::attach(&words).unwrap();
        let worker = &mut self.workers[at];
        worker.file = newest;
        worker.torn = None;
        worker.sealer.opened(&seals, &NoLock, 1, newest as u64);
        self.words = words;
    }

    pub(super) fn end(&mut self, at: usize) {
        self.flush(at, false, true);
        self.workers.remove(at);
    }

    pub(super) fn kill(&mut self, at: usize) {
        // Maybe in the middle of a write.
        if self.dice.is_one_in(3) && self.room.is_none() && !self.is_orderly {
            for _ in 0..self.dice.roll(4) {
                self.request(at);
            }
            self.room = Some(usize::try_from(self.dice.roll(600)).unwrap());
            self.flush(at, false, false);
            self.room = None;
        }
        self.workers.remove(at);
    }

    fn some_worker(&mut self) -> Option<usize> {
        let count = self.workers.len() as u64;
        (count > 0).then(|| usize::try_from(self.dice.roll(count)).unwrap())
    }

    /// Something happens.
    pub(super) fn step(&mut self) {
        self.now_ms += self.dice.roll(900);
        if self.now_ms - self.ticked_ms >= INTERVAL_MS {
            self.everybody_ticks();
        }
        let Some(at) = self.some_worker() else {
            self.start(2);
            return;
        };
        let is_full =
            self.room.is_some() || self.workers.iter().any(|worker| !worker.lines.is_empty());
        match self.dice.roll(100) {
            89..=90 | 93..=95 | 99.. if self.is_patient && is_full => {}
            0..=59 => self.request(at),
            60..=74 => self.flush(at, false, false),
            75..=79 => self.everybody_ticks(),
            80..=83 => {
                if self.workers.iter().all(|worker| worker.file == self.files.len() - 1) {
                    self.files.push(Vec::new());
                }
            }
            84..=88 => self.reopen(at),
            89..=90 => {
                self.kill(at);
                self.spawn();
            }
            91..=92 => {
                self.workers.iter_mut().for_each(|worker| worker.is_old = true);
                (0..1 + self.dice.roll(2)).for_each(|_| self.spawn());
            }
            93..=95 => {
                if self.workers[at].is_old {
                    self.end(at);
                }
            }
            96 if self.is_orderly => {}
            96 => {
                self.room = Some(usize::try_from(self.dice.roll(500)).unwrap());
                // All of them try again each second.
                self.everybody_ticks();
            }
            97 => self.have_room(None),
            98 => self.stop(),
            _ if self.dice.is_one_in(3) => {
                // All of nginx is killed, and maybe the machine with it.
                while !self.workers.is_empty() {
                    self.kill(0);
                }
                if self.is_crashing {
                    self.boot[0] = self.boot[0].wrapping_add(1);
                    let file = self.files.last_mut().unwrap();
                    let lost = usize::try_from(self.dice.roll(1500)).unwrap();
                    file.truncate(file.len().saturating_sub(lost));
                }
            }
            _ => self.everybody_ticks(),
        }
    }

    /// The disk has room again: for all, or for so many bytes.
    pub(super) fn have_room(&mut self, room: Option<usize>) {
        self.room = room;
        self.everybody_ticks();
    }

    /// Time goes by, in milliseconds.
    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.everybody_ticks();
    }

    /// The machine crashes, when so many bytes of the newest file were on its disk, and nginx starts again.
    pub(super) fn crash(&mut self, on_disk: usize) {
        self.workers.clear();
        self.boot[0] = self.boot[0].wrapping_add(1);
        self.files.last_mut().unwrap().truncate(on_disk);
        self.start(2);
        self.everybody_ticks();
    }

    /// nginx ends.
    pub(super) fn stop(&mut self) {
        self.room = None;
        while !self.workers.is_empty() {
            self.end(0);
        }
    }

    pub(super) fn everybody_ticks(&mut self) {
        self.now_ms += self.dice.roll(3000);
        self.ticked_ms = self.now_ms;
        self.go_on();
        for at in 0..self.workers.len() {
            self.reopen(at);
            self.tick(at);
        }
    }

    /// The newest seals.
    pub(super) fn heads_line(&self) -> String {
        let mut latest = LatestHeads::default();
        let lines = self.files.iter().flat_map(|file| file.split(|byte| *byte == b'\n'));
        lines.for_each(|line| latest.read(line));
        latest.take_line().unwrap()
    }

    /// What a verifier says of these files, the oldest first.
    pub(super) fn verify(&self, files: &[Vec<u8>], heads: &[String]) -> Report {
        let mut verifier = Verifier::new(self.key());
        for line in heads {
            verifier.heads(HeadsLine::parse(line.as_bytes()).unwrap());
        }
        for file in files {
            verifier.begin_file();
            let mut lines: Vec<_> = file.split(|byte| *byte == b'\n').collect();
            if lines.last().is_some_and(|line| line.is_empty()) {
                lines.pop();
            }
            for (at, line) in lines.iter().enumerate() {
                verifier.line(at as u64 + 1, Some(line));
            }
        }
        verifier.finish()
    }
}
