//! What it costs a request that its line of the audit log is sealed: `cargo bench --bench seal`. With lengths of lines,
//! in bytes, that of such lines.
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

const LINES: u32 = 5_000;
const ROUNDS: u32 = 300;
const BUFFER: usize = 64 * 1024;

fn main() {
    let lengths: Vec<usize> = std::env::args().filter_map(|length| length.parse().ok()).collect();
    for length in if lengths.is_empty() { vec![500] } else { lengths } {
        measure(length);
    }
}

/// The least of several times, as others have the processor meanwhile.
fn measure(length: usize) {
    let (mut key, _) = generate(&Random::new([7; 104]), 0).unwrap();
    let generation = key.begin(Stamp::default().time).unwrap();
    let words: Vec<_> = (0..SEALS_BYTES / 8).map(|_| AtomicU64::new(0)).collect();
    let seals = Seals::format(&words, &generation, [0; 16], None).unwrap();
    let me = Process { pid: 1, started: 1 };
    let mut sealer = Sealer::begin(&seals, &NoLock, me, key.id().clone()).unwrap();
    let around = r#"{"time":"2026-01-01T00:00:00.000Z","path":""}"#.len() + 1;
    let path = "x".repeat(length.saturating_sub(around));
    let line = format!("{{\"time\":\"2026-01-01T00:00:00.000Z\",\"path\":\"{path}\"}}\n");
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
        begun.elapsed().as_secs_f64() * 1e9 / f64::from(LINES)
    };
    let mut least = |is_sealed| (0..ROUNDS).map(|_| time(is_sealed)).fold(f64::MAX, f64::min);
    let (plain, sealed) = (least(false), least(true));
    println!("{length} bytes: {:.0} ns", sealed - plain);
}
