//! Attempts to give a model other orders: rules that give a text a score.
//!
//! A text is read once for the anchors of all rules. Only around one of them, its rules are looked at. What the rules that are
//! found close to each other weigh, makes the score.

mod anchors;
mod compiled;
mod except;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex_automata::meta::Regex;
use regex_automata::{Input, MatchKind, PatternSet};

use self::anchors::Anchors;
use self::compiled::compiled;
use self::except::Except;
use crate::rules::{Book, Error, File};
use crate::trust::Trust;
use crate::views::{folded, views, View};

#[cfg(test)]
mod tests;

/// The rules that come with this version, as a file.
pub const SHIPPED: &str = include_str!("../../rules/injection.toml");

/// How much of a text is looked at before and behind an anchor, in bytes.
const AROUND: usize = 200;

/// Anchors of up to so many letters are whole words.
const LONGEST_WORD: usize = 4;

/// How far apart rules may be found, in bytes, to add up.
const WINDOW: usize = 4096;

/// By how many hundredths what is encoded weighs more.
const DECODED: i32 = 150;

/// By how much a score is lowered at most where a text looks harmless: whoever attacks can make it so.
const MOST_HARMLESS: i32 = 40;

/// In how many parts of a text the rules of a group are told apart.
const MOST_PARTS: u32 = 16;

/// How much memory the patterns of all groups may take, in bytes, beside what is built of them as texts are looked at.
const MOST_MEMORY: usize = 64 << 20;

/// The number of a rule among [`Rules::ids`].
pub type RuleNumber = u16;

/// What rules make of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// How likely it wants to give a model other orders, from 0 to 100.
    pub score: u8,
    /// The rules that this comes from, in order.
    pub rules: Vec<RuleNumber>,
}

/// Rules, ready to be used.
#[derive(Debug)]
pub struct Rules {
    version: Box<str>,
    ids: Vec<Box<str>>,
    weights: Vec<Weight>,
    anchors: Anchors,
    /// The groups to be looked at around each anchor.
    of_anchor: Vec<Vec<usize>>,
    groups: Vec<Group>,
    /// The exceptions of each rule.
    excepts: Vec<Option<Except>>,
}

#[derive(Clone, Copy, Debug)]
struct Weight {
    said: i32,
    fetched: i32,
}

/// Rules that are looked for together.
#[derive(Debug)]
struct Group {
    patterns: Regex,
    /// The rule of each pattern.
    of_pattern: Vec<RuleNumber>,
    /// The one that weighs most. None, if all of them tell that a text is harmless.
    heaviest: Option<RuleNumber>,
}

/// What is to be looked at for a group.
#[derive(Clone, Copy, Default)]
struct Open {
    /// A part of the text.
    part: Option<(usize, usize)>,
    /// In how many parts something was found.
    matched: u32,
}

/// A rule that was found.
#[derive(Clone, Copy, Debug)]
struct Hit {
    /// Where in the text.
    at: usize,
    rule: RuleNumber,
    weight: i32,
}

impl Rules {
    /// Reads rules of a file.
    ///
    /// # Errors
    ///
    /// What [`File::read`] says, or a pattern that can't be used; the error names the rule.
    pub fn read(text: &str) -> Result<Self, Error> {
        Self::new(&Book::of(File::read(text)?))
    }

    /// Rules of files that were put together.
    ///
    /// # Errors
    ///
    /// A pattern that can't be used; the error names the rule.
    pub fn new(book: &Book) -> Result<Self, Error> {
        let mut names: Vec<&str> = book.rules().map(|(_, rule)| rule.group.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let mut patterns: Vec<(Vec<String>, Vec<RuleNumber>)> =
            vec![Default::default(); names.len()];
        let mut anchors: Vec<(String, Vec<usize>)> = Vec::new();
        for (number, (file, rule)) in (0..).zip(book.rules()) {
            let Ok(group) = names.binary_search(&rule.group.as_str()) else { continue };
            let Some((own, of_pattern)) = patterns.get_mut(group) else { continue };
            for pattern in &rule.patterns {
                let pattern = file.pattern(rule, pattern)?;
                own.push(pattern);
                of_pattern.push(number);
            }
            for anchor in &rule.anchors {
                let anchor = folded(anchor).to_ascii_lowercase();
                match anchors.iter_mut().find(|(known, _)| *known == anchor) {
                    Some((_, groups)) if groups.contains(&group) => {}
                    Some((_, groups)) => groups.push(group),
                    None => anchors.push((anchor, vec![group])),
                }
            }
        }
        let mut memory: usize = 0;
        let groups = patterns
            .into_iter()
            .zip(&names)
            .map(|((patterns, of_pattern), name)| {
                let patterns = match compiled(&patterns, MatchKind::All) {
                    Ok(patterns) => patterns,
                    Err(why) => return Err(culprit(book, &patterns, &of_pattern, name, &why)),
                };
                memory = memory.saturating_add(patterns.memory_usage());
                if memory > MOST_MEMORY {
                    return Err(too_much());
                }
                let weight = |number: &RuleNumber| {
                    book.rule(usize::from(*number)).map_or(0, |(_, rule)| rule.weight)
                };
                let heaviest =
                    of_pattern.iter().copied().max_by_key(weight).filter(|rule| weight(rule) > 0);
                Ok(Group { patterns, of_pattern, heaviest })
            })
            .collect::<Result<_, Error>>()?;
        let excepts: Vec<Option<Except>> =
            book.rules().map(|(file, rule)| Except::of(file, rule)).collect::<Result<_, _>>()?;
        memory += excepts.iter().flatten().map(Except::memory).sum::<usize>();
        if memory > MOST_MEMORY {
            return Err(too_much());
        }
        let (words, of_anchor): (Vec<String>, Vec<Vec<usize>>) = anchors.into_iter().unzip();
        let anchors = Anchors::new(&words)
            .map_err(|why| Error(format!("the anchors of the rules: {why}")))?;
        let weights = book
            .rules()
            .map(|(_, rule)| Weight {
                said: i32::from(rule.weight),
                fetched: i32::from(rule.fetched.unwrap_or(rule.weight)),
            })
            .collect();
        let ids = book.rules().map(|(_, rule)| rule.id.as_str().into()).collect();
        Ok(Self {
            version: book.version().into(),
            ids,
            weights,
            anchors,
            of_anchor,
            groups,
            excepts,
        })
    }

    /// The rules that come with this version.
    ///
    /// # Errors
    ///
    /// None, as tests read them. They are read when first asked for.
    pub fn shipped() -> Result<&'static Arc<Self>, Error> {
        static RULES: OnceLock<Result<Arc<Rules>, Error>> = OnceLock::new();
        RULES.get_or_init(|| Self::read(SHIPPED).map(Arc::new)).as_ref().map_err(Clone::clone)
    }

