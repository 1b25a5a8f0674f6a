//! What the documents of an answer say about it, put together.

use super::json_events::{Container, JsonString, Reader, Scalar};
use super::places::{Count, Place};
use super::reading::{Reading, Said};

/// A count above this is no count of tokens: it is ignored, as if the engine had not said it. So
/// sums of counts don't overflow, and a mad engine doesn't put a client into debt for ever.
pub(super) const MAX_TOKENS: u64 = 1 << 40;

/// The numbers of one usage.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached_input: Option<u64>,
    cache_creation: Option<u64>,
    reasoning: Option<u64>,
}

/// What `type` or `object` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
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
    /// Messages: `message_delta`
    MessageDelta,
    /// Messages: `message_stop`
    MessageStop,
    /// Any: `error`
    Error,
}

/// What the event has for `choices`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Choices {
    /// Nothing yet.
    #[default]
    Unknown,
    /// An empty array.
    Empty,
    /// A choice. It stays so, as the event may be on its way to the client.
    Filled,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Saying {
    #[default]
    Nothing,
    /// A usage of second rank.
    Vendor,
    Usage,
}

/// What the event, the line or the document at hand has said so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Event {
    counts: Counts,
    saying: Saying,
    /// The object with the numbers has not ended.
    is_open: bool,
    /// The numbers at hand are of a usage that another one outranks.
    outranked: bool,
    kind: Kind,
    choices: Choices,
    /// It says itself that it is the last one.
    last: bool,
    prefill: u64,
}

/// The reader of an answer's documents.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    root: Place,
    counts: Counts,
    said_final: bool,
    ended: bool,
    failed: bool,
    deltas: u64,
    delta_bytes: u64,
    event: Event,
    /// The length of the event's `delta`, which is text or not.
    event_delta: u64,
}

impl Tally {
    pub(super) fn new(root: Place) -> Self {
        Self {
            root,
            counts: Counts::default(),
            said_final: false,
            ended: false,
            failed: false,
            deltas: 0,
            delta_bytes: 0,
            event: Event::default(),
            event_delta: 0,
        }
    }

    /// What the document at hand has said, but for the strings that vary.
    pub(super) fn event(&self) -> Event {
        self.event
    }

    /// Takes up what another document has said with the same bytes.
    pub(super) fn set_event(&mut self, event: Event) {
        self.event = event;
    }

    /// Whether the event at hand may still turn out to have nothing but usage.
    pub(super) fn may_be_usage_only(&self) -> bool {
        self.event.choices != Choices::Filled
    }

    /// Whether the event at hand has usage, and an empty array of choices.
    pub(super) fn is_usage_only(&self) -> bool {
        self.event.choices == Choices::Empty && self.event.saying == Saying::Usage
    }

    /// The stream's end mark, `[DONE]`: the usage before it was the last one.
    pub(super) fn done(&mut self) {
        self.ended = true;
        if self.root == Place::ChatEvent {
            self.said_final = self.counts.is_said();
        }
    }

    /// The event, line or document was whole.
    pub(super) fn end_event(&mut self) {
        self.settle_event(true);
    }

    /// The event, line or document broke off. A usage that is whole counts all the same, but it is
    /// the last one only where the event had already said so.
    pub(super) fn cut_event(&mut self) {
        self.settle_event(false);
    }

    /// The event, line or document is no JSON: its usage doesn't count.
    pub(super) fn drop_event(&mut self) {
        self.event = Event::default();
        self.event_delta = 0;
    }

