//! The tokens of one request.

/// What a request took, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of the input, cached ones included.
    pub input: u64,
    /// Of the output, reasoning included.
    pub output: u64,
    /// Of the input, those that the engine had in its prefix cache.
    pub cached_input: u64,
    /// Of the input, those that the engine wrote to its prefix cache, as far as it says so. They are none of
    /// `cached_input`.
    pub cache_write: u64,
    /// Of those, the ones that it keeps for an hour, and not for minutes.
    pub cache_write_1h: u64,
    /// Of the output, those of the model's reasoning.
    pub reasoning: u64,
}

/// How a [`Usage`] is known. The names are part of the audit log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The engine said it.
    Measured,
    /// The answer was cut off: counted from what had come.
    Partial,
    /// The engine didn't say, or in a way that could not be read: taken from estimates.
    Estimated,
    /// No tokens: not metered, or refused by the engine.
    None,
}

impl Source {
    /// The name in the audit log and in `$tollgate_usage`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Partial => "partial",
            Self::Estimated => "estimated",
            Self::None => "none",
        }
    }
}
