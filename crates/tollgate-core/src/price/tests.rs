use super::*;
use proptest::prelude::*;

#[test]
fn a_price_of_one_token_is_doubtful() {
    for (parameters, expected) in [
        ("input=0.00000015 output=0.0000006", true),
        ("input=0.000075 output=0", true),
        ("input=0.00000015 output=0.6", false),
        ("input=0.0001 output=0", false),
        ("input=0 output=0", false),
    ] {
        let price = Price::parse(parameters.split(' ')).unwrap();
        assert_eq!(price.is_of_one_token(), expected, "{parameters}");
    }
}

fn price(parameters: &str) -> Result<Price, PriceError> {
    Price::parse(parameters.split_whitespace())
}

fn usage(input: u64, cached_input: u64, output: u64) -> Usage {
    Usage { input, output, cached_input, reasoning: output / 2, ..Usage::default() }
}

#[test]
fn a_price_is_per_million_tokens() {
    let price = price("input=0.15 output=0.60 cached_input=0.0375").unwrap();
    // 0.15, 0.60 and 0.0375
    assert_eq!(price.cost(&usage(1_000_000, 0, 0)), 150_000_000);
    assert_eq!(price.cost(&usage(0, 0, 1_000_000)), 600_000_000);
    assert_eq!(price.cost(&usage(1_000_000, 1_000_000, 0)), 37_500_000);
    // 800 x 0.15 + 200 x 0.0375 + 50 x 0.60 = 157.5, of a millionth: 0.0001575
    assert_eq!(price.cost(&usage(1000, 200, 50)), 157_500);
    assert_eq!(price.cost(&Usage::default()), 0);
}

#[test]
fn cached_tokens_cost_what_others_do_unless_they_have_a_price() {
    assert_eq!(price("output=2 input=1"), price("input=1 output=2 cached_input=1"));
    assert_eq!(price("input=1 output=2").unwrap().cost(&usage(10, 10, 0)), 10_000);
    let free = price("input=1 output=2 cached_input=0").unwrap();
    assert_eq!(free.cost(&usage(10, 10, 0)), 0);
    // More than there was is all that there was.
    assert_eq!(free.cost(&usage(10, 11, 1)), 2000);
}

#[test]
fn a_cost_is_rounded_up_once() {
    // A third of a nano-unit each would be three, if rounded apart.
    let price = price("input=0.0003 output=0.0003").unwrap();
    assert_eq!(price.cost(&usage(1, 0, 0)), 1);
    assert_eq!(price.cost(&usage(2, 1, 1)), 1);
    assert_eq!(price.cost(&usage(10, 0, 0)), 3);
}

#[test]
fn the_largest_cost_saturates() {
    let all = u64::MAX;
    let rates =
        Rates { input: all, output: all, cached_input: all, cache_write: all, cache_write_1h: all };
    let dearest = Price { base: rates, above: Arc::from([]) };
    assert_eq!(dearest.cost(&usage(u64::MAX, 0, u64::MAX)), u64::MAX);
    assert_eq!(dearest.cost(&usage(u64::MAX, u64::MAX, u64::MAX)), u64::MAX);
    // Just below: 1,000,000 tokens at u64::MAX a million.
    assert_eq!(dearest.cost(&usage(1_000_000, 0, 0)), u64::MAX);
    assert_eq!(dearest.cost(&usage(999_999, 0, 0)), u64::MAX - 18_446_744_073_709);
}

#[test]
fn a_wrong_price_is_refused_with_the_way_out() {
    for (parameters, message) in [
        ("", "\"input=\" is missing; add it, as input=0 where nothing is charged"),
        ("input=1", "\"output=\" is missing; add it, as output=0 where nothing is charged"),
        ("input=1 output=1 input=2", "\"input=\" is there twice; leave one out, or put \"above=TOKENS\" before the prices of longer inputs"),
        (
            "input=1 output",
            "invalid parameter \"output\"; it takes input=, output=, cached_input=, cache_write= and \
             cache_write_1h=, in money per million tokens, and the same again behind above=TOKENS",
        ),
        (
            "Input=1 output=1",
            "invalid parameter \"Input=1\"; it takes input=, output=, cached_input=, cache_write= and \
             cache_write_1h=, in money per million tokens, and the same again behind above=TOKENS",
        ),
        (
            "input=1,5 output=2",
            "invalid value \"1,5\" of \"input=\": it must be a decimal number such as 20, \
             0.15 or 0.0375, without a sign, a currency or an exponent",
        ),
        (
            "input=1 output=2 cached_input=1.1",
            "\"cached_input=\" is more than \"input=\"; lower it, or leave it out if cached \
             tokens cost the same",
        ),
    ] {
        assert_eq!(price(parameters).unwrap_err().to_string(), message);
    }
}

