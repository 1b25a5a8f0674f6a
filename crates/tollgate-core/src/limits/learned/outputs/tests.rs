use super::*;
use crate::limits::key::{Area, Domain};
use proptest::prelude::*;

const START: u32 = 1_024;
const NOON: Minute = minute(720);

const fn minute(number: u64) -> Minute {
    Minute::at(number)
}

fn table() -> Vec<AtomicU64> {
    (0..1_024).map(|_| AtomicU64::new(0)).collect()
}

fn hash(first: &str, second: &str) -> Key {
    let parts = [first.as_bytes(), second.as_bytes()];
    Key::new((1, 2), Area::Clients, Domain::Learned, parts)
}

fn who(name: &str) -> Who {
    Who::of(hash(name, ""))
}

fn whole(tokens: u32) -> Output {
    Output { tokens, is_whole: true }
}

fn at_least(tokens: u32) -> Output {
    Output { tokens, is_whole: false }
}

/// Numbers that look random in 0..1, always the same.
fn uniform(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    }
}

type Draw = Box<dyn FnMut() -> f64>;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(number: f64) -> u32 {
    number as u32
}

/// The share of outputs that the estimate covered, after it has settled, in percent.
fn covered(mut output: impl FnMut() -> f64) -> f64 {
    let words = table();
    let (outputs, key, client) = (Outputs::new(&words), hash("pro", "llama"), who("a"));
    let mut covered = 0u32;
    for step in 0..20_000u32 {
        let output = rounded(output());
        if step >= 10_000 {
            covered += u32::from(outputs.get(key, client, START, NOON).own >= output);
        }
        outputs.add(key, client, whole(output), START, NOON);
    }
    f64::from(covered) / 100.0
}

#[test]
fn the_estimate_settles_where_at_least_nine_of_ten_outputs_are_covered() {
    for seed in 1..4 {
        let mut even = uniform(seed);
        let mut draw = uniform(seed + 100);
        let shapes: [(&str, Draw); 4] = [
            ("uniform", Box::new(uniform(seed))),
            // Most answers are short, few are long.
            ("exponential", Box::new(move || -even().ln() / 8.0)),
            ("heavy tail", Box::new(move || draw().powf(-0.6) / 20.0)),
            ("two kinds", {
                let (mut kind, mut size) = (uniform(seed + 200), uniform(seed + 300));
                Box::new(move || if kind() < 0.3 { 0.5 + size() / 2.0 } else { size() / 20.0 })
            }),
        ];
        for (name, mut shape) in shapes {
            for scale in [100.0, 4_000.0] {
                let covered = covered(|| shape() * scale + 1.0);
                assert!((91.0..99.0).contains(&covered), "{name} of {scale}: {covered}");
            }
        }
    }
}

#[test]
fn the_estimate_rises_fast_and_falls_slowly() {
    let words = table();
    let (outputs, key, client) = (Outputs::new(&words), hash("pro", "llama"), who("a"));
    let own = || outputs.get(key, client, START, NOON).own;
    let steps_until = |output: u32, done: &dyn Fn(u32) -> bool| {
        (1..10_000).find(|_| {
            outputs.add(key, client, whole(output), START, NOON);
            done(own())
        })
    };
    // The first ones bring it near to what they are, whatever the very first one was.
    outputs.add(key, client, whole(2_000), START, NOON);
    assert_eq!(own(), 2_000);
    let first = steps_until(100, &|estimate| estimate <= 350).unwrap();
    assert!((5..=15).contains(&first), "{first}");
    let up = steps_until(4_000, &|estimate| estimate >= 3_600).unwrap();
    assert!(up <= 10, "{up}");
    let down = steps_until(100, &|estimate| estimate <= 2_000).unwrap();
    assert!((50..=200).contains(&down), "{down}");
    // All the way down, in the end, and up from nothing.
    steps_until(0, &|estimate| estimate == 0).unwrap();
    steps_until(1, &|estimate| estimate == 1).unwrap();
    steps_until(u32::MAX, &|estimate| estimate > 4_000_000).unwrap();
}

#[test]
fn an_answer_that_hit_its_bound_lowers_nothing() {
    let words = table();
    let (outputs, key, client) = (Outputs::new(&words), hash("pro", "llama"), who("a"));
    for _ in 0..941 {
        outputs.add(key, client, at_least(1), START, NOON);
    }
    let own = || outputs.get(key, client, START, NOON).own;
    assert_eq!(own(), START);
    for _ in 0..20 {
        outputs.add(key, client, at_least(5_000), START, NOON);
    }
    assert!(own() > 4_000, "{}", own());
}

