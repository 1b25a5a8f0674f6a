//! What a request asks of an inference server, and what the answer says it took: the metering of LLM
//! tokens.
//!
//! * [`engines`]: what each engine serves at which path;
//! * [`feature`]: what it may ask for beyond an answer;
//! * [`endpoint`]: the forms of requests and answers, and the dialects of refusals;
//! * [`request`]: what a request asks for, and the one edit of it;
//! * [`catalogue`]: what engines tell of models, as a client may know it;
//! * [`parts`]: what its text is made of; [`estimate`]: the tokens to reserve for it;
//! * [`meter`]: what an answer took, read as it streams; [`shown`]: what the client sees of it;
//! * [`usage`]: the tokens of one request.

pub mod catalogue;
pub mod endpoint;
pub mod engines;
pub mod estimate;
pub mod feature;
pub mod meter;
pub mod parts;
pub mod request;
pub mod shown;
pub mod texts;
pub mod usage;

pub use endpoint::{Dialect, Endpoint};
pub use engines::Engine;
pub use estimate::Estimate;
pub use feature::{Feature, FeatureSet};
pub use parts::Parts;
pub use request::uses::{Uses, UsesReader};
pub use request::{AliasError, Aliases, LlmRequest, RequestError};
pub use usage::{Source, Usage};
