//! Lines in pieces.
//!
//! A full disk writes a part of what it is given, and the worker writes the line again from its start: in the next
//! line of the file, behind what others have written meanwhile, or in the next file; or, where it was killed, not at
//! all. So a line of the file may be the beginning of one line, or of several, and all of another one.
//! In a pipe the rest of a line may come later.

use std::collections::HashMap;

use memchr::memmem;
use serde::de::IgnoredAny;

use super::super::id::ChainId;
use super::super::line::{parse, Line};
use super::report::Place;

/// What stands in a line of the file, and is no line: the beginning of one, or the beginnings of several.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    pub(super) place: Place,
    /// What may be the beginning of one line.
    parts: Vec<Part>,
}

/// A part of a piece, that begins and ends where lines may begin.
#[derive(Debug)]
pub(super) struct Part {
    from: usize,
    to: usize,
    /// The lines that begin so.
    pub(super) of: Vec<Whole>,
}

/// Which line that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    Line(ChainId, u64),
    Seal(ChainId, u64),
}

/// The beginnings of lines.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) found: Vec<Piece>,
    /// The parts that are not short, by how they begin: the number of the piece, and of the part in it.
    by_beginning: HashMap<[u8; SHORT], Vec<(usize, usize)>>,
    /// Bytes of all of them.
    bytes: usize,
    /// Bytes that were put together to see whether they are a line.
    tried: usize,
}

const BEGINNINGS: [&[u8]; 2] = [b"{\"time\":\"", b"{\"seal\":{"];

/// More are not looked for, nor for more lines that begin so.
const MAX_PIECES: usize = 1 << 16;
const MAX_BYTES: usize = 64 << 20;
const MAX_TRIED: usize = 1 << 30;
const MAX_OF: usize = 64;
const MAX_CUTS: usize = 8;

/// In so many places of a line another one may begin.
const MAX_SEAMS: usize = 64;

/// So short a beginning, in bytes, is that of many lines, and tells nothing.
const SHORT: usize = 64;

impl Piece {
    fn new(bytes: &[u8], place: Place) -> Self {
        let mut ends: Vec<usize> =
            [0, bytes.len()].into_iter().chain(cuts(bytes).take(MAX_CUTS)).collect();
        ends.sort_unstable();
        let parts = ends.iter().flat_map(|from| {
            let behind = ends.iter().filter(|to| *to > from);
            behind.map(|to| Part { from: *from, to: *to, of: Vec::new() })
        });
        Self { bytes: bytes.to_vec(), place, parts: parts.collect() }
    }

    /// Whether no line is known that begins so; a short one may be that of any.
    pub(super) fn is_left(&self) -> bool {
        self.parts.iter().all(|part| part.of.is_empty())
    }

    /// Whether it can be read as parts, each of which `is_well`.
    pub(super) fn is_well(&self, mut is_well: impl FnMut(&Part, &[u8]) -> bool) -> bool {
        let mut reached = vec![0];
        for part in &self.parts {
            let bytes = self.bytes.get(part.from..part.to).unwrap_or_default();
            if reached.contains(&part.from) && !reached.contains(&part.to) && is_well(part, bytes) {
                reached.push(part.to);
            }
        }
        reached.contains(&self.bytes.len())
    }
}

/// Whether so little of a line is that of many lines, and tells nothing.
pub(super) fn is_short(bytes: &[u8]) -> bool {
    bytes.len() < SHORT
}

impl Pieces {
    pub(super) fn add(&mut self, bytes: &[u8], place: Place) -> bool {
        let number = self.found.len();
        let all = self.bytes.saturating_add(bytes.len());
        let has_room = number < MAX_PIECES && all <= MAX_BYTES;
        if has_room {
            let piece = Piece::new(bytes, place);
            for (at, part) in piece.parts.iter().enumerate() {
                let begin = bytes.get(part.from..part.to).and_then(<[u8]>::first_chunk);
                if let Some(begin) = begin {
                    self.by_beginning.entry(*begin).or_default().push((number, at));
                }
            }
            self.found.push(piece);
            self.bytes = all;
        }
        has_room
    }

    /// A whole line was read, which may be the one that was begun.
    pub(super) fn see(&mut self, bytes: &[u8], line: &Line<'_>) {
        let Self { found, by_beginning, .. } = self;
        if by_beginning.is_empty() {
            return;
        }
        let known = bytes.first_chunk().and_then(|begin| by_beginning.get(begin));
        for (number, at) in known.into_iter().flatten() {
            let Some(Piece { bytes: piece, parts, .. }) = found.get_mut(*number) else { continue };
            let Some(Part { from, to, of }) = parts.get_mut(*at) else { continue };
            let begins = piece.get(*from..*to).is_some_and(|part| bytes.starts_with(part));
            if begins && of.len() < MAX_OF {
                of.push(whole(line));
            }
        }
    }

    /// The line of which `rest` is the end, if its beginning was read before.
    pub(super) fn complete(&mut self, rest: &[u8]) -> Option<Vec<u8>> {
        let Self { found, tried, .. } = self;
        *tried = tried.saturating_add(found.len());
        if *tried > MAX_TRIED {
            return None;
        }
        let is_open = |piece: &&Piece| piece.parts.iter().all(|part| part.of.is_empty());
        found.iter().filter(is_open).find_map(|piece| {
            *tried = tried.saturating_add(piece.bytes.len()).saturating_add(rest.len());
            if *tried > MAX_TRIED {
                return None;
            }
            let line = [&piece.bytes, rest].concat();
            (parse(&line).is_some() && is_json(&line)).then_some(line)
        })
    }
}

fn whole(line: &Line<'_>) -> Whole {
    match line {
        Line::Numbered(numbered) => Whole::Line(numbered.chain, numbered.seq),
        Line::Seal(seal) => Whole::Seal(seal.chain, seal.number),
    }
}

pub(super) fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

/// Whether a line may begin so.
pub(super) fn is_beginning(bytes: &[u8]) -> bool {
    let first = cuts(bytes).next().and_then(|at| bytes.get(..at)).unwrap_or(bytes);
    BEGINNINGS.iter().any(|begin| first.starts_with(begin) || begin.starts_with(first))
}

/// Where behind the first byte of a line another one may begin. The beginnings of two may overlap.
fn cuts(line: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let braces = memchr::memchr_iter(b'{', line).filter(|at| *at > 0);
    braces.filter(|at| {
        line.get(*at..).is_some_and(|tail| BEGINNINGS.iter().any(|begin| tail.starts_with(begin)))
    })
}

/// Where in a line another one begins, if it is not one line.
pub(super) fn seam(line: &[u8]) -> Option<usize> {
    // Such words may be within a line as well.
    let has_second =
        BEGINNINGS.iter().any(|begin| memmem::rfind(line, begin).is_some_and(|at| at > 0));
    if !has_second || is_json(line) {
        return None;
    }
    let is_line =
        |at: &usize| line.get(*at..).is_some_and(|tail| is_json(tail) && parse(tail).is_some());
    cuts(line).take(MAX_SEAMS).find(is_line)
}
