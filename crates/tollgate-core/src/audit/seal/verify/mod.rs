//! What was done to a sealed log.
//!
//! Files are read one after the other, the oldest first ([`Verifier::begin_file`], [`Verifier::line`]). Of each
//! chain the lines between two seals are kept, and judged when the seal comes ([`batch`]). What one file has of a
//! chain is a [`segment`]; in the end they are put together, and held against what manifests say of them, and
//! heads that were kept elsewhere ([`attested`]): in which files they were written ([`files`]), how they end
//! ([`ends`]), what was left of lines ([`torn`]), and how those of different workers stand among each other
//! ([`order`]). A log that somebody has made up takes no more time and memory than [`bounds`] allow.

mod attested;
mod batch;
mod bounds;
mod ends;
mod files;
mod keys;
mod order;
mod pieces;
mod report;
mod segment;
mod torn;

use std::collections::{BTreeMap, HashSet};

use super::heads::HeadsLine;
use super::id::{ChainId, Mac};
use super::key::VerifyingKey;
use super::line::{is_seal, parse, About, Line, Numbered, Signed};
use super::manifest::{Manifest, Opening};
use batch::{Entry, Placed};
use bounds::{Findings, MAX_TWICE, MAX_UNOPENED, MAX_UNSEALED};
use keys::Keys;
use pieces::{is_beginning, is_json, seam, Pieces};
use report::finding;
use segment::{join, Copied, Joined, Segment};

pub use report::{Finding, Kind, Note, Place, Report};

/// Reads a sealed log, and tells what was done to it.
#[derive(Debug)]
pub struct Verifier {
    keys: Keys,
    /// How many files were begun.
    files: usize,
    /// The chains of the file that is read.
    open: BTreeMap<ChainId, Segment>,
    chains: BTreeMap<ChainId, Vec<Segment>>,
    openings: BTreeMap<ChainId, Opened>,
    manifests: Vec<Named>,
    pieces: Pieces,
    twice: Vec<Twice>,
    /// Lines of which the line feed may not have been written: they may be there once more.
    unended: HashSet<Place>,
    /// The last line of the file that is read.
    last: Option<Place>,
    heads: Vec<HeadsLine>,
    findings: Findings,
    /// Lines that no seal has come for, and chains whose beginning is not there.
    unsealed: usize,
    unopened: usize,
    lines: u64,
    seals: u64,
    span: Option<(String, String)>,
}

/// The opening of a chain.
#[derive(Clone, Copy, Debug)]
struct Opened {
    place: Place,
    up_ms: u64,
    before: Option<Mac>,
    is_after_crash: bool,
}

/// A line, or a seal, that is there a second time, right behind the first.
#[derive(Clone, Copy, Debug)]
struct Twice {
    chain: ChainId,
    copied: Copied,
    first: Place,
    place: Place,
}

/// A manifest that was found.
#[derive(Debug)]
struct Named {
    manifest: Manifest,
    hash: Mac,
    place: Place,
}

impl Verifier {
    /// By this key.
    #[must_use]
    pub fn new(key: VerifyingKey) -> Self {
        Self {
            keys: Keys::new(key),
            files: 0,
            open: BTreeMap::new(),
            chains: BTreeMap::new(),
            openings: BTreeMap::new(),
            manifests: Vec::new(),
            pieces: Pieces::default(),
            twice: Vec::new(),
            unended: HashSet::new(),
            last: None,
            heads: Vec::new(),
            findings: Findings::default(),
            unsealed: 0,
            unopened: 0,
            lines: 0,
            seals: 0,
            span: None,
        }
    }

    /// The next file begins.
    pub fn begin_file(&mut self) {
        self.end_file();
        self.files = self.files.saturating_add(1);
    }

    /// A line of the file, from 1, without its line feed; `None`: it is too long to be one.
    pub fn line(&mut self, number: u64, line: Option<&[u8]>) {
        let place = Place { file: self.files.saturating_sub(1), line: number };
        self.last = Some(place);
        let Some(line) = line else {
            self.findings.push(finding(
                Kind::Added,
                Some(place),
                "this line is too long to be one of the log",
            ));
            return;
        };
        match seam(line) {
            Some(at) => {
                let (piece, rest) = line.split_at_checked(at).unwrap_or((line, &[]));
                self.beginning(piece, place);
                self.whole(rest, place);
            }
            None => self.whole(line, place),
        }
    }

    /// What was kept elsewhere of the newest seals.
    pub fn heads(&mut self, heads: HeadsLine) {
        self.heads.push(heads);
    }

    /// What stands before another line in the same line of the file.
    fn beginning(&mut self, piece: &[u8], place: Place) {
        match seam(piece) {
            Some(at) => {
                let (before, rest) = piece.split_at_checked(at).unwrap_or((piece, &[]));
                self.beginning(before, place);
                self.beginning(rest, place);
            }
            None => {
                // All but its line feed may have been written: it has none that is its own.
                if parse(piece).is_some() {
                    self.pieces.add(piece, place);
                    self.unended.insert(place);
                }
                self.whole(piece, place);
            }
        }
    }

    fn whole(&mut self, bytes: &[u8], place: Place) {
        match parse(bytes) {
            Some(line) => self.take(bytes, line, place),
            None => match self.pieces.complete(bytes) {
                Some(line) => {
                    if let Some(found) = parse(&line) {
                        self.take(&line, found, place);
                    }
                }
                None => self.no_line(bytes, place),
            },
        }
    }

