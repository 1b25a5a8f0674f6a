//! What a request takes in tokens and money: estimated before, read from the answer, and known in the
//! end.

use tollgate_core::limits::Need;
use tollgate_core::llm::meter::{settle, Asked, Format, Hides, Meter, Part, Reading, Terms};
use tollgate_core::llm::{Endpoint, Engine, LlmRequest, Source, Usage};
use tollgate_core::price::Price;

use crate::clock::wall_now;
use crate::conf::settings::CachedAnswers;
use crate::request::estimate::{Estimate, Lesson, Whose};
use crate::types::{Request, Tollgate};
use nginx::Reader;

const BAD_REQUEST: u64 = 400;
const GATEWAY_TIME_OUT: u16 = 504;
/// In which vLLM says what embeddings took that it sends as bytes.
const METADATA: &str = "metadata";

/// The metering of one request: only of those whose body was read.
pub(crate) struct Metering {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: Option<Box<str>>,
    /// What the client calls it, and is to see in the answer.
    pub(crate) alias: Option<Box<str>>,
    pub(crate) stream: bool,
    /// What was asked of the engine, and what of that is not for the client to see.
    asked: Asked,
    /// What it may take.
    pub(crate) estimate: Estimate,
    /// What is learned from its answer.
    pub(crate) lesson: Lesson,
    pub(crate) price: Option<Price>,
    /// The engine makes the answer to its end, also that of a stream.
    pub(crate) goes_on: bool,
    answer: Answer,
    /// Milliseconds from the request's start to the first token of the answer.
    pub(crate) ttft_ms: Option<u64>,
    /// What it took, once that is settled.
    settled: Option<Taken>,
}

/// What has come of the answer.
enum Answer {
    /// Nothing yet.
    None,
    /// No answer to be charged: an error, or one without a body.
    Free,
    /// One that can't be read: compressed.
    Unreadable,
    /// One whose header says what there is to say.
    Told(Reading),
    /// One that is being read.
    Read { meter: Box<Meter>, complete: bool, origin: Origin },
}

/// Where an answer that is read comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Engine,
    /// An error of the engine's, which may hold what its model wrote, or what was sent in its place.
    Error,
    /// From nginx's cache, and not charged: the engine did nothing.
    Cache,
}

/// What a request took, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) usage: Usage,
    pub(crate) source: Source,
    /// In nano-units of money; `None` where the model has no price.
    pub(crate) cost: Option<u64>,
    /// The part of the usage that isn't taken for granted because it was reserved: what the engine said,
    /// and what came.
    pub(crate) evident: Usage,
    /// What that part costs.
    pub(crate) evident_cost: Option<u64>,
    /// The answer had all the tokens that it was allowed: it tells nothing of how many it would have
    /// taken.
    pub(crate) hit_bound: bool,
}

impl Reader<Tollgate> for Metering {
    fn hides(&self) -> bool {
        (self.asked.hides != Hides::default() || self.alias.is_some())
            && matches!(self.answer, Answer::Read { origin: Origin::Engine | Origin::Cache, .. })
    }

    fn read(&mut self, r: Request<'_>, bytes: &[u8], mut pass: impl FnMut(nginx::Part<'_>)) {
        let Answer::Read { meter, .. } = &mut self.answer else {
            return pass(nginx::Part::Range(0..bytes.len()));
        };
        meter.read(bytes, &mut |part| pass(passed(part)));
        if self.ttft_ms.is_none() && (!self.stream || meter.has_output()) {
            let since = wall_now().0.saturating_sub(r.start_ms());
            self.ttft_ms = Some(u64::try_from(since).unwrap_or(0));
        }
    }

    fn finish(&mut self, _: Request<'_>, mut pass: impl FnMut(nginx::Part<'_>)) {
        if let Answer::Read { meter, complete, .. } = &mut self.answer {
            meter.finish(&mut |part| pass(passed(part)));
            *complete = true;
        }
    }

    // Nothing waits for a meter.
    fn go_on(&mut self, _: Request<'_>, _: impl FnMut(nginx::Part<'_>)) {}

    fn is_waiting(&self) -> bool {
        false
    }

    fn is_full(&self, _: u64) -> bool {
        false
    }

    fn lags(&mut self, _: Request<'_>) {}
}

