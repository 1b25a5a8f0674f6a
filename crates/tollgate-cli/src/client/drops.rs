//! `tollgate client drop`

use std::time::Duration;

use clap::Args;
use tollgate_core::control::{Done, Request};

use crate::control::Socket;
use crate::escape::shown;
use crate::exit::{print, tell, Exit, Failure};

/// By then all workers have looked, unless one is stuck.
const UNTIL_ALL_HAVE_LOOKED: Duration = Duration::from_millis(700);

/// End the requests of a client that are in flight, in all workers: their connections are closed, or their streams
/// (HTTP/2), and what they took until then is charged. It may send others: to keep it out, revoke or disable
/// its keys.
///
/// Exit status: 0 if any have ended; 1 if it had none; 3 if nginx does not answer.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    socket: Socket,
    /// The client.
    client: String,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let request = Request::Drop { client: self.client.clone() };
        let Done::Drop { order } = self.socket.ask(&request)? else {
            return Err(Failure::failed("nginx answers something else than was asked"));
        };
        std::thread::sleep(UNTIL_ALL_HAVE_LOOKED);
        let requests = match self.socket.ask(&Request::Dropped { order })? {
            Done::Dropped { requests } => requests,
            _ => 0,
        };
        let client = shown(&self.client);
        if requests == 0 {
            tell(&format!("no request of a client \"{client}\" was in flight"));
            return Ok(Exit::No);
        }
        let count = if requests == 1 { "request has" } else { "requests have" };
        print(format!("{client}: {requests} {count} ended\n").as_bytes())?;
        Ok(Exit::Yes)
    }
}