#[test]
fn one_client_teaches_only_itself() {
    let words = table();
    let (outputs, key) = (Outputs::new(&words), hash("pro", "llama"));
    let guess = |client: &str| outputs.get(key, who(client), START, NOON);
    for output in [27_000, 40_000, 60_000, 60_000].into_iter().cycle().take(40) {
        outputs.add(key, who("long"), whole(output), START, NOON);
    }
    assert!(guess("long").own > 40_000);
    assert_eq!(guess("other"), OutputGuess { own: START, shared: START });
    // Nor do two of them, where the others disagree.
    for _ in 0..400 {
        for client in ["b", "c", "d"] {
            outputs.add(key, who(client), whole(300), START, NOON);
        }
        outputs.add(key, who("short"), whole(1), START, NOON);
    }
    let others = guess("other");
    assert!((280..=330).contains(&others.own), "{others:?}");
    // For what it shares with others, it counts no less than they do.
    let short = guess("short");
    assert!(short.own < 10 && short.shared == others.own, "{short:?}");
}

#[test]
fn what_was_learned_goes_back_to_what_is_configured() {
    let words = table();
    let (outputs, key, client) = (Outputs::new(&words), hash("pro", "llama"), who("a"));
    for _ in 0..40 {
        outputs.add(key, client, whole(60_000), START, NOON);
    }
    let after = |minutes: u64| outputs.get(key, client, START, minute(720 + minutes)).own;
    let (now, half, hours) = (after(0), after(30), after(12 * 60));
    assert!(now > 50_000);
    assert!((now / 2..now / 2 + START).contains(&half), "{now} {half}");
    assert_eq!(hours, START);
    let falling: Vec<_> = (0..240).map(after).collect();
    assert!(falling.is_sorted_by(|earlier, later| earlier >= later));
}

#[test]
fn a_client_that_makes_names_up_pushes_out_no_model_of_several_clients() {
    let words = table();
    let outputs = Outputs::new(&words);
    let models: Vec<_> = (0..8).map(|n| hash("pro", &format!("model {n}"))).collect();
    for model in &models {
        for client in ["a", "b", "c"].into_iter().cycle().take(9) {
            outputs.add(*model, who(client), whole(100), START, NOON);
        }
    }
    for n in 0..20_000 {
        outputs.add(hash("pro", &format!("made up {n}")), who("x"), whole(9), START, NOON);
    }
    for model in models {
        assert!(outputs.get(model, who("a"), START, NOON).own < START);
        assert!(outputs.get(model, who("y"), START, NOON).own < START);
    }
}

#[test]
fn a_restart_keeps_what_was_learned_and_how_old_it_is() {
    let (words, other) = (table(), table());
    let (outputs, key, client) = (Outputs::new(&words), hash("pro", "llama"), who("a"));
    for _ in 0..40 {
        outputs.add(key, client, whole(60_000), START, NOON);
    }
    let copy = Outputs::new(&other);
    let (saved, now) = (minute(740), minute(3));
    copy.lines().restore(outputs.lines().entries(), now, saved);
    assert_eq!(copy.get(key, client, START, now), outputs.get(key, client, START, saved));
}

proptest! {
    #[test]
    fn an_estimate_moves_towards_the_output_and_hardly_past_it(
        answers in 0u32..16,
        level in 0..=with_fraction(MOST),
        tokens: u32,
        is_whole: bool,
    ) {
        let before = Estimate { answers, level };
        let next = before.next(Output { tokens, is_whole });
        let output = with_fraction(tokens);
        match next {
            None => prop_assert!(!is_whole && output <= level),
            Some(next) if level < output => {
                prop_assert!(next.level > level);
                prop_assert!(u64::from(next.level) <= u64::from(output) + u64::from(level) * 19 / 128 + 1);
            }
            Some(next) => {
                prop_assert!(next.level <= level && next.level >= output);
                prop_assert!(next.level < level || level == output);
            }
        }
    }

    #[test]
    fn a_cell_keeps_what_is_put_into_it(answers in 0u32..16, level in 0..=with_fraction(MOST)) {
        let estimate = Estimate { answers, level };
        let head = Head { who: who("a"), minute: NOON, payload: estimate.payload() };
        prop_assert_eq!(Estimate::of(head), estimate);
    }
}
