mod given;
mod json;
mod leaks;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, MatchKind};

use super::*;
use crate::detector::{Candidate, Detector, Family, LONGEST};
use crate::finding::{Action, Rule};
use crate::folding::{folded, has_unseen, is_unseen};
use crate::matcher::terms::Terms;
use crate::matcher::{Matcher, Sought};
use crate::words::Words;

fn detector(name: &'static str, label: &'static str, pattern: &'static str) -> Detector {
    Detector {
        family: Family::Pii,
        name: Cow::Borrowed(name),
        label: Cow::Borrowed(label),
        pattern: Cow::Borrowed(pattern),
        context: Words::NONE,
        check: None,
        lead: None,
    }
}

fn luhn(candidate: &Candidate<'_>, _context: bool) -> Option<u8> {
    if candidate.behind().is_some_and(|c| c == '%') {
        return None;
    }
    let digits = candidate.text().chars().rev().filter_map(|c| c.to_digit(10));
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| if index % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
        .sum();
    sum.is_multiple_of(10).then_some(90)
}

fn pin(_candidate: &Candidate<'_>, context: bool) -> Option<u8> {
    Some(if context { 80 } else { 20 })
}

/// How many bytes lead to what is one.
fn behind_name(text: &str) -> usize {
    text.find('=').map_or(0, |at| at + 1)
}

/// Of each sort one: checked, with words around it, nested in another one, led to, endless, of any character.
fn detectors() -> [Detector; 8] {
    [
        detector(
            "email",
            "EMAIL",
            r"(?i)\b[a-z0-9._+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,3}",
        ),
        Detector { check: Some(luhn), ..detector("card", "CARD", r"\b\d(?:[ -]?\d){12,18}\b") },
        Detector {
            check: Some(pin),
            context: Words::of(&["pin", "código"]),
            ..detector("pin", "PIN", r"\b\d{4}\b")
        },
        detector("domain", "DOMAIN", r"\b[a-z0-9-]{1,20}\.(?:com|org|example)\b"),
        detector("token", "TOKEN", r"\btk-[A-Za-z0-9/+]{20,}=*"),
        detector("codename", "CODENAME", r"(?i)project\s{1,3}falcon|プロジェクト.鷹|ＸＹ"),
        detector("quoted", "QUOTED", r"§[^§]{0,300}§"),
        Detector {
            lead: Some(behind_name),
            ..detector("secret", "SECRET", r"\b(?:pass|secret) ?=[!-~]{6,30}")
        },
    ]
}

const COUNT: usize = 9;
type Actions = [Action; COUNT];
const MASKS: Actions = [Action::Mask; COUNT];

fn rules(actions: Actions) -> Vec<Rule> {
    let list = detector("terms", "TERM", "");
    let rule = |(detector, action): (Detector, Action)| Rule {
        family: detector.family,
        name: detector.name.into(),
        label: detector.label.into(),
        action,
    };
    detectors().into_iter().chain([list]).zip(actions).map(rule).collect()
}

fn terms() -> Terms {
    Terms::new(&["sales report", "memo", "report 42 x", "鷹"]).unwrap()
}

fn guard(actions: Actions) -> Arc<StreamGuard> {
    static MATCHER: LazyLock<Arc<Matcher>> = LazyLock::new(|| {
        let sought = |(rule, detector)| Sought { detector, rule, threshold: 50 };
        Arc::new(Matcher::new((0..).zip(detectors()).map(sought).collect()).unwrap())
    });
    let list = (Arc::new(terms()), RuleIndex::try_from(COUNT - 1).unwrap());
    Arc::new(StreamGuard::new(&rules(actions), &MATCHER, Arc::new([list])).unwrap())
}

#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    out: String,
    found: Vec<(RuleIndex, u8)>,
    blocked: Option<RuleIndex>,
}

fn run<'t>(guard: &Arc<StreamGuard>, pieces: impl IntoIterator<Item = &'t str>) -> Outcome {
    run_as(guard, Quoting::Plain, pieces)
}

