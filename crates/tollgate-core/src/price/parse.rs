//! The parameters of a price, as the configuration spells them.

use super::{Price, PriceError, Rates};
use crate::limits::quota::parse_with_suffix;
use crate::money::parse_nanos;

/// The rates of one stretch of input lengths, as far as they are given.
#[derive(Clone, Copy, Default)]
struct Given {
    input: Option<u64>,
    output: Option<u64>,
    cached_input: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
}

impl Price {
    /// Parses parameters such as `input=3 output=15 cached_input=0.30 cache_write=3.75`. Those behind an
    /// `above=200k` are the rates of requests whose input has more tokens than that; otherwise their order
    /// doesn't matter. Without `cached_input`, tokens from the engine's prefix cache cost what the others
    /// do, and so do those that it writes there without `cache_write`; without `cache_write_1h`, those that
    /// it keeps for an hour cost what it writes otherwise.
    ///
    /// # Errors
    ///
    /// When one is unknown, repeated or not an amount, or `input` or `output` is missing. When cached
    /// tokens would cost more than others, or a longer input less than a shorter one: nobody means that, and
    /// what is reserved before the numbers are known would not be enough. When the rates of a longer input
    /// lack a parameter that the others have: it could mean either price.
    pub fn parse<'a>(parameters: impl IntoIterator<Item = &'a str>) -> Result<Self, PriceError> {
        let (mut given, mut before, mut steps) = (Given::default(), None, Vec::new());
        for parameter in parameters {
            match parameter.strip_prefix("above=") {
                None => given.add(parameter)?,
                Some(value) => {
                    let above = parse_with_suffix(value)
                        .filter(|tokens| (1..=MOST_TOKENS).contains(tokens))
                        .ok_or_else(|| PriceError::Above(value.to_owned()))?;
                    steps.push((before.replace(above), given));
                    given = Given::default();
                }
            }
        }
        steps.push((before, given));
        let (_, first) = steps.first().copied().unwrap_or_default();
        let base = first.rates()?;
        let (mut last, mut lower, mut above) = (0, base, Vec::new());
        for (from, given) in steps {
            let Some(from) = from else { continue };
            if from <= last {
                return Err(PriceError::AboveOrder(last, from));
            }
            given.has_all_of(&first).map_err(|name| PriceError::OneSided { name, above: from })?;
            let rates = given.rates()?;
            rates.is_no_less(&lower).map_err(|name| PriceError::Falling { name, above: from })?;
            above.push((from, rates));
            (last, lower) = (from, rates);
        }
        Ok(Self { base, above: above.into() })
    }
}

/// No model reads as much.
const MOST_TOKENS: u64 = 1_000_000_000;

impl Given {
    fn add(&mut self, parameter: &str) -> Result<(), PriceError> {
        let unknown = || PriceError::UnknownParameter(parameter.to_owned());
        let (name, value) = parameter.split_once('=').ok_or_else(unknown)?;
        let (name, slot) = match name {
            "input" => ("input", &mut self.input),
            "output" => ("output", &mut self.output),
            "cached_input" => ("cached_input", &mut self.cached_input),
            "cache_write" => ("cache_write", &mut self.cache_write),
            "cache_write_1h" => ("cache_write_1h", &mut self.cache_write_1h),
            _ => return Err(unknown()),
        };
        let nanos = parse_nanos(value).map_err(|error| {
            let value = value.to_owned();
            PriceError::Amount { name, value, error }
        })?;
        match slot.replace(nanos) {
            Some(_) => Err(PriceError::Repeated(name)),
            None => Ok(()),
        }
    }

    fn rates(&self) -> Result<Rates, PriceError> {
        let input = self.input.ok_or(PriceError::Missing("input"))?;
        let output = self.output.ok_or(PriceError::Missing("output"))?;
        let cached_input = self.cached_input.unwrap_or(input);
        let cache_write = self.cache_write.unwrap_or(input);
        let cache_write_1h = self.cache_write_1h.unwrap_or(cache_write);
        if cached_input > input {
            return Err(PriceError::CachedAboveInput);
        }
        if self.cache_write_1h.is_some() && self.cache_write.is_none() {
            return Err(PriceError::HourAlone);
        }
        if cache_write_1h < cache_write {
            return Err(PriceError::HourBelowWrite);
        }
        Ok(Rates { input, output, cached_input, cache_write, cache_write_1h })
    }

    /// Whether it says the same as `other`, or the name of what only one of them has.
    fn has_all_of(&self, other: &Self) -> Result<(), &'static str> {
        for (name, ours, theirs) in [
            ("cached_input", self.cached_input, other.cached_input),
            ("cache_write", self.cache_write, other.cache_write),
            ("cache_write_1h", self.cache_write_1h, other.cache_write_1h),
        ] {
            if ours.is_some() != theirs.is_some() {
                return Err(name);
            }
        }
        Ok(())
    }
}

impl Rates {
    /// Whether none is lower than in `other`, or the name of one that is.
    fn is_no_less(&self, other: &Self) -> Result<(), &'static str> {
        for (name, ours, theirs) in [
            ("input", self.input, other.input),
            ("output", self.output, other.output),
            ("cached_input", self.cached_input, other.cached_input),
            ("cache_write", self.cache_write, other.cache_write),
            ("cache_write_1h", self.cache_write_1h, other.cache_write_1h),
        ] {
            if ours < theirs {
                return Err(name);
            }
        }
        Ok(())
    }
}