#[test]
fn the_first_pattern_that_fits_counts() {
    let mut prices = Prices::default();
    assert!(prices.is_empty());
    let pattern = |text| Pattern::parse(text).unwrap();
    let (small, large) = (price("input=1 output=1").unwrap(), price("input=5 output=5").unwrap());
    prices.push(pattern("*-70b"), large.clone()).unwrap();
    prices.push(pattern("llama-*"), small.clone()).unwrap();
    assert!(!prices.is_empty());
    assert_eq!(prices.find("llama-3.1-70b"), Some(&large));
    assert_eq!(prices.find("llama-3.1-8b"), Some(&small));
    assert_eq!(prices.find("qwen-7b"), None);
    assert_eq!(prices.find(""), None);
}

#[test]
fn a_pattern_that_no_model_reaches_is_refused() {
    let mut prices = Prices::default();
    let (pattern, price) = (|text| Pattern::parse(text).unwrap(), price("input=1 output=1"));
    let price = price.unwrap();
    prices.push(pattern("llama-*"), price.clone()).unwrap();
    assert_eq!(
        prices.push(pattern("llama-70b"), price.clone()).unwrap_err().to_string(),
        "is never reached, since the earlier \"llama-*\" fits all its models; put the \
         narrower pattern first"
    );
    prices.push(pattern("*"), price.clone()).unwrap();
    assert!(prices.push(pattern("*"), price).is_err());
}

/// Anthropic's list for a model with a context of a million, of the autumn of 2025.
const LONG: &str = "input=3 output=15 cached_input=0.30 cache_write=3.75 cache_write_1h=6 \
                    above=200k input=6 output=22.50 cached_input=0.60 cache_write=7.50 cache_write_1h=12";

#[test]
fn all_of_a_request_is_priced_by_the_length_of_its_input() {
    let price = price(LONG).unwrap();
    // 200,000 x 3 + 1,000 x 15, of a millionth; and the same with one token more.
    assert_eq!(price.cost(&usage(200_000, 0, 1_000)), 615_000_000);
    assert_eq!(price.cost(&usage(200_001, 0, 1_000)), 1_222_506_000);
    // Cached tokens are part of the length: 150,000 x 0.60 + 50,001 x 6 + 1,000 x 22.50.
    assert_eq!(price.cost(&usage(200_001, 150_000, 1_000)), 412_506_000);
    // The length of the output is none of the input's.
    assert_eq!(price.cost(&usage(10, 0, 300_000)), 4_500_030_000);
    let steps = super::Price::parse(
        "input=1 output=2 above=32k input=2 output=3 above=128000 input=4 output=6 above=1m input=9 output=9"
            .split(' '),
    )
    .unwrap();
    for (input, cost) in [
        (0, 0),
        (1, 1_000),
        (32_000, 32_000_000),
        (32_001, 64_002_000),
        (128_000, 256_000_000),
        (128_001, 512_004_000),
        (1_000_000, 4_000_000_000),
        (1_000_001, 9_000_009_000),
    ] {
        assert_eq!(steps.cost(&usage(input, 0, 0)), cost, "{input}");
    }
}

#[test]
fn what_is_written_to_the_cache_has_its_price() {
    let price = price(LONG).unwrap();
    let used = Usage {
        input: 1_000,
        cached_input: 500,
        cache_write: 300,
        cache_write_1h: 100,
        output: 10,
        ..Usage::default()
    };
    // 200 x 3 + 500 x 0.30 + 200 x 3.75 + 100 x 6 + 10 x 15
    assert_eq!(price.cost(&used), 2_250_000);
    // An engine that says more than there is: 500 are cached, and the other 500 written, for an hour.
    let odd = Usage { cache_write: 9_000, cache_write_1h: 99_000, ..used };
    assert_eq!(price.cost(&odd), 3_300_000);
    // Without prices of their own they cost what others do.
    let plain = super::Price::parse(["input=3", "output=15", "cached_input=0.30"]).unwrap();
    assert_eq!(plain.cost(&used), 1_800_000);
    let short = super::Price::parse(["input=3", "output=15", "cache_write=3.75"]).unwrap();
    assert_eq!(short.cost(&used), 3_375_000);
    // What is reserved is enough for each of these.
    assert_eq!(price.most(1_000, 10), 6_150_000);
    assert_eq!(plain.most(1_000, 10), 3_150_000);
}

