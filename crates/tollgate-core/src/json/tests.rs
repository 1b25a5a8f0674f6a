//! The scanner against serde_json, byte by byte and whole.
