//! JSON strings out of bytes of any kind, and out of those that are no text.

/// Appends `bytes` as a JSON string in which each byte is the character of the same number
/// (ISO 8859-1, as WSGI has it). Nothing is lost, whatever the encoding was, and the JSON is ASCII.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend(format!("\\u{byte:04x}").bytes()),
        }
    }
    out.push(b'"');
}

/// `json` with U+FFFD for each escape of half a surrogate pair that stands alone: engines take such a string
/// (Python keeps the half, Go reads this character), and `serde_json` doesn't.
pub(crate) fn without_halves(json: &[u8]) -> Vec<u8> {
    let mut whole = json.to_vec();
    let mut at = 0;
    while let Some(rest) = json.get(at..).filter(|rest| !rest.is_empty()) {
        at += match (rest, unit(rest), rest.get(6..).and_then(unit)) {
            (_, Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (_, Some(0xd800..=0xdfff), _) => {
                if let Some(escape) = whole.get_mut(at..at + 6) {
                    escape.copy_from_slice(br"\ufffd");
                }
                6
            }
            ([b'\\', ..], ..) => 2,
            _ => 1,
        };
    }
    whole
}

/// The UTF-16 unit whose escape `json` begins with.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut json = Vec::new();
        push_bytes(&mut json, &bytes);

        assert!(json.is_ascii());
        let text: String = serde_json::from_slice(&json).unwrap();
        assert_eq!(text.chars().map(|c| u8::try_from(c).unwrap()).collect::<Vec<_>>(), bytes);
    }

    #[test]
    fn halves_of_pairs_are_replaced_and_all_else_stays() {
        for (json, expected) in [
            (r#"["a\ud83d"]"#, r#"["a\ufffd"]"#),
            (r#"["\udc00\uD83D\u0041"]"#, r#"["\ufffd\ufffd\u0041"]"#),
            (r#"["\ud83d\ude00"]"#, r#"["\ud83d\ude00"]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\\ud83d", "\\\ud83d"]"#, r#"["\\ud83d", "\\\ufffd"]"#),
            (r#"["\u12"#, r#"["\u12"#),
        ] {
            assert_eq!(without_halves(json.as_bytes()), expected.as_bytes(), "{json}");
        }
    }
}
