//! A line of a sealed log, read back.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use memchr::memmem;
use serde::Deserialize;

use super::chain::{digest, DIGEST, TAG};
use super::id::{number, ChainId, Mac};
use super::key::MAX_CLOCK;
use super::manifest::{Manifest, Opening};

/// What a line is.
#[derive(Debug)]
pub(super) enum Line<'a> {
    /// One that a seal seals.
    Numbered(Numbered<'a>),
    /// A seal.
    Seal(Box<Seal>),
}

#[derive(Debug)]
pub(super) struct Numbered<'a> {
    pub(super) chain: ChainId,
    pub(super) seq: u64,
    pub(super) digest: [u8; DIGEST],
    /// Of a request: when it ended, in milliseconds since 1970.
    pub(super) time_ms: Option<i64>,
    pub(super) about: About<'a>,
}

/// What a numbered line is about.
#[derive(Debug)]
pub(super) enum About<'a> {
    Request,
    /// With what is signed of it, and the signature.
    Opening(Opening, Signed<'a>),
    Manifest(Box<Manifest>, Signed<'a>),
    /// A line of the module's own that can't be read.
    Unreadable,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) signature: &'a str,
}

#[derive(Clone, Debug)]
pub(super) struct Seal {
    pub(super) chain: ChainId,
    /// Which key the clock had when the chain began.
    pub(super) epoch: u64,
    pub(super) number: u64,
    pub(super) last: u64,
    pub(super) count: u64,
    pub(super) time: String,
    /// The same, in milliseconds since 1970.
    pub(super) time_ms: i64,
    pub(super) up_ms: u64,
    pub(super) turn: Option<u64>,
    pub(super) done: Option<u64>,
    pub(super) file: u64,
    pub(super) from: Option<u64>,
    pub(super) lost: u64,
    pub(super) torn: Option<u64>,
    pub(super) waited: Option<u64>,
    pub(super) in_pieces: bool,
    pub(super) is_end: bool,
    pub(super) before: Option<Mac>,
    pub(super) tags: Vec<[u8; TAG]>,
    pub(super) mac: Mac,
    /// What the MAC is of, beside the digests.
    pub(super) words: Box<[u8]>,
}

impl Seal {
    /// The number of the line before those that it seals.
    pub(super) fn first_but_one(&self) -> u64 {
        self.last.saturating_sub(self.count)
    }
}

#[derive(Deserialize)]
struct SealLine<'a> {
    #[serde(borrow)]
    seal: SealText<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealText<'a> {
    chain: &'a str,
    epoch: u64,
    n: u64,
    last: u64,
    count: u64,
    time: &'a str,
    up: u64,
    turn: Option<u64>,
    done: Option<u64>,
    file: u64,
    from: Option<u64>,
    #[serde(default)]
    lost: u64,
    torn: Option<u64>,
    waited: Option<u64>,
    #[serde(default)]
    pieces: bool,
    #[serde(default)]
    end: bool,
    before: &'a str,
    lines: &'a str,
    mac: &'a str,
}

const MAC_MEMBER: &[u8] = b"\",\"mac\":\"";
const SEQ_MEMBER: &[u8] = b",\"seq\":\"";

/// Whether a line of the audit log is not about a request, but one of those that seal it.
#[must_use]
pub fn is_seal(line: &[u8]) -> bool {
    line.starts_with(b"{\"seal\":")
}

/// By what the files of a log are put in order, where the line is a seal: its generation, the number of the file in
/// that, and its turn, as a file may have been copied and truncated.
#[must_use]
pub fn file_order(line: &[u8]) -> Option<(u32, u64, u64)> {
    match parse(line) {
        Some(Line::Seal(seal)) => {
            Some((seal.chain.generation, seal.file, seal.turn.unwrap_or_default()))
        }
        _ => None,
    }
}

