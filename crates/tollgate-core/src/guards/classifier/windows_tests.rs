use proptest::prelude::*;
use serde_json::{json, Value};

use super::*;
use crate::guards::classifier::words::{line, Units};
use crate::llm::Endpoint;

fn classifier(size: usize, most: usize) -> Classifier {
    let units = Units { time_ms: |_| None, size: |text| text.parse().ok() };
    let (size, most) = (format!("window={size}"), format!("windows={most}"));
    line(&["/_c", "input", &size, &most], units).unwrap()
}

fn made(
    body: &Value,
    roles: Roles,
    classifier: &Classifier,
) -> Result<Vec<(String, String)>, TooMany> {
    let texts = Texts::of(body.to_string().into_bytes(), Endpoint::Chat).unwrap();
    let windows = windows(classifier, roles, &texts)?;
    Ok(windows.into_iter().map(|w| (w.place.to_string(), w.text.into())).collect())
}

#[test]
fn each_message_is_one_text_and_all_tools_are() {
    let body = json!({"model": "m", "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "  \n "},
        {"role": "user", "content": "three"},
    ], "tools": [
        {"type": "function", "function": {"name": "look", "description": "Looks"}},
        {"type": "function", "function": {"name": "go", "description": "Goes"}},
    ]});
    let made = made(&body, Roles::ALL, &classifier(8192, 256)).unwrap();
    let (places, texts): (Vec<_>, Vec<_>) = made.into_iter().unzip();
    assert_eq!(places, ["messages[0]", "messages[1]", "messages[3]", "tools[0]"]);
    assert_eq!(texts[..3], ["Be kind.", "one\ntwo", "three"]);
    for word in ["look", "Looks", "go", "Goes"] {
        assert!(texts[3].contains(word), "{}", texts[3]);
    }
}

#[test]
fn only_texts_of_the_roles_are_judged() {
    let body = json!({"messages": [
        {"role": "system", "content": "s"}, {"role": "user", "content": "u"},
        {"role": "tool", "content": "t"}, {"role": "magic", "content": "m"},
    ]});
    let made = made(&body, Roles::NONE.with(Role::Tool), &classifier(8192, 256)).unwrap();
    let texts: Vec<_> = made.iter().map(|(_, text)| text.as_str()).collect();
    // Who isn't known, counts as anybody.
    assert_eq!(texts, ["t", "m\nmagic"]);
}

#[test]
fn long_texts_have_several_windows_and_not_too_many() {
    let text: String = (0..1000).map(|n| format!("{n:03}.")).collect();
    let body = json!({"messages": [{"role": "user", "content": text}]});
    let all = made(&body, Roles::ALL, &classifier(1024, 5)).unwrap();
    assert_eq!(all.len(), 5);
    assert!(all.iter().all(|(place, text)| place == "messages[0]" && text.len() <= 1024));
    let refused = made(&body, Roles::ALL, &classifier(1024, 4)).unwrap_err();
    assert_eq!(refused.0.to_string(), "messages[0]");
}

proptest! {
    /// Wherever a text is cut, all of it is shown, and what is shorter than the overlap is in one window as a whole.
    #[test]
    fn windows_show_all_of_a_text(
        text in "[a-zäß\u{1f600}\u{4e00} ]{0,2000}", size in 256_usize..700, at in 0_usize..2000,
    ) {
        let cut: Vec<&str> = cut(&text, size).collect();
        prop_assert!(cut.iter().all(|window| window.len() <= size));
        prop_assert!(cut.len() <= text.len() / (size - size / 8 - 4) + 1);
        prop_assert_eq!(cut.first().map(|first| text.starts_with(first)), Some(true));
        prop_assert_eq!(cut.last().map(|last| text.ends_with(last)), Some(true));
        let chars: Vec<char> = text.chars().collect();
        // Six characters of four bytes at most, within an overlap of 32.
        let part: String = chars.iter().skip(at).take(6).collect();
        prop_assert!(cut.iter().any(|window| window.contains(&part)));
    }
}
