//! What one document of an answer says: an event, a line, or all of it.

use super::places::Count;
use crate::json::JsonString;

/// The numbers of one usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) total: Option<u64>,
    pub(super) cached_input: Option<u64>,
    pub(super) cache_write: Option<u64>,
    pub(super) cache_write_1h: Option<u64>,
    pub(super) uncached_input: Option<u64>,
    pub(super) reasoning: Option<u64>,
}

/// What `type` or `object` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    #[default]
    Unknown,
    /// Nothing that matters.
    Other,
    /// Responses: `response.*.delta`
    Delta,
    /// Responses: the last event.
    Completed,
    /// Responses: the last event of an answer that failed.
    Failed,
    /// Messages: `message_start`
    MessageStart,
    /// Messages: `message_delta`
    MessageDelta,
    /// Messages: `message_stop`
    MessageStop,
    /// Any: `error`
    Error,
}

/// What the event has for `choices`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Choices {
    /// Nothing, or what is no array.
    #[default]
    Unknown,
    /// An empty array.
    Empty,
    /// A choice. It stays so, whatever else is called `choices`.
    Filled,
}

/// In which place the numbers at hand stand, by rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Saying {
    #[default]
    Nothing,
    /// llama.cpp's `timings`.
    Timings,
    /// A usage of second rank.
    Vendor,
    Usage,
}

/// What stands in the member `usage` of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UsageMember {
    #[default]
    Absent,
    /// `null`
    Null,
    /// An object with numbers that are all 0, or with none.
    Zero,
    /// An object with numbers.
    Said,
}

/// What the event, the line or the document at hand has said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event {
    pub(super) counts: Counts,
    pub(super) saying: Saying,
    /// The object with the numbers has not ended.
    pub(super) is_open: bool,
    /// The numbers at hand are of a usage that another one outranks.
    pub(super) outranked: bool,
    /// It has the member `usage`: null, or an object.
    pub(super) usage: Option<bool>,
    /// It has llama.cpp's `timings`.
    pub(super) has_timings: bool,
    pub(super) kind: Kind,
    pub(super) choices: Choices,
    /// The number of the choice; the last one, if there are several.
    pub(super) index: u64,
    /// Answers that have ended with it, for whatever reason.
    pub(super) finishes: u64,
    /// The last of them ended at its bound.
    pub(super) is_at_bound: bool,
    /// One of them did.
    pub(super) hit_bound: bool,
    /// The engine did nothing but load a model, or unload it.
    pub(super) is_load: bool,
    /// It says itself that it is the last one.
    pub(super) last: bool,
    pub(super) prefill: u64,
    /// Tokens that the engine made besides those of the answer.
    pub(super) unseen: u64,
    /// Tokens of the output that it lists.
    pub(super) tokens: u64,
    /// Something in it has the form of an answer.
    pub(super) is_known: bool,
}

impl Event {
    /// Whether it has a usage that is whole.
    pub(super) fn says_usage(&self) -> bool {
        self.counts.is_said() && !self.is_open
    }

    /// What a client is shown of its usage.
    pub(super) fn usage_member(&self) -> UsageMember {
        match self.usage {
            None => UsageMember::Absent,
            Some(false) => UsageMember::Null,
            Some(true) if self.saying == Saying::Usage && !self.counts.is_zero() => {
                UsageMember::Said
            }
            Some(true) => UsageMember::Zero,
        }
    }

    /// Another usage begins, which counts unless one of higher rank is there. Of several of one rank, the
    /// last one counts.
    pub(super) fn begin_usage(&mut self, saying: Saying) {
        self.outranked = self.saying > saying;
        if !self.outranked {
            self.counts = Counts::default();
            self.saying = saying;
            self.is_open = true;
        }
    }

    pub(super) fn end_usage(&mut self) {
        if !self.outranked {
            self.is_open = false;
            let Counts { uncached_input, cached_input, .. } = self.counts;
            if let (Some(uncached), Some(cached)) = (uncached_input, cached_input) {
                self.counts.input = Some(uncached + cached);
            }
        }
        self.outranked = false;
    }

    /// An answer has ended, for this reason.
    pub(super) fn finish(&mut self, reason: JsonString<'_>) {
        self.finishes = self.finishes.saturating_add(1);
        self.is_at_bound = matches!(
            reason.whole(),
            Some(b"length" | b"max_tokens" | b"max_output_tokens" | b"limit" | b"model_length")
        );
        self.hit_bound |= self.is_at_bound;
        self.is_load |= matches!(reason.whole(), Some(b"load" | b"unload"));
    }
}

impl Counts {
    pub(super) fn is_said(&self) -> bool {
        self.input.or(self.output).or(self.total).is_some()
    }

    /// Whether no number is more than 0.
    pub(super) fn is_zero(&self) -> bool {
        let Self { input, output, total, cached_input, cache_write, .. } = *self;
        [input, output, total, cached_input, cache_write]
            .into_iter()
            .all(|count| count.unwrap_or(0) == 0)
    }

    pub(super) fn set(&mut self, count: Count, number: Option<u64>) {
        *match count {
            Count::Input => &mut self.input,
            Count::Output => &mut self.output,
            Count::Total => &mut self.total,
            Count::CachedInput => &mut self.cached_input,
            Count::CacheWrite => &mut self.cache_write,
            Count::CacheWrite1h => &mut self.cache_write_1h,
            Count::UncachedInput => &mut self.uncached_input,
            Count::Reasoning => &mut self.reasoning,
        } = number;
    }

    /// Takes over what `later` says, and keeps what it doesn't. A 0 takes nothing back: engines fill in
    /// what they don't know.
    pub(super) fn update(&mut self, later: Self) {
        let update = |known: &mut Option<u64>, later: Option<u64>| {
            if later.is_some_and(|later| later > 0) || known.is_none() {
                *known = later;
            }
        };
        update(&mut self.input, later.input);
        update(&mut self.output, later.output);
        update(&mut self.total, later.total);
        update(&mut self.cached_input, later.cached_input);
        update(&mut self.cache_write, later.cache_write);
        update(&mut self.cache_write_1h, later.cache_write_1h);
        update(&mut self.reasoning, later.reasoning);
    }
}

impl Kind {
    pub(super) fn of(name: JsonString<'_>) -> Self {
        match name.whole() {
            Some(b"response.completed" | b"response.incomplete") => Self::Completed,
            Some(b"response.failed") => Self::Failed,
            Some(b"message_start") => Self::MessageStart,
            Some(b"message_delta") => Self::MessageDelta,
            Some(b"message_stop") => Self::MessageStop,
            Some(b"error") => Self::Error,
            // Audio in base64 is no text; its transcript comes besides.
            Some(b"response.audio.delta" | b"response.output_audio.delta") => Self::Other,
            Some(name) if name.ends_with(b".delta") => Self::Delta,
            _ => Self::Other,
        }
    }
}
