//! Going through the texts of a request, a part of them at a time: one that takes long would hold up the others of
//! its worker.

use std::ops::Range;

use tollgate_guard::detector::Family;
use tollgate_guard::finding::Finding;
use tollgate_guard::guard::Trust;

use super::clean::CleanTexts;
use super::outcome::{Hit, Looked};
use super::InputGuard;
use crate::llm::texts::{Place, Role, Text, Texts};

/// How much of a text is looked at at once, in bytes.
const WINDOW: usize = 32 << 10;
/// How much of it is looked at twice, so that nothing is missed where it was cut: more than any match has.
const OVERLAP: usize = 2 << 10;

/// What stands between the parts of one message, as engines put them together.
const JOINTS: [&str; 2] = ["", "\n"];

/// A request that is being looked through.
#[derive(Debug)]
pub struct Looking {
    texts: Texts,
    client: Box<str>,
    hits: Vec<Hit>,
    job: Job,
    /// How much of it was looked at.
    at: usize,
    /// The highest score of injection of what was looked at.
    score: u8,
}

/// What is being looked through.
#[derive(Debug)]
enum Job {
    Text(usize),
    /// The parts of one message, put together.
    Parts(Parts),
    Done,
}

/// The parts of one message as one text.
struct Parts {
    texts: Range<usize>,
    joint: usize,
    said: String,
    /// Which text each part is, and where it begins.
    starts: Vec<(usize, usize)>,
}

/// Not the text.
impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("texts", &self.texts).finish_non_exhaustive()
    }
}

impl Looking {
    /// Nothing of these texts of a client has been looked at.
    #[must_use]
    pub fn new(texts: Texts, client: Box<str>) -> Self {
        Self { texts, client, hits: Vec::new(), job: Job::Text(0), at: 0, score: 0 }
    }

    /// Looks on, at about so many bytes, but not at what is known to be clean. `true`: all has been looked at.
    pub fn go_on(&mut self, guards: &[InputGuard], clean: &mut CleanTexts, bytes: usize) -> bool {
        let mut left = bytes;
        let mut found = Vec::new();
        while left > 0 {
            let (said, role) = match &self.job {
                Job::Done => return true,
                Job::Text(index) => match self.texts.get(*index) {
                    Some(text) => (self.texts.said(text), text.role),
                    None => {
                        self.job = Job::Done;
                        continue;
                    }
                },
                Job::Parts(parts) => {
                    let first = self.texts.get(parts.texts.start);
                    (parts.said.as_str(), first.map_or(Role::Any, |text| text.role))
                }
            };
            let window = window(said, self.at);
            let part = said.get(window.clone()).unwrap_or_default();
            // What each piece costs, however short it is, and known or not.
            left = left.saturating_sub(part.len() / 16 + 64);
            for (guard, input) in guards.iter().enumerate() {
                if !input.roles.has(role) {
                    continue;
                }
                let trust = match role {
                    Role::Tool | Role::Any => Trust::Fetched,
                    Role::System | Role::User | Role::Assistant => Trust::Said,
                };
                let digest = clean.digest(&self.client, &input.guard, trust, part);
                if let Some(score) = clean.get(digest) {
                    self.score = self.score.max(score);
                    continue;
                }
                left = left.saturating_sub(part.len());
                found.clear();
                let score = input.guard.scan(part, trust, &mut found);
                self.score = self.score.max(score);
                if found.is_empty() {
                    clean.put(digest, score);
                }
                for finding in found.drain(..) {
                    let range =
                        finding.range.start + window.start..finding.range.end + window.start;
                    note(&self.job, &mut self.hits, guard, Finding { range, ..finding }, input);
                }
            }
            let len = said.len();
            if window.end < len {
                self.at = window.end.saturating_sub(OVERLAP).max(self.at + 1);
                continue;
            }
            self.at = 0;
            self.job = self.next();
        }
        matches!(self.job, Job::Done)
    }

    /// What comes after the job at hand.
    fn next(&self) -> Job {
        match &self.job {
            Job::Done => Job::Done,
            Job::Text(index) => {
                let next = index + 1;
                let message = self.message_before(next);
                match message.len() {
                    0 | 1 => Job::Text(next),
                    _ => Job::Parts(self.parts(message, 0)),
                }
            }
            Job::Parts(parts) if parts.joint + 1 < JOINTS.len() => {
                Job::Parts(self.parts(parts.texts.clone(), parts.joint + 1))
            }
            Job::Parts(parts) => Job::Text(parts.texts.end),
        }
    }

