//! HTTP/1.0 and 1.1 as far as a server needs them: reading requests, writing responses (RFC 9112).

use std::io::{self, BufRead, Read};

/// Request line and headers together; a gateway's limits are to be hit before this one.
const MAX_HEAD_BYTES: u64 = 256 * 1024;
const MAX_BODY_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    Http11,
}

impl Version {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// A request whose body, if `Head` says there is one, is complete.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    /// The request target as received, query included.
    pub(crate) uri: Vec<u8>,
    pub(crate) version: Version,
    /// In order, duplicates included; a value is without the white space around it.
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Without its chunked framing.
    pub(crate) body: Vec<u8>,
}

/// A request whose body is still to be read.
#[derive(Debug)]
pub(crate) struct Head {
    request: Request,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

/// Why the connection cannot go on.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The peer is gone, or was cut off in mid-request: nobody to answer to.
    Gone,
    /// Not HTTP, or more of it than we take: answer with this status and message, and close.
    Refused { status: u16, message: &'static str },
}

impl From<io::Error> for ReadError {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

fn bad(message: &'static str) -> ReadError {
    ReadError::Refused { status: 400, message }
}

impl Request {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &'static str) -> Option<&[u8]> {
        self.headers(name).next()
    }

    fn headers(&self, name: &'static str) -> impl Iterator<Item = &[u8]> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// Whether the answer may be gzip-encoded (RFC 9110, section 12.5.3).
    pub(crate) fn accepts_gzip(&self) -> bool {
        self.headers("Accept-Encoding").flat_map(|value| value.split(|&byte| byte == b',')).any(
            |one| {
                let mut parts = one.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
                parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"gzip"))
                    && !parts
                        .any(|weight| matches!(weight, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
            },
        )
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &[u8] {
        self.uri.split(|&byte| byte == b'?').next().unwrap_or_default()
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == b"HEAD"
    }

    /// Whether the client wants another request on this connection (RFC 9112, section 9.3).
    pub(crate) fn keeps_alive(&self) -> bool {
        let connection_says = |option: &str| {
            self.headers("Connection")
                .flat_map(|value| value.split(|&byte| byte == b','))
                .any(|word| word.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
        };
        match self.version {
            Version::Http11 => !connection_says("close"),
            Version::Http10 => connection_says("keep-alive"),
        }
    }
}

impl Head {
    /// Whether the client holds the body back until it hears `100 Continue`.
    pub(crate) fn expects_continue(&self) -> bool {
        self.framing != Framing::Length(0)
            && self.request.version == Version::Http11
            && self
                .request
                .header("Expect")
                .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }
}

/// Reads request line and headers; `None` when the client closed the connection between requests.
pub(crate) fn read_head(input: &mut impl BufRead) -> Result<Option<Head>, ReadError> {
    let mut input = input.take(MAX_HEAD_BYTES);
    let mut line = Vec::with_capacity(256);

    // RFC 9112, section 2.2: be lenient about an empty line before the request line.
    loop {
        if input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        read_line(&mut input, &mut line)?;
        if !line.is_empty() {
            break;
        }
    }
    let (method, uri, version) = parse_request_line(&line)?;

    let mut headers = Vec::with_capacity(16);
    loop {
        read_line(&mut input, &mut line)?;
        if line.is_empty() {
            break;
        }
        headers.push(parse_header(&line)?);
    }

    let request = Request { method, uri, version, headers, body: Vec::new() };
    let framing = body_framing(&request)?;
    Ok(Some(Head { request, framing }))
}

/// Reads the body that belongs to `head`.
pub(crate) fn read_body(input: &mut impl BufRead, head: Head) -> Result<Request, ReadError> {
    let Head { mut request, framing } = head;
    match framing {
        Framing::Length(length) => append_exactly(input, length, &mut request.body)?,
        Framing::Chunked => read_chunks(input, &mut request.body)?,
    }
    Ok(request)
}

/// One line, without its CRLF (or LF).
fn read_line(input: &mut io::Take<impl BufRead>, line: &mut Vec<u8>) -> Result<(), ReadError> {
    line.clear();
    input.read_until(b'\n', line)?;
    if line.pop() != Some(b'\n') {
        return Err(if input.limit() == 0 {
            ReadError::Refused { status: 431, message: "The headers are too large." }
        } else {
            ReadError::Gone
        });
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(())
}

fn parse_request_line(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>, Version), ReadError> {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(uri), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("The request line is not 'METHOD URI VERSION'."));
    };
    if method.is_empty() || uri.is_empty() {
        return Err(bad("The request line lacks a method or a URI."));
    }
    let version = match version {
        b"HTTP/1.0" => Version::Http10,
        b"HTTP/1.1" => Version::Http11,
        _ => {
            return Err(ReadError::Refused {
                status: 505,
                message: "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
            })
        }
    };
    Ok((method.to_vec(), uri.to_vec(), version))
}

fn parse_header(line: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ReadError> {
    let colon = line.iter().position(|&byte| byte == b':');
    let Some((name, rest)) = colon.and_then(|at| line.split_at_checked(at)) else {
        return Err(bad("A header lacks its colon."));
    };
    // White space here is how requests are smuggled past a gateway (RFC 9112, section 5.1).
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(bad("A header's name is empty, or has white space in it."));
    }
    let value = rest.strip_prefix(b":").unwrap_or_default();
    Ok((name.to_vec(), value.trim_ascii().to_vec()))
}

/// How long the body is; refuses what two servers could read in two ways.
fn body_framing(request: &Request) -> Result<Framing, ReadError> {
    let mut codings = request.headers("Transfer-Encoding");
    let mut lengths = request.headers("Content-Length");

    if let Some(coding) = codings.next() {
        if lengths.next().is_some() {
            return Err(bad("Both Transfer-Encoding and Content-Length are given."));
        }
        if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
            return Err(ReadError::Refused {
                status: 501,
                message: "The only transfer coding is 'chunked'.",
            });
        }
        return Ok(Framing::Chunked);
    }

    let Some(length) = lengths.next() else {
        return Ok(Framing::Length(0));
    };
    if lengths.next().is_some() {
        return Err(bad("There is more than one Content-Length."));
    }
    parse_number(length, 10).map(Framing::Length).ok_or_else(|| bad("Content-Length is no number."))
}

/// Digits only: no sign, no white space.
fn parse_number(digits: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    let digits_only = text.chars().all(|c| c.is_digit(radix));
    if digits_only {
        u64::from_str_radix(text, radix).ok()
    } else {
        None
    }
}

fn append_exactly(
    input: &mut impl BufRead,
    length: u64,
    body: &mut Vec<u8>,
) -> Result<(), ReadError> {
    let held = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if held.saturating_add(length) > MAX_BODY_BYTES {
        return Err(ReadError::Refused { status: 413, message: "The body is too large." });
    }
    let read = input.take(length).read_to_end(body)?;
    if u64::try_from(read).ok() != Some(length) {
        return Err(ReadError::Gone);
    }
    Ok(())
}

/// RFC 9112, section 7.1; extensions and trailers are read and dropped.
fn read_chunks(input: &mut impl BufRead, body: &mut Vec<u8>) -> Result<(), ReadError> {
    let mut line = Vec::new();
    loop {
        read_line(&mut input.take(MAX_HEAD_BYTES), &mut line)?;
        let digits = line.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        let size =
            parse_number(digits, 16).ok_or_else(|| bad("A chunk's size is no hex number."))?;
        if size == 0 {
            break;
        }
        append_exactly(input, size, body)?;
        read_line(&mut input.take(2), &mut line).map_err(|error| match error {
            ReadError::Refused { .. } => bad("A chunk is longer than its size."),
            gone => gone,
        })?;
        if !line.is_empty() {
            return Err(bad("A chunk is longer than its size."));
        }
    }

    let mut trailers = input.take(MAX_HEAD_BYTES);
    while !line.is_empty() {
        read_line(&mut trailers, &mut line)?;
    }
    Ok(())
}

/// A response that is known in full.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    /// Of a redirect.
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type, location: None, body: body.into() }
    }

    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// The bytes to send; `Connection` is spelt out where it differs from the version's default.
    pub(crate) fn encode(&self, version: Version, is_head: bool, keeps_alive: bool) -> Vec<u8> {
        let length = format!("Content-Length: {}\r\n", self.body.len());
        let location = self.location.as_ref();
        let location = location.map(|to| format!("Location: {to}\r\n")).unwrap_or_default();
        let mut out = head(
            self.status,
            self.content_type,
            &[&location, &length, connection_header(version, keeps_alive)],
        );
        if !is_head {
            out.extend(&self.body);
        }
        out
    }
}

/// A response's head, with the empty line that ends it; `lines` have their line ends.
pub(crate) fn head(status: u16, content_type: &str, lines: &[&str]) -> Vec<u8> {
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nServer: mock-engine\r\nContent-Type: {content_type}\r\n",
        reason(status)
    );
    head.extend(lines.iter().copied());
    head.push_str("\r\n");
    head.into_bytes()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Made Up",
    }
}

/// A `Connection` line where the version's default doesn't say it.
pub(crate) fn connection_header(version: Version, keeps_alive: bool) -> &'static str {
    match (version, keeps_alive) {
        (Version::Http11, true) => "",
        (Version::Http10, true) => "Connection: keep-alive\r\n",
        (_, false) => "Connection: close\r\n",
    }
}

#[cfg(test)]
mod tests;