    /// The first test case of a rule that is not as it says: these rules are those of the book.
    ///
    /// # Errors
    ///
    /// The rule, and which of its cases.
    pub fn test(&self, book: &Book) -> Result<(), Error> {
        for (number, (_, rule)) in (0..).zip(book.rules()) {
            for (cases, name, is_wanted) in
                [(&rule.hits, "hits", true), (&rule.misses, "misses", false)]
            {
                let is_wrong = |case: &String| self.finds(number, case) != is_wanted;
                if let Some(at) = cases.iter().position(is_wrong) {
                    let found = if is_wanted { "is not found" } else { "is found" };
                    return Err(rule.error(&format!("it {found} in text {} of its {name}", at + 1)));
                }
            }
        }
        Ok(())
    }

    /// Whether a rule is found in a text, or in one of its copies.
    fn finds(&self, number: RuleNumber, text: &str) -> bool {
        let mut is_found = false;
        let mut look = |text: &str| self.look(text, |_, rule| is_found |= rule == number);
        look(text);
        views(text).iter().for_each(|view| look(&view.text));
        is_found
    }

    /// Which rules these are.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The names of the rules.
    #[must_use]
    pub fn ids(&self) -> &[Box<str>] {
        &self.ids
    }

    /// How likely a text wants to give a model other orders. `views` are those of the text.
    #[must_use]
    pub fn score(&self, text: &str, views: &[View], trust: Trust) -> Score {
        let mut hits = Vec::new();
        self.look(text, |at, rule| hits.push(self.hit(at, rule, trust, false)));
        for view in views {
            self.look(&view.text, |at, rule| {
                let at = view.source(at..at).start;
                hits.push(self.hit(at, rule, trust, view.is_decoded));
            });
        }
        best(hits)
    }

    fn hit(&self, at: usize, rule: RuleNumber, trust: Trust, is_decoded: bool) -> Hit {
        let weight = self.weights.get(usize::from(rule)).map_or(0, |weight| match trust {
            Trust::Said => weight.said,
            Trust::Fetched => weight.fetched,
        });
        // What tells that a text is harmless has no reason to be hidden.
        let weight = match is_decoded {
            true => weight.max(0) * DECODED / 100,
            false => weight,
        };
        Hit { at, rule, weight }
    }

    /// Finds the rules of one text or copy, and about where they are.
    fn look(&self, text: &str, mut found: impl FnMut(usize, RuleNumber)) {
        // What is still to be looked at, for each group.
        let mut open: Vec<Open> = Vec::new();
        self.anchors.find(text.as_bytes(), |anchor, range| {
            if !is_whole(text.as_bytes(), range.start, range.end) {
                return;
            }
            if open.is_empty() {
                open.resize(self.groups.len(), Open::default());
            }
            let (from, to) = (range.start.saturating_sub(AROUND), range.end + AROUND);
            let groups = self.of_anchor.get(anchor);
            for group in groups.into_iter().flatten() {
                let Some(Open { part, matched }) = open.get_mut(*group) else { continue };
                match part {
                    Some((_, end)) if *end >= from => *end = to.max(*end),
                    _ => {
                        if let Some(whole) = part.replace((from, to)) {
                            self.look_at(*group, text, whole, matched, &mut found);
                        }
                    }
                }
            }
        });
        for (group, Open { part, mut matched }) in open.into_iter().enumerate() {
            if let Some(part) = part {
                self.look_at(group, text, part, &mut matched, &mut found);
            }
        }
    }