    /// The texts of the message that ends before the text `end`; none, if it goes on there.
    fn message_before(&self, end: usize) -> Range<usize> {
        let place = |text: &Text| match text.place {
            // Its elements are parts of one prompt.
            Place { member: member @ "system", .. } => Place { member, element: None },
            place => place,
        };
        let Some(last) = end.checked_sub(1).and_then(|last| self.texts.get(last)) else {
            return end..end;
        };
        if self.texts.get(end).is_some_and(|next| place(next) == place(last)) {
            return end..end;
        }
        let mut start = end - 1;
        while start > 0 && self.texts.get(start - 1).is_some_and(|text| place(text) == place(last))
        {
            start -= 1;
        }
        let contents = self.texts.iter().skip(start).take(end - start);
        match contents.filter(|text| text.is_content).count() {
            0 | 1 => end..end,
            _ => start..end,
        }
    }

    fn parts(&self, texts: Range<usize>, joint: usize) -> Parts {
        let mut said = String::new();
        let mut starts = Vec::new();
        for index in texts.clone() {
            let Some(text) = self.texts.get(index).filter(|text| text.is_content) else { continue };
            if !starts.is_empty() {
                said.push_str(JOINTS.get(joint).copied().unwrap_or_default());
            }
            starts.push((index, said.len()));
            said.push_str(self.texts.said(text));
        }
        Parts { texts, joint, said, starts }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> Looked {
        Looked::new(self.texts, self.hits, self.score)
    }
}

/// The part of a text that is looked at from `at` on.
fn window(said: &str, at: usize) -> Range<usize> {
    let boundary = |mut at: usize| {
        while !said.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(at.min(said.len()));
    let end = match said.len() - start {
        // Nothing is gained by a short rest.
        0..=40960 => said.len(),
        _ => boundary(start + WINDOW),
    };
    start..end
}

/// Notes what was found: in parts of a message, what is in each of them.
fn note(job: &Job, hits: &mut Vec<Hit>, guard: usize, finding: Finding, input: &InputGuard) {
    let rules = input.guard.rules();
    let is_of_all =
        rules.get(usize::from(finding.rule)).is_some_and(|rule| rule.family == Family::Injection);
    match job {
        Job::Done => {}
        // It is about all that is said: of the parts of a message, the first one stands for it.
        Job::Text(text) if is_of_all => {
            let hit = Hit::new(guard, finding.rule, finding.score, *text, 0..0);
            add_once(hits, hit, *text..*text + 1);
        }
        Job::Parts(parts) if is_of_all => {
            let Some((text, _)) = parts.starts.first() else { return };
            let hit = Hit::new(guard, finding.rule, finding.score, *text, 0..0);
            add_once(hits, hit, parts.texts.clone());
        }
        Job::Text(text) => {
            add(hits, Hit::new(guard, finding.rule, finding.score, *text, finding.range))
        }
        Job::Parts(parts) => {
            let mut is_rest = false;
            let ends = parts.starts.iter().skip(1).map(|(_, start)| *start);
            let ends = ends.chain(std::iter::once(parts.said.len()));
            for ((text, start), end) in parts.starts.iter().zip(ends) {
                let (from, to) = (finding.range.start.max(*start), finding.range.end.min(end));
                if from >= to {
                    continue;
                }
                let hit =
                    Hit::new(guard, finding.rule, finding.score, *text, from - start..to - start);
                add(hits, Hit { is_rest, ..hit });
                is_rest = true;
            }
        }
    }
}

/// Adds a hit, unless it was found before: in the part of a text that is looked at twice, or in a part of a message by
/// itself.
fn add(hits: &mut Vec<Hit>, hit: Hit) {
    let is_same = |other: &&mut Hit| {
        (other.guard, other.rule, other.text) == (hit.guard, hit.rule, hit.text)
            && other.range.start < hit.range.end
            && hit.range.start < other.range.end
    };
    // Those of one text are next to each other, or in the parts of the message before.
    let recent = hits.iter_mut().rev().take_while(|other| other.text + PARTS >= hit.text);
    match recent.take(LOOKED_BACK).find(is_same) {
        Some(other) => {
            other.range =
                other.range.start.min(hit.range.start)..other.range.end.max(hit.range.end);
            other.score = other.score.max(hit.score);
        }
        None => hits.push(hit),
    }
}

/// Adds a hit, unless one of its rule is there for any of these texts: then the surer one counts.
fn add_once(hits: &mut Vec<Hit>, hit: Hit, texts: Range<usize>) {
    let is_same = |other: &&mut Hit| {
        (other.guard, other.rule) == (hit.guard, hit.rule) && texts.contains(&other.text)
    };
    match hits.iter_mut().rev().take(LOOKED_BACK).find(is_same) {
        Some(other) => other.score = other.score.max(hit.score),
        None => hits.push(hit),
    }
}

/// How many parts of a message, and hits, are looked back at. A hit that comes twice beyond that counts twice.
const PARTS: usize = 64;
const LOOKED_BACK: usize = 256;
