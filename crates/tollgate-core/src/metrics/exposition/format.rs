//! Which format somebody asks for, by `Accept`.

/// A format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What is liked best of what is offered, by the values of all `Accept` headers (RFC 9110 section 12.5.1).
    /// Where both are liked the same, or none is, it is Prometheus' own.
    #[must_use]
    pub fn of<'a>(accept: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut prometheus, mut open) = (Liking::default(), Liking::default());
        for value in accept {
            for range in value.split(|byte| *byte == b',') {
                let range = Range::of(range);
                prometheus.hear(&range, (b"text", b"plain"), b"0.0.4");
                open.hear(&range, (b"application", b"openmetrics-text"), b"1.0.0");
            }
        }
        match open.thousandths > prometheus.thousandths {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// How much a format is liked, by the range that fits it best.
#[derive(Clone, Copy, Debug, Default)]
struct Liking {
    specificity: u8,
    thousandths: u16,
}

impl Liking {
    fn hear(&mut self, range: &Range<'_>, (kind, subtype): (&[u8], &[u8]), version: &[u8]) {
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
struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    version: Option<&'a [u8]>,
    thousandths: u16,
}

impl<'a> Range<'a> {
    fn of(text: &'a [u8]) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(accept: &str) -> Format {
        Format::of([accept.as_bytes()].into_iter())
    }

    #[test]
    fn prometheus_gets_what_it_asks_for() {
        // Of 2.42, which Debian has, and of 3.5; without OpenMetrics; and of somebody who reads no more.
        for (accept, expected) in [
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Format::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::Prometheus,
            ),
            ("text/plain", Format::Prometheus),
        ] {
            assert_eq!(asked(accept), expected, "{accept}");
        }
    }

    #[test]
    fn the_best_weight_of_the_closest_range_counts() {
        for (accept, expected) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Prometheus),
            ("application/json", Format::Prometheus),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=0.001", Format::OpenMetrics),
            ("application/openmetrics-text; version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text; version=2.0.0", Format::Prometheus),
            ("application/openmetrics-text; q=0", Format::Prometheus),
            ("application/openmetrics-text; q=0.5, text/plain; q=0.5", Format::Prometheus),
            ("application/openmetrics-text; q=0.5, text/plain; q=0.499", Format::OpenMetrics),
            ("application/*; q=0.3, */*; q=0.2", Format::OpenMetrics),
            (
                "application/*; q=0.3, application/openmetrics-text; q=0.1, */*; q=0.2",
                Format::Prometheus,
            ),
            ("*/*, text/plain; q=0", Format::OpenMetrics),
            ("application/openmetrics-text; q=nan", Format::Prometheus),
            ("application/openmetrics-text; q=1.0000", Format::Prometheus),
            ("application/openmetrics-text; q=9", Format::OpenMetrics),
            (";;=,=;q,/;q=1", Format::Prometheus),
        ] {
            assert_eq!(asked(accept), expected, "{accept}");
        }
        let lines = [&b"text/plain;q=0.1"[..], b"application/openmetrics-text"];
        assert_eq!(Format::of(lines.into_iter()), Format::OpenMetrics);
    }
}
