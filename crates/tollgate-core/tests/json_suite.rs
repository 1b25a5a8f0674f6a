//! JSONTestSuite (../shared/vectors/json) against the parser of the keys file: what is not JSON is
//! refused wherever it stands, and nothing makes the parser panic.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::{env, fs};

use tollgate_core::keys::KeySet;

/// The cases as (file name, content); `None` where the vectors are not there.
fn cases() -> Option<Vec<(String, Vec<u8>)>> {
    let vectors = match env::var_os("TOLLGATE_VECTORS") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let Ok(files) = fs::read_dir(vectors.join("json/test_parsing")) else {
        println!("skipped: no vectors");
        return None;
    };
    let cases: Vec<_> = files
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    assert_eq!(cases.len(), 318);
    Some(cases)
}

/// Whether a keys file is accepted whose one entry has this text as its `description`.
fn accepts_as_description(text: &[u8]) -> bool {
    let mut file =
        br#"{"version": 1, "keys": [{"id": "k_1", "client": "acme", "hash": "sha256:"#.to_vec();
    file.extend(b"ab".repeat(32));
    file.extend(br#"", "description": "#);
    file.extend(text);
    file.extend(b"}]}");
    KeySet::parse(&file).is_ok()
}

#[test]
fn no_case_is_a_keys_file() {
    for (name, content) in cases().unwrap_or_default() {
        assert!(KeySet::parse(&content).is_err(), "{name}");
    }
}

#[test]
fn a_description_is_a_json_string_and_nothing_else() {
    for (name, content) in cases().unwrap_or_default() {
        let is_string = serde_json::from_slice::<String>(&content).is_ok();
        if name.starts_with("n_") {
            assert!(!is_string, "{name}");
        }
        assert_eq!(accepts_as_description(&content), is_string, "{name}");
    }
}

#[test]
fn strings_of_the_suite_are_accepted_or_refused_as_it_says() {
    let (mut valid, mut invalid) = (0, 0);
    for (name, content) in cases().unwrap_or_default() {
        // The string cases are arrays of one string.
        let Some(string) = content.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"))
        else {
            continue;
        };
        if name.starts_with("y_string_") {
            valid += 1;
            assert!(accepts_as_description(string), "{name}");
        } else if name.starts_with("n_string_") {
            invalid += 1;
            assert!(!accepts_as_description(string), "{name}");
        }
    }
    println!("{valid} valid and {invalid} invalid strings");
}
