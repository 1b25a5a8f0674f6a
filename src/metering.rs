//! What a request takes in tokens and money: estimated before, read from the answer, and known in the
//! end.

use tollgate_core::llm::meter::{settle, Format, Meter, Part};
use tollgate_core::llm::{Endpoint, LlmRequest, Source, Usage};
use tollgate_core::price::Price;

use crate::estimate::{Estimate, Lesson};
use crate::ffi::clock::wall_now;
use crate::ffi::request::Request;

/// The metering of one request: only of those whose body was read.
pub(crate) struct Metering {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: Option<Box<str>>,
    pub(crate) stream: bool,
    /// Answers to this one request.
    choices: u64,
    /// The tokens that each of them may have, as far as the client said.
    output_bound: Option<u64>,
    /// What it may take.
    pub(crate) estimate: Estimate,
    /// What is learned from its answer.
    pub(crate) lesson: Option<Lesson>,
    pub(crate) price: Option<Price>,
    /// The stream has a chunk with its usage because we asked for it; the client didn't.
    pub(crate) hides_usage: bool,
    answer: Answer,
    /// Milliseconds from the request's start to the first token of the answer.
    pub(crate) ttft_ms: Option<u64>,
}

/// What has come of the answer.
enum Answer {
    /// Nothing yet.
    None,
    /// No answer to be charged: an error, or one without a body.
    Free,
    /// One that can't be read: compressed, or of an unknown type.
    Unreadable,
    /// One that is being read.
    Read { meter: Box<Meter>, complete: bool },
}

/// What a request took, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) usage: Usage,
    pub(crate) source: Source,
    /// In nano-units of money; `None` where the model has no price.
    pub(crate) cost: Option<u64>,
}

impl Metering {
    pub(crate) fn new(
        request: LlmRequest,
        (estimate, lesson): (Estimate, Option<Lesson>),
        price: Option<Price>,
        hides_usage: bool,
    ) -> Self {
        Self {
            endpoint: request.endpoint,
            stream: request.stream,
            choices: request.choices,
            output_bound: request.output_bound,
            model: request.model,
            estimate,
            lesson,
            price,
            hides_usage,
            answer: Answer::None,
            ttft_ms: None,
        }
    }

    /// The header of the answer is there. `true`: its body has to come by in memory.
    pub(crate) fn begin(&mut self, r: Request<'_>) -> bool {
        let is_success = (200..300).contains(&r.status_out()) && r.status_out() != 204;
        self.answer = match Format::of_content_type(r.content_type_out()) {
            _ if !is_success || r.has_no_body() => Answer::Free,
            Some(format) if !r.is_encoded() => {
                let meter = Box::new(Meter::new(self.endpoint, format, self.hides_usage));
                Answer::Read { meter, complete: false }
            }
            _ => Answer::Unreadable,
        };
        self.is_reading()
    }

    /// Reads a buffer of the answer; `pass` is told what of it the client gets.
    pub(crate) fn read(&mut self, r: Request<'_>, bytes: &[u8], mut pass: impl FnMut(Part<'_>)) {
        let Answer::Read { meter, .. } = &mut self.answer else {
            return pass(Part::Range(0..bytes.len()));
        };
        meter.read(bytes, &mut pass);
        if self.ttft_ms.is_none() && (!self.stream || meter.reading().deltas > 0) {
            let since = wall_now().0.saturating_sub(r.start_ms());
            self.ttft_ms = Some(u64::try_from(since).unwrap_or(0));
        }
    }

    /// The answer has come to its end.
    pub(crate) fn finish(&mut self, mut pass: impl FnMut(Part<'_>)) {
        if let Answer::Read { meter, complete } = &mut self.answer {
            meter.finish(&mut pass);
            *complete = true;
        }
    }

    /// Nothing more comes, whether or not that was the end of the answer.
    pub(crate) fn stop(&mut self) {
        if let Answer::Read { meter, .. } = &mut self.answer {
            meter.finish(&mut |_| {});
        }
    }

    /// Whether the answer is being read.
    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.answer, Answer::Read { .. })
    }

    /// Whether what the client gets may be less than what the engine sent.
    pub(crate) fn hides(&self) -> bool {
        self.hides_usage && self.is_reading()
    }

    /// What the request took, as far as it is known by now.
    pub(crate) fn outcome(&self, r: Request<'_>) -> Outcome {
        let (usage, source) = match &self.answer {
            Answer::Read { meter, complete } => {
                // Only the client's own bound bounds what it got.
                let bound = self.output_bound.map(|bound| bound.saturating_mul(self.choices));
                let most = Usage { output: bound.unwrap_or(u64::MAX), ..self.estimate.usage() };
                settle(&meter.reading(), most, !complete)
            }
            Answer::Unreadable => (self.estimate.usage(), Source::Estimated),
            // The client left while the engine was reading the prompt.
            Answer::None if r.is_client_gone() && r.was_sent_upstream() => {
                (Usage { input: self.estimate.input, ..Usage::default() }, Source::Partial)
            }
            Answer::None | Answer::Free => (Usage::default(), Source::None),
        };
        Outcome { usage, source, cost: self.price.map(|price| price.cost(&usage)) }
    }
}

impl Outcome {
    /// The output tokens of one answer, for what is learned of a model.
    pub(crate) fn output_of_one(&self, metering: &Metering) -> Option<u32> {
        let is_known = self.source == Source::Measured && metering.endpoint.has_output();
        is_known.then(|| u32::try_from(self.each(metering)).unwrap_or(u32::MAX))
    }

    fn each(&self, metering: &Metering) -> u64 {
        self.usage.output.div_ceil(metering.choices.max(1))
    }

    /// Whether nothing but the engine set the end of the answer. (One below its bound says little, too:
    /// whoever sets a bound of 2 asks for a word.)
    pub(crate) fn is_whole(&self, metering: &Metering) -> bool {
        metering.output_bound.is_none()
    }
}
