//! All detectors of some settings as one automaton.
//!
//! A text is read twice at most, and in each direction by one automaton of all patterns. The first reads it backwards,
//! each byte once, and tells where a match of which pattern may begin. It looks only at what is rare of a pattern, and
//! counts repetitions only so far, so that it has few states; it never misses a beginning. From there, the second one reads on exactly, as far as
//! a match may be long. What it finds, the detector judges. In plain prose hardly anything begins.
//!
//! What is found, at each place that isn't in a match of the same detector that began before: the longest
//! text that fits and is judged to be one, of the [`TRIES`] longest. What is refused hides nothing that begins
//! within it. What may have more than [`LONGEST`] characters is judged by those, and goes on for as long as the pattern may fit:
//! a private key is found by its first lines, and masked to its end. All of this depends on nothing but the text around: a text that comes in pieces has the same matches,
//! as soon as they have come.

mod ends;
pub mod pattern;
mod starts;
mod steps;
pub mod terms;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::panic::{RefUnwindSafe, UnwindSafe};

use regex_automata::util::pool::Pool;

use self::ends::{End, Ends};
use self::starts::{bit, Start, Starts};
use crate::detector::{Candidate, Detector, LONGEST};
use crate::finding::RuleIndex;

/// How many of the texts that begin at a place, and fit, are judged: the longest ones. Further ones are looked at by
/// nobody, so that no text makes this take long.
pub const TRIES: usize = 8;

/// How much of a text is read backwards at once, in bytes.
const BLOCK: usize = 16 * 1024;
/// The longest match, in bytes.
const FURTHEST: usize = LONGEST * 4;

/// A detector, and what its findings count as.
#[derive(Clone, Debug)]
pub struct Sought {
    /// What is looked for.
    pub detector: Detector,
    /// By which rule.
    pub rule: RuleIndex,
    /// From which score on.
    pub threshold: u8,
}

/// What was found. Those of different detectors may overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// By which rule.
    pub rule: RuleIndex,
    /// Where in the text, in bytes.
    pub range: Range<usize>,
    /// How sure it is, from 1 to 100.
    pub score: u8,
}

/// A match that has as many characters as one may have, and may go on where nothing has come yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Longest {
    /// The number of its detector, and of that one's pattern.
    pub(crate) pattern: usize,
    /// Where it begins, with what leads to it.
    pub(crate) start: usize,
    /// Which of the matches it is that were found.
    pub(crate) index: usize,
}

/// How far the matches of each detector reach, so that no other one of the same begins in them. Of a text that is
/// searched part by part, it goes from one part to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// By the numbers of detectors.
    ends: Vec<(usize, usize)>,
    /// Matches with as many characters as one may have.
    longest: Vec<Longest>,
}

impl Reach {
    /// The text has lost so many bytes at its beginning.
    pub fn shift(&mut self, bytes: usize) {
        self.ends.retain_mut(|(_, end)| {
            *end = end.saturating_sub(bytes);
            *end > 0
        });
    }

    /// One of the matches found by now that have as many characters as one may have.
    pub(crate) fn pop_longest(&mut self) -> Option<Longest> {
        self.longest.pop()
    }

    /// A match of this detector goes on to this place.
    pub(crate) fn extend(&mut self, detector: usize, end: usize) {
        self.ends.push((detector, end));
    }

    /// Forgets those that end at this place, or before.
    fn forget(&mut self, at: usize) {
        self.ends.retain(|&(_, end)| end > at);
    }

    fn is_in(&self, detector: usize) -> bool {
        self.ends.iter().any(|&(other, _)| other == detector)
    }
}

/// Why detectors can't be searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The pattern of the detector of this number can't be used.
    Pattern(usize, pattern::Error),
    /// All of them together are too large.
    Size,
}

/// What a search needs beside the automaton. It is kept from one search to the next.
#[derive(Default)]
struct Scratch {
    starts_cache: starts::Cache,
    ends_cache: ends::Cache,
    starts: Vec<Start>,
    ends: Vec<End>,
    begun: Vec<Begun>,
    /// Bytes that were read, and candidates that were judged.
    #[cfg(test)]
    work: u64,
}

/// A match that begins at the place that is looked at.
struct Begun {
    detector: usize,
    range: Range<usize>,
    score: u8,
}

/// A pattern, and the detectors that have it.
struct Shared {
    detectors: Vec<usize>,
    /// The bit of the pattern, if it is but one detector's, and no other pattern has the same. Where a match of that
    /// one goes on, no other is looked for.
    own_bit: u64,
}

type NewScratch = Box<dyn Fn() -> Scratch + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// The automaton. Its caches take up to some MB for each thread that uses it at the same time.
pub struct Matcher {
    sought: Vec<Sought>,
    /// In the order of the automata's patterns. An automaton has as many states for a pattern that it has twice as for two
    /// others, so each is there once.
    shared: Vec<Shared>,
    /// The number of the pattern of each detector.
    pattern_of: Vec<usize>,
    automata: Option<(Starts, Ends)>,
    /// Its first user, the one thread of a worker, takes what is in it without a lock.
    scratch: Pool<Scratch, NewScratch>,
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Matcher").field("detectors", &self.sought.len()).finish_non_exhaustive()
    }
}

