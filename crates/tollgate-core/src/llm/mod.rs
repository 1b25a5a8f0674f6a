//! What a request asks of an inference server, and what the answer says it took: the metering of LLM
//! tokens.
//!
//! * [`endpoint`]: which API a path belongs to, and in which dialect it speaks;
//! * [`usage`]: the tokens of one request.

pub mod endpoint;
pub mod usage;

pub use endpoint::{Dialect, Endpoint, Engine};
pub use usage::{Source, Usage};
