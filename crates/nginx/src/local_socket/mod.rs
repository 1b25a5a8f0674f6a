//! A unix socket on which workers answer those who administer them: one line asks, one line answers, and the
//! connection ends.
//!
//! nginx itself opens the socket, as it does those of `listen`: so it stays over a reload, a newer nginx inherits
//! it (USR2), and it goes with the master. What is ours is that nobody but root and the user of the master is
//! heard ([`peer`]), that what an nginx left behind which was killed is no obstacle ([`place`]), and what is
//! spoken ([`conversation`]).

mod conversation;
mod peer;
mod place;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use ngx::ffi::{
    ngx_create_listening, sockaddr, sockaddr_un, socklen_t, AF_UNIX, NGX_LISTEN_BACKLOG,
};

use crate::conf::{ConfContext, ConfError};
use crate::module::Module;
pub use peer::Peer;

/// Who may connect: the owner. nginx gives its sockets to everybody.
const MODE: u32 = 0o600;

/// What is asked, and what is answered: at most so many bytes with the line break.
pub const MAX_LINE: usize = 8 * 1024;

/// Bytes of a connection's pool, in which nothing of ours lies.
const POOL_BYTES: usize = 256;

/// A socket of this configuration, at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSocket {
    path: String,
}

impl LocalSocket {
    /// Has nginx listen at a path, for the module `M`.
    ///
    /// # Errors
    ///
    /// What is wrong with the path, or who has it.
    pub fn listen<M: Module>(cx: &ConfContext<'_>, path: &str) -> Result<Self, ConfError> {
        let mut address = address(path)?;
        place::prepare(path)?;
        peer::note_owner();
        // SAFETY: nginx copies the address, and what it makes lives as long as the configuration. The log is that
        // of the cycle which is being made, and nginx reads it as long as it has the socket.
        unsafe {
            let cf = cx.as_ptr();
            let length = socklen_t::try_from(size_of::<sockaddr_un>()).unwrap_or(0);
            let pointer = (&raw mut address).cast::<sockaddr>();
            let listening = ngx_create_listening(cf, pointer, length)
                .as_mut()
                .ok_or_else(|| ConfError::new("there is no memory for a socket"))?;
            listening.handler = Some(conversation::begin::<M>);
            listening.backlog = NGX_LISTEN_BACKLOG as i32;
            listening.pool_size = POOL_BYTES;
            listening.logp = &raw mut (*(*cf).cycle).new_log;
        }
        Ok(Self { path: path.to_owned() })
    }

    /// In the master, when the configuration comes into use: closes the socket to others.
    ///
    /// # Errors
    ///
    /// Those of chmod(2).
    pub fn close_to_others(&self) -> io::Result<()> {
        fs::set_permissions(Path::new(&self.path), Permissions::from_mode(MODE))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

#[allow(clippy::cast_possible_truncation, reason = "it is 1")]
const FAMILY: u16 = AF_UNIX as u16;

/// The kernel's form of a path.
fn address(path: &str) -> Result<sockaddr_un, ConfError> {
    // SAFETY: a structure of numbers, for which zero is a value.
    let mut address: sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = FAMILY;
    let most = address.sun_path.len().saturating_sub(1);
    if path.len() > most {
        return Err(ConfError::new(format!(
            "the path is {} bytes long, and a socket's is at most {most}; use a shorter one",
            path.len()
        )));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(path.bytes()) {
        *place = byte.cast_signed();
    }
    Ok(address)
}

#[cfg(test)]
mod tests;
