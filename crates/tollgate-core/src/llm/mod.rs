//! What a request asks of an inference server, and what the answer says it took: the metering of LLM
//! tokens.
//!
//! * [`endpoint`]: which API a path belongs to, and in which dialect it speaks;
//! * [`request`]: what a request asks for, and the one edit of it;
//! * [`estimate`]: the tokens to reserve for it;
//! * [`meter`]: what an answer took, read as it streams;
//! * [`usage`]: the tokens of one request.

pub mod endpoint;
pub mod estimate;
pub mod meter;
pub mod request;
pub mod usage;

pub use endpoint::{Dialect, Endpoint, Engine};
pub use estimate::Estimate;
pub use request::{LlmRequest, RequestError};
pub use usage::{Source, Usage};
