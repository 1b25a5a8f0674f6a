use super::*;
use crate::limits::key::{Area, Domain};
use proptest::prelude::*;

/// What tokenizers make of the parts on average.
const START: Rates = Rates([
    72_000, 1_300, 11_000, 65_000, 47_000, 16_000, 10_000, 20_000, 23_000, 50_000, 131_000,
    262_000, 262_000,
]);
const NOON: Minute = Minute::at(720);

fn table() -> Vec<AtomicU64> {
    (0..1_024).map(|_| AtomicU64::new(0)).collect()
}

fn hash(name: &str) -> Key {
    Key::new((1, 2), Area::Clients, Domain::Learned, [name.as_bytes(), b""])
}

fn who(name: &str) -> Who {
    Who::of(hash(name))
}

struct Random(u64);

impl Random {
    /// Below `n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

/// What an engine makes of each kind of part, in thousandths of a token.
const ENGINE: [u64; FEATURES] =
    [1_150, 20, 300, 1_000, 800, 250, 150, 350, 400, 900, 2_400, 5_000, 9_000];

/// A text of one of four sorts: mostly words, code, another script, numbers.
fn text(random: &mut Random) -> Text {
    let size = 20 + random.below(400);
    let sort: [u64; FEATURES] = match random.below(4) {
        0 => [100, 450, 20, 2, 18, 1, 5, 0, 0, 0, 0, 0, 0],
        1 => [100, 400, 30, 20, 90, 40, 80, 0, 0, 0, 0, 0, 0],
        2 => [2, 10, 0, 3, 15, 1, 4, 500, 80, 0, 0, 0, 0],
        _ => [5, 10, 0, 500, 90, 10, 100, 0, 0, 0, 0, 0, 0],
    };
    let mut text = sort.map(|n| n * size / 100);
    for n in &mut text {
        *n = *n * (80 + random.below(41)) / 100;
    }
    (text[11], text[12]) = (1 + random.below(4), 1);
    text.map(|n| u32::try_from(n).unwrap())
}

/// What the engine makes of it, give or take 4%.
fn engine(text: &Text, random: &mut Random) -> u64 {
    let exact: u64 = text.iter().zip(ENGINE).map(|(n, each)| u64::from(*n) * each).sum();
    exact * (960 + random.below(81)) / 1_000_000
}

fn median_error(rates: &Rates, random: &mut Random) -> u64 {
    let mut errors: Vec<_> = (0..200)
        .map(|_| {
            let text = text(random);
            let tokens = engine(&text, random);
            rates.tokens(&text).abs_diff(tokens) * 1_000 / tokens
        })
        .collect();
    errors.sort_unstable();
    errors[100]
}

#[test]
fn after_fifty_answers_half_of_the_estimates_are_within_five_percent() {
    for seed in 0..20 {
        let words = table();
        let (inputs, model, random) = (Inputs::new(&words), hash("llama"), &mut Random(seed));
        assert_eq!(inputs.get(model, who("a"), &START, NOON), None);
        for _ in 0..50 {
            let text = text(random);
            let tokens = engine(&text, random);
            inputs.add(model, who("a"), (&text, tokens), &START, NOON);
        }
        let rates = inputs.get(model, who("a"), &START, NOON).unwrap();
        let error = median_error(&rates, random);
        assert!(error <= 50, "seed {seed}: {error} in a thousand");
    }
}

#[test]
fn one_client_teaches_only_itself_and_others_get_what_most_say() {
    let words = table();
    let (inputs, model, random) = (Inputs::new(&words), hash("llama"), &mut Random(7));
    let mut teach = |client: &str, factor: u64| {
        for _ in 0..50 {
            let text = text(random);
            let tokens = engine(&text, random) * factor / 10;
            inputs.add(model, who(client), (&text, tokens), &START, NOON);
        }
    };
    teach("high", 200);
    assert!(inputs.get(model, who("high"), &START, NOON).is_some());
    assert_eq!(inputs.get(model, who("other"), &START, NOON), None);
    teach("a", 10);
    teach("b", 10);
    teach("low", 1);
    teach("c", 10);
    let shared = inputs.get(model, who("other"), &START, NOON).unwrap();
    let error = median_error(&shared, &mut Random(8));
    assert!(error <= 100, "{error} in a thousand");
}

#[test]
fn one_answer_moves_an_estimate_by_no_more_than_four_times() {
    let words = table();
    let (inputs, model) = (Inputs::new(&words), hash("llama"));
    let text = text(&mut Random(1));
    let before = START.tokens(&text);
    for (client, tokens) in [("a", u64::MAX), ("b", 0)] {
        inputs.add(model, who(client), (&text, tokens), &START, NOON);
        let after = inputs.get(model, who(client), &START, NOON).unwrap().tokens(&text);
        assert!((before / 5..=before * 4 + 1).contains(&after), "{before} {after}");
    }
}

#[test]
fn what_was_learned_goes_back_to_the_beginning() {
    let words = table();
    let (inputs, model, random) = (Inputs::new(&words), hash("llama"), &mut Random(3));
    for _ in 0..50 {
        let text = text(random);
        inputs.add(model, who("a"), (&text, START.tokens(&text) * 3), &START, NOON);
    }
    let text = text(random);
    let tokens = |minutes: u64| {
        inputs.get(model, who("a"), &START, Minute::at(720 + minutes)).unwrap().tokens(&text)
    };
    let own = START.tokens(&text);
    assert!(tokens(0) > own * 2);
    assert!(tokens(720) < tokens(0) && tokens(720) > own);
    assert!(tokens(20 * 720).abs_diff(own) <= own / 100);
}

proptest! {
    #[test]
    fn nothing_that_is_learned_breaks_it(
        answers in proptest::collection::vec((any::<Text>(), any::<u64>()), 1..40),
        rates: [u32; FEATURES],
    ) {
        let words = table();
        let (inputs, model, start) = (Inputs::new(&words), hash("llama"), Rates(rates));
        for (text, tokens) in &answers {
            inputs.add(model, who("a"), (text, *tokens), &start, NOON);
        }
        let learned = inputs.get(model, who("a"), &start, NOON).unwrap();
        for (rate, start) in learned.0.into_iter().zip(rates) {
            prop_assert!(rate >= start / 16 && u64::from(rate) <= u64::from(start) * 16);
        }
    }

    #[test]
    fn a_cell_keeps_what_is_put_into_it(
        values in proptest::array::uniform13((FACTOR_MIN..=FACTOR_MAX, 0..=VARIANCE_MAX)),
    ) {
        let words = table();
        let lines = Inputs::new(&words).lines();
        let cell = lines.claim(hash("m"), NOON).unwrap().spare(NOON).unwrap();
        let factors = Factors(values.map(|(value, variance)| Factor { value, variance }));
        factors.put(cell);
        prop_assert_eq!(Factors::of(cell), factors);
    }
}