#[test]
fn prices_that_can_be_misread_are_refused() {
    for (parameters, message) in [
        (
            "input=1 output=1 above=200k input=2",
            "\"output=\" is missing; add it, as output=0 where nothing is charged",
        ),
        (
            "input=1 output=1 cached_input=0.1 above=200k input=2 output=2",
            "\"cached_input=\" is given for shorter or for longer inputs than \"above=\" with 200000 tokens, \
             but not for both; give it on both sides, or on none",
        ),
        (
            "input=1 output=1 above=200k input=2 output=2 cache_write=3",
            "\"cache_write=\" is given for shorter or for longer inputs than \"above=\" with 200000 tokens, \
             but not for both; give it on both sides, or on none",
        ),
        (
            "input=1 output=3 above=200k input=2 output=2",
            "\"output=\" is less behind \"above=\" with 200000 tokens than before it, so that a longer \
             input would cost less than what is reserved; make it as much, or more",
        ),
        (
            "input=1 output=1 above=200k input=2 output=2 above=128k input=3 output=3",
            "\"above=\" with 128000 tokens stands behind one with 200000; put the shorter input first",
        ),
        (
            "input=1 output=1 above=200K input=2 output=2",
            "invalid value \"200K\" of \"above=\": it must be a number of input tokens, such as 200k or \
             128000",
        ),
        (
            "input=1 output=1 above=0 input=2 output=2",
            "invalid value \"0\" of \"above=\": it must be a number of input tokens, such as 200k or \
             128000",
        ),
        (
            "above=200k input=2 output=2",
            "\"input=\" is missing; add it, as input=0 where nothing is charged",
        ),
        (
            "input=1 output=1 cache_write_1h=2",
            "\"cache_write_1h=\" needs \"cache_write=\", the price of what is kept for minutes; add it",
        ),
        (
            "input=1 output=1 cache_write=2 cache_write_1h=1",
            "\"cache_write_1h=\" is less than \"cache_write=\"; what is kept for longer doesn't cost less: \
             exchange them",
        ),
    ] {
        assert_eq!(price(parameters).unwrap_err().to_string(), message);
    }
}

prop_compose! {
    fn any_rates()(input: u64, output: u64, cached: u64, write: u64, hour: u64, shift in 8_u32..60) -> Rates {
        let (input, output, cache_write) = (input >> shift, output >> shift, write >> shift);
        Rates {
            input, output, cache_write,
            cached_input: cached.min(input),
            cache_write_1h: cache_write.saturating_add(hour >> shift),
        }
    }
}

prop_compose! {
    fn any_price()(
        base in any_rates(), more in prop::collection::vec((1_u64..1 << 27, any_rates()), 0..4),
    ) -> Price {
        let (mut above, mut last, mut sum) = (Vec::new(), base, 0);
        for (length, rates) in more {
            sum += length;
            last = Rates {
                input: last.input + rates.input,
                output: last.output + rates.output,
                cached_input: last.cached_input + rates.cached_input,
                cache_write: last.cache_write + rates.cache_write,
                cache_write_1h: last.cache_write_1h + rates.cache_write_1h,
            };
            above.push((sum, last));
        }
        Price { base, above: above.into() }
    }
}

prop_compose! {
    fn any_usage()(input: u64, output: u64, cached: u64, write: u64, hour: u64, shift in 0_u32..64) -> Usage {
        Usage {
            input: input >> shift, output: output >> shift, cached_input: cached >> shift,
            cache_write: write >> shift, cache_write_1h: hour >> shift, reasoning: 0,
        }
    }
}

/// The cost, token by token of each kind, times a million: written otherwise than the code.
fn exact(price: &Price, usage: &Usage) -> u128 {
    let mut rates = price.base;
    for (above, longer) in &*price.above {
        if usage.input > *above {
            rates = *longer;
        }
    }
    let mut left = usage.input;
    let mut take = |tokens: u64| {
        let taken = tokens.min(left);
        left -= taken;
        u128::from(taken)
    };
    let cached = take(usage.cached_input);
    let written = take(usage.cache_write);
    let plain = take(u64::MAX);
    let hour = written.min(u128::from(usage.cache_write_1h));
    plain * u128::from(rates.input)
        + cached * u128::from(rates.cached_input)
        + (written - hour) * u128::from(rates.cache_write)
        + hour * u128::from(rates.cache_write_1h)
        + u128::from(usage.output) * u128::from(rates.output)
}

proptest! {
    #[test]
    fn a_cost_is_the_exact_cost_and_less_than_a_nano_unit_more(
        price in any_price(), usage in any_usage(),
    ) {
        let exact = exact(&price, &usage);
        let cost = price.cost(&usage);
        if cost < u64::MAX {
            let scaled = u128::from(cost) * TOKENS;
            prop_assert!(scaled >= exact && scaled < exact + TOKENS);
        } else {
            prop_assert!(exact > u128::from(u64::MAX - 1) * TOKENS);
        }
    }

    #[test]
    fn the_cost_of_a_bound_bounds_the_cost(
        price in any_price(), usage in any_usage(), more: [u64; 2], shift in 0_u32..64,
    ) {
        let [input, output] = [usage.input, usage.output];
        let most = price.most(
            input.saturating_add(more[0] >> shift), output.saturating_add(more[1] >> shift),
        );
        prop_assert!(price.cost(&usage) <= most);
        prop_assert!(price.most(input, output) <= most);
    }

    #[test]
    fn what_is_parsed_has_every_rate_in_its_place(price in any_price()) {
        let units = |nanos: u64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        let text = |rates: &Rates| {
            format!(
                "cache_write_1h={} output={} cached_input={} input={} cache_write={}",
                units(rates.cache_write_1h),
                units(rates.output),
                units(rates.cached_input),
                units(rates.input),
                units(rates.cache_write),
            )
        };
        let mut all = text(&price.base);
        for (above, rates) in &*price.above {
            all = format!("{all} above={above} {}", text(rates));
        }
        prop_assert_eq!(Price::parse(all.split(' ')), Ok(price));
    }
}
