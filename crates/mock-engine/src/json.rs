//! JSON strings out of bytes of any kind.

/// Appends `bytes` as a JSON string in which each byte is the character of the same number
/// (ISO 8859-1, as WSGI has it). Nothing is lost, whatever the encoding was, and the JSON is ASCII.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let hex = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');

    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x20..=0x7e => out.push(byte),
            _ => out.extend([b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    out.push(b'"');
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
}
