//! nginx's configuration.
//!
//! * [`token`]: words, and what ends them;
//! * [`dump`]: the files that `nginx -T` prints;
//! * [`tree`]: directives and blocks, with what they include in its place;
//! * [`scope`]: which value of a directive holds where;
//! * [`backend`]: where `proxy_pass` leads;
//! * [`value`]: times and sizes.

pub mod backend;
pub mod dump;
pub mod scope;
pub mod token;
pub mod tree;
pub mod value;

pub use backend::Backend;
pub use scope::{Conf, Scope};
pub use tree::{Directive, Place};
