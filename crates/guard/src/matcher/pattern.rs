//! Patterns: what of their syntax a text that comes in pieces can be searched for.

use std::fmt;

use regex_syntax::hir::{Class, Hir, HirKind, Look, LookSet};

use crate::detector::LONGEST;

/// How deep groups of a pattern may lie in each other.
const DEEPEST: u32 = 64;
/// The longest pattern, in bytes.
const LONGEST_PATTERN: usize = 4096;

/// Why a pattern can't be used, in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is none. What the parser says, with the place.
    Syntax(String),
    /// It is longer than can be used.
    Length,
    /// The empty text fits it.
    Empty,
    /// Nothing that fits is as short as a match may be.
    TooLong,
    /// It asks where the text begins or ends.
    Ends,
    /// It becomes too large.
    Size,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(why) => f.write_str(why),
            Self::Length => write!(f, "it has more than {LONGEST_PATTERN} bytes"),
            Self::Empty => f.write_str("it matches the empty text, so it would be found everywhere"),
            Self::TooLong => write!(f, "all that it matches has more than {LONGEST} characters"),
            Self::Ends => f.write_str(
                "it asks for the beginning or the end of the text, which is not known while an answer streams; \
                 write (?m) before it for those of a line",
            ),
            Self::Size => f.write_str("it becomes too large, mostly by repetitions such as \\w{100}: use smaller ones"),
        }
    }
}

impl std::error::Error for Error {}

/// Reads a pattern.
///
/// # Errors
///
/// It is none, or one that can't be used on a text that comes in pieces.
pub fn parse(pattern: &str) -> Result<Hir, Error> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(Error::Length);
    }
    let hir = regex_syntax::ParserBuilder::new()
        .nest_limit(DEEPEST)
        .build()
        .parse(pattern)
        .map_err(|error| Error::Syntax(reason(&error)))?;
    let least = shortest(&hir).ok_or(Error::TooLong)?;
    if least == 0 {
        return Err(Error::Empty);
    }
    if least > LONGEST {
        return Err(Error::TooLong);
    }
    let looks = hir.properties().look_set();
    if looks.contains(Look::Start) || looks.contains(Look::End) {
        return Err(Error::Ends);
    }
    Ok(hir)
}

/// What the parser says, on one line and without the pattern, which may have many.
fn reason(error: &regex_syntax::Error) -> String {
    let at = match error {
        regex_syntax::Error::Parse(error) => error.span().start.offset,
        regex_syntax::Error::Translate(error) => error.span().start.offset,
        _ => return kind(error),
    };
    format!("{} at byte {at}", kind(error))
}

/// The same without the place.
pub(crate) fn kind(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        other => other.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// How many characters the shortest text has that fits. `None`: none fits.
fn shortest(hir: &Hir) -> Option<usize> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(0),
        HirKind::Literal(literal) => Some(
            std::str::from_utf8(&literal.0).map_or(literal.0.len(), |text| text.chars().count()),
        ),
        HirKind::Class(class) => {
            let is_empty = match class {
                Class::Unicode(class) => class.ranges().is_empty(),
                Class::Bytes(class) => class.ranges().is_empty(),
            };
            (!is_empty).then_some(1)
        }
        HirKind::Repetition(repetition) if repetition.min == 0 => Some(0),
        HirKind::Repetition(repetition) => {
            let min = usize::try_from(repetition.min).unwrap_or(usize::MAX);
            shortest(&repetition.sub).map(|one| one.saturating_mul(min))
        }
        HirKind::Capture(capture) => shortest(&capture.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .try_fold(0_usize, |sum, part| shortest(part).map(|one| sum.saturating_add(one))),
        HirKind::Alternation(parts) => parts.iter().filter_map(shortest).min(),
    }
}

/// What a deterministic automaton can't ask for: where a word of any script begins or ends.
pub(crate) const UNICODE_WORDS: [Look; 6] = [
    Look::WordUnicode,
    Look::WordUnicodeNegate,
    Look::WordStartUnicode,
    Look::WordEndUnicode,
    Look::WordStartHalfUnicode,
    Look::WordEndHalfUnicode,
];

