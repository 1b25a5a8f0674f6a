//! Finding the bytes of JSON that matter.

use memchr::memchr2;

use super::lanes::Lanes;

/// How far is looked here, before a search is started that is faster in the long run.
const NEAR: usize = 16 * Lanes::LEN;

/// A run of bytes of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) len: usize,
    /// What ends it: a quote, a backslash or a control character. `None`: it goes on in the next slice.
    pub(super) end: Option<u8>,
    /// Whether all of it is known to be ASCII.
    pub(super) is_ascii: bool,
}

/// The run that `bytes` begin with. Whether it is ASCII and has no control characters is looked at only in
/// what is `checked`.
#[inline(always)]
pub(super) fn run(bytes: &[u8], checked: bool) -> Run {
    // Most keys end here.
    match bytes.split_first_chunk() {
        Some((lanes, rest)) => match run_in(lanes, checked) {
            Some((len, end)) if !checked || end.is_ascii() => {
                Run { len, end: Some(end), is_ascii: true }
            }
            Some(_) => mixed_run(bytes, 0),
            None => long_run(rest, Lanes::LEN, checked),
        },
        None => last(bytes, 0, true, checked),
    }
}

/// What ends a run in these bytes, or is the first that is no ASCII; and what is before it.
#[inline(always)]
fn run_in(bytes: &[u8; Lanes::LEN], checked: bool) -> Option<(usize, u8)> {
    let lanes = Lanes::of(bytes);
    let ends = if checked { lanes.specials().mask() } else { lanes.ends_run(false) };
    let len = first(ends);
    Some((len, *bytes.get(len)?))
}

/// The run goes on, behind so many bytes.
#[inline(never)]
fn long_run(bytes: &[u8], before: usize, checked: bool) -> Run {
    let mut at = before;
    let mut rest = bytes;
    while let Some((lanes, after)) = rest.split_first_chunk() {
        match run_in(lanes, checked) {
            Some((len, end)) if !checked || end.is_ascii() => {
                return Run { len: at + len, end: Some(end), is_ascii: true };
            }
            Some(_) => return mixed_run(rest, at),
            None => {}
        }
        at += Lanes::LEN;
        rest = after;
        if at == NEAR {
            return far(rest, at, true, checked);
        }
    }
    last(rest, at, true, checked)
}

/// The same, of what is not all ASCII. So many bytes are before `bytes`.
#[inline(never)]
fn mixed_run(bytes: &[u8], before: usize) -> Run {
    let mut at = before;
    let mut rest = bytes;
    while let Some((lanes, after)) = rest.split_first_chunk() {
        let ends = Lanes::of(lanes).ends_run(true);
        if ends != 0 {
            let len = first(ends);
            return Run { len: at + len, end: rest.get(len).copied(), is_ascii: false };
        }
        at += Lanes::LEN;
        rest = after;
        if at >= NEAR {
            return far(rest, at, false, true);
        }
    }
    last(rest, at, false, true)
}

/// The run goes on for long.
#[inline(never)]
fn far(rest: &[u8], near: usize, is_ascii: bool, checked: bool) -> Run {
    let found = memchr2(b'"', b'\\', rest);
    let len = found.unwrap_or(rest.len());
    let run = rest.get(..len).unwrap_or(rest);
    let end = found.and_then(|at| rest.get(at).copied());
    if !checked || is_plain(run) {
        return Run { len: near + len, end, is_ascii };
    }
    match run.iter().position(|byte| *byte < b' ') {
        Some(control) => {
            Run { len: near + control, end: run.get(control).copied(), is_ascii: false }
        }
        None => Run { len: near + len, end, is_ascii: false },
    }
}

/// Whether it is ASCII without control characters. (Which DEL is not, to JSON.)
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |most, byte| most.max(byte.wrapping_sub(b' '))) < 0x80 - b' '
}

