//! The body of an answer on its way out: encoded, cut into pieces, in chunks.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::time::Instant;

use crate::controls::Controls;
use crate::gzip::Gzip;
use crate::http::{connection_header, head, Request, Response, Version};
use crate::peer::{Ended, Peer};
use crate::record::Running;

/// Without delays between tokens, what is sent is written in batches of about this many bytes.
const BATCH_BYTES: usize = 16 * 1024;

/// A body that is sent as it is made. Its chunks are what it is given, unless it is to be cut into
/// pieces.
pub(crate) struct Body<'a> {
    peer: &'a mut dyn Peer,
    chunked: bool,
    gzip: Option<Gzip>,
    split: Option<NonZeroUsize>,
    /// What does not yet fill a piece.
    rest: Vec<u8>,
    /// What is not yet written.
    batch: Vec<u8>,
}

impl<'a> Body<'a> {
    /// Begins an answer; the head goes out with the first bytes. It ends with the connection, not
    /// with a last chunk, where the client does not know chunks (`HTTP/1.0`).
    pub(crate) fn begin(
        peer: &'a mut dyn Peer,
        request: &Request,
        controls: &Controls,
        content_type: &str,
    ) -> Self {
        let chunked = request.version == Version::Http11;
        let batch = head(
            200,
            content_type,
            &[
                "Cache-Control: no-cache\r\n",
                encoding_header(controls),
                if chunked { "Transfer-Encoding: chunked\r\n" } else { "" },
                connection_header(request.version, chunked && request.keeps_alive()),
            ],
        );
        Self {
            peer,
            chunked,
            gzip: controls.gzip.then(Gzip::new),
            split: controls.split,
            rest: Vec::new(),
            batch,
        }
    }

    pub(crate) fn peer(&mut self) -> &mut dyn Peer {
        self.peer
    }

    /// Tells whether there is so much now that it should be written.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if let Some(gzip) = &mut self.gzip {
            let mut encoded = Vec::with_capacity(bytes.len() + 32);
            gzip.encode(bytes, &mut encoded);
            self.push_encoded(&encoded)?;
        } else {
            self.push_encoded(bytes)?;
        }
        Ok(self.batch.len() >= BATCH_BYTES)
    }

    fn push_encoded(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(length) = self.split else {
            return self.push_chunk(bytes);
        };
        self.rest.extend(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut pieces = rest.chunks_exact(length.get());
        for piece in &mut pieces {
            self.push_chunk(piece)?;
            self.write()?;
        }
        self.rest = pieces.remainder().to_vec();
        Ok(())
    }

    fn push_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        // An empty chunk would be the end of the body.
        if bytes.is_empty() {
            return Ok(());
        }
        if self.chunked {
            write!(self.batch, "{:x}\r\n", bytes.len())?;
        }
        self.batch.extend(bytes);
        if self.chunked {
            self.batch.extend(b"\r\n");
        }
        Ok(())
    }

    /// Writes all that there is.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.rest);
        self.push_chunk(&rest)?;
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        self.peer.write_all(&self.batch)?;
        self.batch.clear();
        Ok(())
    }

    /// Ends the body, after which nothing may be pushed.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if let Some(mut gzip) = self.gzip.take() {
            let mut end = Vec::new();
            gzip.finish(&mut end);
            self.push_encoded(&end)?;
        }
        let rest = std::mem::take(&mut self.rest);
        self.push_chunk(&rest)?;
        if self.chunked {
            self.batch.extend(b"0\r\n\r\n");
        }
        self.write()
    }
}

fn encoding_header(controls: &Controls) -> &'static str {
    if controls.gzip {
        "Content-Encoding: gzip\r\n"
    } else {
        ""
    }
}

/// Sends an answer of `tokens` that is known in full, after the time that a streamed one takes.
pub(crate) fn send_whole(
    peer: &mut dyn Peer,
    request: &Request,
    controls: &Controls,
    running: &Running<'_>,
    mut response: Response,
    tokens: u64,
) -> Result<(), Ended> {
    let delays = u32::try_from(tokens).unwrap_or(u32::MAX);
    let start = Instant::now();
    let time = controls.latency.saturating_add(controls.token_delay.saturating_mul(delays));
    if let Err(gone) = peer.wait(time) {
        let generating = start.elapsed().saturating_sub(controls.latency).as_nanos();
        let made = generating.checked_div(controls.token_delay.as_nanos()).unwrap_or(0);
        running.made_all_of(u64::try_from(made).unwrap_or(u64::MAX).min(tokens));
        return Err(gone);
    }
    if controls.hold {
        peer.wait_until_gone();
        return Err(Ended::Gone);
    }

    if controls.split.is_some() && controls.cut_after.is_none() {
        let mut body = Body::begin(peer, request, controls, response.content_type);
        running.sends(tokens);
        body.push(&response.body)?;
        running.finishes();
        return Ok(body.end()?);
    }

    if controls.gzip {
        let mut gzip = Gzip::new();
        let mut encoded = Vec::new();
        gzip.encode(&response.body, &mut encoded);
        gzip.finish(&mut encoded);
        response.body = encoded;
    }
    let length = format!("Content-Length: {}\r\n", response.body.len());
    let mut bytes = head(
        response.status,
        response.content_type,
        &[
            &length,
            encoding_header(controls),
            connection_header(request.version, request.keeps_alive()),
        ],
    );
    if controls.cut_after.is_some() {
        bytes.extend(response.body.iter().take(response.body.len() / 2));
        peer.write_all(&bytes)?;
        return Err(Ended::Cut);
    }
    bytes.append(&mut response.body);
    running.sends(tokens);
    running.finishes();
    Ok(peer.write_all(&bytes)?)
}
