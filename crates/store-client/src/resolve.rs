//! The addresses of a host. The system's resolver may take as long as it likes, so names are asked for in a thread of
//! their own, and whoever asks waits no longer than it has time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Instant;

use crate::failure::Failure;

/// More addresses of one name aren't tried.
const MAX_ADDRESSES: usize = 4;
/// Questions that may be open at a time.
const MAX_PENDING: usize = 16;

type Answer = Option<Vec<SocketAddr>>;

/// Questions that are still open.
#[derive(Default)]
pub(crate) struct Resolver {
    pending: HashMap<(String, u16), Receiver<Answer>>,
}

impl Resolver {
    /// The addresses of a host; at least one.
    pub(crate) fn resolve(
        &mut self,
        host: &str,
        port: u16,
        deadline: Instant,
    ) -> Result<Vec<SocketAddr>, Failure> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let question = (host.to_owned(), port);
        let answer = match self.pending.remove(&question) {
            Some(answer) => answer,
            None => self.ask(&question)?,
        };
        match answer.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Some(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => Err(Failure::Unresolved),
            Err(RecvTimeoutError::Timeout) => {
                // The next one who asks waits for the same answer.
                self.pending.insert(question, answer);
                Err(Failure::TimedOut)
            }
        }
    }

    fn ask(&self, question: &(String, u16)) -> Result<Receiver<Answer>, Failure> {
        if self.pending.len() >= MAX_PENDING {
            return Err(Failure::Unresolved);
        }
        let (answer, received) = mpsc::channel();
        let question = question.clone();
        let thread =
            std::thread::Builder::new().name("store-resolver".to_owned()).stack_size(256 * 1024);
        let started = thread.spawn(move || {
            let (host, port) = &question;
            let found = (host.as_str(), *port).to_socket_addrs().ok();
            // Nobody may wait any more.
            let _ = answer.send(found.map(|found| found.take(MAX_ADDRESSES).collect()));
        });
        started.map(|_| received).map_err(|error| Failure::Unreachable(error.kind()))
    }
}
