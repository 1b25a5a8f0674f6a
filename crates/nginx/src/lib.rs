//! nginx, as Rust code sees it. All `unsafe` code that has to do with nginx is here, behind safe types.
//!
//! A module implements [`Types`] (what nginx keeps for it) and [`Module`] (what it does), and says
//! [`module!`], which makes the symbols that nginx looks for.
//!
//! * [`hooks`]: what nginx calls; [`guard`]: no panic crosses into C; [`registration`]: how nginx knows us;
//! * [`conf`]: directives, configurations and variables;
//! * [`request`]: the request of a callback, its header and body;
//! * [`answer`]: the filters, and the bodies that come by;
//! * `buffers`: what bodies are made of;
//! * [`subrequest`]: questions to internal locations;
//! * [`shm`]: memory that all workers see; [`file`](mod@file): log files;
//! * [`local_socket`]: a socket for those who administer nginx;
//! * [`timer`], [`clock`], [`process`], [`log`], [`tally`], [`text`]: the rest of a worker's life.

pub mod answer;
mod buffers;
pub mod clock;
pub mod conf;
pub mod file;
pub mod guard;
pub mod hooks;
pub mod local_socket;
pub mod log;
mod main_entry;
pub mod module;
pub mod process;
pub mod registration;
pub mod request;
pub mod shm;
pub mod subrequest;
pub mod tally;
#[cfg(test)]
mod testing;
mod text;
pub mod timer;
pub mod types;

/// The version of nginx: the module loads into no other one.
#[must_use]
pub fn version() -> &'static str {
    ngx::ffi::NGINX_VERSION.to_str().unwrap_or_default()
}

pub use module::{Header, Module, Page, Part, Reader, Release};
pub use request::{Forwarding, Kept, Request, Verdict};
pub use types::Types;

/// The version of nginx for which this was built, such as `1.22.1`: no other loads it.
pub const VERSION: &str = match ngx::ffi::NGINX_VERSION.to_str() {
    Ok(version) => version,
    Err(_) => "",
};
