//! Which format somebody asks for, by `Accept`.

use crate::accept::{Liking, Range};

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