    /// The beginning of a line; or somebody's words.
    fn no_line(&mut self, bytes: &[u8], place: Place) {
        let is_whole = bytes.ends_with(b"}") && is_json(bytes);
        if !bytes.is_empty() && !is_whole && is_beginning(bytes) && self.pieces.add(bytes, place) {
            return;
        }
        let text = match bytes.starts_with(b"{\"time\":\"") && is_whole {
            true => "this line is not sealed: it has no number of a chain",
            false if is_seal(bytes) => "this seal can't be read",
            false => "this is no line of the log",
        };
        let kind = if is_seal(bytes) { Kind::BadSeal } else { Kind::Added };
        self.findings.push(finding(kind, Some(place), text));
    }

    fn end_file(&mut self) {
        self.unended.extend(self.last.take());
        for (chain, segment) in std::mem::take(&mut self.open) {
            self.chains.entry(chain).or_default().push(segment);
        }
    }

    fn take(&mut self, bytes: &[u8], line: Line<'_>, place: Place) {
        if !self.has_room(&line) {
            let text =
                "this line is of a chain that nothing else is there of, as are too many others";
            self.findings.push(finding(Kind::Added, Some(place), text));
            return;
        }
        self.pieces.see(bytes, &line);
        match line {
            Line::Seal(seal) => {
                self.seals = self.seals.saturating_add(1);
                self.span = Some(match self.span.take() {
                    None => (seal.time.clone(), seal.time.clone()),
                    Some((first, last)) => {
                        (first.min(seal.time.clone()), last.max(seal.time.clone()))
                    }
                });
                let segment = self.open.entry(seal.chain).or_default();
                if let Some(first) = segment.copied(&seal) {
                    let (chain, copied) = (seal.chain, Copied::Seal(seal.number));
                    self.again(Twice { chain, copied, first, place });
                    return;
                }
                let sealed = segment.seal(Placed { seal, place }, &mut self.keys);
                self.unsealed = self.unsealed.saturating_sub(sealed);
            }
            Line::Numbered(numbered) => {
                let Numbered { chain, seq, digest, time_ms, about } = numbered;
                let entry = Entry { seq, digest, time_ms, place };
                match self.open.entry(chain).or_default().add(entry) {
                    None => {
                        self.unsealed = self.unsealed.saturating_add(1);
                        self.note(chain, about, place);
                    }
                    Some(first) => {
                        self.again(Twice { chain, copied: Copied::Line(seq), first, place });
                    }
                }
            }
        }
    }

    /// Whether a line is not one of too many that nothing seals, or of chains that never began.
    fn has_room(&mut self, line: &Line<'_>) -> bool {
        let chain = match line {
            Line::Seal(seal) => seal.chain,
            Line::Numbered(_) if self.unsealed >= MAX_UNSEALED => return false,
            Line::Numbered(Numbered { chain, .. }) => *chain,
        };
        if self.open.contains_key(&chain) || self.chains.contains_key(&chain) {
            return true;
        }
        let is_opening = matches!(
            line,
            Line::Numbered(Numbered { about: About::Opening(opening, signed), .. })
                if self.keys.has_signed(&opening.key, *signed)
        );
        if !is_opening {
            self.unopened = self.unopened.saturating_add(1);
        }
        is_opening || self.unopened <= MAX_UNOPENED
    }

    fn again(&mut self, twice: Twice) {
        match self.twice.len() < MAX_TWICE {
            true => self.twice.push(twice),
            false => {
                let text = "this is there a second time";
                self.findings.push(finding(Kind::Added, Some(twice.place), text));
            }
        }
    }

    fn note(&mut self, chain: ChainId, about: About<'_>, place: Place) {
        match about {
            About::Request => self.lines = self.lines.saturating_add(1),
            About::Unreadable => {
                self.findings.push(finding(
                    Kind::BadSeal,
                    Some(place),
                    "this line of the seals can't be read",
                ));
            }
            About::Opening(opening, signed) => {
                let Opening { up_ms, before, is_after_crash, .. } = opening;
                if opening.chain != chain {
                    let text = format!("this is not the opening of chain {chain}");
                    self.findings.push(finding(Kind::BadSeal, Some(place), text));
                } else if self.is_signed(&opening.key, signed, "opening", place) {
                    let opened = Opened { place, up_ms, before, is_after_crash };
                    self.openings.entry(chain).or_insert(opened);
                }
            }
            About::Manifest(manifest, signed) => {
                let is_own = manifest.generation == chain.generation;
                if is_own && self.is_signed(&manifest.key, signed, "manifest", place) {
                    let hash = Manifest::hash(signed.bytes);
                    self.manifests.push(Named { manifest: *manifest, hash, place });
                }
            }
        }
    }

    /// Whether the machine has signed it, which is told where not.
    fn is_signed(&mut self, key: &str, signed: Signed<'_>, what: &str, place: Place) -> bool {
        if self.keys.has_signed(key, signed) {
            return true;
        }
        let own = self.keys.verifying().id();
        let text = match key == own.as_str() {
            true => format!("this {what} is not as it was signed"),
            false => format!("this {what} was sealed with the key {key:?}, and not with {own}"),
        };
        self.findings.push(finding(Kind::BadSeal, Some(place), text));
        false
    }

    /// All files were read: what was done to them.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.end_file();
        let chains = std::mem::take(&mut self.chains);
        let joined: BTreeMap<ChainId, Joined> = chains
            .into_iter()
            .map(|(chain, segments)| (chain, join(segments, &mut self.keys)))
            .collect();
        attested::judge(self, joined)
    }
}