/// What is left of a slice.
fn last(rest: &[u8], before: usize, is_ascii: bool, checked: bool) -> Run {
    let mut is_ascii = is_ascii;
    for (at, byte) in rest.iter().enumerate() {
        if matches!(byte, b'"' | b'\\') || (checked && *byte < b' ') {
            return Run { len: before + at, end: Some(*byte), is_ascii };
        }
        is_ascii &= byte.is_ascii() || !checked;
    }
    Run { len: before + rest.len(), end: None, is_ascii }
}

/// What of a string is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// In bytes as they are written.
    pub(super) len: usize,
    /// In bytes of text.
    pub(super) text: usize,
}

/// How much of a string is ASCII without control characters, with escapes that stand for one byte: at most
/// `room` bytes of text, and not to the end of a slice.
#[inline]
pub(super) fn pass(bytes: &[u8], room: usize) -> Passed {
    let (mut at, mut escapes) = (0, 0);
    while at - escapes + BLOCK <= room {
        let rest = bytes.get(at..).unwrap_or_default();
        // An escape may take one byte from behind the block.
        let Some(window) = rest.first_chunk::<{ BLOCK + 1 }>() else { break };
        let Some(block) = window.first_chunk() else { break };
        let mut specials = specials(block);
        let mut end = BLOCK;
        while specials != 0 {
            let found = position(specials);
            match (window.get(found), window.get(found + 1)) {
                (Some(b'\\'), Some(byte)) if is_simple(*byte) => {}
                _ => return Passed { len: at + found, text: at + found - escapes },
            }
            escapes += 1;
            specials &= !(specials & specials.wrapping_neg()).wrapping_mul(3);
            end = end.max(found + 2);
        }
        at += end;
    }
    pass_near(bytes, room, at, escapes)
}

/// The same behind what is passed over already, where less than a block may follow.
fn pass_near(bytes: &[u8], room: usize, at: usize, escapes: usize) -> Passed {
    let (mut at, mut escapes) = (at, escapes);
    while at - escapes + Lanes::LEN <= room {
        let Some(lanes) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { break };
        let specials = Lanes::of(lanes).specials().mask();
        if specials == 0 {
            at += Lanes::LEN;
            continue;
        }
        at += first(specials);
        let mut is_passed = false;
        while let Some([b'\\', byte]) = bytes.get(at..at + 2) {
            if !is_simple(*byte) || at - escapes >= room {
                break;
            }
            (at, escapes, is_passed) = (at + 2, escapes + 1, true);
        }
        if !is_passed {
            break;
        }
    }
    Passed { len: at, text: at - escapes }
}

/// Which bytes of a block are not plain.
#[inline(always)]
fn specials(block: &[u8; BLOCK]) -> u64 {
    let (chunks, _) = block.as_chunks::<{ Lanes::LEN }>();
    let all = |chunk| Lanes::of(chunk).specials();
    let [a, b, c, d] = chunks else { return u64::MAX };
    let (a, b, c, d) = (all(a), all(b), all(c), all(d));
    if a.or(b).or(c.or(d)).mask() == 0 {
        return 0;
    }
    let (low, high) = (a.mask() | b.mask() << Lanes::LEN, c.mask() | d.mask() << Lanes::LEN);
    u64::from(low) | u64::from(high) << (2 * Lanes::LEN)
}

/// Where the first quote or bracket (of either kind) is.
pub(crate) fn quote_or_bracket(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut rest) = (0, bytes);
    while let Some((lanes, after)) = rest.split_first_chunk() {
        let found = Lanes::of(lanes).quotes_or_brackets();
        if found != 0 {
            return Some(at + first(found));
        }
        (at, rest) = (at + Lanes::LEN, after);
    }
    let is_found = |byte: &u8| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}');
    rest.iter().position(is_found).map(|found| at + found)
}

/// How many blanks `bytes` begin with.
#[inline]
pub(super) fn blanks(bytes: &[u8]) -> usize {
    let (mut at, mut rest) = (0, bytes);
    // Most often there is one, or a line feed and a few.
    while let Some((byte, after)) = rest.split_first().filter(|_| at < 4) {
        if !is_blank(*byte) {
            return at;
        }
        (at, rest) = (at + 1, after);
    }
    while let Some((lanes, after)) = rest.split_first_chunk() {
        let lanes = Lanes::of(lanes);
        let blanks = lanes.is(b' ') | lanes.is(b'\n') | lanes.is(b'\t') | lanes.is(b'\r');
        if blanks != 0xffff {
            return at + first(!blanks);
        }
        (at, rest) = (at + Lanes::LEN, after);
    }
    at + rest.iter().take_while(|byte| is_blank(**byte)).count()
}

pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Where the lowest bit is. 32, if there is none.
fn first(mask: u32) -> usize {
    usize::try_from(mask.trailing_zeros()).unwrap_or(0)
}

/// The same of 64 bits, one of which is set.
#[inline(always)]
fn position(mask: u64) -> usize {
    usize::try_from(mask.trailing_zeros()).unwrap_or(0) & (BLOCK - 1)
}

/// Whole numbers with a comma behind each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// How many bytes they are, commas and blanks included.
    pub(super) len: usize,
    pub(super) count: u64,
    pub(super) digits: u64,
}

const BLOCK: usize = 4 * Lanes::LEN;

/// The whole numbers, not negative and of less than 20 digits, that `bytes` begin with, each with a comma
/// behind it and maybe blanks behind that. Not all of them: it stops before whatever is anything else, and
/// where less than 64 bytes are left.
pub(super) fn numbers(bytes: &[u8]) -> Numbers {
    let mut found = Numbers::default();
    let mut rest = bytes;
    while let Some(block) = rest.first_chunk::<BLOCK>() {
        let Some((len, count, digits)) = block_of_numbers(block) else { break };
        found.len += len;
        found.count += u64::from(count);
        found.digits += u64::from(digits);
        rest = rest.get(len..).unwrap_or_default();
    }
    found
}

/// The same of 64 bytes: how many bytes, numbers and digits. `None`: none.
fn block_of_numbers(block: &[u8; BLOCK]) -> Option<(usize, u32, u32)> {
    let (mut digits, mut zeros, mut commas, mut blanks) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (chunks, _) = block.as_chunks::<{ Lanes::LEN }>();
    for chunk in chunks.iter().rev() {
        let lanes = Lanes::of(chunk);
        let push = |mask: u64, lanes: u32| mask << Lanes::LEN | u64::from(lanes);
        digits = push(digits, lanes.within(b'0', b'9'));
        zeros = push(zeros, lanes.is(b'0'));
        commas = push(commas, lanes.is(b','));
        blanks = push(blanks, lanes.is(b' '));
    }
    let others = !(digits | commas | blanks);
    // What stands before the first of the others, up to the last comma.
    let known = others.wrapping_sub(1) & !others;
    let last = 63_u32.checked_sub((commas & known).leading_zeros())?;
    let all = u64::MAX >> (63 - last);
    // The block stands behind a comma, or the array's bracket.
    let behind = |mask: u64, first: u64| mask << 1 | first;
    let starts = digits & !behind(digits, 0);
    let is_broken = commas & !behind(digits, 0)
        | blanks & !behind(commas | blanks, 1)
        | digits & behind(zeros & starts, 0)
        | long_runs(digits);
    if is_broken & all != 0 {
        return None;
    }
    let len = usize::try_from(last + 1).ok()?;
    Some((len, (commas & all).count_ones(), (digits & all).count_ones()))
}

/// The ends of runs of 20 bits.
fn long_runs(mask: u64) -> u64 {
    let two = mask & mask << 1;
    let four = two & two << 2;
    let eight = four & four << 4;
    let sixteen = eight & eight << 8;
    sixteen & four << 16
}

/// What the byte behind a backslash stands for, if that is one byte.
#[inline]
pub(super) const fn simple(byte: u8) -> Option<u8> {
    Some(match byte {
        b'"' | b'\\' | b'/' => byte,
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        _ => return None,
    })
}

/// Whether that is so, without a branch for each of them.
#[inline(always)]
fn is_simple(byte: u8) -> bool {
    SIMPLE.get(usize::from(byte)).is_some_and(|is| *is)
}

static SIMPLE: [bool; 256] = all_simple();