fn run_as<'t>(
    guard: &Arc<StreamGuard>,
    quoting: Quoting,
    pieces: impl IntoIterator<Item = &'t str>,
) -> Outcome {
    run_in(&mut Channel::new(Arc::clone(guard), quoting), pieces)
}

fn run_in<'t>(channel: &mut Channel, pieces: impl IntoIterator<Item = &'t str>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut verdict = Verdict::Pass;
    for piece in pieces {
        verdict = channel.push(piece, None, &mut outcome.out, &mut outcome.found);
    }
    if verdict == Verdict::Pass {
        verdict = channel.finish(None, &mut outcome.out, &mut outcome.found);
    }
    assert!(!channel.is_holding());
    if let Verdict::Block(rule) = verdict {
        outcome.blocked = Some(rule);
    }
    outcome
}

static REGEXES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    // What is spelled in full width, is looked for as it is read.
    let regex = |detector: Detector| {
        let config = Regex::config().match_kind(MatchKind::All);
        Regex::builder().configure(config).build(&detector.pattern.replace("ＸＹ", "XY")).unwrap()
    };
    detectors().map(regex).into()
});

/// What is found by trying each place with each pattern: where from and to, by which, how sure.
fn found_slowly(folded: &str) -> Vec<(usize, usize, usize, u8)> {
    let mut matches = Vec::new();
    let places: Vec<usize> =
        folded.char_indices().map(|(at, _)| at).chain([folded.len()]).collect();
    for (order, detector) in detectors().iter().enumerate() {
        let mut from = 0;
        for (index, start) in places.iter().copied().enumerate() {
            if start < from {
                continue;
            }
            let limit = places.get(index + LONGEST).copied().unwrap_or(folded.len());
            let search = |end| {
                let input = Input::new(folded).range(start..end).anchored(Anchored::Yes);
                REGEXES[order].search(&input).map(|found| found.end())
            };
            let mut next = search(limit);
            for _ in 0..8 {
                let Some(end) = next else { break };
                let candidate = Candidate::new(folded, start..end).unwrap();
                let context = candidate.mentions(&detector.context);
                let score = detector.check.map_or(Some(100), |check| check(&candidate, context));
                if let Some(score) = score.filter(|score| *score >= 50) {
                    let lead = detector.lead.map_or(0, |lead| lead(candidate.text()));
                    // A longer one ends where it would have ended.
                    from = if end == limit { search(folded.len()).unwrap() } else { end };
                    matches.push((start + lead, from, order, score));
                    break;
                }
                next = search(places[places.binary_search(&end).unwrap() - 1]);
            }
        }
    }
    let mut of_list = Vec::new();
    terms().find_in(folded, 0..folded.len(), &mut of_list);
    matches.extend(of_list.into_iter().map(|range| (range.start, range.end, COUNT - 1, 100)));
    matches
}

/// What should come out: of what is found in the text, and in the text without what no reader sees.
fn slowly(actions: Actions, text: &str) -> Outcome {
    let folded: String = text.chars().map(folded).collect();
    let places: Vec<usize> =
        folded.char_indices().map(|(at, _)| at).chain([folded.len()]).collect();
    let mut matches = found_slowly(&folded);
    if has_unseen(&folded) {
        let (mut second, mut from) = (String::new(), Vec::new());
        for (at, c) in folded.char_indices().filter(|(_, c)| !is_unseen(*c)) {
            second.push(c);
            from.extend((at..).take(c.len_utf8()));
        }
        let found = found_slowly(&second).into_iter();
        matches.extend(
            found.map(|(start, end, order, score)| (from[start], from[end - 1] + 1, order, score)),
        );
    }
    let strictness = |order: usize| match actions[order] {
        Action::Log => 0,
        Action::Mask | Action::Tokenize => 1,
        Action::Block => 2,
    };
    matches.sort_by_key(|(start, end, order, _)| {
        (*start, -strictness(*order), folded.len() - end, *order)
    });

    // One character of what is read is one of what came.
    let came: Vec<char> = text.chars().collect();
    let index_of = |at: usize| places.binary_search(&at).unwrap();
    let mut outcome = Outcome::default();
    let mut hidden = vec![false; came.len()];
    let mut labels = vec![None; came.len() + 1];
    let mut logged = 0;
    let mut stop = came.len();
    for (start, end, order, score) in matches {
        let (start, end) = (index_of(start), index_of(end));
        let rule = (u16::try_from(order).unwrap(), score);
        match actions[order] {
            Action::Block => {
                outcome.found.push(rule);
                outcome.blocked = Some(rule.0);
                stop = start;
                break;
            }
            Action::Log => {
                if start >= logged && !hidden[start] {
                    outcome.found.push(rule);
                }
                logged = logged.max(end);
            }
            Action::Mask | Action::Tokenize => {
                if !hidden[start] {
                    outcome.found.push(rule);
                    labels[start] = Some(format!("[{}]", rules(actions)[order].label));
                }
                hidden[start..end].fill(true);
            }
        }
    }
    for (index, c) in came.iter().enumerate() {
        if index == stop {
            break;
        }
        if let Some(label) = &labels[index] {
            outcome.out.push_str(label);
        }
        if !hidden[index] {
            outcome.out.push(*c);
        }
    }
    outcome
}

