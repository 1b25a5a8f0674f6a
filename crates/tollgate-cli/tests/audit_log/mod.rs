//! An audit log, as the module's own code writes it.
#![allow(dead_code, reason = "not every test needs all of it")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use flate2::write::GzEncoder;
use flate2::Compression;
use tollgate_core::audit::{Record, TimeFormat};
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::llm::{Source, Usage};

/// Numbers that are the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Knuth's MMIX.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    pub(crate) fn any<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap();
        &choices[index]
    }
}

pub(crate) fn line(record: &Record<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    record.write_line(&mut TimeFormat::default(), &mut line);
    line
}

pub(crate) const START: i64 = 1_767_600_000_000; // 2026-01-05T08:00:00Z

/// So many lines: requests of all kinds, over some hours.
pub(crate) fn log(seed: u64, lines: u64) -> Vec<u8> {
    let numbers = &mut Numbers(seed);
    let clients: [Option<&[u8]>; 5] =
        [Some(b"acme"), Some(b"globex"), Some("\u{e9}\u{1f6aa}".as_bytes()), Some(b"=1+1"), None];
    let mut text = Vec::new();
    for number in 0..lines {
        let mut record = Record::new(UnixMillis(START + i64::try_from(number * 700).unwrap()));
        record.client = *numbers.any(&clients);
        record.tenant = record.client.filter(|client| client.is_ascii()).map(|_| &b"corp"[..]);
        record.tier = record.client.map(|_| *numbers.any(&[&b"pro"[..], b"free"]));
        record.key_id = Some(*numbers.any(&[&b"k_1"[..], b"k_2"]));
        record.decision = match numbers.below(10) {
            0 => None,
            1..=3 => Some(Decision::Deny(*numbers.any(&Reason::ALL))),
            _ => Some(Decision::Allow),
        };
        record.dry_run = numbers.below(10) == 0;
        record.status = Some(200);
        record.duration_ms = Some(numbers.below(20_000));
        if record.decision == Some(Decision::Allow) {
            record.model = Some(*numbers.any(&[&b"llama-3.1-8b"[..], b"qwen"]));
            let (input, output) = (numbers.below(1_000_000_000), numbers.below(1000));
            let (cached_input, reasoning) = (numbers.below(3), numbers.below(3));
            let usage = Usage {
                input,
                output,
                cached_input,
                cache_write: reasoning,
                cache_write_1h: 0,
                reasoning,
            };
            record.usage = Some((Source::Measured, usage));
            record.ttft_ms = Some(numbers.below(500));
            // Large and small ones, whose sum no floating point number holds.
            let nanos = [numbers.below(10), numbers.below(1 << 31) * 400_000_000];
            record.cost_nanos = Some(*numbers.any(&nanos));
        }
        text.extend(line(&record));
    }
    text
}

/// Files of a test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, contents: &[u8]) -> String {
        fs::write(self.path(name), contents).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