/// Whether the pattern asks for words of any script.
#[must_use]
pub fn asks_for_words(hir: &Hir) -> bool {
    let looks: LookSet = hir.properties().look_set();
    UNICODE_WORDS.iter().any(|&look| looks.contains(look))
}

/// A pattern that fits wherever this one does, and perhaps elsewhere, without what makes automata large: it doesn't
/// ask for words of any script, and if `most` is given, no repetition counts further, and characters beyond ASCII
/// are not told apart.
#[must_use]
pub fn relaxed(hir: &Hir, most: Option<u32>) -> Hir {
    match hir.kind() {
        HirKind::Look(look) if UNICODE_WORDS.contains(look) => Hir::empty(),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Class(class) => most.and_then(|_| ascii(class)).unwrap_or_else(|| hir.clone()),
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            if let Some(most) = most {
                if repetition.max.is_none_or(|max| max > most) {
                    repetition.max = None;
                    repetition.min = repetition.min.min(most);
                }
            }
            repetition.sub = Box::new(relaxed(&repetition.sub, most));
            Hir::repetition(repetition)
        }
        HirKind::Capture(capture) => relaxed(&capture.sub, most),
        HirKind::Concat(parts) => {
            Hir::concat(parts.iter().map(|part| relaxed(part, most)).collect())
        }
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.iter().map(|part| relaxed(part, most)).collect())
        }
    }
}

/// How many ranges beyond ASCII a class may have that is kept.
const FEW: usize = 3;

/// The class with all characters beyond ASCII in the place of those that it has. `None`: it has few, or none.
fn ascii(class: &Class) -> Option<Hir> {
    use regex_syntax::hir::{ClassBytes, ClassBytesRange, Repetition};
    let Class::Unicode(class) = class else { return None };
    if class.ranges().iter().filter(|range| range.end() > '\x7f').count() <= FEW {
        return None;
    }
    let ascii = class.ranges().iter().filter(|range| range.start() <= '\x7f').filter_map(|range| {
        let start = u8::try_from(u32::from(range.start())).ok()?;
        let end = u8::try_from(u32::from(range.end())).unwrap_or(0x7f).min(0x7f);
        Some(ClassBytesRange::new(start, end))
    });
    let ascii = Hir::class(Class::Bytes(ClassBytes::new(ascii)));
    let beyond = Hir::class(Class::Bytes(ClassBytes::new([ClassBytesRange::new(0x80, 0xff)])));
    let beyond =
        Hir::repetition(Repetition { min: 1, max: None, greedy: true, sub: Box::new(beyond) });
    Some(Hir::alternation(vec![ascii, beyond]))
}

/// How many bits of what it asks for make a beginning rare enough in any text.
const RARE: f32 = 23.0;

/// The beginning of the pattern that is rare in any text: what is behind it needn't be looked at to know where matches
/// may begin. All of it, if there is none.
#[must_use]
pub fn beginning(hir: &Hir) -> Hir {
    let HirKind::Concat(parts) = hir.kind() else { return hir.clone() };
    let mut sum = 0.0;
    let mut kept = Vec::with_capacity(parts.len());
    for part in parts {
        kept.push(part.clone());
        sum += bits(part);
        if sum >= RARE {
            break;
        }
    }
    Hir::concat(kept)
}

/// How many bits it asks for at least: eight for a byte, fewer for one of several.
fn bits(hir: &Hir) -> f32 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0.0,
        HirKind::Literal(literal) => 8.0 * small(literal.0.len()),
        HirKind::Class(class) => {
            let size = match class {
                Class::Unicode(class) => {
                    class.ranges().iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum()
                }
                Class::Bytes(class) => class
                    .ranges()
                    .iter()
                    .map(regex_syntax::hir::ClassBytesRange::len)
                    .sum::<usize>(),
            };
            8.0 - small(size.clamp(1, 256)).log2()
        }
        HirKind::Repetition(repetition) => {
            bits(&repetition.sub) * small(usize::try_from(repetition.min).unwrap_or(usize::MAX))
        }
        HirKind::Capture(capture) => bits(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(bits).sum(),
        HirKind::Alternation(parts) => parts.iter().map(bits).fold(f32::INFINITY, f32::min),
    }
}

fn small(number: usize) -> f32 {
    f32::from(u16::try_from(number).unwrap_or(u16::MAX))
}