    fn settle_event(&mut self, is_whole: bool) {
        let event = std::mem::take(&mut self.event);
        let delta = std::mem::take(&mut self.event_delta);
        self.failed |= matches!(event.kind, Kind::Error | Kind::Failed);
        match self.root {
            Place::ChatEvent => self.settle_chat(&event, is_whole),
            Place::ResponsesEvent => self.settle_responses(&event, delta, is_whole),
            Place::MessagesEvent => {
                self.ended |= event.kind == Kind::MessageStop;
                if event.says_usage() {
                    self.counts.update(event.counts);
                    self.said_final |= event.kind == Kind::MessageDelta;
                }
            }
            Place::OllamaAnswer => self.settle_ollama(&event, event.last && is_whole),
            Place::TgiEvent | Place::TgiAnswer => {
                self.ended |= event.last && is_whole;
                if event.says_usage() {
                    self.say(event.counts, true);
                    // An empty list means that it was not asked for.
                    if event.prefill > 0 && is_whole {
                        self.counts.input.get_or_insert(event.prefill);
                    }
                }
            }
            _ if event.says_usage() => self.say(event.counts, true),
            _ => {}
        }
    }

    fn settle_chat(&mut self, event: &Event, is_whole: bool) {
        // Usage beside choices is only how far the engine has come, if more follow.
        let is_final = match event.choices {
            Choices::Empty => true,
            Choices::Unknown => is_whole,
            Choices::Filled => false,
        };
        if event.says_usage() {
            self.say(event.counts, is_final);
        } else if event.choices == Choices::Filled {
            self.said_final = false;
        }
    }

    fn settle_responses(&mut self, event: &Event, delta: u64, is_whole: bool) {
        let is_text = match event.kind {
            Kind::Delta => true,
            Kind::Unknown => !is_whole,
            _ => false,
        };
        if is_text && delta > 0 {
            self.add_delta(delta);
        }
        let is_last = matches!(event.kind, Kind::Completed | Kind::Failed);
        self.ended |= is_last && is_whole;
        if event.says_usage() {
            self.say(event.counts, is_last);
        }
    }

    fn settle_ollama(&mut self, event: &Event, is_last: bool) {
        self.ended |= is_last;
        if event.says_usage() {
            self.say(event.counts, is_last);
            // Ollama leaves out a count of 0.
            if is_last {
                self.counts.input.get_or_insert(0);
                self.counts.output.get_or_insert(0);
            }
        }
    }

    fn say(&mut self, counts: Counts, is_final: bool) {
        self.counts = counts;
        self.said_final = is_final;
    }

    /// The JSON document that is the whole answer came to its end.
    pub(super) fn end_document(&mut self) {
        self.end_event();
        self.ended = true;
    }

    pub(super) fn reading(&self) -> Reading {
        Reading {
            said: self.said(),
            said_final: self.said_final,
            ended: self.ended,
            deltas: self.deltas,
            delta_bytes: self.delta_bytes,
            failed: self.failed,
        }
    }

    fn said(&self) -> Said {
        let Counts { input, output, total, cached_input, cache_creation, reasoning } = self.counts;
        let (input, output) = match self.root {
            Place::MessagesEvent | Place::MessagesAnswer => {
                let cached = cached_input.unwrap_or(0) + cache_creation.unwrap_or(0);
                (input.map(|input| input + cached), output)
            }
            Place::EmbeddingsAnswer | Place::OllamaEmbedding => (input.or(total), Some(0)),
            _ => (
                input.or_else(|| total?.checked_sub(output?)),
                output.or_else(|| total?.checked_sub(input?)),
            ),
        };
        Said {
            input,
            output,
            cached_input: cached_input.map(|cached| cached.min(input.unwrap_or(0))),
            reasoning: reasoning.map(|reasoning| reasoning.min(output.unwrap_or(0))),
        }
    }

    fn add_delta(&mut self, len: u64) {
        self.deltas = self.deltas.saturating_add(1);
        self.delta_bytes = self.delta_bytes.saturating_add(len);
    }

    /// Any value in a place where its kind doesn't matter.
    fn note(&mut self, place: Place) {
        match place {
            Place::EventChoice => self.event.choices = Choices::Filled,
            Place::PrefillToken => self.event.prefill = self.event.prefill.saturating_add(1),
            _ => {}
        }
    }
}

