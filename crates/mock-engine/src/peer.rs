//! The other end of a connection: waiting, and noticing that it has gone.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// The last part of a wait, which is slept through: a socket's timeout is not as exact as a sleep.
const LAST_SLEEP: Duration = Duration::from_millis(10);

/// Why an answer did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer went away.
    Gone,
    /// `X-Mock-Cut-After`
    Cut,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// Where an answer goes.
pub(crate) trait Peer: Write {
    /// Waits. An error is the news that the peer has closed the connection, and comes at once.
    fn wait(&mut self, time: Duration) -> Result<(), Ended>;

    /// Waits until the peer has closed the connection.
    fn wait_until_gone(&mut self);
}

/// What a look at a connection shows.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Quiet,
    /// There is another request, which hides whether the connection was closed after it.
    Talks,
    Gone,
}

impl Look {
    fn of(peeked: io::Result<usize>) -> Self {
        match peeked {
            Ok(0) => Self::Gone,
            Ok(_) => Self::Talks,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Self::Quiet,
                _ => Self::Gone,
            },
        }
    }
}

/// A peer that closes only its sending side counts as gone: real engines see it so, and no gateway
/// does that.
#[derive(Debug)]
pub(crate) struct Connection<'a>(pub(crate) &'a TcpStream);

impl Connection<'_> {
    /// Without a timeout, looks without waiting.
    fn look(&self, timeout: Option<Duration>) -> io::Result<Look> {
        if timeout.is_some() {
            self.0.set_read_timeout(timeout)?;
        } else {
            self.0.set_nonblocking(true)?;
        }
        let look = Look::of(self.0.peek(&mut [0]));
        self.0.set_read_timeout(None)?;
        self.0.set_nonblocking(false)?;
        Ok(look)
    }
}

impl Write for Connection<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Peer for Connection<'_> {
    fn wait(&mut self, time: Duration) -> Result<(), Ended> {
        let start = Instant::now();
        loop {
            let left = time.saturating_sub(start.elapsed());
            let look = if left > 2 * LAST_SLEEP {
                self.look(Some(left.saturating_sub(LAST_SLEEP)))?
            } else {
                thread::sleep(left);
                self.look(None)?
            };
            match look {
                Look::Gone => return Err(Ended::Gone),
                Look::Quiet | Look::Talks if left <= 2 * LAST_SLEEP => return Ok(()),
                Look::Talks => thread::sleep(LAST_SLEEP),
                Look::Quiet => {}
            }
        }
    }

    fn wait_until_gone(&mut self) {
        loop {
            // An hour, as a timeout there has to be.
            match self.look(Some(Duration::from_secs(3600))) {
                Ok(Look::Gone) | Err(_) => return,
                Ok(Look::Talks) => thread::sleep(LAST_SLEEP),
                Ok(Look::Quiet) => {}
            }
        }
    }
}

/// In tests, what was sent is looked at afterwards, and time does not pass.
#[cfg(test)]
impl Peer for Vec<u8> {
    fn wait(&mut self, _: Duration) -> Result<(), Ended> {
        Ok(())
    }

    fn wait_until_gone(&mut self) {}
}
