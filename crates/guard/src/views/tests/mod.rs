mod encodings;
mod samples;

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::*;

fn normalised(text: &str) -> String {
    views(text)
        .into_iter()
        .find(|view| !view.is_decoded && !view.is_words)
        .map_or_else(|| text.to_owned(), |view| view.text)
}

#[test]
fn plain_text_has_no_copies() {
    for text in [
        "",
        "Please translate this letter into German, and keep its tone.",
        "fn main() {\r\n\tprintln!(\"hello\");\n}\n",
        "\u{4f60}\u{597d}\u{4e16}\u{754c}",
        "\u{c548}\u{b155}\u{d558}\u{c138}\u{c694}",
    ] {
        assert_eq!(views(text).len(), 0, "{text}");
    }
}

#[test]
fn what_is_read_is_what_is_looked_at() {
    for (written, read) in [
        // Fullwidth, mathematical, enclosed.
        ("\u{ff29}\u{ff47}\u{ff4e}ore", "Ignore"),
        ("\u{1d422}\u{1d420}\u{1d427}\u{1d428}\u{1d42b}\u{1d41e}", "ignore"),
        ("\u{24d8}\u{24d6}\u{24dd}\u{24de}\u{24e1}\u{24d4}", "ignore"),
        ("\u{1f178}\u{1f176}\u{1f17d}\u{1f17e}\u{1f181}\u{1f174}", "IGNORE"),
        // Cyrillic and Greek.
        ("\u{456}gn\u{43e}r\u{435} \u{430}ll", "ignore all"),
        ("\u{406}gnore", "Ignore"),
        ("syst\u{3b5}m \u{3c1}rompt", "system prompt"),
        // Small capitals.
        ("\u{26a}\u{262}\u{274}\u{1d0f}\u{280}\u{1d07}", "ignore"),
        // Nothing between, though something is there.
        ("ig\u{200b}no\u{ad}re\u{2060} \u{202e}all\u{202c}\u{fe0f}", "ignore all"),
        ("ig\u{8}nore\u{0}", "ignore"),
        // Tags.
        ("a\u{e0069}\u{e0067}\u{e006e}\u{e006f}\u{e0072}\u{e0065}", "aignore"),
        // Marks, however many.
        ("i\u{301}\u{327}g\u{334}n\u{336}ore", "ignore"),
        ("caf\u{e9} na\u{ef}ve gr\u{f6}\u{df}er \u{142}\u{f3}d\u{17a}", "cafe naive grosser lodz"),
        // Spaces, quotes, digits.
        ("4111\u{a0}1111\u{2011}1111", "4111 1111-1111"),
        ("\u{201c}don\u{2019}t\u{201d}", "\"don't\""),
        ("\u{664}\u{661}\u{6f1} \u{ff14} \u{968}", "411 4 2"),
        ("\u{fb01}le \u{2460}", "file 1"),
        // Hangul in parts.
        ("\u{1100}\u{1161}\u{11a8}\u{1100}\u{1161}", "\u{ac01}\u{ac00}"),
    ] {
        assert_eq!(normalised(written), read);
        assert_eq!(folded(written), read);
    }
}

#[test]
fn case_is_kept_where_formats_need_it() {
    assert_eq!(normalised("\u{410}KI\u{410}"), "AKIA");
    assert_eq!(normalised("\u{41f}\u{420}\u{418}"), folded("\u{43f}\u{420}\u{438}"));
}

#[test]
fn capitals_read_as_small_letters_do() {
    for letter in ('\u{430}'..='\u{45f}').chain('\u{f1}'..='\u{f6}') {
        let capital: String = letter.to_uppercase().collect();
        let small = folded(&letter.to_string()).to_ascii_lowercase();
        assert_eq!(folded(&capital).to_ascii_lowercase(), small, "{letter}");
    }
}

