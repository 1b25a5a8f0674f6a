use proptest::prelude::*;

use super::*;

const KEY: [u8; 16] = [7; 16];
const BAD: &str = "falcon";

fn shape(window: usize) -> Shape {
    Shape { window, most: 1000, blocks: true }
}

/// What one judge is asked, with the verdict that a window passes unless [`BAD`] is in it.
struct Trial {
    gate: Gate,
    asked: Vec<(u64, String)>,
    is_refused: bool,
    out: Vec<u8>,
}

impl Trial {
    fn new(window: usize) -> Self {
        let gate = Gate::new([shape(window)], KEY);
        Self { gate, asked: Vec::new(), is_refused: false, out: Vec::new() }
    }

    fn say(&mut self, id: u64, text: &str) {
        self.gate.say(Said::Piece(id), text);
        self.gate.put(text.as_bytes());
    }

    /// All that is asked is answered.
    fn judge(&mut self) {
        for cut in self.gate.take_cuts(0) {
            match cut.text.contains(BAD) {
                true => self.is_refused = true,
                false => self.gate.judged(0, cut.round),
            }
            self.asked.push((cut.round, cut.text.into_string()));
        }
        self.gate.take_passed(&mut self.out);
    }

    fn shown(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

#[test]
fn what_comes_before_any_text_waits_for_nobody() {
    let mut trial = Trial::new(256);
    trial.gate.put(b"role");
    trial.gate.take_passed(&mut trial.out);
    assert_eq!(trial.shown(), "role");
    assert!(!trial.gate.is_waiting());
}

#[test]
fn bytes_wait_until_their_text_was_judged() {
    let mut trial = Trial::new(256);
    trial.say(1, &"a".repeat(191));
    trial.judge();
    assert_eq!((trial.shown(), trial.asked.len()), ("", 0));
    trial.say(1, "b");
    assert_eq!(
        trial.gate.take_cuts(0),
        [Cut { round: 1, text: format!("{}b", "a".repeat(191)).into() }]
    );
    trial.gate.take_passed(&mut trial.out);
    assert_eq!(trial.shown(), "");
    trial.gate.judged(0, 1);
    trial.gate.take_passed(&mut trial.out);
    assert_eq!(trial.out.len(), 192);
    assert!(!trial.gate.is_waiting());
}

#[test]
fn a_window_has_the_end_of_the_one_before() {
    let mut trial = Trial::new(256);
    let text: String = ('a'..='z').cycle().take(600).collect();
    trial.say(1, &text);
    trial.gate.finish();
    trial.judge();
    let windows: Vec<_> = trial.asked.iter().map(|(_, window)| window.as_str()).collect();
    let parts = [0..192, 128..384, 320..576, 512..600].map(|part| text.get(part).unwrap());
    assert_eq!(windows, parts);
    assert_eq!(trial.shown(), text);
}

#[test]
fn a_text_that_goes_on_in_another_one_does_not_wait_for_more_of_its_own() {
    let mut trial = Trial::new(256);
    trial.say(1, &"thought ".repeat(20));
    trial.say(2, &"answer".repeat(40));
    trial.judge();
    assert!(trial.shown().starts_with("thought"), "{}", trial.shown());
    assert_eq!(trial.asked[0].1, "thought ".repeat(20));
    assert_eq!(trial.asked[1], (1, "answer".repeat(5) + "an"));
}

#[test]
fn what_is_told_again_is_not_judged_again() {
    let mut trial = Trial::new(256);
    let text = "what was said ".repeat(30);
    for piece in text.as_bytes().chunks(7) {
        trial.say(1, std::str::from_utf8(piece).unwrap());
    }
    trial.gate.finish();
    trial.judge();
    let asked = trial.asked.len();
    for _ in 0..2 {
        trial.gate.say(Said::Whole, &text);
        trial.gate.put(b"again");
        trial.gate.finish();
        trial.judge();
    }
    assert_eq!(trial.asked.len(), asked);
    assert!(trial.shown().ends_with("againagain"));
    trial.gate.say(Said::Whole, &format!("{text}."));
    trial.gate.put(b"other");
    trial.gate.finish();
    assert!(trial.gate.is_waiting());
    trial.judge();
    assert!(trial.asked.len() > asked);
    assert!(trial.shown().ends_with("other"));
}

#[test]
fn blanks_are_not_asked_about() {
    let mut trial = Trial::new(256);
    trial.say(1, " \n\t");
    trial.gate.finish();
    trial.judge();
    assert_eq!((trial.asked.len(), trial.shown()), (0, " \n\t"));
}

#[test]
fn what_is_the_same_in_a_round_is_asked_once() {
    let mut trial = Trial::new(256);
    trial.say(1, "yes");
    trial.say(2, "yes");
    trial.gate.finish();
    trial.judge();
    assert_eq!((trial.asked.len(), trial.shown()), (1, "yesyes"));
}

#[test]
fn a_gate_that_is_full_asks_about_what_there_is() {
    let mut trial = Trial::new(256);
    trial.say(1, "a few words");
    while !trial.gate.is_full() {
        trial.gate.put(&[b'.'; 4096]);
    }
    trial.judge();
    assert_eq!(trial.asked, [(1, "a few words".to_owned())]);
    assert!(!trial.gate.is_full());
    assert!(trial.out.len() >= MAX_HELD);
}

#[test]
fn of_two_judges_both_have_to_let_it_pass() {
    let mut gate = Gate::new([shape(256), shape(64)], KEY);
    let mut out = Vec::new();
    gate.say(Said::Piece(1), "text");
    gate.put(b"text");
    gate.finish();
    for (judge, expected) in [(0, ""), (1, "text")] {
        for cut in gate.take_cuts(judge) {
            gate.judged(judge, cut.round);
        }
        gate.take_passed(&mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }
}

#[test]
fn one_that_only_counts_holds_nothing_but_the_end() {
    let counts = Shape { blocks: false, ..shape(256) };
    let mut gate = Gate::new([counts], KEY);
    let mut out = Vec::new();
    gate.say(Said::Piece(1), "text");
    gate.put(b"text");
    gate.take_passed(&mut out);
    assert_eq!(out, b"text");
    gate.finish();
    assert!(gate.is_waiting());
    for cut in gate.take_cuts(0) {
        gate.judged(0, cut.round);
    }
    assert!(!gate.is_waiting());
}

#[test]
fn nothing_waits_for_one_that_is_dismissed() {
    let mut trial = Trial::new(256);
    trial.say(1, "text");
    trial.gate.dismiss(0);
    trial.say(1, "more");
    trial.gate.finish();
    trial.judge();
    assert_eq!((trial.shown(), trial.asked.len()), ("textmore", 0));
    assert!(!trial.gate.is_waiting());
}

#[test]
fn of_a_closed_one_nothing_that_waited_is_shown() {
    let mut trial = Trial::new(256);
    trial.say(1, "text");
    trial.gate.close();
    trial.gate.put(b"refused");
    trial.judge();
    assert_eq!(trial.shown(), "refused");
    assert!(!trial.gate.is_waiting());
}

#[test]
fn more_windows_than_there_may_be_are_too_much() {
    let mut gate = Gate::new([Shape { most: 2, ..shape(64) }], KEY);
    gate.say(Said::Piece(1), &"a".repeat(96));
    gate.finish();
    assert!(!gate.is_too_much(0));
    gate.say(Said::Piece(1), "b");
    gate.finish();
    assert!(gate.is_too_much(0));
}

#[test]
fn it_shows_nothing_of_a_text_to_a_log() {
    let mut trial = Trial::new(256);
    trial.say(1, "confidential");
    trial.gate.finish();
    let cuts = trial.gate.take_cuts(0);
    assert_eq!(cuts.len(), 1);
    let shown = format!("{:?} {cuts:?}", trial.gate);
    assert!(!shown.contains("conf"), "{shown}");
}

/// How long a text is but for its blanks.
fn without_blanks(text: &str) -> usize {
    text.split_whitespace().map(str::len).sum()
}

fn pieces() -> impl Strategy<Value = Vec<(u64, String)>> {
    prop::collection::vec((0_u64..3, "[a-zäß😀 ]{0,60}|falcon"), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// However texts are cut into pieces, a judge is asked about the same windows. Of what it refuses nothing passes,
    /// and all passes if it refuses nothing.
    #[test]
    fn cuts_leak_nothing_and_lose_nothing(
        pieces in pieces(), window in 64_usize..400, size in 1_usize..30, lag in 1_usize..7,
    ) {
        let mut whole = Trial::new(window);
        pieces.iter().for_each(|(id, text)| whole.say(*id, text));
        whole.gate.finish();
        whole.judge();

        let mut cut = Trial::new(window);
        let mut count = 0_usize;
        for (id, text) in &pieces {
            let chars: Vec<char> = text.chars().collect();
            for chunk in chars.chunks(size) {
                cut.say(*id, &chunk.iter().collect::<String>());
                count += 1;
                if count.is_multiple_of(lag) {
                    cut.judge();
                }
            }
        }
        cut.gate.finish();
        cut.judge();

        prop_assert_eq!(&whole.asked, &cut.asked);
        prop_assert_eq!(whole.is_refused, cut.is_refused);
        let all: String = pieces.iter().map(|(_, text)| text.as_str()).collect();
        for trial in [&whole, &cut] {
            match trial.is_refused {
                false => {
                    prop_assert_eq!(trial.shown(), &all);
                    prop_assert!(!trial.gate.is_waiting());
                }
                true => {
                    prop_assert!(all.starts_with(trial.shown()));
                    // A text that is all in one window, and in one piece of a text, is never shown.
                    let first = trial.asked.iter().find(|(_, text)| text.contains(BAD)).unwrap().0;
                    let judged: usize = trial.asked.iter().filter(|(round, _)| *round < first)
                        .map(|(_, text)| without_blanks(text)).sum();
                    // Nobody is asked about a text that is blank.
                    prop_assert!(without_blanks(trial.shown()) <= judged);
                }
            }
        }
        // Each window is one of the judge's, or smaller.
        prop_assert!(whole.asked.iter().all(|(_, text)| text.len() <= window.max(64)));
    }
}
