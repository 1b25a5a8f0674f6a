use super::*;

fn vault() -> Vault {
    let mut vault = Vault::default();
    for index in 1..=12 {
        vault.tokenize("EMAIL", &format!("{index}@example.org"), None).unwrap();
    }
    vault.tokenize("US_SSN", "078-05-1120", None).unwrap();
    vault
}

fn value<'v>(vault: &'v Vault, text: &str) -> Option<(&'v str, usize, Form)> {
    match vault.read(text) {
        Reading::Placeholder { length, form, value } => Some((value, length, form)),
        _ => None,
    }
}

#[test]
fn the_same_value_has_the_same_placeholder_and_another_one_another() {
    let mut vault = Vault::default();
    assert!(vault.is_empty());
    assert_eq!(vault.tokenize("EMAIL", "a@b.org", None).unwrap(), "<EMAIL_1>");
    assert_eq!(vault.tokenize("EMAIL", "c@b.org", None).unwrap(), "<EMAIL_2>");
    assert_eq!(vault.tokenize("EMAIL", "a@b.org", None).unwrap(), "<EMAIL_1>");
    assert_eq!(vault.tokenize("PHONE", "a@b.org", None).unwrap(), "<PHONE_1>");
    assert_eq!(vault.len(), 3);
}

#[test]
fn what_the_request_says_itself_is_no_placeholder() {
    let mut vault = Vault::default();
    vault.reserve("put <EMAIL_1> and &lt;email_2&gt;, \\u003cEMAIL_3\\u003e, <EMAIL\\_4>, \\<email_6\\>, <PHONE_5> <x_y> <_> <");
    assert_eq!(vault.tokenize("EMAIL", "a@b.org", None).unwrap(), "<EMAIL_5>");
    assert_eq!(vault.tokenize("EMAIL", "b@b.org", None).unwrap(), "<EMAIL_7>");
    assert!(value(&vault, "<EMAIL_1>").is_none());
    assert_eq!(value(&vault, "<EMAIL_5>").unwrap().0, "a@b.org");
}

#[test]
fn there_is_a_bound_to_what_is_kept() {
    let mut vault = Vault::default();
    for index in 0..MOST_VALUES {
        assert!(vault.tokenize("N", &index.to_string(), None).is_some());
    }
    assert_eq!(vault.tokenize("N", "one more", None), None);
    assert_eq!(vault.tokenize("N", "0", None).unwrap(), "<N_1>");

    let mut vault = Vault::default();
    vault.reserve(&(1..5000).map(|index| format!("<N_{index}>")).collect::<String>());
    assert_eq!(vault.tokenize("N", "0", None), None);
}

#[test]
fn a_placeholder_is_read_as_models_write_it() {
    let vault = vault();
    let first = Some("1@example.org");
    for (text, form) in [
        ("<EMAIL_1>", Form::Plain),
        ("<email_1> and more", Form::Plain),
        ("<Email\\_1>", Form::Plain),
        ("\\<EMAIL\\_1\\>", Form::Plain),
        ("\\<EMAIL_1>", Form::Plain),
        ("&lt;EMAIL_1&gt;", Form::Html),
        ("&LT;email_1&GT;", Form::Html),
        ("\\u003cEMAIL_1\\u003e", Form::Json),
        ("\\u003CEMAIL_1\\u003E", Form::Json),
    ] {
        let read = value(&vault, text);
        assert_eq!(read.map(|read| read.0), first, "{text}");
        assert_eq!(read.map(|read| read.2), Some(form), "{text}");
        let whole = text.trim_end_matches(" and more").len();
        assert_eq!(read.map(|read| read.1), Some(whole), "{text}");
        for end in 1..whole {
            assert_eq!(vault.read(text.split_at(end).0), Reading::Beginning, "{text} up to {end}");
        }
    }
    assert_eq!(value(&vault, "<EMAIL_12>").unwrap().0, "12@example.org");
    assert_eq!(value(&vault, "<us_ssn_1>").unwrap().0, "078-05-1120");
    assert_eq!(value(&vault, "<US\\_SSN\\_1>").unwrap().0, "078-05-1120");
}

#[test]
fn a_backslash_of_the_client_is_none_of_the_placeholder() {
    let mut vault = vault();
    assert_eq!(vault.tokenize("EMAIL", "2@example.org", Some('\\')).unwrap(), "<EMAIL_2>");
    assert_eq!(vault.tokenize("EMAIL", "2@example.org", Some(' ')).unwrap(), "<EMAIL_2>");
    assert_eq!(vault.read("\\<EMAIL_2"), Reading::Beginning);
    assert_eq!(vault.read("\\<EMAIL_2>"), Reading::Other);
    assert_eq!(value(&vault, "<EMAIL_2>"), Some(("2@example.org", 9, Form::Plain)));
    assert_eq!(value(&vault, "\\<EMAIL\\_2\\>"), Some(("2@example.org", 12, Form::Plain)));
    // This one never stood behind one.
    assert_eq!(value(&vault, "\\<EMAIL_1>"), Some(("1@example.org", 10, Form::Plain)));
}

#[test]
fn what_is_none_is_not_waited_for() {
    let vault = vault();
    for text in [
        "",
        "<b",
        "<EMAIM",
        "<EMAIL_0",
        "<EMAIL_13",
        "<EMAIL_2 ",
        "<EMAIL_20",
        "<EMAIL_x",
        "<EMAIL-1>",
        "<EMAIL_1/>",
        "< EMAIL_1>",
        "<EMAIL_1&gt;",
        "&lt;EMAIL_1>",
        "&amp;",
        "\\n",
        "\\u0041",
        "<PHONE_1>",
        "<EMAIL_123456",
        "<ä",
        "<EMAIL_1\\u003e",
    ] {
        assert!(matches!(vault.read(text), Reading::Other) || text.is_empty(), "{text}");
    }
}

#[test]
fn nothing_of_a_value_is_in_what_is_printed_for_debugging() {
    let shown = format!("{:?}", vault());
    assert!(!shown.contains("example") && !shown.contains("078"), "{shown}");
}
