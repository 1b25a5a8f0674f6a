//! See `crates/tollgate-cli/src/import/fuzzed.rs`.
#![no_main]
// The command is a program, and none of its modules is in a library: those that importers need are taken as they are.
#![allow(dead_code, unused_imports)]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/tollgate-cli/src/escape.rs"]
mod escape;
#[path = "../../crates/tollgate-cli/src/exit.rs"]
mod exit;
#[path = "../../crates/tollgate-cli/src/import/mod.rs"]
mod import;
#[path = "../../crates/tollgate-cli/src/keys_file/mod.rs"]
mod keys_file;
#[path = "../../crates/tollgate-cli/src/time.rs"]
mod time;

fuzz_target!(|data: &[u8]| import::fuzzed::importers(data));
