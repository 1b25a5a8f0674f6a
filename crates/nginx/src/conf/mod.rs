//! Directives as Rust functions, and configurations as Rust values.
//!
//! * [`directive`]: what a directive is; [`commands`]: nginx's table of them; [`callbacks`]: what it calls;
//! * [`context`]: the configuration that is being read; [`locations`]: all of it, when it has been read; `expression`: those of its locations;
//! * [`variables`], [`complex_value`]: variables, and expressions of them;
//! * [`proxied`]: what `proxy_pass` says;
//! * [`glob`], [`numbers`]: files by a pattern; sizes and times.

pub(crate) mod callbacks;
mod commands;
mod complex_value;
pub(crate) mod context;
mod directive;
mod expression;
mod glob;
mod locations;
mod numbers;
pub(crate) mod proxied;
pub(crate) mod variables;

pub use commands::Table;
pub use complex_value::ComplexValue;
pub use context::{ConfContext, ConfError, Position};
pub use directive::{Args, Close, Command, Directive, Level, Set};
pub use locations::{Found, HeaderRules, Location, Server, Verification};
pub use numbers::{parse_offset, parse_size, parse_time_ms};
pub use proxied::ContentHandler;
