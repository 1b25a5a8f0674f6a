//! Credentials of all kinds: drawn at random by their forms, and what only looks like them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

mod forms;

use tollgate_guard::finding::{Action, Finding};
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::secrets;
use tollgate_guard::settings::{Settings, What, Wish};

use forms::{credential, with_checksum, Random, BASE62, BASE64, DIGITS, HEX, LETTERS, UPPER};

fn guard(kinds: &[&str]) -> Guard {
    let what = What::Secrets(kinds.iter().map(|kind| (*kind).into()).collect());
    Guard::new(&Settings { wishes: vec![Wish { what, action: Action::Mask, threshold: None }] })
        .unwrap()
}

fn found(guard: &Guard, text: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    guard.scan(text, Trust::Said, &mut found);
    found
}

fn kinds() -> Vec<String> {
    secrets::detectors().into_iter().map(|detector| detector.name.into_owned()).collect()
}

/// How a value stands in texts: what closes it is that of what leads to it.
fn embed(r: &mut Random, lead: &str, value: &str) -> (String, usize) {
    let close = if lead.ends_with('"') {
        "\""
    } else if lead.ends_with('\'') {
        "'"
    } else {
        ""
    };
    let (before, behind) = if close.is_empty() {
        match r.below(6) {
            0 => ("", ""),
            1 => ("Here it is: ", " - keep it"),
            2 => ("{\"a\": 1, \"value\": \"", "\"}"),
            3 => ("export X=", "\nexport Y=1"),
            4 => ("see `", "`, thanks"),
            _ => ("(", ")"),
        }
    } else {
        ("x;\n", "\n")
    };
    (format!("{before}{lead}{value}{close}{behind}"), before.len() + lead.len())
}

#[test]
fn each_is_found_where_it_stands() {
    let mut r = Random(7);
    let all = guard(&[]);
    for kind in kinds() {
        let only = guard(&[&kind]);
        for round in 0..60 {
            let (lead, value) = credential(&kind, &mut r);
            let (text, start) = embed(&mut r, &lead, &value);
            let range = start..start + value.len();
            let one = found(&only, &text);
            // Where a private key ends, isn't always known.
            let is_it = |one: &Finding| {
                one.range.start == range.start
                    && (one.range.end == range.end
                        || (kind.starts_with("private_key") && one.range.end > range.end))
            };
            assert!(one.iter().any(is_it), "{kind}, {round}: {one:?} in {text}");
            // With all others, nothing of it is left.
            let covers =
                |one: &Finding| one.range.start <= range.start && range.end <= one.range.end;
            assert!(found(&all, &text).iter().any(covers), "{kind}, {round}: {text}");
        }
    }
}

/// What is written instead of a credential, and what has nearly its form.
fn near_misses(kind: &str, r: &mut Random) -> Vec<String> {
    let (lead, value) = credential(kind, r);
    let close = if lead.ends_with(['"', '\'']) { &lead[lead.len() - 1..] } else { "" };
    let with = |value: &str| format!("{lead}{value}{close}");
    // What its last characters are, when somebody hides them.
    let hidden = |with: char| {
        let at = value
            .find(['_', '-', '.', ':'])
            .filter(|at| *at < 12)
            .map_or(4, |at| at + 1)
            .min(value.len());
        value
            .char_indices()
            .map(|(index, c)| if index < at || !c.is_ascii_alphanumeric() { c } else { with })
            .collect::<String>()
    };
    let mut all = vec![with(&hidden('x')), with(&hidden('X')), with(&hidden('*'))];
    // A person may have chosen a password with many zeros.
    if !kind.starts_with("connection") && !kind.starts_with("basic") {
        all.push(with(&hidden('0')));
    }
    all
}

#[test]
fn what_is_written_in_the_place_of_a_value_is_none() {
    let mut r = Random(11);
    for kind in kinds() {
        // Of a private key, the first line is enough. The others aren't random.
        let is_by_form =
            ["private_key", "private_key_putty", "jwt", "slack_webhook", "discord_webhook"];
        if is_by_form.contains(&kind.as_str()) {
            continue;
        }
        let guard = guard(&[&kind]);
        for _ in 0..17 {
            for text in near_misses(&kind, &mut r) {
                assert!(found(&guard, &text).is_empty(), "{kind}: {text}");
            }
        }
    }
}

