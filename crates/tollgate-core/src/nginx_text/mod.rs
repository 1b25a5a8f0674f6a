//! What people write into nginx.conf: the forms that they know from other directives, and what a
//! configuration says as a text.
//!
//! * [`doubled_headers`]: what `add_header` adds that is there already;
//! * [`expression`]: the variables in the argument of a directive;
//! * [`file_name`]: what is given where a file is asked for, and is none;
//! * [`header_name`]: what is given where the header of a key is asked for, and can't be one;
//! * [`literal`]: what is given where a value is taken to the letter, and looks like more;
//! * [`open_pages`]: pages for operators that nothing guards;
//! * [`passed_to`]: what a location passes on to a server of the same nginx;
//! * [`rule_key`]: what a rule is counted by;
//! * [`text`]: the whole of it, and [`early`]: what in it reads `$tollgate_...` too early; [`maps`]: what its
//!   maps make of what is never known.

pub mod doubled_headers;
pub mod early;
pub mod expression;
pub mod file_name;
pub mod header_name;
pub mod literal;
pub mod maps;
pub mod open_pages;
pub mod passed_to;
pub mod rule_key;
pub mod text;