impl Matcher {
    /// One for these detectors.
    ///
    /// # Errors
    ///
    /// A pattern can't be used, or all of them are too large.
    pub fn new(sought: Vec<Sought>) -> Result<Self, Error> {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let (mut patterns, mut shared) = (Vec::new(), Vec::<Shared>::new());
        let mut pattern_of = Vec::with_capacity(sought.len());
        for (detector, sought) in sought.iter().enumerate() {
            let next = patterns.len();
            let number = *numbers.entry(&sought.detector.pattern).or_insert(next);
            pattern_of.push(number);
            if let Some(same) = shared.get_mut(number) {
                same.detectors.push(detector);
                same.own_bit = 0;
                continue;
            }
            let pattern = pattern::parse(&sought.detector.pattern)
                .map_err(|error| Error::Pattern(detector, error))?;
            if !ends::fits(&pattern) {
                return Err(Error::Pattern(detector, pattern::Error::Size));
            }
            patterns.push(pattern);
            let own_bit = if number < starts::LAST { bit(number) } else { 0 };
            shared.push(Shared { detectors: vec![detector], own_bit });
        }
        let automata = if patterns.is_empty() {
            None
        } else {
            let starts = Starts::new(&patterns).ok_or(Error::Size)?;
            Some((starts, Ends::new(&patterns).ok_or(Error::Size)?))
        };
        let scratch = Pool::new(Box::new(Scratch::default) as NewScratch);
        Ok(Self { sought, shared, pattern_of, automata, scratch })
    }

    /// What is looked for.
    #[must_use]
    pub fn sought(&self) -> &[Sought] {
        &self.sought
    }

    /// Finds all matches in a text, in the order of their beginnings.
    pub fn find(&self, text: &str, found: &mut Vec<Match>) {
        self.find_in(text, 0..text.len(), &mut Reach::default(), found);
    }

    /// Finds those that begin in this part of a text. It must not be known less of what is before it than
    /// [`BEFORE`](crate::detector::BEFORE) bytes, nor less of what is behind it than they may be long, and one
    /// character more; if so, the text is taken to begin and to end there.
    pub fn find_in(
        &self,
        text: &str,
        part: Range<usize>,
        reach: &mut Reach,
        found: &mut Vec<Match>,
    ) {
        let Some((starts, ends)) = &self.automata else { return };
        let scratch = &mut *self.scratch.get();
        let mut from = part.start;
        let last = part.end.min(text.len());
        while from < last {
            let to = from.saturating_add(BLOCK).min(last);
            let end = to.saturating_add(FURTHEST).min(text.len());
            scratch.starts.clear();
            starts.find(
                &mut scratch.starts_cache,
                text.as_bytes(),
                from..to,
                end,
                &mut scratch.starts,
            );
            #[cfg(test)]
            {
                scratch.work += (end - from) as u64;
            }
            while let Some(start) = scratch.starts.pop() {
                self.begin(ends, scratch, text, start, reach, found);
            }
            from = to;
        }
    }

    /// Finds what begins at a place.
    fn begin(
        &self,
        ends: &Ends,
        scratch: &mut Scratch,
        text: &str,
        start: Start,
        reach: &mut Reach,
        found: &mut Vec<Match>,
    ) {
        reach.forget(start.at);
        let is_over = reach.ends.iter().fold(start.patterns, |left, (detector, _)| {
            let pattern =
                self.pattern_of.get(*detector).and_then(|number| self.shared.get(*number));
            left & !pattern.map_or(0, |pattern| pattern.own_bit)
        }) == 0;
        if is_over || !text.is_char_boundary(start.at) {
            return;
        }
        scratch.ends.clear();
        let is_cut = ends.find(&mut scratch.ends_cache, text, start.at, &mut scratch.ends);
        #[cfg(test)]
        {
            scratch.work += (scratch.ends_cache.read() + scratch.ends.len()) as u64;
        }
        // The longest one of each pattern first.
        scratch.ends.sort_unstable_by(|a, b| a.pattern.cmp(&b.pattern).then(b.at.cmp(&a.at)));
        let Scratch { ends: all, ends_cache, begun, .. } = scratch;
        begun.clear();
        for candidates in all.chunk_by(|a, b| a.pattern == b.pattern) {
            let Some(first) = candidates.first() else { continue };
            let shared = self.shared.get(first.pattern);
            for &detector in shared.into_iter().flat_map(|shared| &shared.detectors) {
                let Some(sought) = self.sought.get(detector).filter(|_| !reach.is_in(detector))
                else {
                    continue;
                };
                for &end in candidates.iter().take(TRIES) {
                    if !ends.holds(ends_cache, text, start.at, end) {
                        continue;
                    }
                    let Some(candidate) = Candidate::new(text, start.at..end.at) else { continue };
                    let Some(score) = sought.detector.judge(&candidate, sought.threshold) else {
                        continue;
                    };
                    let mut range = sought.detector.place(&candidate);
                    if is_cut {
                        range.end = ends.go_on(ends_cache, text, start.at, end);
                    }
                    begun.push(Begun { detector, range, score });
                    break;
                }
            }
        }
        begun.sort_unstable_by_key(|one| one.detector);
        for Begun { detector, range, score } in begun.drain(..) {
            let Some(sought) = self.sought.get(detector) else { continue };
            if is_cut {
                let index = found.len();
                reach.longest.push(Longest { pattern: detector, start: start.at, index });
            }
            reach.ends.push((detector, range.end));
            found.push(Match { rule: sought.rule, range, score });
        }
    }

    /// The work done so far: bytes read, and candidates judged.
    #[cfg(test)]
    fn work(&self) -> u64 {
        self.scratch.get().work
    }
}