#[test]
fn a_part_of_a_longer_word_is_none() {
    let mut r = Random(13);
    let by_form = ["private_key", "private_key_putty", "slack_webhook", "discord_webhook"];
    for kind in kinds() {
        let guard = guard(&[&kind]);
        for _ in 0..50 {
            let (lead, value) = credential(&kind, &mut r);
            let is_token =
                lead.is_empty() && !value.contains("://") && !value.starts_with("AccountKey");
            if !is_token || by_form.contains(&kind.as_str()) {
                continue;
            }
            assert!(found(&guard, &format!("ab{value}")).is_empty(), "{kind}: ab{value}");
            // A line feed that is written out is no letter.
            assert!(!found(&guard, &format!("a\\n{value}\\n")).is_empty(), "{kind}: {value}");
        }
    }
}

#[test]
fn a_wrong_checksum_makes_it_less_sure() {
    let mut r = Random(17);
    let guard = guard(&["github_token", "npm_token"]);
    for _ in 0..50 {
        for lead in ["ghp_", "npm_"] {
            let body = r.of(BASE62, 30);
            let right = with_checksum(lead, &body);
            let last = right.chars().last().unwrap();
            let wrong =
                format!("{}{}", &right[..right.len() - 1], if last == 'a' { 'b' } else { 'a' });
            assert_eq!(found(&guard, &right).first().map(|one| one.score), Some(100));
            assert_eq!(found(&guard, &wrong).first().map(|one| one.score), Some(70), "{wrong}");
            assert_eq!(
                found(&guard, &format!("token: {wrong}")).first().map(|one| one.score),
                Some(85)
            );
        }
    }
}

#[test]
fn what_gateways_are_tried_with_is_found() {
    let guard = guard(&[]);
    for value in [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_EXAMPLENOTAREALGITHUBTOKEN0000000000",
        "xoxb-00000-00000-EXAMPLENOTAREALTOKEN",
    ] {
        for text in [value.to_owned(), format!("key={value};"), format!("({value})")] {
            assert_eq!(found(&guard, &text).first().map(|one| one.score), Some(60), "{text}");
        }
        assert!(found(&guard, &value.to_lowercase()).is_empty(), "{value}");
    }
}

#[test]
fn other_random_text_is_no_credential() {
    let mut r = Random(19);
    let guard = guard(&[]);
    for _ in 0..60 {
        for text in [
            format!("commit {}", r.of(HEX, 40)),
            format!("sha256:{}", r.of(HEX, 64)),
            format!("md5 = {}", r.of(HEX, 32)),
            format!(
                "id: {}-{}-4{}-a{}-{}",
                r.of(HEX, 8),
                r.of(HEX, 4),
                r.of(HEX, 3),
                r.of(HEX, 3),
                r.of(HEX, 12)
            ),
            format!("data:image/png;base64,iVBORw0KGgo{}", r.of(BASE64, 400)),
            format!("integrity=\"sha512-{}==\"", r.of(BASE64, 86)),
            format!(
                "https://host{}.org/{}?page={}",
                r.of(DIGITS, 2),
                r.of(BASE62, 30),
                r.of(DIGITS, 3)
            ),
            format!("ETag: \"{}\"", r.of(HEX, 16)),
            format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} ann@host", r.of(BASE64, 43)),
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----", r.of(BASE64, 64)),
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", r.of(BASE64, 64)),
            format!("pk_live_{}", r.of(BASE62, 24)),
            format!("AC{}", r.of(HEX, 32)),
            format!("0x{}", r.of(HEX, 40)),
            format!("{} {}", r.of(LETTERS, 12), r.of(UPPER, 20)),
        ] {
            assert!(found(&guard, &text).is_empty(), "{:?} in {text}", found(&guard, &text));
        }
    }
}

#[test]
fn manuals_and_code_have_no_credentials() {
    let guard = guard(&[]);
    for text in NONE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let found = found(&guard, text);
        let names: Vec<_> =
            found.iter().map(|one| guard.rules()[usize::from(one.rule)].name.as_ref()).collect();
        assert!(found.is_empty(), "{names:?} in {text}");
    }
}

/// One a line.
const NONE: &str = include_str!("none.txt");

#[test]
fn a_word_names_all_kinds_that_begin_with_it() {
    let names = |kind: &str| -> Option<Vec<String>> {
        Some(secrets::kind(kind)?.into_iter().map(|detector| detector.name.into_owned()).collect())
    };
    assert_eq!(names("aws").unwrap(), ["aws_access_key", "aws_secret_key"]);
    assert_eq!(names("jwt").unwrap(), ["jwt"]);
    assert_eq!(names("aw"), None);
    assert_eq!(names(""), None);
    let mut all = kinds();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}
