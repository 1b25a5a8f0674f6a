//! See `crates/tollgate-core/tests/fuzzed`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../crates/tollgate-core/tests/fuzzed/properties.rs"]
mod properties;

fuzz_target!(|data: &[u8]| properties::cluster_wire(data));
