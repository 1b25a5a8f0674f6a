//! `tollgate client reset`

use clap::builder::PossibleValuesParser;
use clap::Args;
use tollgate_core::control::{Done, Request};
use tollgate_core::limits::Reset;

use crate::control::Socket;
use crate::escape::shown;
use crate::exit::{print, tell, Exit, Failure};

/// Give a client all of its limits anew: its buckets are full, nothing of its budgets is spent, and what it was
/// in debt is forgiven. Its requests in flight go on, and are charged with what they use beyond what they have
/// reserved.
///
/// Exit status: 0; 1 if nothing was used of its limits; 3 if nginx does not answer.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    socket: Socket,
    /// The client.
    client: String,
    /// Only its limits of this kind.
    #[arg(long, value_parser = PossibleValuesParser::new(Reset::NAMED.map(Reset::as_str)))]
    limit: Option<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let request = Request::Reset { client: self.client.clone(), limit: self.limit.clone() };
        let client = shown(&self.client);
        match self.socket.ask(&request)? {
            Done::Reset { slots: 0 } => {
                tell(&format!("nothing was used of limits of a client \"{client}\""));
                Ok(Exit::No)
            }
            _ => {
                let what = self.limit.as_deref().unwrap_or("all limits");
                print(format!("{client}: {what} anew\n").as_bytes())?;
                Ok(Exit::Yes)
            }
        }
    }
}
