use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};

use super::*;
use crate::detector::{Candidate, Detector, Family, LONGEST};
use crate::finding::Action;

fn detector(name: &'static str, label: &'static str, pattern: &'static str) -> Detector {
    Detector {
        family: Family::Pii,
        name: Cow::Borrowed(name),
        label: Cow::Borrowed(label),
        pattern: Cow::Borrowed(pattern),
        context: &[],
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

/// Of each sort one: greedy, checked, with words around it, nested in another one, endless, of any character.
fn all(actions: [Action; 7]) -> Vec<Sought> {
    let detectors = [
        detector(
            "email",
            "EMAIL",
            r"(?i)\b[a-z0-9._+-]{1,64}@[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,3}\b",
        ),
        Detector { check: Some(luhn), ..detector("card", "CARD", r"\b\d(?:[ -]?\d){12,18}\b") },
        Detector {
            check: Some(pin),
            context: &["pin", "código"],
            ..detector("pin", "PIN", r"\b\d{4}\b")
        },
        detector("domain", "DOMAIN", r"\b[a-z0-9-]{1,20}\.(?:com|org|example)\b"),
        detector("token", "TOKEN", r"\btk-[A-Za-z0-9/+]{20,}=*"),
        detector("codename", "CODENAME", r"(?i)project\s{1,3}falcon|プロジェクト.鷹|ＸＹ"),
        detector("quoted", "QUOTED", r"§[^§]{0,300}§"),
    ];
    let sought = |(index, (detector, action)): (usize, (Detector, Action))| Sought {
        detector,
        rule: u16::try_from(index).unwrap(),
        action,
        threshold: 50,
    };
    detectors.into_iter().zip(actions).enumerate().map(sought).collect()
}

const MASKS: [Action; 7] = [Action::Mask; 7];

fn guard(actions: [Action; 7]) -> Arc<StreamGuard> {
    Arc::new(StreamGuard::new(all(actions)).unwrap())
}

#[derive(Debug, PartialEq, Eq, Default)]
struct Outcome {
    out: String,
    found: Vec<(RuleIndex, u8)>,
    blocked: Option<RuleIndex>,
}

fn run<'t>(guard: &Arc<StreamGuard>, pieces: impl IntoIterator<Item = &'t str>) -> Outcome {
    let mut channel = Channel::new(Arc::clone(guard), Quoting::Plain);
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
    let regex =
        |sought: &Sought| Regex::new(&sought.detector.pattern.replace("ＸＹ", "XY")).unwrap();
    all(MASKS).iter().map(regex).collect()
});

/// What should come out, found by trying each place with each pattern.
fn slowly(sought: &[Sought], text: &str) -> Outcome {
    let mut matches = Vec::new();
    let folded: String = text.chars().map(seen::folded).collect();
    let places: Vec<usize> =
        folded.char_indices().map(|(at, _)| at).chain([folded.len()]).collect();
    for (order, sought) in sought.iter().enumerate() {
        // What is spelled in full width, is looked for as it is read.
        let regex = &REGEXES[order];
        let mut from = 0;
        for (index, start) in places.iter().copied().enumerate() {
            if start < from {
                continue;
            }
            let limit = places.get(index + LONGEST).copied().unwrap_or(folded.len());
            let search = |end| {
                regex
                    .search(&Input::new(&folded).range(start..end).anchored(Anchored::Yes))
                    .map(|found| found.end())
            };
            let Some(end) = search(limit) else { continue };
            let candidate = Candidate::new(&folded, start..end).unwrap();
            let before = format!(" {} ", candidate.before().to_lowercase());
            let context = sought.detector.context.iter().any(|word| {
                before.match_indices(word).any(|(at, _)| {
                    !before.split_at(at).0.ends_with(char::is_alphanumeric)
                        && !before.split_at(at + word.len()).1.starts_with(char::is_alphanumeric)
                })
            });
            let score = sought.detector.check.map_or(Some(100), |check| check(&candidate, context));
            let Some(score) = score.filter(|score| *score >= 50) else { continue };
            // A longer one ends where it would have ended.
            let end = if end == limit { search(folded.len()).unwrap() } else { end };
            matches.push((start, end, order, score));
            from = end;
        }
    }
    let strictness = |order: usize| match sought[order].action {
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
        match sought[order].action {
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
                    labels[start] = Some(format!("[{}]", sought[order].detector.label));
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
        "[a-z äß@.,%0-9\n-]{1,12}",
        "[ -~äöü日本]{1,6}",
        Just(" ".to_owned()),
    ];
    prop::collection::vec(part, 1..14).prop_map(|parts| parts.concat())
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
static GUARDS: LazyLock<Vec<([Action; 7], Arc<StreamGuard>)>> = LazyLock::new(|| {
    use Action::{Block, Log, Mask, Tokenize};
    let actions = [
        [Mask; 7],
        [Log; 7],
        [Mask, Log, Mask, Log, Mask, Tokenize, Log],
        [Log, Mask, Log, Mask, Log, Mask, Mask],
        [Mask, Mask, Tokenize, Block, Mask, Block, Log],
        [Block, Mask, Mask, Log, Block, Mask, Block],
    ];
    actions.into_iter().map(|actions| (actions, guard(actions))).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_changes_what_is_shown_or_found(
        text in texts(),
        cuts in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..20), 10),
        guard in any::<prop::sample::Index>(),
    ) {
        let (actions, guard) = guard.get(&GUARDS);
        let expected = slowly(&all(*actions), &text);
        prop_assert_eq!(&run(guard, [text.as_str()]), &expected);
        for cuts in cuts {
            prop_assert_eq!(&run(guard, cut(&text, &cuts)), &expected);
        }
        let characters: Vec<&str> = text.split_inclusive(|_| true).collect();
        prop_assert_eq!(&run(guard, characters), &expected);
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
