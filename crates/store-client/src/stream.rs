//! Bytes to and from a server, with one deadline for all that is read and written until the next one is set.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use crate::failure::Failure;

/// What a connection that nobody has used for so long is asked, so that a firewall doesn't forget it.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A connection.
pub(crate) enum Stream {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Stream {
    /// Connects to an address.
    pub(crate) fn tcp(address: SocketAddr, deadline: Instant) -> Result<Self, Failure> {
        let stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
        // A message goes out at once, whatever else is under way.
        stream.set_nodelay(true)?;
        let socket = Socket::from(stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok(Self::Plain(Timed { socket: Transport::Tcp(socket.into()), deadline }))
    }

    /// Connects to a socket of the file system.
    pub(crate) fn local(path: &Path, deadline: Instant) -> Result<Self, Failure> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // connect(2) waits that long where the server takes no more.
        socket.set_write_timeout(Some(left(deadline)?))?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Self::Plain(Timed { socket: Transport::Local(OwnedFd::from(socket).into()), deadline }))
    }

    /// Speaks TLS from now on, with whoever can show a certificate for `name`.
    pub(crate) fn with_tls(self, config: &Arc<ClientConfig>, name: &str) -> Result<Self, Failure> {
        let Self::Plain(timed) = self else { return Ok(self) };
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| Failure::Tls("its name can't be that of a certificate".to_owned()))?;
        let connection = ClientConnection::new(Arc::clone(config), name)
            .map_err(|_| Failure::Tls("it couldn't begin".to_owned()))?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, timed))))
    }

    /// All that is read and written from now on is done by then, or fails.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        match self {
            Self::Plain(timed) => timed.deadline = deadline,
            Self::Tls(stream) => stream.sock.deadline = deadline,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

enum Transport {
    Tcp(TcpStream),
    Local(UnixStream),
}

/// A socket that nobody waits for beyond the deadline, however the bytes come.
pub(crate) struct Timed {
    socket: Transport,
    deadline: Instant,
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = left(self.deadline)?;
        match &mut self.socket {
            Transport::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.read(buffer)
            }
            Transport::Local(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.read(buffer)
            }
        }
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let left = left(self.deadline)?;
        match &mut self.socket {
            Transport::Tcp(stream) => {
                stream.set_write_timeout(Some(left))?;
                stream.write(buffer)
            }
            Transport::Local(stream) => {
                stream.set_write_timeout(Some(left))?;
                stream.write(buffer)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time until then; an error, if there is none. The system takes microseconds, and none of them for "for ever".
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left < Duration::from_micros(1) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
