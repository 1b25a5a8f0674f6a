//! What tokens cost: `tollgate_price`, and the arithmetic of a request's cost.

mod error;
mod parse;

use std::sync::Arc;

pub use error::PriceError;

use crate::llm::Usage;
use crate::pattern::Pattern;

/// Prices are per so many tokens.
const TOKENS: u128 = 1_000_000;

/// What the tokens of a request cost whose input is not longer, or longer, than something: in nano-units
/// per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    input: u64,
    output: u64,
    cached_input: u64,
    cache_write: u64,
    cache_write_1h: u64,
}

/// The price of a model's tokens. All of a request is charged by the length of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    base: Rates,
    /// The rates of requests whose input has more tokens than that, the shortest first. None of them is
    /// lower than that of a shorter input.
    above: Arc<[(u64, Rates)]>,
}

impl Price {
    /// Whether it looks like the price of one token, as other gateways have it: less than 0.0001 a million,
    /// but not free.
    #[must_use]
    pub fn is_of_one_token(&self) -> bool {
        (1..100_000).contains(&self.base.input.max(self.base.output))
    }

    /// What the tokens cost, in nano-units: rounded up, once, and at most `u64::MAX`.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> u64 {
        let rates = self.rates(usage.input);
        // An engine that says it had more in its cache than there was is not given the difference.
        let cached = usage.cached_input.min(usage.input);
        let written = usage.cache_write.min(usage.input - cached);
        let written_1h = usage.cache_write_1h.min(written);
        total([
            (usage.input - cached - written, rates.input),
            (cached, rates.cached_input),
            (written - written_1h, rates.cache_write),
            (written_1h, rates.cache_write_1h),
            (usage.output, rates.output),
        ])
    }

    /// The most that so many tokens may cost, in nano-units, as long as it isn't known what of the input the
    /// engine has in its cache, or writes there. Fewer tokens never cost more.
    #[must_use]
    pub fn most(&self, input: u64, output: u64) -> u64 {
        let rates = self.rates(input);
        let dearest = rates.input.max(rates.cache_write).max(rates.cache_write_1h);
        total([(input, dearest), (output, rates.output)])
    }

    fn rates(&self, input: u64) -> &Rates {
        let reached = self.above.iter().rev().find(|(above, _)| input > *above);
        reached.map_or(&self.base, |(_, rates)| rates)
    }
}

/// The sum of the products of tokens and their price.
fn total<const N: usize>(products: [(u64, u64); N]) -> u64 {
    // Five products of an u64 with a price, which parsing keeps under 2^60: no overflow; and for prices
    // that were made otherwise, saturation is the honest end.
    let total = products.into_iter().fold(0_u128, |total, (tokens, price)| {
        total.saturating_add(u128::from(tokens) * u128::from(price))
    });
    u64::try_from(total.div_ceil(TOKENS)).unwrap_or(u64::MAX)
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

    /// The patterns, in their order.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter().map(|(pattern, _)| pattern)
    }

    /// Whether no model has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
