use super::*;
use crate::limits::key::Domain;
use proptest::prelude::*;

fn table() -> Vec<AtomicU64> {
    (0..WORDS).map(|_| AtomicU64::new(0)).collect()
}

fn pair(tier: &str, model: &str) -> Key {
    Key::new((1, 2), Domain::Learned, [tier.as_bytes(), model.as_bytes()])
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
fn whole(number: f64) -> u32 {
    number as u32
}

/// The share of outputs that the estimate covered, after it has settled, in percent.
fn covered(mut output: impl FnMut() -> f64) -> f64 {
    let words = table();
    let (learned, key) = (Learned(&words), pair("pro", "llama"));
    let mut covered = 0u32;
    for step in 0..20_000u32 {
        let output = whole(output());
        if step >= 10_000 {
            covered += u32::from(learned.get(key).unwrap() >= output);
        }
        learned.add(key, output);
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
                assert!((92.0..99.0).contains(&covered), "{name} of {scale}: {covered}");
            }
        }
    }
}

#[test]
fn the_estimate_rises_fast_and_falls_slowly() {
    let words = table();
    let (learned, key) = (Learned(&words), pair("pro", "llama"));
    let steps_until = |output: u32, done: &dyn Fn(u32) -> bool| {
        (1..10_000).find(|_| {
            learned.add(key, output);
            done(learned.get(key).unwrap())
        })
    };
    learned.add(key, 100);
    assert_eq!(learned.get(key), Some(100));
    let up = steps_until(4_000, &|estimate| estimate >= 3_600).unwrap();
    assert!(up <= 10, "{up}");
    let down = steps_until(100, &|estimate| estimate <= 2_000).unwrap();
    assert!((50..=200).contains(&down), "{down}");
    // All the way down, in the end, and up from nothing.
    steps_until(0, &|estimate| estimate == 0).unwrap();
    steps_until(1, &|estimate| estimate == 1).unwrap();
    steps_until(u32::MAX, &|estimate| estimate > 260_000_000).unwrap();
}

#[test]
fn a_pair_that_wants_the_place_of_another_gets_it() {
    let words = table();
    let learned = Learned(&words);
    let keys: Vec<_> = (0..5_000).map(|n| pair("pro", &format!("model-{n}"))).collect();
    for (key, output) in keys.iter().zip(1u32..) {
        assert_eq!(learned.get(*key), None);
        learned.add(*key, output);
        assert_eq!(learned.get(*key), Some(output));
    }
    // A deployment's few dozen models keep theirs.
    let words = table();
    let learned = Learned(&words);
    for (key, output) in keys.iter().take(48).zip(1u32..) {
        learned.add(*key, output);
    }
    let kept = keys.iter().take(48).filter(|key| learned.get(**key).is_some()).count();
    assert!(kept >= 45, "{kept}");
}

proptest! {
    #[test]
    fn an_estimate_moves_towards_the_output_and_hardly_past_it(estimate: u32, output: u32) {
        let next = Entry { tag: 1, estimate }.next(output).estimate;
        let output = u64::from(output).min(u64::from(u32::MAX >> FRACTION_BITS)) << FRACTION_BITS;
        let (before, after) = (u64::from(estimate), u64::from(next));
        if before < output {
            prop_assert!(after > before && after <= output + before / 128 * 19 + 1);
        } else {
            prop_assert!(after <= before && after >= output && (after < before || before == output));
        }
    }
}
