//! Values that are given back in the place of placeholders.

use super::*;
use crate::vault::Vault;

fn vault() -> Vault {
    let mut vault = Vault::default();
    vault.reserve("the text of a request, with <EMAIL_2> in it");
    for value in ["ana@example.org", "o\"neil\\@example.org", "<b>@example.org"] {
        vault.tokenize("EMAIL", value, None).unwrap();
    }
    vault.tokenize("US_SSN", "078-05-1120", None).unwrap();
    vault.tokenize("IP", "192.0.2.5", Some('\\')).unwrap();
    vault
}

/// What is shown of a text, however it is cut in two, or in single characters.
fn shown(actions: Actions, quoting: Quoting, text: &str) -> (String, Vec<(RuleIndex, u8)>) {
    let (vault, guard) = (vault(), guard(actions));
    let run = |pieces: &[&str]| {
        let mut channel = Channel::new(Arc::clone(&guard), quoting);
        let (mut out, mut found) = (String::new(), Vec::new());
        for piece in pieces {
            assert_eq!(channel.push(piece, Some(&vault), &mut out, &mut found), Verdict::Pass);
        }
        assert_eq!(channel.finish(Some(&vault), &mut out, &mut found), Verdict::Pass);
        (out, found)
    };
    let expected = run(&[text]);
    for (at, _) in text.char_indices() {
        let (first, second) = text.split_at(at);
        assert_eq!(run(&[first, second]), expected, "cut at {at}: {text}");
    }
    assert_eq!(run(&text.split_inclusive(|_| true).collect::<Vec<_>>()), expected, "{text}");
    expected
}

fn plain(text: &str) -> String {
    shown(MASKS, Quoting::Plain, text).0
}

#[test]
fn the_client_gets_its_values_back_and_they_are_not_masked() {
    let (out, found) =
        shown(MASKS, Quoting::Plain, "Dear <EMAIL_1>, or x@example.org, or <US_SSN_1>.");
    assert_eq!(out, "Dear ana@example.org, or [EMAIL], or 078-05-1120.");
    assert_eq!(found, [(0, 100)]);
    assert_eq!(plain("<EMAIL_1><EMAIL_1>"), "ana@example.organa@example.org");
    assert_eq!(plain("**<email_1>** \\<EMAIL\\_1\\>"), "**ana@example.org** ana@example.org");
}

#[test]
fn what_stands_behind_a_backslash_is_given_back_behind_it() {
    assert_eq!(
        plain("\\\\<IP_1>\\share, \\<ip_1>, <IP_1>"),
        "\\\\192.0.2.5\\share, \\192.0.2.5, 192.0.2.5"
    );
    assert_eq!(plain("\\<IP\\_1\\>"), "192.0.2.5");
    // A model may put two before a value that the client has without any, but not one.
    assert_eq!(plain("\\\\<US_SSN_1>, \\\\\\<US_SSN_1>"), "\\\\078-05-1120, \\\\078-05-1120");
    assert_eq!(plain("\\<US_SSN_1>"), "078-05-1120");
    let (out, _) = shown(MASKS, Quoting::Json, "{\"to\":\"\\\\\\\\<IP_1>\\\\share\"}");
    assert_eq!(out, "{\"to\":\"\\\\\\\\192.0.2.5\\\\share\"}");
}

#[test]
fn what_is_no_placeholder_of_this_request_stays() {
    for text in [
        "<EMAIL_2>",
        "<EMAIL_9> <b>x</b> a < b",
        "<EMAIL_1",
        "<PHONE_1>",
        "&lt;EMAIL_1>",
        "&amp; <EMAIL_",
        "\\",
    ] {
        assert_eq!(plain(text), text);
    }
}

#[test]
fn a_value_is_escaped_as_the_placeholder_was() {
    assert_eq!(plain("<p>&lt;EMAIL_4&gt;</p>"), "<p>&lt;b&gt;@example.org</p>");
    assert_eq!(plain("\"\\u003cEMAIL_3\\u003e\""), "\"o\\\"neil\\\\@example.org\"");
    assert_eq!(plain("<EMAIL_3>"), "o\"neil\\@example.org");
}

#[test]
fn a_value_in_json_stays_in_its_string() {
    for text in [
        "{\"to\":\"<EMAIL_3>\",\"n\":1}",
        "{\"to\":\"\\u003cEMAIL_3\\u003e\",\"n\":1}",
        "{\"to\":\"\\u003CEMAIL_3>\",\"n\":1}",
        "{\"to\":<EMAIL_3>,\"n\":1}",
    ] {
        let (out, _) = shown(MASKS, Quoting::Json, text);
        assert_eq!(out, "{\"to\":\"o\\\"neil\\\\@example.org\",\"n\":1}", "{text}");
    }
    let (out, _) = shown(MASKS, Quoting::Json, "{\"to\":\"\\\\u003cEMAIL_3\\\\u003e\"}");
    assert_eq!(out, "{\"to\":\"o\\\\\\\"neil\\\\\\\\@example.org\"}");
}

#[test]
fn a_placeholder_within_something_that_is_left_out_is_left_out() {
    let (out, found) = shown(MASKS, Quoting::Plain, "a § b <EMAIL_1> § c");
    assert_eq!(out, "a [QUOTED] c");
    assert_eq!(found, [(6, 100)]);
}

#[test]
fn only_what_may_be_a_placeholder_is_waited_for() {
    let (vault, guard) = (vault(), Arc::new(StreamGuard::default()));
    let mut channel = Channel::new(guard, Quoting::Plain);
    for (piece, shown) in [
        ("if a <", "if a "),
        (" b & c", "< b & c"),
        ("<E", ""),
        ("MAI", ""),
        ("R", "<EMAIR"),
        ("<EMAIL", ""),
        ("_1", ""),
        ("3", "<EMAIL_13"),
        ("<EMAIL_1", ""),
        (">!", "ana@example.org!"),
        ("<us_ssn_", ""),
    ] {
        let mut out = String::new();
        assert_eq!(channel.push(piece, Some(&vault), &mut out, &mut Vec::new()), Verdict::Pass);
        assert_eq!(out, shown, "after {piece:?}");
    }
    assert!(channel.is_holding());
}
