//! The words at the beginning of the memory.

/// More places than any kernel has: a place goes into eight bits of a [`Stamp`].
pub const MAX_PLACES: usize = 32;

/// The words at the beginning of the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The block in force: a [`Stamp`](super::protocol::Stamp). 0: there is none.
    Current,
    /// What the block in force was made of; see [`Protocol::seen`](super::protocol::Protocol::seen).
    Seen,
    /// A bit for each place that uses memory.
    Used,
    /// What was said last of the block in force; see [`Protocol::told`](super::protocol::Protocol::told).
    Told,
    /// When somebody looked last; see [`Protocol::is_turn`](super::protocol::Protocol::is_turn).
    Looked,
    /// When to try again; see [`Protocol::retry_at_ms`](super::protocol::Protocol::retry_at_ms).
    Retry,
    /// The length of the block in a place, in bytes.
    Len(usize),
}

impl Control {
    /// Words before those of the lengths.
    const HEAD: usize = 8;

    /// How many words there are for so many places.
    #[must_use]
    pub const fn words(places: usize) -> usize {
        Self::HEAD + places
    }

    /// Which of the words it is.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Current => 0,
            Self::Seen => 1,
            Self::Used => 2,
            Self::Told => 3,
            Self::Looked => 4,
            Self::Retry => 5,
            Self::Len(place) => Self::HEAD + place.min(MAX_PLACES),
        }
    }
}
