//! What is wrong with a price.

use std::fmt;

use crate::money::MoneyError;
use crate::pattern::Pattern;

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
    /// The value of `above`, which is no number of tokens.
    Above(String),
    /// An `above` that is not more than the one before it.
    AboveOrder(u64, u64),
    /// A parameter that the rates of short inputs have, or those behind an `above`, but not both.
    OneSided {
        /// The parameter.
        name: &'static str,
        /// The `above`, in tokens.
        above: u64,
    },
    /// A price that is lower than the one of shorter inputs.
    Falling {
        /// The parameter.
        name: &'static str,
        /// The `above`, in tokens.
        above: u64,
    },
    /// `cached_input` is more than `input`.
    CachedAboveInput,
    /// `cache_write_1h` without `cache_write`.
    HourAlone,
    /// `cache_write_1h` is less than `cache_write`.
    HourBelowWrite,
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
                "invalid parameter \"{parameter}\"; it takes input=, output=, cached_input=, cache_write= \
                 and cache_write_1h=, in money per million tokens, and the same again behind above=TOKENS"
            ),
            Self::Repeated(name) => write!(
                f,
                "\"{name}=\" is there twice; leave one out, or put \"above=TOKENS\" before the prices of \
                 longer inputs"
            ),
            Self::Missing(name) => {
                write!(f, "\"{name}=\" is missing; add it, as {name}=0 where nothing is charged")
            }
            Self::Amount { name, value, error } => {
                write!(f, "invalid value \"{value}\" of \"{name}=\": it {error}")
            }
            Self::Above(value) => write!(
                f,
                "invalid value \"{value}\" of \"above=\": it must be a number of input tokens, such as 200k \
                 or 128000"
            ),
            Self::AboveOrder(before, after) => write!(
                f,
                "\"above=\" with {after} tokens stands behind one with {before}; put the shorter input first"
            ),
            Self::OneSided { name, above } => write!(
                f,
                "\"{name}=\" is given for shorter or for longer inputs than \"above=\" with {above} tokens, \
                 but not for both; give it on both sides, or on none"
            ),
            Self::Falling { name, above } => write!(
                f,
                "\"{name}=\" is less behind \"above=\" with {above} tokens than before it, so that a longer \
                 input would cost less than what is reserved; make it as much, or more"
            ),
            Self::CachedAboveInput => f.write_str(
                "\"cached_input=\" is more than \"input=\"; lower it, or leave it out if cached \
                 tokens cost the same",
            ),
            Self::HourAlone => f.write_str(
                "\"cache_write_1h=\" needs \"cache_write=\", the price of what is kept for minutes; add it",
            ),
            Self::HourBelowWrite => f.write_str(
                "\"cache_write_1h=\" is less than \"cache_write=\"; what is kept for longer doesn't cost \
                 less: exchange them",
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