/// Texts with values in them, and with what looks like one.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("jo.doe@mail.example.com".to_owned()),
        Just("Ana@x.org".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("５５５５-5555-５５５５-4444".to_owned()),
        Just("4111 1111 1111 1112".to_owned()),
        Just("pin 0042".to_owned()),
        Just("Código: 0042".to_owned()),
        Just("spin 0042".to_owned()),
        Just("site.example".to_owned()),
        Just("Project  Falcon".to_owned()),
        Just("project\u{3000}fal".to_owned()),
        Just("プロジェクトの鷹".to_owned()),
        Just("ＸＹ".to_owned()),
        Just("tk-".to_owned()),
        "[A-Za-z0-9/+]{20,30}".prop_map(|rest| format!("tk-{rest}")),
        "[A-Za-z0-9/+]{200,700}={0,2}".prop_map(|rest| format!("tk-{rest}")),
        Just("§".to_owned()),
        Just("sales  report".to_owned()),
        Just("Sales report 42 x".to_owned()),
        Just("pass = ".to_owned()),
        "secret=[!-~]{3,9}",
        "[a-z äß@.,%0-9\n-]{1,12}",
        "[ -~äöü日本]{1,6}",
        Just(" ".to_owned()),
    ];
    prop::collection::vec(part, 1..14).prop_map(|parts| parts.concat())
}

/// Texts as they are above, with characters in them that no reader sees.
fn hiding_texts() -> impl Strategy<Value = String> {
    let unseen = prop::sample::select(vec![
        "\u{ad}",
        "\u{200b}",
        "\u{200d}",
        "\u{feff}",
        "\u{1}",
        "\u{e0041}",
    ]);
    let hidden = prop::collection::vec((any::<prop::sample::Index>(), unseen), 0..8);
    (texts(), hidden).prop_map(|(mut text, hidden)| {
        for (place, unseen) in hidden {
            let mut at = place.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, unseen);
        }
        text
    })
}

fn cut<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t str> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.retain(|place| text.is_char_boundary(*place));
    places.push(0);
    places.push(text.len());
    places.sort_unstable();
    places.windows(2).map(|pair| text.get(pair[0]..pair[1]).unwrap()).collect()
}

/// Guards with the same detectors, and other actions. They take their time to make.
static GUARDS: LazyLock<Vec<(Actions, Arc<StreamGuard>)>> = LazyLock::new(|| {
    use Action::{Block, Log, Mask, Tokenize};
    let actions = [
        MASKS,
        [Log; COUNT],
        [Mask, Log, Mask, Log, Mask, Tokenize, Log, Mask, Log],
        [Log, Mask, Log, Mask, Log, Mask, Mask, Log, Mask],
        [Mask, Mask, Tokenize, Block, Mask, Block, Log, Mask, Mask],
        [Block, Mask, Mask, Log, Block, Mask, Block, Block, Log],
    ];
    actions.into_iter().map(|actions| (actions, guard(actions))).collect()
});

