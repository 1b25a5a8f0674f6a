//! Halves of surrogate pairs in JSON, which tools leave that cut a text between two UTF-16 units.
//!
//! `"\ud83d"` is grammatical (RFC 8259 section 8.2), though no text: Python keeps the half, Go reads
//! U+FFFD, serde_json and others refuse it. What is forwarded stays as it came. What is read here is a
//! copy with a [`MARK`] in the place of each half, as long as that, so that positions stay right. A text
//! with a mark can't be compared with anything, as nobody knows what the reader behind makes of it.

use memchr::memchr2;

/// What is read in the place of half a pair: a noncharacter of three bytes, as the half would be.
pub(crate) const MARK: char = '\u{ffff}';

const MARK_ESCAPED: &[u8; 6] = br"\uffff";
const MARK_RAW: &[u8; 3] = b"\xef\xbf\xbf";

/// `json` with a [`MARK`] for each half that stands alone, as an escape or (as Python's `surrogatepass`
/// writes and reads it) in three bytes; `None` where there is none.
pub(crate) fn marked(json: &[u8]) -> Option<Vec<u8>> {
    let mut copy: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'\\', 0xed, rest)) {
        at += found;
        let (len, mark) = match json.get(at..).unwrap_or_default() {
            rest @ [b'\\', b'u', ..] => match (unit(rest), rest.get(6..).and_then(unit)) {
                (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (12, None),
                (Some(0xd800..=0xdfff), _) => (6, Some(&MARK_ESCAPED[..])),
                (Some(_), _) => (6, None),
                (None, _) => (2, None),
            },
            [b'\\', ..] => (2, None),
            [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => (3, Some(&MARK_RAW[..])),
            _ => (1, None),
        };
        if let Some(mark) = mark {
            let copy = copy.get_or_insert_with(|| json.to_vec());
            copy.get_mut(at..at + len)?.copy_from_slice(mark);
        }
        at += len;
    }
    copy
}

/// The UTF-16 unit of the `\uXXXX` that `json` begins with.
fn unit(json: &[u8]) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = json else { return None };
    let digits = digits.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(json: &str) -> Option<String> {
        marked(json.as_bytes()).map(|copy| String::from_utf8(copy).unwrap())
    }

    #[test]
    fn halves_are_marked_and_pairs_are_not() {
        for (json, expected) in [
            (r#""\ud83d""#, r#""\uffff""#),
            (r#""\udc00x""#, r#""\uffffx""#),
            (r#""\uD83D\uDE00\uDE00""#, r#""\uD83D\uDE00\uffff""#),
            (r#""\ud83d\ud83d\ude00""#, r#""\uffff\ud83d\ude00""#),
            (r#""\ude00\ud83d""#, r#""\uffff\uffff""#),
            (r#""\ud83d\u0041""#, r#""\uffff\u0041""#),
            (r#""\ud83d\n""#, r#""\uffff\n""#),
            (r#""\ud83d\\ude00""#, r#""\uffff\\ude00""#),
            (r#""\\\ud83d""#, r#""\\\uffff""#),
            (r#""\ud83d\uzzzz""#, r#""\uffff\uzzzz""#),
        ] {
            assert_eq!(text_of(json).as_deref(), Some(expected), "{json}");
        }
        for json in [
            "",
            "\\",
            r"\u",
            r"\ud8",
            r#""\\ud83d""#,
            r#""\ud83d\ude00""#,
            "한글",
            "\"\u{d7ff}\u{e000}\"",
        ] {
            assert_eq!(text_of(json), None, "{json}");
        }
    }

    #[test]
    fn halves_in_three_bytes_are_marked() {
        assert_eq!(marked(b"\"a\xed\xa0\xbdb\"").unwrap(), b"\"a\xef\xbf\xbfb\"");
        // As Java's modified UTF-8 has a pair, and as Python reads it: two halves.
        let both = marked(b"\xed\xa0\xbd\xed\xb8\x80").unwrap();
        assert_eq!(both, MARK_RAW.repeat(2));
        assert_eq!(marked(b"\xed\xa0"), None);
        assert_eq!(marked(b"\xed\x9f\xbf"), None);
    }

    proptest! {
        /// serde_json reads whatever it reads but for halves, and texts without halves are unchanged.
        #[test]
        fn strings_of_any_units_can_be_read(units in prop::collection::vec(prop_oneof![
            0xd7f0_u16..0xe010, any::<u16>(), Just(0x5c), Just(0x22),
        ], 0..20)) {
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let json = format!("\"{escaped}\"");
            let expected: String = char::decode_utf16(units).map(|c| c.unwrap_or(MARK)).collect();
            let copy = marked(json.as_bytes()).unwrap_or_else(|| json.clone().into_bytes());
            prop_assert_eq!(copy.len(), json.len());
            prop_assert_eq!(serde_json::from_slice::<String>(&copy).unwrap(), expected);
        }

        #[test]
        fn length_stays(json: Vec<u8>) {
            if let Some(copy) = marked(&json) {
                prop_assert_eq!(copy.len(), json.len());
            }
        }
    }
}
