//! JSON strings (RFC 8259 section 7) from arbitrary bytes.

use crate::hex;

/// Appends `value` as a JSON string, quotes included, cut to at most `max_len` bytes of input.
pub(super) fn write_string(out: &mut Vec<u8>, value: &[u8], max_len: usize) {
    out.push(b'"');
    write_rest_of_string(out, value, max_len);
}

/// The same where the first quote is there already, at the end of what names the value.
pub(super) fn write_rest_of_string(out: &mut Vec<u8>, value: &[u8], max_len: usize) {
    let value = cut(value, max_len);
    // Nearly every value is plain ASCII: one look at it, and one copy.
    if is_plain(value) {
        out.extend_from_slice(value);
    } else {
        write_special(out, value);
    }
    out.push(b'"');
}

#[cold]
fn write_special(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        write_escaped(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            write_char(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Whether all bytes stand for themselves in a string: printable ASCII but `"` and `\`.
#[inline]
fn is_plain(value: &[u8]) -> bool {
    // The last block overlaps the one before, so that no byte is left over.
    if let Some(last) = value.last_chunk::<16>() {
        let (blocks, _) = value.as_chunks::<16>();
        return blocks
            .iter()
            .fold(is_plain_block(last), |plain, block| plain & is_plain_block(block));
    }
    if let (Some(first), Some(last)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) {
        return is_plain_block(first) & is_plain_block(last);
    }
    if let (Some(first), Some(last)) = (value.first_chunk::<4>(), value.last_chunk::<4>()) {
        return is_plain_block(first) & is_plain_block(last);
    }
    value.iter().all(|byte| !is_special(*byte))
}

/// The same of a block. All of its bytes are looked at, so that it is done with all of them at once.
#[inline(always)]
fn is_plain_block<const N: usize>(block: &[u8; N]) -> bool {
    !block.iter().fold(false, |found, byte| found | is_special(*byte))
}

#[inline(always)]
fn is_special(byte: u8) -> bool {
    (byte.wrapping_sub(b' ') > b'~' - b' ') | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            _ if must_not_be_shown(c) => write_escape(out, c),
            _ => write_char(out, c),
        }
    }
}

/// Characters that do something to whoever looks at the log: C0, DEL and C1 controls (terminals
/// obey them), line separators (some readers split lines there), and marks that turn the direction
/// of a text (a path could look like another one). All are below U+10000.
fn must_not_be_shown(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// `\uXXXX`
fn write_escape(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(b"\\u");
    let [_, _, high, low] = u32::from(c).to_be_bytes();
    out.extend(hex::pair(high).into_iter().chain(hex::pair(low)));
}

fn write_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// At most `max_len` bytes from the start, not ending within a character.
fn cut(value: &[u8], max_len: usize) -> &[u8] {
    let (Some(head), Some(&next)) = (value.get(..max_len), value.get(max_len)) else {
        return value;
    };
    if !is_continuation(next) {
        return head;
    }
    // A character has at most three bytes after its first. Where there are more, it is no UTF-8,
    // and there is no character to spare.
    let tail = head.iter().rev().take(3).position(|&b| !is_continuation(b));
    match tail {
        Some(continuations) => head.get(..max_len - continuations - 1).unwrap_or_default(),
        None => head,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: &[u8]) -> String {
        let mut out = Vec::new();
        write_string(&mut out, value, usize::MAX);
        String::from_utf8(out).unwrap()
    }

    /// Of every length around a word, at every place in it, and beside itself.
    #[test]
    fn every_byte_is_plain_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_expected = (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
            for len in 1..=17 {
                for at in 0..len {
                    let mut value = vec![b'a'; len];
                    value[at] = byte;
                    assert_eq!(is_plain(&value), is_expected, "{byte:#x} at {at} of {len}");
                }
                assert_eq!(is_plain(&vec![byte; len]), is_expected, "{byte:#x}, {len} times");
            }
        }
    }

    #[test]
    fn a_short_string_is_escaped_as_a_long_one_is() {
        assert_eq!(written(b"\""), r#""\"""#);
        assert_eq!(written(b"\\"), r#""\\""#);
        assert_eq!(written(b"aaaaaaaaaaaaa\""), r#""aaaaaaaaaaaaa\"""#);
        assert_eq!(written(b"\"aaaaaaaaaaaaa"), r#""\"aaaaaaaaaaaaa""#);
    }

    #[test]
    fn what_must_be_escaped_is_escaped_and_nothing_else() {
        assert_eq!(written(b"/v1/chat/completions"), "\"/v1/chat/completions\"");
        assert_eq!(written(b""), "\"\"");
        assert_eq!(written(b"a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(
            written(b"\0\x08\t\n\r\x1b\x1f\x7f"),
            r#""\u0000\u0008\u0009\u000a\u000d\u001b\u001f\u007f""#
        );
        assert_eq!(
            written("\u{80}\u{9b}\u{9f}\u{a0}".as_bytes()),
            "\"\\u0080\\u009b\\u009f\u{a0}\""
        );
        assert_eq!(
            written("\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}".as_bytes()),
            r#""\u2028\u2029\u202e\u2066\ufeff""#
        );
        assert_eq!(written("é漢😀</script>".as_bytes()), "\"é漢😀</script>\"");
    }

    #[test]
    fn invalid_utf8_is_replaced_as_the_standard_library_does() {
        for bytes in [
            &b"\xff"[..],
            b"a\xc3",
            b"\xc3\xa9\xc3",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc0\xaf",
            b"\xf0\x9f\x98",
            b"\xe2\x80",
            b"\x80\x80",
        ] {
            assert_eq!(written(bytes), format!("\"{}\"", String::from_utf8_lossy(bytes)));
        }
    }

    #[test]
    fn a_cut_never_splits_a_character() {
        let text = "aé漢😀z";
        for max_len in 0..=text.len() + 1 {
            let expected = (0..=max_len).rev().find_map(|end| text.get(..end)).unwrap_or(text);
            let expected = if max_len >= text.len() { text } else { expected };
            assert_eq!(cut(text.as_bytes(), max_len), expected.as_bytes(), "{max_len}");
        }
        assert_eq!(cut(&[0x80; 10], 5), [0x80; 5]);
        assert_eq!(cut(b"abc", 0), b"");
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_json_string_that_means_them(bytes: Vec<u8>, max_len in 0_usize..200) {
            let mut out = Vec::new();
            write_string(&mut out, &bytes, max_len);
            let decoded: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(decoded, String::from_utf8_lossy(cut(&bytes, max_len)));
            prop_assert!(cut(&bytes, max_len).len() <= max_len);
        }

        #[test]
        fn plain_words_are_what_they_say(
            mut value in prop::collection::vec(0x20_u8..0x7f, 0..40), at: prop::sample::Index, byte: u8,
        ) {
            if !value.is_empty() {
                let at = at.index(value.len());
                value[at] = byte;
            }
            let plain = value.iter().all(|&b| b.is_ascii_graphic() || b == b' ');
            let plain = plain && !value.contains(&b'"') && !value.contains(&b'\\');
            prop_assert_eq!(is_plain(&value), plain);
        }

        #[test]
        fn any_text_comes_back_and_nothing_unsafe_is_shown(text: String) {
            let out = written(text.as_bytes());
            prop_assert!(!out.chars().any(must_not_be_shown));
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
