//! The types of nginx's crate, for this module.

/// This module. What nginx keeps for it, and what it does, is said in `lib.rs`.
#[derive(Debug)]
pub(crate) enum Tollgate {}

pub(crate) type Request<'r> = nginx::Request<'r, Tollgate>;
pub(crate) type InFlight = nginx::request::handles::InFlight<Tollgate>;
pub(crate) type Command = nginx::conf::Command<Tollgate>;
pub(crate) type Directive = nginx::conf::Directive<Tollgate>;
pub(crate) type Server<'c> = nginx::conf::Server<'c, Tollgate>;
pub(crate) type Location<'c> = nginx::conf::Location<'c, Tollgate>;
pub(crate) type Found<'l, 'c> = nginx::conf::Found<'l, 'c, Tollgate>;