/// What a whole line is, without its line feed; `None`: none of a sealed log.
pub(super) fn parse(line: &[u8]) -> Option<Line<'_>> {
    if line.starts_with(b"{\"seal\":{\"chain\":") {
        return seal(line).map(|seal| Line::Seal(Box::new(seal)));
    }
    if !line.starts_with(b"{\"time\":\"") && !is_seal(line) {
        return None;
    }
    let (chain, seq, body) = numbered(line)?;
    let about = match is_seal(line) {
        true => own(body).unwrap_or(About::Unreadable),
        false => About::Request,
    };
    let time_ms = line.strip_prefix(b"{\"time\":\"").and_then(|rest| millis(rest.get(..TIME_LEN)?));
    Some(Line::Numbered(Numbered { chain, seq, digest: digest(line), time_ms, about }))
}

/// The length of a time, as lines have it.
const TIME_LEN: usize = 24;

/// A time of RFC 3339, in milliseconds since 1970.
pub(super) fn millis(text: &[u8]) -> Option<i64> {
    let time: jiff::Timestamp = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(time.as_millisecond())
}

/// The number of a line, and what is before that.
fn numbered(line: &[u8]) -> Option<(ChainId, u64, &[u8])> {
    let inner = line.strip_suffix(b"\"}")?;
    let at = memmem::rfind(inner, SEQ_MEMBER)?;
    let (body, seq) = inner.split_at_checked(at)?;
    let seq = std::str::from_utf8(seq.get(SEQ_MEMBER.len()..)?).ok()?;
    let (chain, seq) = seq.rsplit_once('.')?;
    Some((ChainId::parse(chain)?, number(seq)?, body))
}

fn seal(line: &[u8]) -> Option<Seal> {
    let at = memmem::rfind(line, MAC_MEMBER)?;
    let words = line.get(..at)?;
    let text: SealLine<'_> = serde_json::from_slice(line).ok()?;
    let text = text.seal;
    let tags = URL_SAFE_NO_PAD.decode(text.lines).ok()?;
    let (tags, []) = tags.as_chunks::<TAG>() else { return None };
    let mac = Mac::parse(text.mac)?;
    // Nothing but the MAC may be behind what it is of.
    let is_whole = line.get(at..)? == [MAC_MEMBER, text.mac.as_bytes(), b"\"}}"].concat();
    let before = match text.before {
        "" => None,
        before => Some(Mac::parse(before)?),
    };
    let fits = tags.len() as u64 == text.count && text.count <= text.last;
    (is_whole && fits).then_some(())?;
    Some(Seal {
        chain: ChainId::parse(text.chain)?,
        epoch: Some(text.epoch).filter(|epoch| *epoch <= MAX_CLOCK)?,
        number: text.n,
        last: text.last,
        count: text.count,
        time: text.time.to_owned(),
        time_ms: millis(text.time.as_bytes())?,
        up_ms: text.up,
        turn: text.turn,
        done: text.done,
        file: text.file,
        from: text.from,
        lost: text.lost,
        torn: text.torn,
        waited: text.waited,
        in_pieces: text.pieces,
        is_end: text.end,
        before,
        tags: tags.to_vec(),
        mac,
        words: words.into(),
    })
}

/// An opening or a manifest.
fn own(body: &[u8]) -> Option<About<'_>> {
    const MEMBER: &[u8] = b",\"sig\":\"";
    let at = memmem::rfind(body, MEMBER)?;
    let (bytes, rest) = body.split_at_checked(at)?;
    let signature = rest.get(MEMBER.len()..)?.strip_suffix(b"\"}")?;
    let signed = Signed { bytes, signature: std::str::from_utf8(signature).ok()? };
    let object = [bytes, b"}}"].concat();
    match bytes.starts_with(b"{\"seal\":{\"open\":") {
        true => Some(About::Opening(Opening::parse(&object)?, signed)),
        false => Some(About::Manifest(Box::new(Manifest::parse(&object)?), signed)),
    }
}
