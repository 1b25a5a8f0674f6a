//! What a text holds that must not go to a model, or come from one: personal data, secrets, attempts to
//! make a model forget its orders, an operator's own terms. It knows no JSON, no engine and no nginx: texts come in,
//! and findings or changed texts go out.
//!
//! From the ground up:
//!
//! * [`words`]: where one begins, and which stand before a candidate;
//! * `folding`: characters that are read as others;
//! * [`trust`]: whose words a text is;
//! * [`detector`]: one kind of thing that is looked for: what it looks like, and how it is checked;
//! * [`pii`], [`secrets`]: detectors of these kinds;
//! * [`views`]: copies of a text in which it is easier to find: normalised, decoded;
//! * [`injection`]: rules that give a text a score;
//! * [`rules`]: rules as data, with versions;
//! * [`settings`]: what an operator asks for; [`matcher`]: all detectors of such settings as one automaton;
//! * [`guard`]: the settings, ready to be used on whole texts;
//! * [`stream`]: the same on a text that comes in pieces; [`vault`]: values that a model doesn't see.

#![forbid(unsafe_code)]

pub mod detector;
pub mod finding;
mod folding;
pub mod guard;
pub mod injection;
pub mod matcher;
pub mod pii;
pub mod rules;
pub mod secrets;
pub mod settings;
pub mod stream;
pub mod trust;
pub mod vault;
pub mod views;
pub mod words;
