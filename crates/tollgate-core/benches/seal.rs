//! What it costs a request that its line of the audit log is sealed: `cargo bench --bench seal`.
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::sync::atomic::AtomicU64;
use std::time::Instant;

use tollgate_core::audit::seal::{generate, Closing, Random, Sealer, Seals, Stamp, SEALS_BYTES};
use tollgate_core::limits::{ClaimLock, Process};

struct NoLock;

impl ClaimLock for NoLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

const LINES: u32 = 1_000_000;
const BUFFER: usize = 64 * 1024;

fn main() {
    let (mut key, _) = generate(&Random::new([7; 104]), 0).unwrap();
    let generation = key.begin(Stamp::default().time).unwrap();
    let words: Vec<_> = (0..SEALS_BYTES / 8).map(|_| AtomicU64::new(0)).collect();
    let seals = Seals::format(&words, &generation, [0; 16], None).unwrap();
    let me = Process { pid: 1, started: 1 };
    let mut sealer = Sealer::begin(&seals, &NoLock, me, key.id().clone()).unwrap();
    let line =
        format!("{{\"time\":\"2026-01-01T00:00:00.000Z\",\"path\":\"{}\"}}\n", "x".repeat(440));
    let mut lines = Vec::with_capacity(2 * BUFFER);
    let mut time = |is_sealed: bool| {
        let begun = Instant::now();
        for _ in 0..LINES {
            let start = lines.len();
            lines.extend_from_slice(line.as_bytes());
            if is_sealed {
                let _ = sealer.add(&seals, &mut lines, start);
            }
            if lines.len() >= BUFFER {
                if is_sealed {
                    let closing =
                        Closing { stamp: Stamp::default(), in_pieces: false, is_end: false };
                    sealer.close(&seals, &mut lines, &closing);
                    sealer.written(&seals, 1);
                }
                lines.clear();
            }
        }
        begun.elapsed() / LINES
    };
    for _ in 0..5 {
        let (plain, sealed) = (time(false), time(true));
        println!("{} bytes: {sealed:?} sealed, {plain:?} not", line.len());
    }
}
