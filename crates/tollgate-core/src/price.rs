//! What tokens cost: `tollgate_price`, and the arithmetic of a request's cost.

use std::fmt;

use crate::llm::Usage;
use crate::money::{parse_nanos, MoneyError};
use crate::pattern::Pattern;

/// Prices are per so many tokens.
const TOKENS: u128 = 1_000_000;

/// The price of a model's tokens, in nano-units per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    input: u64,
    output: u64,
    cached_input: u64,
}

impl Price {
    /// A price, in nano-units per million tokens. Without `cached_input`, tokens from the engine's
    /// prefix cache cost what the others do.
    ///
    /// # Errors
    ///
    /// When cached tokens would cost more than others: nobody means that, and what is reserved,
    /// before it is known how many were cached, would not be enough.
    pub fn new(input: u64, output: u64, cached_input: Option<u64>) -> Result<Self, PriceError> {
        let cached_input = cached_input.unwrap_or(input);
        if cached_input > input {
            return Err(PriceError::CachedAboveInput);
        }
        Ok(Self { input, output, cached_input })
    }

    /// Parses parameters such as `input=0.15 output=0.60 cached_input=0.0375`, in any order.
    ///
    /// # Errors
    ///
    /// When one is unknown, repeated or not an amount, `input` or `output` is missing, or as
    /// [`Price::new`].
    pub fn parse<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Result<Self, PriceError> {
        let (mut input, mut output, mut cached_input) = (None, None, None);
        for parameter in parameters {
            let unknown = || PriceError::UnknownParameter(parameter.to_owned());
            let (name, value) = parameter.split_once('=').ok_or_else(unknown)?;
            let (name, slot) = match name {
                "input" => ("input", &mut input),
                "output" => ("output", &mut output),
                "cached_input" => ("cached_input", &mut cached_input),
                _ => return Err(unknown()),
            };
            let nanos = parse_nanos(value).map_err(|error| PriceError::Amount {
                name,
                value: value.to_owned(),
                error,
            })?;
            if slot.replace(nanos).is_some() {
                return Err(PriceError::Repeated(name));
            }
        }
        Self::new(
            input.ok_or(PriceError::Missing("input"))?,
            output.ok_or(PriceError::Missing("output"))?,
            cached_input,
        )
    }

    /// Whether it looks like the price of one token, as other gateways have it: less than 0.0001 a million,
    /// but not free.
    #[must_use]
    pub fn is_of_one_token(&self) -> bool {
        (1..100_000).contains(&self.input.max(self.output))
    }

    /// What the tokens cost, in nano-units: rounded up, once, and at most `u64::MAX`.
    ///
    /// More tokens never cost less; so the cost of an upper bound is an upper bound of the cost.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> u64 {
        // An engine that says it had more in its cache than there was is not given the difference.
        let cached = usage.cached_input.min(usage.input);
        // Three products of an u64 with a price, which parsing keeps under 2^60: no overflow; and
        // for prices that were made otherwise, saturation is the honest end.
        let total = [
            (usage.input - cached, self.input),
            (cached, self.cached_input),
            (usage.output, self.output),
        ]
        .into_iter()
        .fold(0_u128, |total, (tokens, price)| {
            total.saturating_add(u128::from(tokens) * u128::from(price))
        });
        u64::try_from(total.div_ceil(TOKENS)).unwrap_or(u64::MAX)
    }
}

/// The prices of models, in the order of the configuration: the first pattern that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prices(Vec<(Pattern, Price)>);

impl Prices {
    /// Adds a price after the others.
    ///
    /// # Errors
    ///
    /// When an earlier pattern leaves nothing for this one.
    pub fn push(&mut self, pattern: Pattern, price: Price) -> Result<(), PriceError> {
        if let Some((earlier, _)) = self.0.iter().find(|(earlier, _)| earlier.covers(&pattern)) {
            return Err(PriceError::Unreachable { earlier: earlier.clone() });
        }
        self.0.push((pattern, price));
        Ok(())
    }

    /// The price of a model; `None`: it has none.
    #[must_use]
    pub fn find(&self, model: &str) -> Option<&Price> {
        self.0.iter().find(|(pattern, _)| pattern.matches(model)).map(|(_, price)| price)
    }

