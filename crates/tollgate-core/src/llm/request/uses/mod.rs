//! What of an API a body uses, beyond what limits and metering need: features, unknown members, and how much of
//! what an engine prepares before it begins. Read only where something of that is refused or limited, in a pass
//! of its own over a body that has been read and found good.
//!
//! * [`known`]: the members that engines know;
//! * [`form`]: the same of a form with files;
//! * [`member_name`]: names of members, as clients may see them;
//! * [`media`]: what the engine would have to fetch; [`reader`]: what the reader of JSON tells, [`spot`]: of which place.

mod form;
pub mod known;
mod media;
mod member_name;
mod reader;
mod spot;

pub(super) use form::UsesOfForm;
pub use member_name::MemberName;

use reader::Reading;
use spot::Spot;

use super::MAX_DEPTH;
use crate::json::Scanner;
use crate::llm::feature::{Feature, FeatureSet};
use crate::llm::{Endpoint, Engine, LlmRequest};

/// What a body uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uses {
    /// The features.
    pub features: FeatureSet,
    /// By which member each is used, in the order of [`Feature::ALL`].
    members: [&'static str; Feature::ALL.len()],
    /// How many messages, or items of input.
    pub messages: u64,
    /// How many tools and functions.
    pub tools: u64,
    /// How long tools, schemas, grammars and patterns are, about as they are written without blanks.
    pub schema_bytes: u64,
    /// The member that has most of them, if its name can be shown.
    pub schema_member: Option<MemberName>,
    /// Whether there is a member that the engine doesn't know.
    pub has_unknown: bool,
    /// The first such one whose name can be shown.
    pub unknown_member: Option<MemberName>,
    /// Whether an object of settings is a list of such.
    pub has_list_of_settings: bool,
    /// Whether `store` is said.
    pub says_store: bool,
}

impl Uses {
    /// None of all that.
    pub const NONE: Self = Self {
        features: FeatureSet::NONE,
        members: [""; Feature::ALL.len()],
        messages: 0,
        tools: 0,
        schema_bytes: 0,
        schema_member: None,
        has_unknown: false,
        unknown_member: None,
        has_list_of_settings: false,
        says_store: false,
    };

    /// The first member by which a feature is used.
    #[must_use]
    pub fn member(&self, feature: Feature) -> &'static str {
        self.members.get(feature as usize).copied().unwrap_or_default()
    }

    fn note(&mut self, feature: Feature, member: &'static str) {
        if !self.features.has(feature) {
            self.features = self.features.with(feature);
            if let Some(noted) = self.members.get_mut(feature as usize) {
                *noted = member;
            }
        }
    }
}

/// Whether a body may use what a tier denies that names no features. Of others it need not be read again.
#[must_use]
pub fn may_be_denied_by_default(request: &LlmRequest, engine: Engine) -> bool {
    let form = request.endpoint;
    request.is_suspect
        || request.input.media > 0
        // A picture may stand anywhere in the text.
        || watches_text(form, engine)
        || match form {
            // In places that are not measured as media.
            Endpoint::Responses
            | Endpoint::Embeddings
            | Endpoint::Pooling
            | Endpoint::Score
            | Endpoint::Rerank
            | Endpoint::GenerativeScoring
            | Endpoint::CohereEmbed => engine != Engine::Ollama && engine != Engine::LlamaCpp,
            _ => false,
        }
}

/// Whether the engine takes pictures out of the text.
fn watches_text(form: Endpoint, engine: Engine) -> bool {
    engine == Engine::Tgi || matches!(form, Endpoint::TgiGenerate | Endpoint::TgiGenerateStream)
}

/// Reads what a body uses, in the slices that it comes in.
#[derive(Debug)]
pub struct UsesReader {
    scanner: Scanner<Spot, { MAX_DEPTH as usize }>,
    reading: Reading,
    has_begun: bool,
    is_broken: bool,
}

impl UsesReader {
    /// A reader of the body that `request` was read from.
    #[must_use]
    pub fn new(request: &LlmRequest, engine: Engine, wants_unknown: bool) -> Self {
        let watches_text = watches_text(request.endpoint, engine);
        Self {
            scanner: Scanner::new(Spot::Body),
            reading: Reading::new(request.endpoint, engine, wants_unknown, watches_text),
            has_begun: false,
            is_broken: false,
        }
    }

    /// Reads the next bytes.
    pub fn read(&mut self, slice: &[u8]) {
        let mut slice = slice;
        if !self.has_begun {
            // A byte order mark, or the start of one. No JSON begins with these bytes.
            let mark = slice.iter().take_while(|byte| matches!(byte, 0xef | 0xbb | 0xbf)).count();
            slice = slice.get(mark..).unwrap_or_default();
            self.has_begun = !slice.is_empty();
        }
        self.is_broken |= self.scanner.read(slice, &mut self.reading).is_err();
    }

    /// What it uses, at its end. `None`: it isn't the body that it was.
    #[must_use]
    pub fn finish(mut self) -> Option<Uses> {
        let is_whole = !self.is_broken && self.scanner.finish(&mut self.reading).is_ok();
        is_whole.then(|| self.reading.finish())
    }
}

#[cfg(test)]
mod tests;
