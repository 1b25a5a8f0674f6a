//! From when to when: in UTC, as budgets have it.

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use tollgate_core::clock::UnixMillis;

use crate::exit::Failure;
use crate::time::When;

/// The options that name a span of time.
#[derive(Args)]
pub(super) struct SpanOptions {
    /// Only requests that ended at this time or later: today, yesterday, this-month, last-month, a month
    /// (2027-01), a date, a time, or how long ago (24h). Days and months are those of UTC.
    #[arg(long, value_name = "WHEN", value_parser = Past::parse)]
    since: Option<Past>,
    /// Only requests that ended before this time: the same.
    #[arg(long, value_name = "WHEN", value_parser = Past::parse)]
    until: Option<Past>,
}

/// Milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The first that is in it; `None` where nothing is too early.
    pub(super) start: Option<i64>,
    /// The first that isn't any more; `None` where nothing is too late.
    pub(super) end: Option<i64>,
}

impl SpanOptions {
    /// # Errors
    ///
    /// It would end before it begins.
    pub(super) fn at(&self, now: UnixMillis) -> Result<Span, Failure> {
        let moment = |past: &Option<Past>| past.as_ref().map(|past| past.at(now).0);
        let span = Span { start: moment(&self.since), end: moment(&self.until) };
        match (span.start, span.end) {
            (Some(start), Some(end)) if end <= start => Err(Failure::usage(format!(
                "nothing ends between {} (--since) and {} (--until): --until is the later one, and not \
                 part of it",
                shown(start),
                shown(end)
            ))),
            _ => Ok(span),
        }
    }
}

impl Span {
    pub(super) fn has(&self, time_ms: i64) -> bool {
        self.start.is_none_or(|start| start <= time_ms) && self.end.is_none_or(|end| time_ms < end)
    }
}

/// A time in RFC 3339, with milliseconds where there are any.
pub(super) fn shown(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

/// A moment before now, as people name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Past {
    When(When),
    /// The beginning of the day so many days ago.
    Day(i64),
    /// The beginning of the month so many months ago.
    Month(i64),
}

impl Past {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let words = [
            ("today", Self::Day(0)),
            ("yesterday", Self::Day(1)),
            ("this-month", Self::Month(0)),
            ("last-month", Self::Month(1)),
        ];
        if let Some((_, past)) = words.into_iter().find(|(word, _)| *word == text) {
            return Ok(past);
        }
        let month = || When::parse(&format!("{text}-01"));
        let when = match text.len() {
            7 => When::parse(text).or_else(|_| month()),
            _ => When::parse(text),
        };
        when.map(Self::When).map_err(|_| {
            format!(
                "\"{}\" is none of today, yesterday, this-month, last-month, a month such as 2027-01, a date \
                 such as 2027-01-31 or 2027-01-31T12:00:00Z, and how long ago, such as 1h30m or 90d",
                text.escape_debug()
            )
        })
    }

    pub(super) fn at(self, now: UnixMillis) -> UnixMillis {
        let today = || {
            let now = Timestamp::from_millisecond(now.0).unwrap_or_default();
            now.to_zoned(TimeZone::UTC).date()
        };
        match self {
            Self::When(when) => when.before(now),
            Self::Day(back) => midnight(today().saturating_sub(back.days())),
            Self::Month(back) => midnight(today().first_of_month().saturating_sub(back.months())),
        }
    }
}

/// When a day begins.
fn midnight(day: Date) -> UnixMillis {
    let start = day.to_zoned(TimeZone::UTC).map(|start| start.timestamp()).unwrap_or_default();
    UnixMillis(start.as_millisecond())
}

/// The span of a period by its name: `2026-01`, `2026-01-05` or `2026-01-05T09`.
pub(super) fn of_period(name: &str) -> Option<Span> {
    let (start, end) = match name.len() {
        7 => {
            let first: Date = format!("{name}-01").parse().ok()?;
            (midnight(first), midnight(first.saturating_add(1.months())))
        }
        10 => {
            let day: Date = name.parse().ok()?;
            (midnight(day), midnight(day.saturating_add(1.days())))
        }
        _ => {
            let start: Timestamp = format!("{name}:00:00Z").parse().ok()?;
            let start = start.as_millisecond();
            (UnixMillis(start), UnixMillis(start.saturating_add(3_600_000)))
        }
    };
    Some(Span { start: Some(start.0), end: Some(end.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str, now: &str) -> String {
        let now = UnixMillis(now.parse::<Timestamp>().unwrap().as_millisecond());
        shown(Past::parse(text).unwrap().at(now).0)
    }

    #[test]
    fn days_and_months_begin_at_midnight_utc() {
        // The clocks of Berlin went back an hour at 01:00 UTC.
        let now = "2026-10-25T01:30:00Z";
        assert_eq!(at("today", now), "2026-10-25T00:00:00Z");
        assert_eq!(at("yesterday", now), "2026-10-24T00:00:00Z");
        assert_eq!(at("this-month", now), "2026-10-01T00:00:00Z");
        assert_eq!(at("last-month", now), "2026-09-01T00:00:00Z");
        assert_eq!(at("last-month", "2026-01-31T23:59:59.999Z"), "2025-12-01T00:00:00Z");
        assert_eq!(at("yesterday", "2028-03-01T00:00:00Z"), "2028-02-29T00:00:00Z");
        assert_eq!(at("2027-02", now), "2027-02-01T00:00:00Z");
        assert_eq!(at("2027-02-03", now), "2027-02-03T00:00:00Z");
        assert_eq!(at("2026-10-25T02:30:00+02:00", now), "2026-10-25T00:30:00Z");
        assert_eq!(at("24h", now), "2026-10-24T01:30:00Z");
        assert_eq!(at("1h30m0s", now), "2026-10-25T00:00:00Z");
        for text in ["", "Today", "tomorrow", "2027-13", "2027-1", "this month", "2027"] {
            let wrong = Past::parse(text);
            // A lone number is of seconds.
            assert!(text == "2027" || wrong.unwrap_err().contains("yesterday"), "{text}");
        }
    }

    #[test]
    fn a_span_must_have_room() {
        let now = UnixMillis(1_767_605_412_635);
        let span = |since: &str, until: &str| {
            let past = |text| Some(Past::parse(text).unwrap());
            SpanOptions { since: past(since), until: past(until) }.at(now)
        };
        let yesterday = span("yesterday", "today").unwrap();
        assert!(yesterday.has(1_767_571_200_000 - 1) && !yesterday.has(1_767_571_200_000));
        assert!(!yesterday.has(1_767_484_800_000 - 1) && yesterday.has(1_767_484_800_000));
        for (since, until) in [("today", "yesterday"), ("today", "today"), ("1h", "2h")] {
            assert!(span(since, until).unwrap_err().to_string().contains("--until"));
        }
        assert!(SpanOptions { since: None, until: None }.at(now).unwrap().has(i64::MIN));
    }

    #[test]
    fn periods_end_where_the_next_one_begins() {
        for (name, start, end) in [
            ("2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2026-12", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-12-31T23", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let span = of_period(name).unwrap();
            assert_eq!(
                (shown(span.start.unwrap()), shown(span.end.unwrap())),
                (start.into(), end.into())
            );
        }
        assert_eq!(of_period("x"), None);
    }

    proptest! {
        #[test]
        fn no_text_and_no_clock_makes_it_panic(text: String, now: i64, back in 0..2_i64) {
            let _ = Past::parse(&text);
            let _ = of_period(&text);
            for past in [Past::Day(back), Past::Month(back)] {
                let _ = past.at(UnixMillis(now));
            }
            let _ = shown(now);
        }
    }
}
