//! See `crates/tollgate-core/tests/fuzzed`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/tollgate-core/tests/fuzzed/files.rs"]
mod files;

fuzz_target!(|data: &[u8]| files::state(data));
