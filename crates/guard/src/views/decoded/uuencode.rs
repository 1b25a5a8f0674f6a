//! Lines of uuencode (POSIX): a sign for how many bytes, and four signs for each three of them.

use super::super::words::text_of;
use super::found::Found;

/// The most bytes of a line.
const LONGEST: usize = 45;

/// Adds the text of the lines that begin here. The first may stand behind other words. Returns where they end.
pub(super) fn read(text: &str, from: usize, found: &mut Found<'_>) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut at = from;
    while let Some((end, length)) = line(bytes, at, &mut out) {
        at = end;
        let breaks = bytes.get(end..)?.iter().take(2).take_while(|byte| byte.is_ascii_whitespace());
        let next = end + breaks.count();
        if length < LONGEST || next == end {
            break;
        }
        // A full line is followed by another one, if any.
        if bytes.get(next).is_none_or(|first| !(b'!'..=b'M').contains(first)) {
            break;
        }
        at = next;
    }
    let decoded = text_of(&out, 6)?;
    found.text(decoded, from..at.min(text.len())).then_some(at)
}

/// Reads one line. Returns where it ends, and how many bytes it was.
fn line(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Option<(usize, usize)> {
    let length = usize::from(bytes.get(at)?.checked_sub(b' ')?);
    if length == 0 || length > LONGEST {
        return None;
    }
    let wanted = length.div_ceil(3) * 4;
    let rest = bytes.get(at + 1..)?;
    let signs = rest.get(..wanted.min(rest.len()))?;
    // Blanks at the end may have been cut off.
    let there = signs.iter().take_while(|sign| (b' '..=b'`').contains(*sign)).count();
    let is_end = rest.get(there).is_none_or(u8::is_ascii_whitespace);
    if !is_end || there + 3 < wanted {
        return None;
    }
    let begun = out.len();
    for start in (0..wanted).step_by(4) {
        let group = (start..start + 4).fold(0u32, |sum, place| {
            let sign = signs.get(place).filter(|_| place < there).copied().unwrap_or(b' ');
            (sum << 6) | u32::from((sign - b' ') & 0x3f)
        });
        out.extend(group.to_be_bytes().iter().skip(1));
    }
    out.truncate(begun + length);
    Some((at + 1 + there, length))
}