    /// Looks for the rules of a group in a part of a text.
    fn look_at(
        &self,
        group: usize,
        text: &str,
        (from, to): (usize, usize),
        matched: &mut u32,
        found: &mut impl FnMut(usize, RuleNumber),
    ) {
        let Some(group) = self.groups.get(group) else { return };
        let to = to.min(text.len());
        let mut set = PatternSet::new(group.patterns.pattern_len());
        // A long part is many, so that it is known about where a rule was found.
        let mut start = from;
        while start < to {
            let end = (start + WINDOW / 2 + 2 * AROUND).min(to);
            set.clear();
            let input = Input::new(text.as_bytes()).range(start..end);
            // Mostly there is none, which is quicker to see. Which ones there are takes long to say: a text that has
            // them everywhere is taken for what it may be at worst.
            if group.patterns.is_match(input.clone()) {
                *matched += 1;
                if *matched <= MOST_PARTS {
                    group.patterns.which_overlapping_matches(&input, &mut set);
                } else if let Some(heaviest) = group.heaviest {
                    found(start.min(text.len()), heaviest);
                    return;
                }
            }
            for pattern in set.iter() {
                let Some(rule) = group.of_pattern.get(pattern.as_usize()) else { continue };
                let except = self.excepts.get(usize::from(*rule)).and_then(Option::as_ref);
                if !except.is_some_and(|except| except.is_all(text, start, end)) {
                    found(start.min(text.len()), *rule);
                }
            }
            if end == to {
                break;
            }
            start += WINDOW / 2;
        }
    }
}

fn too_much() -> Error {
    let most = MOST_MEMORY >> 20;
    Error(format!("the rules take more than {most} MB; use fewer, or smaller repetitions"))
}

/// An error that names the first rule of a group that can't be used; or the group, if it is but too large.
fn culprit(
    book: &Book,
    patterns: &[String],
    of_pattern: &[RuleNumber],
    group: &str,
    why: &str,
) -> Error {
    for (at, (pattern, number)) in patterns.iter().zip(of_pattern).enumerate() {
        let rule = book.rule(usize::from(*number));
        if let (Err(why), Some((_, rule))) = (compiled(&[pattern], MatchKind::All), rule) {
            // Those of a rule stand behind each other.
            let before = of_pattern.iter().take(at).filter(|other| *other == number).count();
            return rule.error(&format!("pattern {}: {why}", before + 1));
        }
    }
    Error(format!("the rules of group \"{group}\": {why}"))
}

/// Whether an anchor here may be one. A short one is in too many words, if it is no word.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let anchor = text.get(start..end).unwrap_or_default();
    if anchor.len() > LONGEST_WORD || !anchor.iter().all(u8::is_ascii_alphabetic) {
        return true;
    }
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    !is_letter(start.checked_sub(1).and_then(|before| text.get(before)))
        && !is_letter(text.get(end))
}

/// The score of the window in which rules weigh most, less what tells that the text is harmless.
fn best(mut hits: Vec<Hit>) -> Score {
    if hits.is_empty() {
        return Score::default();
    }
    hits.sort_unstable_by_key(|hit| (hit.at, hit.rule, hit.weight));
    let harmless = sum(hits.iter().filter(|hit| hit.weight < 0)).max(-MOST_HARMLESS);
    hits.retain(|hit| hit.weight > 0);
    // How often each rule is in the window, with each of its weights.
    let mut counts: BTreeMap<(RuleNumber, i32), u32> = BTreeMap::new();
    let highest = |counts: &BTreeMap<(RuleNumber, i32), u32>, rule: RuleNumber| -> i32 {
        let weights = counts.range((rule, i32::MIN)..=(rule, i32::MAX));
        weights.map(|((_, weight), _)| *weight).max().unwrap_or(0)
    };
    let (mut total, mut most, mut best) = (0, 0, 0..0);
    let mut from = 0;
    for (index, hit) in hits.iter().enumerate() {
        while let Some(first) = hits.get(from).filter(|first| hit.at - first.at > WINDOW) {
            let before = highest(&counts, first.rule);
            if let Some(count) = counts.get_mut(&(first.rule, first.weight)) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&(first.rule, first.weight));
                }
            }
            total += highest(&counts, first.rule) - before;
            from += 1;
        }
        let before = highest(&counts, hit.rule);
        *counts.entry((hit.rule, hit.weight)).or_default() += 1;
        total += highest(&counts, hit.rule) - before;
        if total > most {
            (most, best) = (total, from..index + 1);
        }
    }
    let mut rules: Vec<RuleNumber> =
        hits.get(best).unwrap_or_default().iter().map(|hit| hit.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    Score { score: u8::try_from((most + harmless).clamp(0, 100)).unwrap_or(100), rules }
}

/// What hits weigh, each rule once.
fn sum<'h>(hits: impl Iterator<Item = &'h Hit>) -> i32 {
    let weights: BTreeMap<RuleNumber, i32> = hits.map(|hit| (hit.rule, hit.weight)).collect();
    weights.values().sum()
}