    /// Whether no model has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is wrong with a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceError {
    /// A parameter that is none of ours.
    UnknownParameter(String),
    /// A parameter that is there twice.
    Repeated(&'static str),
    /// A parameter that is not there.
    Missing(&'static str),
    /// A parameter whose value is not an amount.
    Amount {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        error: MoneyError,
    },
    /// `cached_input` is more than `input`.
    CachedAboveInput,
    /// Every model that the pattern fits has a price by an earlier one.
    Unreachable {
        /// The pattern that comes first.
        earlier: Pattern,
    },
}

impl fmt::Display for PriceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownParameter(parameter) => write!(
                f,
                "invalid parameter \"{parameter}\"; it takes input=, output= and cached_input=, \
                 in money per million tokens"
            ),
            Self::Repeated(name) => write!(f, "\"{name}=\" is there twice; leave one out"),
            Self::Missing(name) => {
                write!(f, "\"{name}=\" is missing; add it, as {name}=0 where nothing is charged")
            }
            Self::Amount { name, value, error } => {
                write!(f, "invalid value \"{value}\" of \"{name}=\": it {error}")
            }
            Self::CachedAboveInput => f.write_str(
                "\"cached_input=\" is more than \"input=\"; lower it, or leave it out if cached \
                 tokens cost the same",
            ),
            Self::Unreachable { earlier } => write!(
                f,
                "is never reached, since the earlier \"{earlier}\" fits all its models; put the \
                 narrower pattern first"
            ),
        }
    }
}

impl std::error::Error for PriceError {}

#[cfg(test)]
mod tests {
    use super::*;

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
    use proptest::prelude::*;

    fn price(parameters: &str) -> Result<Price, PriceError> {
        Price::parse(parameters.split_whitespace())
    }

    fn usage(input: u64, cached_input: u64, output: u64) -> Usage {
        Usage { input, output, cached_input, reasoning: output / 2 }
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
        let price = Price::new(300_000, 300_000, Some(300_000)).unwrap();
        assert_eq!(price.cost(&usage(1, 0, 0)), 1);
        assert_eq!(price.cost(&usage(2, 1, 1)), 1);
        assert_eq!(price.cost(&usage(10, 0, 0)), 3);
    }

    #[test]
    fn the_largest_cost_saturates() {
        let dearest = Price::new(u64::MAX, u64::MAX, None).unwrap();
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
            ("input=1 output=1 input=2", "\"input=\" is there twice; leave one out"),
            (
                "input=1 output",
                "invalid parameter \"output\"; it takes input=, output= and cached_input=, in \
                 money per million tokens",
            ),
            (
                "Input=1 output=1",
                "invalid parameter \"Input=1\"; it takes input=, output= and cached_input=, in \
                 money per million tokens",
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
        let (small, large) =
            (price("input=1 output=1").unwrap(), price("input=5 output=5").unwrap());
        prices.push(pattern("*-70b"), large).unwrap();
        prices.push(pattern("llama-*"), small).unwrap();
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
        prices.push(pattern("llama-*"), price).unwrap();
        assert_eq!(
            prices.push(pattern("llama-70b"), price).unwrap_err().to_string(),
            "is never reached, since the earlier \"llama-*\" fits all its models; put the \
             narrower pattern first"
        );
        prices.push(pattern("*"), price).unwrap();
        assert!(prices.push(pattern("*"), price).is_err());
    }

    prop_compose! {
        fn any_price()(input in 0_u64..1 << 60, output in 0_u64..1 << 60, cached: u64, shift in 0_u32..60)
            -> Price
        {
            let (input, output) = (input >> shift, output >> shift);
            Price::new(input, output, Some(cached.min(input))).unwrap()
        }
    }

    proptest! {
        #[test]
        fn a_cost_is_the_exact_cost_and_less_than_a_nano_unit_more(
            price in any_price(), input in 0_u64..1 << 40, cached in 0_u64..1 << 40, output in 0_u64..1 << 40,
        ) {
            let exact = u128::from(input.saturating_sub(cached)) * u128::from(price.input)
                + u128::from(cached.min(input)) * u128::from(price.cached_input)
                + u128::from(output) * u128::from(price.output);
            let cost = price.cost(&usage(input, cached, output));
            if cost < u64::MAX {
                let scaled = u128::from(cost) * TOKENS;
                prop_assert!(scaled >= exact && scaled < exact + TOKENS);
            } else {
                prop_assert!(exact > u128::from(u64::MAX - 1) * TOKENS);
            }
        }

        #[test]
        fn the_cost_of_a_bound_bounds_the_cost(
            price in any_price(), input: u64, output: u64, less in 0_u64..1000, cached: u64,
        ) {
            let used = usage(input.saturating_sub(less), cached, output.saturating_sub(less));
            prop_assert!(price.cost(&used) <= price.cost(&usage(input, 0, output)));
        }
    }
}
