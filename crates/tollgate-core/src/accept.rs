//! `Accept` (RFC 9110 section 12.5.1): what somebody would like to have.

/// How much a type is liked, by the range that fits it best.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Liking {
    specificity: u8,
    pub(crate) thousandths: u16,
}

impl Liking {
    /// Hears of a range, which may be of this type; of this version, if the range has one.
    pub(crate) fn hear(
        &mut self,
        range: &Range<'_>,
        (kind, subtype): (&[u8], &[u8]),
        version: &[u8],
    ) {
        let is = |found: &[u8], wanted: &[u8]| found.eq_ignore_ascii_case(wanted);
        let specificity = match (range.kind, range.subtype, range.version) {
            (b"*", b"*", None) => 1,
            (found, b"*", None) if is(found, kind) => 2,
            (found, other, None) if is(found, kind) && is(other, subtype) => 3,
            (found, other, Some(asked))
                if is(found, kind) && is(other, subtype) && asked == version =>
            {
                4
            }
            _ => return,
        };
        // Said twice, the better one counts.
        if (specificity, range.thousandths) > (self.specificity, self.thousandths) {
            *self = Self { specificity, thousandths: range.thousandths };
        }
    }
}

/// A media range.
pub(crate) struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    version: Option<&'a [u8]>,
    thousandths: u16,
}

impl<'a> Range<'a> {
    pub(crate) fn of(text: &'a [u8]) -> Self {
        let mut parts = text.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let slash = name.iter().position(|byte| *byte == b'/').unwrap_or(name.len());
        let kind = name.get(..slash).unwrap_or_default();
        let subtype = name.get(slash.saturating_add(1)..).unwrap_or_default();
        let mut range = Self { kind, subtype, version: None, thousandths: 1000 };
        for parameter in parts {
            let Some(equals) = parameter.iter().position(|byte| *byte == b'=') else { continue };
            let (name, value) = parameter.split_at(equals);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if name.trim_ascii().eq_ignore_ascii_case(b"q") {
                range.thousandths = weight(value);
            } else if name.trim_ascii().eq_ignore_ascii_case(b"version") {
                let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
                range.version = Some(inner.unwrap_or(value));
            }
        }
        range
    }
}

/// A weight, in thousandths. What is none, is 0: what can't be read is not what somebody wants.
fn weight(text: &[u8]) -> u16 {
    let (whole, decimals) = match text {
        [whole] => (*whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return 0,
    };
    let digits = std::iter::once(&whole).chain(decimals);
    if !digits.clone().all(u8::is_ascii_digit) {
        return 0;
    }
    let padding = 3_usize.saturating_sub(decimals.len());
    let digits = digits.copied().chain(std::iter::repeat_n(b'0', padding));
    digits.fold(0_u16, |sum, digit| sum * 10 + u16::from(digit - b'0')).min(1000)
}