/// However the text is cut, the same is shown and found.
fn no_cut_matters(
    text: &str,
    cuts: &[Vec<prop::sample::Index>],
    (actions, guard): &(Actions, Arc<StreamGuard>),
) -> Result<(), TestCaseError> {
    let expected = slowly(*actions, text);
    prop_assert_eq!(&run(guard, [text]), &expected);
    for cuts in cuts {
        prop_assert_eq!(&run(guard, cut(text, cuts)), &expected);
    }
    let characters: Vec<&str> = text.split_inclusive(|_| true).collect();
    prop_assert_eq!(&run(guard, characters), &expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_changes_what_is_shown_or_found(
        text in texts(),
        cuts in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..20), 10),
        guard in any::<prop::sample::Index>(),
    ) {
        no_cut_matters(&text, &cuts, guard.get(&GUARDS))?;
    }

    #[test]
    fn no_cut_changes_what_is_shown_of_texts_that_hide_something(
        text in hiding_texts(),
        cuts in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..20), 40),
        guard in any::<prop::sample::Index>(),
    ) {
        no_cut_matters(&text, &cuts, guard.get(&GUARDS))?;
    }
}

#[test]
fn what_cannot_become_a_match_is_shown_in_the_call_in_which_it_came() {
    let mut channel = Channel::new(Arc::clone(&GUARDS[0].1), Quoting::Plain);
    let mut found = Vec::new();
    let steps = [
        ("Write to ", "Write to "),
        ("jo", ""),
        (".doe@mail", ""),
        (" or", "jo.doe@mail "),
        (" 41", "or "),
        ("11 1111 1111", ""),
        (" 1111", ""),
        (" is", "[CARD] "),
        ("n't it? ", "isn't it? "),
        ("12", ""),
        ("ä", "12ä"),
        // Within a word, none of these begins.
        ("x12", "x12"),
        ("!!", "!!"),
        ("a@b.org", ""),
        (", b@c.org!", "[EMAIL], [EMAIL]!"),
        (" §x", " "),
        (" y", ""),
    ];
    for (piece, shown) in steps {
        let mut out = String::new();
        assert_eq!(channel.push(piece, None, &mut out, &mut found), Verdict::Pass);
        assert_eq!(out, shown, "after {piece:?}");
    }
    assert!(channel.is_holding());
    let mut out = String::new();
    assert_eq!(channel.finish(None, &mut out, &mut found), Verdict::Pass);
    assert_eq!(out, "§x y");
    assert!(!channel.is_holding());
    assert_eq!(found, [(1, 90), (0, 100), (0, 100)]);
}

#[test]
fn what_no_reader_sees_hides_no_value() {
    let masks = &GUARDS[0].1;
    for unseen in ["\u{200b}", "\u{ad}", "\u{2060}\u{feff}", "\u{200d}", "\u{202e}", "\u{7f}"] {
        for (value, label) in
            [("4111 1111 1111 1111", "CARD"), ("jo.doe@mail.example.com", "EMAIL")]
        {
            for at in 0..=value.len() {
                let (before, behind) = value.split_at(at);
                let text = format!("to {before}{unseen}{behind} or so");
                let shown = run(masks, text.split_inclusive(|_| true));
                let is_inside = at > 0 && at < value.len();
                let plain = shown.out.replace(unseen, "");
                assert_eq!(plain, format!("to [{label}] or so"), "{text:?}");
                // What stands beside a value stays, byte for byte.
                assert_eq!(shown.out == plain, is_inside, "{text:?}");
                assert_eq!(shown.found.len(), 1);
                assert_eq!(run(masks, [text.as_str()]), shown);
            }
        }
    }
    // What is no value stays as it came.
    let text = "4111\u{200b} 1111 1111 1112, ein Wort\u{ad}teil, \u{1f468}\u{200d}\u{1f469}";
    assert_eq!(run(masks, text.split_inclusive(|_| true)).out, text);
    assert_eq!(run(masks, [text]).found, []);
}
