//! Text of strangers on a terminal. Names, paths and claims are whatever somebody sent: shown as they
//! are, they could move the cursor, recolour the screen, or turn the direction of what follows.

use std::fmt::Write as _;

/// `text` with what a terminal may act on written as `\u{1b}`.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unsafe(c) {
            true => out.extend(c.escape_unicode()),
            false => out.push(c),
        }
    }
    out
}

/// JSON with the same characters written as `\u001b`, which means the same: outside of strings JSON
/// has none of them but line breaks and tabs, and those stay.
pub(crate) fn shown_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match is_unsafe(c) && !matches!(c, '\n' | '\t') {
            true => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            false => out.push(c),
        }
    }
    out
}

/// Control characters, C1 included; line and paragraph separators; marks that are invisible or turn
/// the direction of the text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_may_act_on_is_spelt_out() {
        assert_eq!(shown("a\u{1b}[2Jb\r\n"), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(shown("\u{9b}31m\u{202e}x\u{7f}"), "\\u{9b}31m\\u{202e}x\\u{7f}");
        assert_eq!(shown("é 中 Ω 🚪"), "é 中 Ω 🚪");
    }

    proptest! {
        #[test]
        fn json_means_the_same_afterwards(text: String) {
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let escaped = shown_json(&json);
            let read: Vec<String> = serde_json::from_str(&escaped).unwrap();
            prop_assert_eq!(read, [text]);
            let foreign = |c: char| is_unsafe(c) && c != '\n';
            prop_assert!(!escaped.chars().any(foreign));
        }

        #[test]
        fn nothing_unsafe_is_left(text: String) {
            prop_assert!(!shown(&text).chars().any(is_unsafe));
        }
    }
}
