//! A copy of those parts of a text in which something is replaced.

use std::ops::Range;

use super::map::Copy;

/// How far a white space is looked for, at which a part may begin or end.
const SEAM: usize = 64;

/// The last place up to this one that is not inside of a character.
pub(super) fn boundary_before(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where a part begins that has this place in it.
fn part_start(text: &str, at: usize, around: usize) -> usize {
    let wanted = at.saturating_sub(around);
    let from = wanted.saturating_sub(SEAM);
    let bytes = text.as_bytes();
    let seam =
        bytes.get(from..wanted).unwrap_or_default().iter().rposition(u8::is_ascii_whitespace);
    match seam {
        _ if from == 0 => 0,
        Some(found) => from + found + 1,
        None => boundary_before(text, wanted),
    }
}

/// Where a part ends that has this place in it.
fn part_end(text: &str, at: usize, around: usize) -> usize {
    let wanted = at.saturating_add(around).min(text.len());
    let to = wanted.saturating_add(SEAM).min(text.len());
    let bytes = text.as_bytes();
    let seam = bytes.get(wanted..to).unwrap_or_default().iter().position(u8::is_ascii_whitespace);
    match seam {
        _ if to == text.len() => to,
        Some(found) => wanted + found,
        None => boundary_before(text, wanted),
    }
}

/// Parts of a text in which something is replaced, with what stands around it, in the order of the text.
pub(super) struct Parts<'t> {
    text: &'t str,
    /// How much of the text around a replacement is copied, in bytes.
    around: usize,
    copy: Copy,
    /// How far the text has been copied. `None` before the first part.
    copied: Option<usize>,
}

impl<'t> Parts<'t> {
    /// None so far.
    pub(super) fn new(text: &'t str, around: usize) -> Self {
        Self { text, around, copy: Copy::default(), copied: None }
    }

    fn copy_to(&mut self, from: usize, to: usize) {
        self.copy.copied(self.text.get(from..to).unwrap_or_default(), from);
    }

    /// Copies what stands before a replacement.
    fn reach(&mut self, range: &Range<usize>) {
        let mut from = self.copied.unwrap_or(0);
        let is_far = range.start.saturating_sub(from) > 2 * (self.around + SEAM);
        if self.copied.is_none() || is_far {
            if self.copied.is_some() {
                let end = part_end(self.text, from, self.around);
                self.copy_to(from, end);
                self.copy.gap(end);
            }
            from = part_start(self.text, range.start, self.around);
        }
        self.copy_to(from, range.start);
        self.copied = Some(range.end);
    }

    /// Puts something in the place of this range, which is behind all before.
    pub(super) fn replace(&mut self, range: Range<usize>, replacement: &str) {
        self.reach(&range);
        self.copy.put(replacement, range);
    }

    /// Puts a character of ASCII in the place of this range.
    pub(super) fn replace_ascii(&mut self, range: Range<usize>, replacement: u8) {
        self.reach(&range);
        self.copy.put_ascii(replacement, range);
    }

    /// Where the last replacement ended.
    pub(super) fn end(&self) -> usize {
        self.copied.unwrap_or(0)
    }

    /// The copy. `None` if nothing was replaced.
    pub(super) fn finish(mut self) -> Option<Copy> {
        let from = self.copied?;
        let end = part_end(self.text, from, self.around);
        self.copy_to(from, end);
        Some(self.copy)
    }
}