impl Reader for Tally {
    type Place = Place;

    fn member(&self, object: Place, key: &[u8]) -> Option<Place> {
        object.member(key)
    }

    fn element(&self, array: Place) -> Option<Place> {
        array.element()
    }

    fn container(&mut self, place: Place, container: Container) {
        let event = &mut self.event;
        match (place, container) {
            (Place::EventChoices, Container::Object) => event.choices = Choices::Filled,
            (Place::ChatUsage | Place::Usage, Container::Object) => {
                event.counts = Counts::default();
                event.saying = Saying::Usage;
                event.is_open = true;
                event.outranked = false;
            }
            (Place::VendorUsage, Container::Object) => {
                event.outranked = event.saying == Saying::Usage;
                if !event.outranked {
                    event.counts = Counts::default();
                    event.saying = Saying::Vendor;
                    event.is_open = true;
                }
            }
            (Place::Details, Container::Object) => event.last = true,
            (Place::Prefill, Container::Array) => event.prefill = 0,
            (Place::Error, Container::Object) => self.failed = true,
            _ => self.note(place),
        }
    }

    fn end_container(&mut self, place: Place) {
        match place {
            Place::ChatUsage | Place::Usage | Place::VendorUsage => self.event.is_open = false,
            Place::EventChoices if self.event.choices == Choices::Unknown => {
                self.event.choices = Choices::Empty;
            }
            _ => {}
        }
    }

    fn string(&mut self, place: Place, string: JsonString<'_>) {
        match place {
            Place::Text | Place::Arguments if string.len > 0 => self.add_delta(string.len),
            Place::TokenText => self.add_delta(string.len),
            Place::Delta => self.event_delta = string.len,
            Place::WholeText => self.event.last = true,
            Place::Kind => self.event.kind = Kind::of(string),
            Place::Error if string.len > 0 => self.failed = true,
            _ => self.note(place),
        }
    }

    fn scalar(&mut self, place: Place, scalar: Scalar) {
        let event = &mut self.event;
        match place {
            Place::Count(count) if !event.outranked => {
                event.counts.set(
                    count,
                    match scalar {
                        Scalar::Number(number) if number <= MAX_TOKENS => Some(number),
                        _ => None,
                    },
                );
            }
            // Of members with one name the last one counts.
            Place::ChatUsage | Place::Usage => {
                event.counts = Counts::default();
                event.saying = Saying::Nothing;
            }
            Place::EventChoices if event.choices == Choices::Empty => {
                event.choices = Choices::Unknown;
            }
            Place::Done => event.last = scalar == Scalar::True,
            _ => self.note(place),
        }
    }
}

impl Event {
    /// Whether it has a usage that is whole.
    fn says_usage(&self) -> bool {
        self.counts.is_said() && !self.is_open
    }
}

impl Counts {
    fn is_said(&self) -> bool {
        self.input.or(self.output).or(self.total).is_some()
    }

    fn set(&mut self, count: Count, number: Option<u64>) {
        *match count {
            Count::Input => &mut self.input,
            Count::Output => &mut self.output,
            Count::Total => &mut self.total,
            Count::CachedInput => &mut self.cached_input,
            Count::CacheCreation => &mut self.cache_creation,
            Count::Reasoning => &mut self.reasoning,
        } = number;
    }

    /// Takes over what `later` says, and keeps what it doesn't.
    fn update(&mut self, later: Self) {
        self.input = later.input.or(self.input);
        self.output = later.output.or(self.output);
        self.total = later.total.or(self.total);
        self.cached_input = later.cached_input.or(self.cached_input);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.reasoning = later.reasoning.or(self.reasoning);
    }
}

impl Kind {
    fn of(name: JsonString<'_>) -> Self {
        match name.whole() {
            Some(b"response.completed" | b"response.incomplete") => Self::Completed,
            Some(b"response.failed") => Self::Failed,
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