#[test]
fn a_part_is_found_where_it_stands() {
    let text = "a m\u{430}il: b\u{ff20}c.de!";
    let view = views(text).remove(0);
    let at = view.text.find("b@c.de").unwrap();
    assert_eq!(text.get(view.source(at..at + 6)), Some("b\u{ff20}c.de"));
    let at = view.text.find("mail").unwrap();
    assert_eq!(text.get(view.source(at..at + 4)), Some("m\u{430}il"));
    assert_eq!(text.get(view.source(at + 1..at + 2)), Some("\u{430}"));
}

#[test]
fn only_what_stands_around_is_copied() {
    let mut text = "plain words ".repeat(1000);
    let middle = text.len();
    text.push_str("caf\u{e9} ");
    text.push_str(&"and more of them ".repeat(1000));
    text.push_str("na\u{ef}ve");
    let view = views(&text).remove(0);
    assert!(view.text.len() < 1200, "{}", view.text.len());
    let at = view.text.find("cafe").unwrap();
    assert_eq!(view.source(at..at + 4), middle..middle + 5);
    let at = view.text.find("naive").unwrap();
    assert_eq!(view.source(at..at + 5), text.len() - 6..text.len());
}

#[test]
fn debug_shows_no_text() {
    assert!(!format!("{:?}", views("secret\u{430}")).contains("secret"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sources_are_parts_of_the_text(text in "(\\PC|[a-z ]{0,9}|[\u{300}-\u{310}]|[\u{1100}-\u{11ff}]|\\x00){0,60}") {
        for view in views(&text) {
            let places: Vec<usize> = (0..=view.text.len())
                .filter(|place| view.text.is_char_boundary(*place))
                .collect();
            for (index, start) in places.iter().enumerate() {
                for end in places.iter().skip(index).step_by(3) {
                    let source = view.source(*start..*end);
                    prop_assert!(text.get(source.clone()).is_some(), "{source:?}");
                    prop_assert!(start == end || !source.is_empty() || view.text.get(*start..*end).is_some_and(|part| part.contains('\n')));
                }
            }
        }
    }

    #[test]
    fn the_form_makes_no_difference(text in "(\\PC|[\u{c0}-\u{24f}]|[\u{400}-\u{4ff}]|[\u{ac00}-\u{d7a3}]|[\u{3040}-\u{30ff}]){0,40}") {
        // What becomes too much stays. Parts of some letters look like other letters than the whole does.
        let has_like_parts = |one: &char| !matches!(one, '\u{1100}'..='\u{11ff}' | '\u{16d40}'..='\u{16d7f}');
        let is_short = |one: &char| one.nfkd().collect::<String>().len() <= 8;
        let text: String = text.chars().filter(|one| is_short(one) && has_like_parts(one)).collect();
        let decomposed: String = text.nfd().collect();
        prop_assert_eq!(folded(&decomposed), folded(&text));
        let compatible: String = text.nfkc().collect();
        prop_assert_eq!(folded(&folded(&compatible)), folded(&folded(&text)));
    }

    #[test]
    fn all_of_a_text_is_there(text in "(\\PC|[\u{c0}-\u{24f}]|[\u{1100}-\u{11ff}]){0,60}") {
        prop_assert_eq!(normalised(&text), folded(&text));
    }

    #[test]
    fn a_copy_is_not_much_longer(text in "\\PC{0,80}") {
        let longest = text.len() * 4 + 1;
        prop_assert!(views(&text).iter().all(|view| view.text.len() <= longest));
    }
}

#[test]
fn what_is_copied_of_a_copy_stands_for_itself() {
    // Escaped twice; the rest of the line is as it was.
    let text = "first=20line=\nsecond%2525 line with jo@example.com in it\n%2541";
    let views = views(text);
    assert!(views.len() > 1);
    for view in &views {
        for (at, _) in view.text.match_indices("jo@example.com") {
            let source = view.source(at..at + "jo@example.com".len());
            assert_eq!(text.get(source), Some("jo@example.com"));
        }
    }
}

#[test]
fn a_line_of_equals_signs_is_no_soft_break() {
    assert!(views("A title\n=======\n\nA paragraph.\n").is_empty());
    assert!(!views("A soft br=\neak.").is_empty());
}