#[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)] // Below 256.
const fn all_simple() -> [bool; 256] {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        all[byte] = simple(byte as u8).is_some();
        byte += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            90 => b'a'..=b'z',
            1 => any::<u8>(),
            1 => Just(b'"'), 1 => Just(b'\\'), 1 => Just(b'{'), 1 => Just(b']'), 1 => Just(0xe9),
        ];
        vec(byte, 0..200)
    }

    proptest! {
        #[test]
        fn the_first_match_is_found(bytes in bytes()) {
            for checked in [false, true] {
                let is_end = |byte: &u8| b"\"\\".contains(byte) || (checked && *byte < b' ');
                let found = run(&bytes, checked);
                let end = bytes.iter().position(is_end);
                prop_assert_eq!(found.len, end.unwrap_or(bytes.len()));
                prop_assert_eq!(found.end, end.map(|at| bytes[at]));
                if checked && found.is_ascii {
                    prop_assert!(bytes[..found.len].is_ascii());
                }
                if bytes[..found.len].is_ascii() && found.end.is_none_or(|end| end >= b' ') {
                    prop_assert!(found.is_ascii || !checked);
                }
            }
            prop_assert_eq!(
                quote_or_bracket(&bytes),
                bytes.iter().position(|b| b"\"[]{}".contains(b))
            );
        }

        /// What is passed over is what a parser reads, and no more than there is room for.
        #[test]
        fn text_is_passed_over(
            text in vec("[a-z ]{1,40}|\\\\[nt\"\\\\/]|\\\\u00e9|é|\n|\"", 0..20), room in 0_usize..300,
        ) {
            let text = text.concat();
            let Passed { len, text: passed } = pass(text.as_bytes(), room);
            let read: String =
                serde_json::from_str(&format!("\"{}\"", text.get(..len).unwrap())).unwrap();
            prop_assert_eq!(read.len(), passed);
            prop_assert!(passed <= room);
            prop_assert!(read.is_ascii());
        }

        #[test]
        fn blanks_are_counted(text in "[ \t\r\n]{0,40}[ -~]{0,40}") {
            let expected = text.bytes().take_while(|b| is_blank(*b)).count();
            prop_assert_eq!(blanks(text.as_bytes()), expected);
        }

        /// What is taken is what a parser takes.
        #[test]
        fn numbers_are_what_a_parser_reads(
            text in vec(prop_oneof![
                40 => "(0|[1-9][0-9]{0,6}), ?",
                1 => "[0-9, .-]{1,4}",
                1 => "[1-9][0-9]{17,20},",
            ], 0..40),
        ) {
            let text = text.concat();
            let found = numbers(text.as_bytes());
            let taken = text.get(..found.len).unwrap();
            let read: Vec<u64> =
                serde_json::from_str(&format!("[{}]", taken.trim_end().trim_end_matches(','))).unwrap();
            prop_assert_eq!(u64::try_from(read.len()).unwrap(), found.count);
            let digits = taken.bytes().filter(u8::is_ascii_digit).count();
            prop_assert_eq!(u64::try_from(digits).unwrap(), found.digits);
            prop_assert!(taken.is_empty() || taken.contains(','));
        }
    }

    #[test]
    fn escapes_are_passed_over_wherever_they_stand() {
        for before in 0..140 {
            let text = "a".repeat(before) + r#"\"\\"# + &"b".repeat(140) + "\"";
            let expected = Passed { len: text.len() - 1, text: text.len() - 3 };
            assert_eq!(pass((text + &"c".repeat(70)).as_bytes(), 1_000), expected, "{before}");
        }
    }

    #[test]
    fn nearly_all_of_a_long_array_is_taken() {
        for number in ["7,", "12345, ", "0,", "128000,"] {
            let text = number.repeat(1_000);
            let found = numbers(text.as_bytes());
            assert!(text.len() - found.len < 64, "{number}");
        }
        for broken in ["7,,", "07,", "7 7,", "-7,", "7.0,", " ,"] {
            assert_eq!(numbers(broken.repeat(40).as_bytes()), Numbers::default(), "{broken}");
        }
    }
}