pub(super) fn passed(part: Part<'_>) -> nginx::Part<'_> {
    match part {
        Part::Held(bytes) => nginx::Part::Held(bytes),
        Part::Range(range) => nginx::Part::Range(range),
    }
}

impl Metering {
    pub(crate) fn new(
        request: LlmRequest,
        engine: Engine,
        (estimate, lesson): (Estimate, Lesson),
        price: Option<Price>,
        hides: Hides,
    ) -> Self {
        Self {
            endpoint: request.endpoint,
            stream: request.stream,
            asked: Asked {
                endpoint: request.endpoint,
                engine,
                choices: request.choices,
                per_prompt: request.per_prompt,
                output_bound: request.output_bound,
                hides,
            },
            model: request.model,
            alias: request.alias,
            estimate,
            lesson,
            price,
            goes_on: request.background,
            answer: Answer::None,
            ttft_ms: None,
            settled: None,
        }
    }

    /// Nothing was asked of the engine that the client didn't ask.
    pub(crate) fn hide_nothing(&mut self) {
        self.asked.hides = Hides::default();
        self.alias = None;
    }

    /// What it may cost, in nano-units. A model without a price costs nothing.
    pub(crate) fn cost_at_most(&self, whose: Whose) -> Need {
        self.price.as_ref().map(|price| self.estimate.cost(price, whose)).unwrap_or_default()
    }

    /// Whether the engine makes the answer to its end, though its client leaves.
    pub(crate) fn outlasts_client(&self) -> bool {
        !self.stream && self.asked.engine.goes_on_after_client_left()
    }

    /// The header of the answer is there. `true`: its body has to come by in memory.
    pub(crate) fn begin(&mut self, r: Request<'_>, cached: CachedAnswers) -> bool {
        let is_success = (200..300).contains(&r.status_out()) && r.status_out() != 204;
        let is_cached = r.is_from_cache();
        let last = r.attempts().last().map_or(0, |last| last.status);
        // An answer in the place of an engine's that failed: a page that tells so with 200.
        let is_instead = is_success && !is_cached && last >= BAD_REQUEST;
        let origin = if is_cached && cached == CachedAnswers::Free {
            Origin::Cache
        } else if is_instead
            || (!is_success && self.asked.engine.may_show_output_in_error(r.status_out()))
        {
            Origin::Error
        } else {
            Origin::Engine
        };
        let has_timed_out = match is_cached || is_instead {
            // What is stale comes in the place of an answer that wasn't waited for.
            true => last == u64::from(GATEWAY_TIME_OUT),
            false => r.status_out() == GATEWAY_TIME_OUT,
        };
        self.answer = if has_timed_out && self.outlasts_client() {
            // Our patience is at its end, and not the engine's work.
            Answer::None
        } else if (!is_success && origin != Origin::Error)
            || (is_instead && !r.has_content_handler())
            || r.has_no_body()
        {
            Answer::Free
        } else if r.is_encoded() {
            match r.content_length_out() {
                Some(0) => Answer::Free,
                _ if origin != Origin::Engine => Answer::Free,
                _ => Answer::Unreadable,
            }
        } else if let Some(reading) = self.told_by_header(r) {
            match origin {
                Origin::Cache => Answer::Free,
                Origin::Engine | Origin::Error => Answer::Told(reading),
            }
        } else {
            // Whatever type it says that it has: what comes decides.
            let promised = Format::of_content_type(r.content_type_out());
            let mut meter = Box::new(Meter::new(self.asked, promised));
            if let Some(alias) = &self.alias {
                meter.show_model(alias);
            }
            Answer::Read { meter, complete: false, origin }
        };
        self.is_reading()
    }

    /// What vLLM says of embeddings that it sends as bytes: JSON in its header `metadata`.
    fn told_by_header(&self, r: Request<'_>) -> Option<Reading> {
        let is_bytes = r.content_type_out().starts_with(b"application/octet-stream");
        if self.endpoint.has_output() || !is_bytes {
            return None;
        }
        let told = r.header_out(METADATA)?;
        let mut meter = Meter::new(self.asked, Some(Format::Json));
        let mut shown = Vec::new();
        if let Some(alias) = &self.alias {
            meter.show_model(alias);
        }
        meter.read(told, &mut |part| match part {
            Part::Held(bytes) => shown.extend_from_slice(bytes),
            Part::Range(range) => shown.extend(told.get(range).unwrap_or_default()),
        });
        meter.finish(&mut |_| {});
        if self.alias.is_some() {
            r.hide_headers_out(|name, _| name.eq_ignore_ascii_case(METADATA.as_bytes()));
            // Without memory, the client gets it without the header.
            let _ = r.copy(&shown).and_then(|shown| r.push_header_out(METADATA, shown));
        }
        meter.reading()
    }

    /// Nothing more comes, whether or not that was the end of the answer: what it took is known, and
    /// stays as it is. `false`: it was before.
    pub(crate) fn settle(&mut self, r: Request<'_>) -> bool {
        if self.settled.is_some() {
            return false;
        }
        if let Answer::Read { meter, .. } = &mut self.answer {
            meter.finish(&mut |_| {});
        }
        self.settled = Some(self.outcome(r));
        true
    }

    /// Whether the answer is being read.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.answer, Answer::Read { .. })
    }

    /// What the request took, as far as it is known by now.
    pub(crate) fn outcome(&self, r: Request<'_>) -> Taken {
        if let Some(settled) = self.settled {
            return settled;
        }
        let reserved = self.estimate.usage();
        let reading = match &self.answer {
            Answer::Read { meter, .. } => meter.reading(),
            Answer::Told(reading) => Some(*reading),
            Answer::None | Answer::Free | Answer::Unreadable => None,
        };
        let (usage, source, said_so) = self.charge(r, reading.as_ref(), reserved);
        let (evident, ..) = self.charge(r, reading.as_ref(), Usage { output: 0, ..reserved });
        let cost = self.price.as_ref().map(|price| price.cost(&usage));
        let evident_cost = self.price.as_ref().map(|price| price.cost(&evident));
        let hit_bound = said_so || self.bound().is_some_and(|bound| usage.output >= bound);
        Taken { usage, source, cost, evident, evident_cost, hit_bound }
    }

    /// The most output that the client allowed.
    fn bound(&self) -> Option<u64> {
        self.asked.output_bound.map(|bound| bound.saturating_mul(self.asked.choices))
    }

    /// What to charge, with `reserved` for what nothing is known of; and whether the engine said that the
    /// answer hit its bound.
    fn charge(
        &self,
        r: Request<'_>,
        reading: Option<&Reading>,
        reserved: Usage,
    ) -> (Usage, Source, bool) {
        // Only the client's own bound bounds what it got.
        let terms = Terms {
            reserved,
            most_output: self.bound().unwrap_or(u64::MAX),
            stream: self.stream,
            goes_on: self.asked.engine.goes_on_after_client_left(),
        };
        let mut said_so = false;
        let (usage, source) = match &self.answer {
            Answer::Read { origin: Origin::Cache, .. } => (Usage::default(), Source::None),
            Answer::Read { meter, origin: Origin::Error, .. } if !meter.has_output() => {
                (Usage::default(), Source::None)
            }
            Answer::Read { complete, .. } => {
                said_so = reading.is_some_and(|reading| reading.hit_bound);
                settle(reading, &terms, !complete)
            }
            Answer::Told(_) => settle(reading, &terms, false),
            Answer::Unreadable => (reserved, Source::Estimated),
            // The client left while the engine was reading the prompt, or making what it didn't send yet.
            Answer::None
                if r.was_sent_upstream() && (r.is_client_gone() || self.outlasts_client()) =>
            {
                terms.of_no_answer()
            }
            Answer::None | Answer::Free => (Usage::default(), Source::None),
        };
        let usage = match source {
            // Nobody sees what it makes of the rest.
            Source::Partial if self.goes_on || r.was_kept_unseen() => {
                Usage { output: usage.output.max(reserved.output), ..usage }
            }
            _ => usage,
        };
        (usage, source, said_so)
    }
}

impl Taken {
    /// The output tokens of one answer, for what is learned of a model.
    pub(crate) fn output_of_one(&self, metering: &Metering) -> Option<u32> {
        let is_known = self.source == Source::Measured && metering.endpoint.has_output();
        is_known.then(|| u32::try_from(self.each(metering)).unwrap_or(u32::MAX))
    }

    fn each(&self, metering: &Metering) -> u64 {
        self.usage.output.div_ceil(metering.asked.choices.max(1))
    }

    /// Whether nothing but the engine set the end of the answer. (One below its bound says little, too:
    /// whoever sets a bound of 2 asks for a word.)
    pub(crate) fn is_whole(&self, metering: &Metering) -> bool {
        metering.asked.output_bound.is_none() && !self.hit_bound
    }
}
