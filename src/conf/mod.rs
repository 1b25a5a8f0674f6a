//! What nginx.conf says: directives, the memory they fill, and what follows from them.
//!
//! * [`directives`]: the table, and what each directive accepts;
//! * [`rules`]: tiers and limits, which `http` declares;
//! * [`settings`]: what a location says, before it is put together with what is around it;
//! * [`api_keys`]: the keys files; [`credentials`]: what tokens are judged by; [`certs`]: and certificates;
//! * [`cluster`]: the store that nodes share; [`leasing`]: and what is leased there;
//! * [`cache_salt`]: what salts of engines' caches are made by;
//! * [`audit_log`]: the files of the log, and what seals them;
//! * [`files`]: what stands where a file is to be written;
//! * [`guards`]: who looks at requests and answers; [`guard_files`]: by which rules and lists; [`live_guards`]: as they
//!   are now;
//! * [`main`], [`location`]: the two that nginx keeps; [`loaded`]: what was read on the way; [`following`]: what
//!   is read again when it changes; [`complete`]: when all of it has been read;
//! * [`tenants`]: what holds for tenants; [`pages`]: what a location shows;
//! * [`survey`]: what shows only when all of that has been read; [`text`]: and when it is read again;
//! * [`warnings`]: how much of that is told;
//! * [`policy`]: what holds in a location, resolved and checked. Requests see nothing else.

pub(crate) mod api_keys;
mod audit_log;
pub(crate) mod cache_salt;
pub(crate) mod certs;
mod cluster;
mod complete;
pub(crate) mod credentials;
pub(crate) mod directives;
mod files;
mod following;
mod guard_files;
pub(crate) mod guards;
pub(crate) mod judge;
mod leasing;
mod live_guards;
mod loaded;
mod location;
mod main;
pub(crate) mod pages;
pub(crate) mod policy;
pub(crate) mod rules;
pub(crate) mod settings;
mod survey;
mod tenants;
mod text;
mod warnings;

pub(crate) use location::{LocConf, Proxied};
pub(crate) use main::MainConf;
