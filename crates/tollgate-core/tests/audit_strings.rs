//! The strings that break things (../shared/vectors/strings/blns.json) in every text of the audit
//! log: one line each, valid JSON, and the same string when it is read back.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;
use tollgate_core::audit::{Record, TimeFormat, MAX_PATH_LEN, MAX_TEXT_LEN};
use tollgate_core::clock::UnixMillis;

#[test]
fn every_naughty_string_comes_back_from_every_field() {
    let vectors = match env::var_os("TOLLGATE_VECTORS") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    let Ok(file) = fs::read(vectors.join("strings/blns.json")) else {
        println!("skipped: no vectors");
        return;
    };
    let strings: Vec<String> = serde_json::from_slice(&file).unwrap();
    assert_eq!(strings.len(), 515);

    let mut time = TimeFormat::default();
    for string in &strings {
        assert!(string.len() <= MAX_TEXT_LEN.min(MAX_PATH_LEN), "the test does not expect a cut");
        let bytes = Some(string.as_bytes());
        let record = Record {
            request_id: bytes,
            client: bytes,
            key_id: bytes,
            tier: bytes,
            remote_addr: bytes,
            method: bytes,
            path: bytes,
            model: bytes,
            upstream: bytes,
            limit: bytes,
            traceparent: bytes,
            ..Record::new(UnixMillis(0))
        };
        let mut line = Vec::new();
        record.write_line(&mut time, &mut line);
        assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1, "{string:?}");
        assert_eq!(line.last(), Some(&b'\n'), "{string:?}");

        let decoded: Value = serde_json::from_slice(&line).unwrap();
        for name in [
            "request_id",
            "client",
            "key_id",
            "tier",
            "remote_addr",
            "method",
            "model",
            "upstream",
            "limit",
        ] {
            let expected = if string.is_empty() { Value::Null } else { string.as_str().into() };
            assert_eq!(decoded[name], expected, "{name}");
        }
        let path = string.split('?').next().unwrap();
        assert_eq!(decoded["path"], path);
        assert_eq!(decoded["traceparent"], Value::Null);
    }
}
