//! What the documents of an answer say about it, put together: here what follows from each document that
//! has ended; in `values` what its values say, and in `total` what comes of all.

mod total;
mod values;

use super::event::{Choices, Counts, Event, Kind, UsageMember};
use super::places::Place;
use super::rest::Rest;
use super::shares::Shares;
use super::Asked;
use crate::llm::Engine;

/// The reader of an answer's documents.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    asked: Asked,
    root: Place,
    /// There may be more than one document.
    is_streamed: bool,
    /// What the engine said of the request.
    whole: Counts,
    /// What it said of each answer, where it says that.
    shares: Shares,
    said_final: bool,
    ended: bool,
    failed: bool,
    is_known: bool,
    has_begun: bool,
    is_strange: bool,
    /// Something follows the document that should have been all.
    has_rest: bool,
    hit_bound: bool,
    /// The answers that have ended, and the number of the last one that something came of.
    finishes: u64,
    last_index: u64,
    /// The answers of an array that have ended.
    answers: u64,
    /// The longest text that came as all there was up to then.
    text_so_far: u64,
    deltas: u64,
    delta_bytes: u64,
    /// What both were when the output was last said.
    deltas_said: u64,
    bytes_said: u64,
    /// In an answer that is one document: what came of its choices.
    rest: Rest,
    /// llama.cpp's `timings` were there: its usage is of one answer.
    has_timings: bool,
    /// The input as said has the cached part in it, which is said again besides.
    cache_is_twice: bool,
    event: Event,
    /// The length of the event's `delta`, which is text or not.
    event_delta: u64,
    /// The deltas of the event at hand.
    event_deltas: u64,
    /// How much reasoning came of it, under each name.
    reasoning: [u64; 3],
}

/// What a client would see of an event of Chat or Completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Nothing but usage: no choice, but an object `usage`.
    pub(super) is_usage_only: bool,
    pub(super) usage: UsageMember,
    /// It is of a choice.
    pub(super) has_choice: bool,
    /// An answer ended with it.
    pub(super) is_finish: bool,
}

impl Tally {
    pub(super) fn new(asked: Asked, is_streamed: bool) -> Self {
        Self {
            asked,
            root: Place::root(asked.endpoint),
            is_streamed,
            whole: Counts::default(),
            shares: Shares::default(),
            said_final: false,
            ended: false,
            failed: false,
            is_known: false,
            has_begun: false,
            is_strange: false,
            has_rest: false,
            hit_bound: false,
            finishes: 0,
            last_index: 0,
            answers: 0,
            text_so_far: 0,
            deltas: 0,
            delta_bytes: 0,
            deltas_said: 0,
            bytes_said: 0,
            rest: Rest::default(),
            has_timings: false,
            cache_is_twice: false,
            event: Event::default(),
            event_delta: 0,
            event_deltas: 0,
            reasoning: [0; 3],
        }
    }

    /// What the document at hand has said.
    pub(super) fn event(&self) -> Event {
        self.event
    }

    /// What the client would see of an event that is whole.
    pub(super) fn chunk(&self, event: &Event) -> Chunk {
        let usage = event.usage_member();
        let has_usage = matches!(usage, UsageMember::Zero | UsageMember::Said);
        let has_choice = event.choices == Choices::Filled;
        Chunk {
            is_usage_only: !has_choice && has_usage && !self.failed,
            usage,
            has_choice,
            is_finish: has_choice && event.finishes > 0,
        }
    }

    pub(super) fn has_output(&self) -> bool {
        self.deltas > 0 || self.text_so_far > 0
    }

    /// What came is nothing that an engine is known to say.
    pub(super) fn note_strange(&mut self) {
        self.is_strange = true;
    }

    /// Behind what was taken for the whole answer, more comes that can't be read.
    pub(super) fn note_rest(&mut self) {
        self.has_rest = true;
    }

