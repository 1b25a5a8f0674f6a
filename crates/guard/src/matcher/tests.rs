use std::borrow::Cow;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::{Anchored, Input, MatchKind};

use super::*;
use crate::detector::Family;
use crate::words::Words;

fn sought(pattern: &str, check: Option<fn(&Candidate<'_>, bool) -> Option<u8>>) -> Sought {
    let detector = Detector {
        family: Family::Pattern,
        name: Cow::Borrowed("test"),
        label: Cow::Borrowed("TEST"),
        pattern: Cow::Owned(pattern.to_owned()),
        context: Words::NONE,
        check,
        lead: None,
    };
    Sought { detector, rule: 0, threshold: 50 }
}

/// Those of these patterns; the rule is the number of the pattern.
fn matcher(patterns: &[(&str, Check)]) -> Matcher {
    let sought = patterns.iter().enumerate().map(|(rule, (pattern, check))| Sought {
        rule: u16::try_from(rule).unwrap(),
        ..sought(pattern, *check)
    });
    Matcher::new(sought.collect()).unwrap()
}

fn find(matcher: &Matcher, text: &str) -> Vec<Match> {
    let mut found = Vec::new();
    matcher.find(text, &mut found);
    found
}

fn texts<'t>(matcher: &Matcher, text: &'t str) -> Vec<&'t str> {
    find(matcher, text).iter().map(|one| text.get(one.range.clone()).unwrap()).collect()
}

/// What is found by each pattern alone, from every place to every other one, by another engine.
fn reference(sought: &[Sought], text: &str) -> Vec<Match> {
    let mut found = Vec::new();
    for sought in sought {
        let regex = PikeVM::builder()
            .configure(PikeVM::config().match_kind(MatchKind::All))
            .build(&sought.detector.pattern)
            .unwrap();
        let mut cache = regex.create_cache();
        let mut fits = |start: usize, end: usize| {
            let input = Input::new(text).span(start..end).anchored(Anchored::Yes);
            let mut slots = [None; 2];
            regex.search_slots(&mut cache, &input, &mut slots);
            slots[1].is_some_and(|slot| slot.get() == end)
        };
        let mut from = 0;
        for (start, _) in text.char_indices() {
            if start < from {
                continue;
            }
            let places = text.get(start..).unwrap().char_indices().map(|(at, _)| start + at);
            let ends: Vec<_> = places.chain([text.len()]).skip(1).take(LONGEST).collect();
            let mut tries = 0;
            for &end in ends.iter().rev() {
                if tries == TRIES || !fits(start, end) {
                    continue;
                }
                tries += 1;
                let candidate = Candidate::new(text, start..end).unwrap();
                if let Some(score) = sought.detector.judge(&candidate, sought.threshold) {
                    found.push(Match { rule: sought.rule, range: start..end, score });
                    from = end;
                    break;
                }
            }
        }
    }
    sorted(found)
}

fn sorted(mut found: Vec<Match>) -> Vec<Match> {
    found.sort_by_key(|one| (one.range.start, one.rule));
    found
}

/// Refuses most, by what is in it and around it.
fn picky(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
    let sum: u32 = candidate.text().chars().map(u32::from).sum();
    let sum = sum + candidate.before().chars().last().map_or(0, u32::from);
    let sum = sum + candidate.behind().map_or(0, u32::from);
    (sum % 7 == 3).then_some(80)
}

fn unsure(_: &Candidate<'_>, told: bool) -> Option<u8> {
    Some(if told { 60 } else { 40 })
}

