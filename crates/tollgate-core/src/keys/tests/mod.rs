mod block;
mod certs;
mod file;
mod lookup;
mod refused;
mod states;

use super::*;
use serde_json::{json, Value};

const NOW: UnixSeconds = UnixSeconds(1_767_225_600); // 2026-01-01T00:00:00Z

/// The 64 digits.
fn digits(key: &str) -> String {
    Digest::of(key.as_bytes()).0.iter().map(|b| format!("{b:02x}")).collect()
}

/// As it stands in the file.
fn hash(key: &str) -> String {
    format!("sha256:{}", digits(key))
}

/// A minimal entry for the key `secret-ID`, with further members.
fn entry(id: &str, more: Value) -> Value {
    let mut entry = json!({"id": id, "hash": hash(&format!("secret-{id}")), "client": "acme"});
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn file(entries: &[Value]) -> String {
    json!({"version": 1, "keys": entries}).to_string()
}

fn parse(text: &str) -> Result<KeySet, String> {
    KeySet::parse(text.as_bytes()).map_err(|error| {
        let shown = error.to_string();
        assert!(!shown.contains("secret") && !shown.contains(&digits("secret-k_1")), "{shown}");
        assert!(!shown.chars().any(char::is_control) && !shown.ends_with('.'), "{shown}");
        shown
    })
}

fn set(more: Value) -> KeySet {
    parse(&file(&[entry("k_1", more)])).unwrap()
}

fn error(more: Value) -> String {
    parse(&file(&[entry("k_0", json!({})), entry("k_1", more)])).unwrap_err()
}

fn reason(set: &KeySet, now: i64, address: Option<&str>) -> Option<Reason> {
    let address = address.map(|text| text.parse().unwrap());
    set.lookup(b"secret-k_1", UnixSeconds(now), address).err().map(|refusal| refusal.reason)
}