    /// The stream's end mark, `[DONE]`: the usage before it was the last one.
    pub(super) fn done(&mut self) {
        self.ended = true;
        if matches!(self.root, Place::OpenAi | Place::Llama | Place::Sglang) {
            self.said_final = self.whole.is_said() || self.shares.sum(1).is_said();
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
        self.note_strange();
        self.event = Event::default();
        self.begin_event();
    }

    /// The JSON document that is the whole answer came to its end.
    pub(super) fn end_document(&mut self) {
        self.end_event();
        self.ended = true;
    }

    /// What was taken for the whole answer was its first line.
    pub(super) fn go_on(&mut self) {
        self.is_streamed = true;
        self.ended = false;
        self.said_final = false;
    }

    fn begin_event(&mut self) {
        self.event_delta = 0;
        self.event_deltas = 0;
        self.reasoning = [0; 3];
    }

    fn settle_event(&mut self, is_whole: bool) {
        let event = std::mem::take(&mut self.event);
        self.settle(&event, is_whole);
    }

    /// An event that is whole has said this.
    pub(super) fn end_known_event(&mut self, event: &Event) {
        self.settle(event, true);
    }

    fn settle(&mut self, event: &Event, is_whole: bool) {
        let delta = self.event_delta;
        // Who lists tokens, need not show the text of each.
        self.deltas = self.deltas.saturating_add(event.tokens.saturating_sub(self.event_deltas));
        self.begin_event();
        self.failed |= matches!(event.kind, Kind::Error | Kind::Failed);
        self.is_known |= event.is_known;
        self.is_strange |= is_whole && !event.is_known;
        self.hit_bound |= event.hit_bound;
        self.has_timings |= event.has_timings;
        let finishes = match self.root {
            Place::Llama => event.finishes.max(u64::from(event.last)),
            _ => event.finishes,
        };
        self.finishes = self.finishes.saturating_add(finishes);
        match self.root {
            Place::Responses => self.settle_responses(event, delta, is_whole),
            Place::Messages => self.settle_messages(event, is_whole),
            Place::Ollama => self.settle_ollama(event, is_whole),
            Place::Tgi => self.settle_tgi(event, is_whole),
            Place::Llama | Place::Sglang => self.settle_native(event, finishes, is_whole),
            _ => self.settle_openai(event, is_whole),
        }
        if event.counts.output.is_some_and(|output| output > 0) {
            self.deltas_said = self.deltas;
            self.bytes_said = self.delta_bytes;
        }
    }

    fn settle_openai(&mut self, event: &Event, is_whole: bool) {
        if event.choices == Choices::Filled {
            self.last_index = event.index;
            self.has_begun = true;
        }
        if !self.is_streamed {
            if event.says_usage() {
                self.say(event.counts, true);
            }
            return;
        }
        let has_finished = self.finishes > 0 && self.finishes >= self.asked.choices;
        self.ended |= has_finished && is_whole;
        if !event.says_usage() || (event.choices == Choices::Filled && event.counts.is_zero()) {
            if event.choices == Choices::Filled {
                self.said_final = false;
            }
            return;
        }
        let is_of_one = event.has_timings
            || match event.choices {
                Choices::Filled => self.asked.says_usage_of_each_choice(),
                Choices::Empty | Choices::Unknown => self.asked.engine == Engine::LlamaCpp,
            };
        if is_of_one {
            // What follows the chunks of an answer without being one, is its last word.
            let is_last = event.finishes > 0 || event.choices != Choices::Filled;
            self.shares.say(self.last_index, event.counts, self.asked.per_prompt, is_last);
            let is_only_one = self.asked.choices <= 1 && event.choices != Choices::Filled;
            self.said_final = has_finished || (is_only_one && is_whole);
        } else {
            // Usage beside choices is only how far the engine has come, if more follow.
            let is_final = match event.choices {
                Choices::Empty => true,
                Choices::Unknown => is_whole,
                Choices::Filled => has_finished,
            };
            self.say(event.counts, is_final);
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
            self.say(event.counts, is_last || !self.is_streamed);
        }
    }

    fn settle_messages(&mut self, event: &Event, is_whole: bool) {
        self.ended |= event.kind == Kind::MessageStop && is_whole;
        if event.says_usage() {
            // Only the older SGLang says at once that nothing was cached.
            self.cache_is_twice |= self.asked.engine == Engine::Sglang
                && event.kind == Kind::MessageStart
                && event.counts.cached_input == Some(0);
            self.whole.update(event.counts);
            self.said_final |= event.kind == Kind::MessageDelta || !self.is_streamed;
        }
    }

    fn settle_ollama(&mut self, event: &Event, is_whole: bool) {
        let is_last = is_whole && (event.last || !self.is_streamed);
        self.ended |= event.last && is_whole;
        if event.says_usage() || (event.is_load && is_last) {
            self.say(event.counts, is_last);
            // Ollama leaves out a count of 0.
            if is_last {
                self.whole.input.get_or_insert(0);
                self.whole.output.get_or_insert(0);
            }
        }
    }

    fn settle_tgi(&mut self, event: &Event, is_whole: bool) {
        self.ended |= event.last && is_whole;
        if event.says_usage() {
            let output = event.counts.output.map(|output| output.saturating_add(event.unseen));
            self.say(Counts { output, ..event.counts }, true);
            // An empty list means that it was not asked for.
            if event.prefill > 0 && is_whole {
                self.whole.input.get_or_insert(event.prefill);
            }
        }
    }

    /// Native answers of llama.cpp and SGLang say how far each is, and in the end how far it came.
    fn settle_native(&mut self, event: &Event, finishes: u64, is_whole: bool) {
        let has_finished = self.finishes > 0 && self.finishes >= self.asked.choices;
        self.ended |= has_finished && is_whole;
        if event.says_usage() {
            self.shares.say(event.index, event.counts, self.asked.per_prompt, finishes > 0);
        }
        if event.is_known {
            self.said_final = is_whole && (has_finished || !self.is_streamed);
        }
    }

    /// One of several answers in an array came to its end.
    fn end_answer(&mut self) {
        if self.event.says_usage() {
            self.shares.say(self.answers, self.event.counts, self.asked.per_prompt, true);
        }
        self.answers = self.answers.saturating_add(1);
        self.event.counts = Counts::default();
    }

    fn say(&mut self, counts: Counts, is_final: bool) {
        self.whole.update(counts);
        self.said_final = is_final;
    }
}
