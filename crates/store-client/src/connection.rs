//! One connection to one server.

use std::io::Write;
use std::time::Instant;

use crate::access::{Access, Login};
use crate::config::Place;
use crate::failure::{Failure, ServerError};
use crate::resolve::Resolver;
use crate::resp::{Bounds, Command, Reader, Value};
use crate::stream::Stream;

/// How one speaks with a server, whichever of a cluster it is.
pub(crate) struct Manner<'m> {
    /// Whether by TLS, and with which name in the certificate if not that of the host.
    pub(crate) tls: bool,
    pub(crate) tls_name: Option<&'m str>,
    pub(crate) access: &'m Access,
    /// As whom.
    pub(crate) login: Option<&'m Login>,
    pub(crate) database: u16,
    /// What the connection is called in the server's list of clients.
    pub(crate) title: &'m str,
}

/// A connection that is logged in. After any failure it is of no use any more.
pub(crate) struct Connection {
    stream: Stream,
    reader: Reader,
}

impl Connection {
    /// Connects, and logs in.
    pub(crate) fn open(
        place: &Place,
        manner: &Manner<'_>,
        resolver: &mut Resolver,
        deadline: Instant,
    ) -> Result<Self, Failure> {
        let stream = Self::stream(place, manner, resolver, deadline)?;
        let mut connection = Self { stream, reader: Reader::default() };
        connection.log_in(manner, deadline)?;
        Ok(connection)
    }

    fn stream(
        place: &Place,
        manner: &Manner<'_>,
        resolver: &mut Resolver,
        deadline: Instant,
    ) -> Result<Stream, Failure> {
        let (host, port) = match place {
            Place::Socket(path) => return Stream::local(path, deadline),
            Place::Host(host, port) => (host, *port),
        };
        let mut failure = Failure::Unresolved;
        for address in resolver.resolve(host, port, deadline)? {
            match Stream::tcp(address, deadline) {
                Err(error) => failure = error,
                Ok(stream) if !manner.tls => return Ok(stream),
                Ok(stream) => {
                    let Some(config) = &manner.access.tls else {
                        return Err(Failure::Tls("it isn't set up".to_owned()));
                    };
                    return stream.with_tls(config, manner.tls_name.unwrap_or(host));
                }
            }
        }
        Err(failure)
    }

    fn log_in(&mut self, manner: &Manner<'_>, deadline: Instant) -> Result<(), Failure> {
        let title = manner.title.as_bytes();
        let hello = match manner.login {
            None => Command::of(&[b"HELLO", b"3", b"SETNAME", title]),
            Some(Login { user, password }) => Command::of(&[
                b"HELLO",
                b"3",
                b"AUTH",
                user.as_bytes(),
                password.as_slice(),
                b"SETNAME",
                title,
            ]),
        };
        match self.one(&hello, deadline)? {
            Value::Error(error) if is_older(&error) => self.log_in_older(manner, deadline)?,
            // Some servers repeat what they don't understand.
            Value::Error(error) => return Err(Failure::Refused(error.without_text())),
            _ => {}
        }
        if manner.database != 0 {
            let number = manner.database.to_string();
            self.one(&Command::of(&[b"SELECT", number.as_bytes()]), deadline)?.ok()?;
        }
        Ok(())
    }

    /// Where there is no RESP 3, or no right to `HELLO`.
    fn log_in_older(&mut self, manner: &Manner<'_>, deadline: Instant) -> Result<(), Failure> {
        let Some(Login { user, password }) = manner.login else { return Ok(()) };
        let auth = Command::of(&[b"AUTH", user.as_bytes(), password.as_slice()]);
        match self.one(&auth, deadline)? {
            Value::Error(error) => Err(Failure::Refused(error.without_text())),
            _ => Ok(()),
        }
    }

    /// Sends one command, and receives its short answer.
    pub(crate) fn one(&mut self, command: &Command, deadline: Instant) -> Result<Value, Failure> {
        self.send(command, deadline)?;
        self.receive(&mut { Bounds::SHORT }, deadline)
    }

    /// Sends commands.
    pub(crate) fn send(&mut self, commands: &Command, deadline: Instant) -> Result<(), Failure> {
        if self.reader.has_rest() {
            // What wasn't asked for must not become the answer to what is asked now.
            return Err(Failure::Garbled("more often than it was asked"));
        }
        self.stream.set_deadline(deadline);
        self.stream.write_all(commands.bytes())?;
        self.stream.flush()?;
        Ok(())
    }

    /// Receives the answer to the command that was sent first and has none yet.
    pub(crate) fn receive(
        &mut self,
        bounds: &mut Bounds,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        self.stream.set_deadline(deadline);
        self.reader.value(&mut self.stream, bounds)
    }
}

/// Whether the server has no RESP 3.
fn is_older(error: &ServerError) -> bool {
    error.code == "NOPROTO" || (error.code == "ERR" && error.text.starts_with("unknown command"))
}
