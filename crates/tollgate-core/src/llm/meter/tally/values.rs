//! What the values of a document say.

use super::super::event::{Choices, Counts, Kind, Saying};
use super::super::places::{Alias, Count, Place};
use super::Tally;
use crate::json::{Container, JsonString, Reader, Scalar, Stop};
use crate::llm::Engine;

/// A count above this is no count of tokens: it is ignored, as if the engine had not said it. So
/// sums of counts don't overflow, and a mad engine doesn't put a client into debt for ever.
const MAX_TOKENS: u64 = 1 << 40;

/// How llama.cpp begins to say that it can't make sense of what its model wrote. All of that follows, and
/// there are clients that read it from there.
const UNREADABLE_OUTPUT: &[u8] = b"Failed to parse input at pos ";

impl Tally {
    pub(super) fn add_delta(&mut self, len: u64) {
        self.deltas = self.deltas.saturating_add(1);
        self.event_deltas = self.event_deltas.saturating_add(1);
        self.delta_bytes = self.delta_bytes.saturating_add(len);
    }

    /// Reasoning that comes under two names is one text.
    fn add_reasoning(&mut self, alias: Alias, len: u64) {
        let most = |lens: &[u64; 3]| lens.iter().copied().max().unwrap_or(0);
        let before = most(&self.reasoning);
        let [reasoning, content, thinking] = &mut self.reasoning;
        let sum = match alias {
            Alias::Reasoning => reasoning,
            Alias::ReasoningContent => content,
            Alias::Thinking => thinking,
        };
        *sum = sum.saturating_add(len);
        let more = most(&self.reasoning).saturating_sub(before);
        if more > 0 {
            self.add_delta(more);
        }
    }

    /// A text of an event that is known otherwise.
    pub(in super::super) fn tell_text(&mut self, place: Place, text: JsonString<'_>) {
        let event = self.event.is_known;
        // Nothing stops it.
        let _ = self.string(place, text);
        self.event.is_known = event;
    }

    /// Any value in a place where its kind doesn't matter.
    fn note(&mut self, place: Place) {
        match place {
            Place::Choice => self.event.choices = Choices::Filled,
            Place::PrefillToken => self.event.prefill = self.event.prefill.saturating_add(1),
            Place::TokenId => self.event.tokens = self.event.tokens.saturating_add(1),
            _ => {}
        }
    }
}

impl Reader for Tally {
    type Place = Place;
    const STRICT: bool = false;

    #[inline]
    fn member(&mut self, object: Place, key: JsonString<'_>) -> Result<Option<Place>, Stop> {
        Ok(object.member(key.head))
    }

    #[inline]
    fn element(&mut self, array: Place) -> Option<Place> {
        array.element()
    }

    fn begin(&mut self, place: Place, container: Container, _at: usize) -> Result<Place, Stop> {
        let event = &mut self.event;
        event.is_known |= place != self.root;
        match (place, container) {
            (Place::Choice, Container::Object) => {
                event.choices = Choices::Filled;
                event.is_at_bound = false;
                self.rest.begin_choice(self.delta_bytes);
            }
            (Place::Choices, Container::Object) => event.choices = Choices::Filled,
            (Place::ChatUsage | Place::Usage, Container::Object) => {
                event.usage = Some(true);
                event.begin_usage(Saying::Usage);
            }
            (Place::VendorUsage, Container::Object) => event.begin_usage(Saying::Vendor),
            (Place::Timings, Container::Object) => event.begin_usage(Saying::Timings),
            (Place::Details, Container::Object) => event.last = true,
            (Place::Prefill, Container::Array) => event.prefill = 0,
            (Place::Error, Container::Object) => self.failed = true,
            _ => self.note(place),
        }
        Ok(place)
    }

    fn end(&mut self, place: Place) -> Result<(), Stop> {
        match place {
            Place::ChatUsage | Place::Usage | Place::VendorUsage | Place::Timings => {
                self.event.end_usage();
            }
            Place::Choice => {
                self.rest.end_choice(self.delta_bytes, self.event.is_at_bound);
            }
            Place::LlamaAnswer | Place::SglangAnswer => self.end_answer(),
            Place::Choices if self.event.choices == Choices::Unknown => {
                self.event.choices = Choices::Empty;
            }
            _ => {}
        }
        Ok(())
    }

    fn string(&mut self, place: Place, string: JsonString<'_>) -> Result<(), Stop> {
        self.event.is_known |= place != self.root;
        match place {
            Place::Text | Place::Arguments if string.len > 0 => self.add_delta(string.len),
            Place::Reasoning(alias) if string.len > 0 => self.add_reasoning(alias, string.len),
            Place::TokenText => self.add_delta(string.len),
            Place::TextSoFar => self.text_so_far = self.text_so_far.max(string.len),
            Place::Delta => self.event_delta = string.len,
            Place::WholeText if self.is_streamed => self.event.last = true,
            Place::WholeText if string.len > 0 => self.add_delta(string.len),
            Place::Kind => self.event.kind = Kind::of(string),
            Place::Finish if string.len > 0 => self.event.finish(string),
            Place::Error if string.len > 0 => self.failed = true,
            Place::ErrorMessage
                if self.asked.engine == Engine::LlamaCpp
                    && string.head.starts_with(UNREADABLE_OUTPUT) =>
            {
                self.add_delta(string.len);
            }
            _ => self.note(place),
        }
        Ok(())
    }

    fn scalar(&mut self, place: Place, scalar: Scalar, _at: usize) -> Result<(), Stop> {
        let event = &mut self.event;
        event.is_known |= place != self.root;
        match place {
            Place::Count(count) => {
                event.has_timings |= count == Count::UncachedInput;
                let number = match scalar {
                    Scalar::Unsigned(number) if number <= MAX_TOKENS => Some(number),
                    _ => None,
                };
                if !event.outranked {
                    event.counts.set(count, number);
                }
            }
            // Of members with one name the last one counts.
            Place::ChatUsage | Place::Usage => {
                event.usage = Some(false);
                event.counts = Counts::default();
                event.saying = Saying::Nothing;
            }
            Place::Choices if event.choices == Choices::Empty => event.choices = Choices::Unknown,
            Place::SequenceTokens => {
                if let Scalar::Unsigned(number) = scalar {
                    event.unseen = event.unseen.saturating_add(number.min(MAX_TOKENS));
                }
            }
            Place::Index => {
                if let Scalar::Unsigned(index) = scalar {
                    event.index = index;
                }
            }
            Place::Done => event.last = scalar == Scalar::Bool(true),
            _ => self.note(place),
        }
        Ok(())
    }
}
