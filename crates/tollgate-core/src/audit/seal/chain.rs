//! The chain of one worker: its lines are numbered, and each batch of them ends with a seal.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};

use super::id::{ChainId, Mac, Stamp};
use super::ratchet::{Ratchet, Secret};
use crate::audit::TimeFormat;
use crate::decimal;

/// The length of a digest, in bytes.
pub(super) const DIGEST: usize = 32;
/// So much of the digest of each line is in the seal, in bytes: it says which line was changed.
pub(super) const TAG: usize = 4;

/// A chain that is being written.
#[derive(Debug)]
pub(super) struct Chain {
    id: ChainId,
    /// Which key the clock had when it began.
    epoch: u64,
    /// `,"seq":"12.3.`
    prefix: Box<[u8]>,
    ratchet: Ratchet,
    /// The MAC of the seal before.
    before: Option<Mac>,
    /// The number of the last line.
    last: u64,
    /// The digests of the lines since the last seal.
    digests: Vec<u8>,
    time: TimeFormat,
}

/// What a seal says beside what it seals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub(super) stamp: Stamp,
    /// How many seals were begun before it, of all workers.
    pub(super) turn: u64,
    /// The same when the seal before it was in the file: what has this turn, or a later one, stands behind that.
    pub(super) done: Option<u64>,
    /// The number of the file that it is written to.
    pub(super) file: u64,
    /// That of the file that the seal before was written to, if that is another one.
    pub(super) from: Option<u64>,
    /// How many lines of the worker were lost so far.
    pub(super) lost: u64,
    /// The batches from this one on, up to the one before the seal, were not written in one go.
    pub(super) torn: Option<u64>,
    /// The batches from this one on, up to the one before the seal, were written to its file or a later one, whatever
    /// they say: they had waited for room on the disk.
    pub(super) waited: Option<u64>,
    /// Nothing is written in one go: to a pipe.
    pub(super) in_pieces: bool,
    /// The worker ends.
    pub(super) is_end: bool,
}

/// A seal that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    pub(super) number: u64,
    /// The number of the last line.
    pub(super) last: u64,
    pub(super) mac: Mac,
    /// On the monotonic clock, in milliseconds.
    pub(super) up_ms: u64,
    pub(super) is_end: bool,
}

impl Chain {
    pub(super) fn new(id: ChainId, epoch: u64, key: &Secret) -> Self {
        let prefix = format!(",\"seq\":\"{id}.").into_bytes().into();
        Self {
            id,
            epoch,
            prefix,
            ratchet: Ratchet::new(key),
            before: None,
            last: 0,
            digests: Vec::new(),
            time: TimeFormat::default(),
        }
    }

    pub(super) fn id(&self) -> ChainId {
        self.id
    }

    /// The number of the last line.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// How many lines there are since the last seal.
    #[inline]
    pub(super) fn waiting(&self) -> usize {
        self.digests.len() / DIGEST
    }

    /// The number of the next seal.
    pub(super) fn next_seal(&self) -> u64 {
        self.ratchet.number()
    }

    /// Completes the line that begins at `start` and ends all of `lines`, an object and a line feed.
    #[inline]
    pub(super) fn add(&mut self, lines: &mut Vec<u8>, start: usize) {
        self.last = self.last.saturating_add(1);
        lines.truncate(lines.len().saturating_sub(b"}\n".len()));
        lines.extend_from_slice(&self.prefix);
        decimal::push(lines, self.last);
        lines.extend_from_slice(b"\"}");
        self.digests.extend_from_slice(&digest(lines.get(start..).unwrap_or_default()));
        lines.push(b'\n');
    }

    /// Appends the seal of what was added since the last one. Its key is gone then.
    pub(super) fn close(&mut self, lines: &mut Vec<u8>, about: &Circumstances) -> Sealed {
        let start = lines.len();
        let number = self.ratchet.number();
        let (digests, _) = self.digests.as_chunks::<DIGEST>();
        let mut digits = itoa::Buffer::new();
        let mut member = |lines: &mut Vec<u8>, name: &str, value: u64| {
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(digits.format(value).as_bytes());
        };
        lines.extend_from_slice(b"{\"seal\":{\"chain\":\"");
        lines.extend_from_slice(self.id.to_string().as_bytes());
        member(lines, "\",\"epoch\":", self.epoch);
        member(lines, ",\"n\":", number);
        member(lines, ",\"last\":", self.last);
        member(lines, ",\"count\":", digests.len() as u64);
        lines.extend_from_slice(b",\"time\":\"");
        self.time.write(about.stamp.time, lines);
        member(lines, "\",\"up\":", about.stamp.up_ms);
        member(lines, ",\"file\":", about.file);
        member(lines, ",\"turn\":", about.turn);
        for (name, value) in [
            (",\"done\":", about.done),
            (",\"from\":", about.from),
            (",\"lost\":", Some(about.lost).filter(|lost| *lost > 0)),
            (",\"torn\":", about.torn),
            (",\"waited\":", about.waited),
        ] {
            if let Some(value) = value {
                member(lines, name, value);
            }
        }
        if about.in_pieces {
            lines.extend_from_slice(b",\"pieces\":true");
        }
        if about.is_end {
            lines.extend_from_slice(b",\"end\":true");
        }
        lines.extend_from_slice(b",\"before\":\"");
        if let Some(before) = self.before {
            lines.extend_from_slice(encoded(&before.0).as_bytes());
        }
        lines.extend_from_slice(b"\",\"lines\":\"");
        let tags: Vec<u8> =
            digests.iter().flat_map(|digest| digest.iter().take(TAG)).copied().collect();
        lines.extend_from_slice(encoded(&tags).as_bytes());
        let mac = Mac(self.ratchet.mac(lines.get(start..).unwrap_or_default(), &self.digests));
        lines.extend_from_slice(b"\",\"mac\":\"");
        lines.extend_from_slice(encoded(&mac.0).as_bytes());
        lines.extend_from_slice(b"\"}}\n");
        self.ratchet.step();
        self.before = Some(mac);
        self.digests.clear();
        Sealed { number, last: self.last, mac, up_ms: about.stamp.up_ms, is_end: about.is_end }
    }
}

/// Of a line without its line feed.
pub(super) fn digest(line: &[u8]) -> [u8; DIGEST] {
    Sha256::digest(line).into()
}

pub(super) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
