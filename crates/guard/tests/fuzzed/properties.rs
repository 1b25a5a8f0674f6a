//! What holds for whatever comes in. The targets in `fuzz/` try it with inputs of their own, and the tests here with those
//! that are kept in `fuzz/seeds`.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use tollgate_guard::finding::{Action, Finding};
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::injection;
use tollgate_guard::matcher::terms::Terms;
use tollgate_guard::settings::{Settings, What, Wish};
use tollgate_guard::stream::{Channel, Quoting, StreamGuard, Verdict};
use tollgate_guard::vault::Vault;
use tollgate_guard::views;

fn guard(action: Action) -> Guard {
    let wish = |what| Wish { what, action, threshold: Some(30) };
    let terms = Arc::new(Terms::new(&["blue harvest", "ab"]).unwrap());
    let list = What::List { name: "terms".into(), terms };
    let pattern =
        What::Pattern { name: "codename".into(), pattern: "(?i)fal+con( [0-9]+)*".into() };
    let wishes = [What::Pii(Vec::new()), What::Secrets(Vec::new()), pattern, list];
    Guard::new(&Settings { wishes: wishes.into_iter().map(wish).collect() }).unwrap()
}

static MASKING: LazyLock<Guard> = LazyLock::new(|| guard(Action::Mask));
static STREAM: LazyLock<Arc<StreamGuard>> = LazyLock::new(|| MASKING.stream().unwrap());

fn is_part(text: &str, range: &Range<usize>) -> bool {
    text.get(range.clone()).is_some()
}

/// Copies of a text say of each of their parts from where it comes, and are no longer than they say.
pub(crate) fn views(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let views = views::views(&text);
    let lengths: Vec<usize> = views.iter().map(|view| view.text.len()).collect();
    let longest = lengths.iter().max().copied().unwrap_or_default();
    let all: usize = lengths.iter().sum();
    assert!(all <= (text.len() * 12).max(4096) + 3 * longest, "{lengths:?} of {}", text.len());
    for view in &views {
        let places: Vec<usize> = view.text.char_indices().map(|(at, _)| at).collect();
        for (first, last) in [(0, 1), (0, 9), (1, 2)] {
            for pair in places.windows(last + 1).step_by(1 + places.len() / 500) {
                let source = view.source(pair[first]..pair[last]);
                assert!(is_part(&text, &source), "{source:?} of {:?}", view.text);
            }
        }
        assert!(is_part(&text, &view.source(0..view.text.len())));
    }
}

/// What is found in a text are parts of it, in order, none of which touches another.
pub(crate) fn detectors(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut found: Vec<Finding> = Vec::new();
    MASKING.scan(&text, Trust::Said, &mut found);
    let mut end = 0;
    for one in &found {
        assert!(is_part(&text, &one.range) && !one.range.is_empty(), "{one:?}");
        assert!(one.range.start >= end && (1..=100).contains(&one.score), "{found:?}");
        end = one.range.end;
    }
    let all = MASKING.describe(&text, Trust::Said);
    assert_eq!(found.is_empty(), all.is_empty());
}

fn shown(
    pieces: &[&str],
    quoting: Quoting,
    vault: Option<&Vault>,
    guard: &Arc<StreamGuard>,
) -> (String, usize) {
    let mut channel = Channel::new(Arc::clone(guard), quoting);
    let (mut out, mut found) = (String::new(), Vec::new());
    for piece in pieces {
        assert_eq!(channel.push(piece, vault, &mut out, &mut found), Verdict::Pass);
    }
    assert_eq!(channel.finish(vault, &mut out, &mut found), Verdict::Pass);
    assert!(!channel.is_holding());
    (out, found.len())
}

/// Pieces of a text, cut at places that these bytes say.
fn cut<'t>(text: &'t str, cuts: &[u8]) -> Vec<&'t str> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    for step in cuts.iter().cycle().take(if cuts.is_empty() { 0 } else { text.len() }) {
        let mut at = usize::from(*step % 23).min(rest.len());
        while !rest.is_char_boundary(at) {
            at += 1;
        }
        let (piece, others) = rest.split_at(at);
        pieces.push(piece);
        rest = others;
    }
    pieces.push(rest);
    pieces
}

/// What is shown of a stream, and what is found in it, doesn't depend on how it is cut.
pub(crate) fn stream(data: &[u8]) {
    let [flags, a, b, c, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let quoting = if flags & 1 == 0 { Quoting::Plain } else { Quoting::Json };
    let whole = shown(&[&text], quoting, None, &STREAM);
    assert_eq!(shown(&cut(&text, &[*a, *b, *c]), quoting, None, &STREAM), whole);
    // Each piece takes its time.
    if text.len() < 128 {
        assert_eq!(shown(&cut(&text, &[1]), quoting, None, &STREAM), whole);
    }
}

/// Whoever sent values that the model didn't see, gets them back as they were, however the answer is cut.
pub(crate) fn vault(data: &[u8]) {
    let [a, b, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let (mut vault, mut found, mut sent, mut end) =
        (Vault::default(), Vec::new(), String::new(), 0);
    vault.reserve(&text);
    MASKING.scan(&text, Trust::Said, &mut found);
    for one in &found {
        let label = &MASKING.rules()[usize::from(one.rule)].label;
        let before = text[..one.range.start].chars().next_back();
        let placeholder = vault.tokenize(label, &text[one.range.clone()], before);
        let Some(placeholder) = placeholder else { return };
        sent.push_str(&text[end..one.range.start]);
        sent.push_str(&placeholder);
        end = one.range.end;
    }
    sent.push_str(&text[end..]);
    let nothing = Arc::new(StreamGuard::default());
    for pieces in [cut(&sent, &[]), cut(&sent, &[*a, *b]), cut(&sent, &[1])] {
        assert_eq!(shown(&pieces, Quoting::Plain, Some(&vault), &nothing).0, text, "{sent:?}");
    }
}

/// A file of rules is read or refused; what was read gives any text a score.
pub(crate) fn rules(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(rules) = injection::Rules::read(&text) {
        let score = rules.score(&text, &views::views(&text), Trust::Fetched);
        assert!(score.score <= 100);
        assert!(score.rules.iter().all(|rule| usize::from(*rule) < rules.ids().len()));
    }
}