type Check = Option<fn(&Candidate<'_>, bool) -> Option<u8>>;

const PATTERNS: [(&str, Check); 14] = [
    (r"[a-c]{2,9}@[a-c]{1,5}(?:\.[a-c]{2,3}){1,3}", None),
    (r"[a-c]{2,9}@[a-c]{1,5}(?:\.[a-c]{2,3}){1,3}", Some(picky)),
    (r"(?-u:\b)[0-9](?:[ -]?[0-9]){3,11}", Some(picky)),
    (r"[0-9](?:[ -]?[0-9]){3,11}", Some(picky)),
    (r"(?-u:\b)[0-9]{3}-[0-9]{2}(?-u:\b)", None),
    (r"\bab+\b", None),
    (r"(?i)stra(?:ß|ss)e[ks]?", None),
    (r"(?m)^a.{0,3}$", None),
    (r"a\w{2,4}ä", Some(picky)),
    (r"(?:ab|abc|bcab|c)+?", Some(picky)),
    (r"k_[a-c0-9]{8}", None),
    (r"[^ ]{12}", Some(picky)),
    (r"a[^b]*b", Some(picky)),
    (r"\Bb\w+\b{start-half}", Some(picky)),
];

/// That of [`PATTERNS`].
static ALL: LazyLock<Matcher> = LazyLock::new(|| matcher(&PATTERNS));

#[test]
fn what_fits_is_found() {
    let matcher =
        matcher(&[(r"k_[a-c0-9]{8}", None), (r"\bfalcon\b", None), (r"a+b", Some(|_, _| None))]);
    assert_eq!(texts(&matcher, "a k_abc01234, Falcon falcon"), ["k_abc01234", "falcon"]);
    assert_eq!(texts(&matcher, "k_abc0123"), [""; 0]);
    assert_eq!(texts(&matcher, "äfalcon falconß falcons"), [""; 0]);
    assert_eq!(texts(&matcher, "“falcon”"), ["falcon"]);
    assert_eq!(texts(&matcher, "aab"), [""; 0]);
    assert_eq!(texts(&matcher, ""), [""; 0]);
}

#[test]
fn what_is_refused_hides_nothing_within_it() {
    fn ends_with_7(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
        (candidate.text().len() == 4 && candidate.text().ends_with('7')).then_some(50)
    }
    let matcher = matcher(&[("[0-9]{4,6}", Some(ends_with_7))]);
    assert_eq!(texts(&matcher, "12345678"), ["4567"]);
    assert_eq!(texts(&matcher, "12370001237"), ["1237", "1237"]);
}

#[test]
fn a_match_ends_at_its_longest() {
    fn is_longest(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
        assert!(candidate.text().chars().count() <= LONGEST);
        Some(100)
    }
    let ranges = |pattern: &str, text: &str| -> Vec<(usize, usize)> {
        find(&matcher(&[(pattern, Some(is_longest))]), text)
            .into_iter()
            .map(|one| (one.range.start, one.range.end))
            .collect()
    };
    let text = format!("x{} a", "a".repeat(1000));
    // It is judged by its first characters, and goes on.
    assert_eq!(ranges("xa*", &text), [(0, 1001)]);
    assert_eq!(ranges("xa{0,300}", &text), [(0, 301)]);
    assert_eq!(ranges("xa{0,255}", &text), [(0, LONGEST)]);
    assert_eq!(ranges("xa*b?", &text), [(0, 1001)]);
    assert_eq!(ranges("xa*", text.trim_end_matches(" a")), [(0, 1001)]);
    let text = format!("x{} ä", "ä".repeat(1000));
    assert_eq!(ranges("x[aä]*", &text), [(0, 2001)]);
    assert_eq!(ranges("x[aä]{0,255}", &text), [(0, 2 * LONGEST - 1)]);
}

#[test]
fn a_word_before_it_makes_the_difference() {
    let mut one = sought("[0-9]{4}", Some(unsure));
    one.detector.context = Words::of(&["pin"]);
    let matcher = Matcher::new(vec![one]).unwrap();
    assert_eq!(texts(&matcher, "The PIN is 1234, not "), ["1234"]);
    assert_eq!(texts(&matcher, "The pen is 1234, not"), [""; 0]);
    let far = format!("The PIN {} 1234", "x ".repeat(32));
    assert_eq!(texts(&matcher, &far), [""; 0]);
}

#[test]
fn patterns_that_cannot_be_used_are_refused() {
    let refused = |pattern: &str| match Matcher::new(vec![sought(pattern, None)]).unwrap_err() {
        Error::Pattern(0, error) => error,
        other => panic!("{other:?}"),
    };
    use pattern::Error as E;
    assert_eq!(refused("a(b").to_string(), "unclosed group at byte 1");
    assert_eq!(refused("a\\p{Nope}").to_string(), "Unicode property not found at byte 1");
    assert_eq!(refused("(a)\\1").to_string(), "backreferences are not supported at byte 3");
    assert_eq!(refused("a*"), E::Empty);
    assert_eq!(refused("\\b"), E::Empty);
    assert_eq!(refused("(a|)"), E::Empty);
    assert_eq!(refused("a{257}"), E::TooLong);
    assert_eq!(refused("[^\\x00-\\x{10FFFF}]"), E::TooLong);
    assert_eq!(refused("^a"), E::Ends);
    assert_eq!(refused("a\\z"), E::Ends);
    assert_eq!(refused("\\w{256}"), E::Size);
    assert_eq!(refused(&"a".repeat(5000)), E::Length);
    assert!(matches!(refused("((a{200}){200}){200}"), E::TooLong));
    assert!(
        matches!(refused("(((a{0,200}){0,200}){0,200}){0,200}b"), E::Size),
        "{}",
        refused("((a{0,200}){0,200}){0,200}b")
    );
    assert!(Matcher::new(vec![sought("(?m)^a$", None)]).is_ok());
    assert!(Matcher::new(vec![sought("a{256}", None)]).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_at_once_finds_what_each_finds_alone(text in "[a-c ]{0,4}([a-c0-9@. \nkä_SſßK-]|ab|a@b.c|straſſE|strasse){0,50}") {
        let matcher = &*ALL;
        prop_assert_eq!(sorted(find(matcher, &text)), reference(matcher.sought(), &text));
    }

    #[test]
    fn parts_of_a_text_find_what_all_of_it_does(text in "([a-c0-9@. \nä_-]|ab|a@b.c){0,80}", cut in 0_usize..80) {
        let matcher = &*ALL;
        let cut = text.char_indices().nth(cut).map_or(text.len(), |(at, _)| at);
        let (mut reach, mut found) = (Reach::default(), Vec::new());
        matcher.find_in(&text, 0..cut, &mut reach, &mut found);
        matcher.find_in(&text, cut..text.len(), &mut reach, &mut found);
        prop_assert_eq!(found, find(matcher, &text));
    }
}

#[test]
fn blocks_do_not_matter() {
    let matcher = &*ALL;
    let unit = "ab@ab.abc 123-45 k_abc01234 1234 1234 1234 ";
    let all = find(matcher, &unit.repeat(5 * BLOCK / unit.len()));
    let text = unit.repeat(5 * BLOCK / unit.len());
    let (mut reach, mut found) = (Reach::default(), Vec::new());
    for at in (0..text.len()).step_by(97) {
        matcher.find_in(&text, at..(at + 97).min(text.len()), &mut reach, &mut found);
    }
    assert_eq!(found, all);
    assert!(all.len() > 1000);
}

/// What the first automaton leaves to the second one, if a text makes too many states.
#[test]
fn what_is_read_without_the_first_automaton_is_the_same() {
    let matcher = matcher(&PATTERNS);
    let text = "ab@ab.abc 123-45 k_abc01234 straſſe äab 1234 1234 1234 \n abb \n".repeat(20);
    let all = find(&matcher, &text);
    matcher.scratch.get().starts_cache.pause(1);
    assert_eq!(find(&matcher, &text), all);
    assert!(all.len() > 50);
}

#[test]
fn the_work_grows_with_the_text_and_not_faster() {
    let matcher = matcher(&PATTERNS[..7]);
    let work = |text: &str| {
        let before = matcher.work();
        matcher.find(text, &mut Vec::new());
        usize::try_from(matcher.work() - before).unwrap()
    };
    for unit in [
        "a",
        "@",
        "0",
        "%",
        "ä",
        " ",
        "a@",
        "ab@a.ab",
        "0 ",
        "0-",
        "k_",
        "abc",
        "ab ",
        "\n",
        "\u{10ffff}",
    ] {
        let (one, four) = (work(&unit.repeat(1 << 15)), work(&unit.repeat(1 << 17)));
        assert!(four <= 4 * one + 4 * FURTHEST, "{unit:?}: {one}, {four}");
        let most = if unit.len() > 4 { 60 } else { 30 };
        assert!(one < most * (unit.len() << 15), "{unit:?}: {} a byte", one / (unit.len() << 15));
    }
}

/// What is found at each place may be as long as a match may be, and no longer.
#[test]
fn a_pattern_that_goes_on_costs_no_more_than_a_match_may_be_long() {
    let matcher = matcher(&[("a[^b]*b", None)]);
    let text = "a".repeat(1 << 14);
    matcher.find(&text, &mut Vec::new());
    assert!(usize::try_from(matcher.work()).unwrap() <= (LONGEST + 2) * text.len());
}

#[test]
fn many_threads_share_one() {
    let matcher = &*ALL;
    let text = "ab@ab.abc 123-45 k_abc01234".repeat(100);
    let all = find(matcher, &text);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(find(matcher, &text), all));
        }
    });
}
