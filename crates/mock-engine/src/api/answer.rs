//! What an API gives.

use crate::peer::Ended;
use crate::stream::{Format, Stream};

/// An answer that is ready to be sent.
pub(crate) trait Answer {
    /// `None` for an answer that comes as a whole.
    fn format(&self) -> Option<Format>;

    /// The tokens that it gives out.
    fn tokens(&self) -> u64;

    /// The tokens that it takes in.
    fn input(&self) -> u64;

    /// The JSON of a whole answer.
    fn whole(&self) -> String;

    /// The events of a streamed one, all but the end of the body.
    fn stream(&self, out: &mut Stream<'_>) -> Result<(), Ended>;
}
