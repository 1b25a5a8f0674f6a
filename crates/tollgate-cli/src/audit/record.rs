//! A line of the audit log, read back.

use std::borrow::Cow;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, Visitor};
use serde_json::value::RawValue;
use tollgate_core::money::parse_nanos;

/// The longest line that is read: far more than the module writes.
pub(super) const MAX_LINE: usize = 1 << 20;

/// What a line says of a request. Texts are as they are in the log: whatever somebody sent.
#[derive(serde::Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    time: Text<'a>,
    /// It is no request, but says that lines before it are as they were written.
    #[serde(default, rename = "seal", deserialize_with = "is_there")]
    is_seal: bool,
    #[serde(borrow, default)]
    decision: Option<Text<'a>>,
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    detail: Option<Text<'a>>,
    pub(super) status: Option<u64>,
    #[serde(borrow, default)]
    client: Option<Text<'a>>,
    #[serde(borrow, default)]
    tenant: Option<Text<'a>>,
    #[serde(borrow, default)]
    key_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    tier: Option<Text<'a>>,
    #[serde(borrow, default)]
    auth: Option<Text<'a>>,
    #[serde(borrow, default)]
    remote_addr: Option<Text<'a>>,
    #[serde(borrow, default)]
    method: Option<Text<'a>>,
    #[serde(borrow, default)]
    path: Option<Text<'a>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(default)]
    pub(super) stream: Option<bool>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) cached_tokens: Option<u64>,
    pub(super) cache_write_tokens: Option<u64>,
    pub(super) reasoning_tokens: Option<u64>,
    #[serde(borrow, default)]
    usage: Option<Text<'a>>,
    #[serde(default, deserialize_with = "nanos")]
    cost: Option<u64>,
    pub(super) ttft_ms: Option<u64>,
    pub(super) duration_ms: Option<u64>,
    #[serde(borrow, default)]
    limit: Option<Text<'a>>,
    #[serde(default)]
    dry_run: Option<bool>,
    /// The time in milliseconds since 1970.
    #[serde(skip)]
    pub(super) time_ms: i64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordedDecision {
    /// It was let in.
    Allowed,
    /// It was refused.
    Refused,
    /// It would have been refused, but for `tollgate_dry_run`.
    WouldBeRefused,
    /// nginx answered before it was judged.
    NotJudged,
}

macro_rules! texts {
    ($($name:ident)*) => {
        $(pub(super) fn $name(&self) -> Option<&str> {
            self.$name.as_ref().map(|text| &*text.0)
        })*
    };
}

impl Record<'_> {
    texts!(reason detail client tenant key_id tier auth remote_addr method path model usage limit);

    /// Whether and how it was let in. A running stream that was closed later, for a reason, was.
    pub(super) fn outcome(&self) -> RecordedDecision {
        let decision = self.decision.as_ref().map(|text| &*text.0);
        match (decision, self.dry_run) {
            (Some("allow"), _) => RecordedDecision::Allowed,
            (Some("deny"), Some(true)) => RecordedDecision::WouldBeRefused,
            (Some("deny"), _) => RecordedDecision::Refused,
            _ => RecordedDecision::NotJudged,
        }
    }

    /// Whether `tollgate_dry_run` was on.
    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }

    /// What it cost, in nano-units.
    pub(super) fn cost_nanos(&self) -> Option<u64> {
        self.cost
    }

    /// The first `len` bytes of the time in UTC, `2026-01-05T09:30:12`: 7 are the month, 10 the day, 13 the
    /// hour.
    pub(super) fn period(&self, len: usize) -> Cow<'_, str> {
        if self.time.0.len() == CANONICAL_LEN {
            if let Some(period) = self.time.0.get(..len) {
                return Cow::Borrowed(period);
            }
        }
        let moment = Timestamp::from_millisecond(self.time_ms).unwrap_or_default();
        Cow::Owned(moment.to_string().chars().take(len).collect())
    }

    /// Whether it was charged tokens.
    pub(super) fn is_charged(&self) -> bool {
        self.input_tokens.is_some() || self.output_tokens.is_some()
    }
}

/// Why a line is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// Nothing is in it.
    Empty,
    /// It seals lines before it.
    Seal,
    /// It is no line of the log, or not all of one.
    Broken,
}

/// `2026-01-05T09:30:12.635Z`
const CANONICAL_LEN: usize = 24;

/// Reads lines. Keeps the date of the last one: most lines have the same.
#[derive(Default)]
pub(super) struct Reader {
    date: Option<[u8; 10]>,
    midnight_ms: i64,
}

impl Reader {
    /// The record in `line`.
    pub(super) fn read<'a>(&mut self, line: &'a [u8]) -> Result<Record<'a>, NoRequest> {
        let mut record = read_object::<Record<'a>>(line).ok_or_else(|| no_request(line))?;
        if record.is_seal {
            return Err(NoRequest::Seal);
        }
        record.time_ms = self.millis(&record.time.0).ok_or(NoRequest::Broken)?;
        Ok(record)
    }

    /// The milliseconds since 1970 at a time in RFC 3339.
    fn millis(&mut self, text: &str) -> Option<i64> {
        match self.canonical_millis(text.as_bytes()) {
            Some(millis) => Some(millis),
            None => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
        }
    }

    /// The same for the one form that the module writes.
    fn canonical_millis(&mut self, text: &[u8]) -> Option<i64> {
        let text: &[u8; CANONICAL_LEN] = text.try_into().ok()?;
        let (date, time) = text.split_first_chunk::<10>()?;
        let [b'T', h1, h2, b':', m1, m2, b':', s1, s2, b'.', f1, f2, f3, b'Z'] = time else {
            return None;
        };
        let number = |digits: &[&u8]| {
            digits.iter().try_fold(0_i64, |sum, digit| {
                digit.is_ascii_digit().then(|| sum * 10 + i64::from(**digit - b'0'))
            })
        };
        let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
        let (seconds, millis) = (number(&[s1, s2])?, number(&[f1, f2, f3])?);
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        if self.date != Some(*date) {
            let day: jiff::civil::Date = std::str::from_utf8(date).ok()?.parse().ok()?;
            let midnight = day.to_zoned(TimeZone::UTC).ok()?;
            self.midnight_ms = midnight.timestamp().as_millisecond();
            self.date = Some(*date);
        }
        Some(self.midnight_ms + ((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
    }
}

/// The members of an object that `T` has. An array of them is none, though serde would take it.
pub(super) fn read_object<'a, T: serde::Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let is_object = line.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(line).ok()).flatten()
}

/// What a line is that has not the fields of a request.
fn no_request(line: &[u8]) -> NoRequest {
    #[derive(serde::Deserialize)]
    struct Sealed {
        #[serde(default, rename = "seal", deserialize_with = "is_there")]
        is_seal: bool,
    }
    match read_object(line) {
        Some(Sealed { is_seal: true }) => NoRequest::Seal,
        _ if line.trim_ascii().is_empty() => NoRequest::Empty,
        _ => NoRequest::Broken,
    }
}

/// Whatever the member holds.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A text that is borrowed from the line where it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

/// Money, to the last nano-unit: never through a floating point number.
fn nanos<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(raw) = Option::<&RawValue>::deserialize(deserializer)? else { return Ok(None) };
    parse_nanos(raw.get()).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tollgate_core::audit::TimeFormat;
    use tollgate_core::clock::UnixMillis;

    fn read(line: &str) -> Option<Record<'_>> {
        Reader::default().read(line.as_bytes()).ok()
    }

    #[test]
    fn fields_are_read_and_unknown_ones_are_left() {
        let record = read(
            r#"{"time":"2026-01-05T09:30:12.635Z","decision":"allow","client":"a\u0009b",
               "cost":0.0001575,"x":[{}],"duration_ms":5,"limit":null}"#,
        )
        .unwrap();
        assert_eq!(record.outcome(), RecordedDecision::Allowed);
        assert_eq!((record.client(), record.tier()), (Some("a\tb"), None));
        assert_eq!(record.cost_nanos(), Some(157_500));
        assert_eq!(record.time_ms, 1_767_605_412_635);
        assert_eq!(record.period(13), "2026-01-05T09");
        let closed = r#"{"time":"2026-01-05T09:30:12.635Z","decision":"allow","reason":"x"}"#;
        assert_eq!(read(closed).unwrap().outcome(), RecordedDecision::Allowed);
        let dry = r#"{"time":"2026-01-05T09:30:12.635Z","decision":"deny","dry_run":true}"#;
        assert_eq!(read(dry).unwrap().outcome(), RecordedDecision::WouldBeRefused);
        let early = r#"{"time":"2026-01-05T10:30:12+01:00","status":400}"#;
        let early = read(early).unwrap();
        assert_eq!(
            (early.outcome(), &*early.period(13)),
            (RecordedDecision::NotJudged, "2026-01-05T09")
        );
    }

    #[test]
    fn what_is_no_record_is_not_read() {
        for line in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"time":1}"#,
            r#"["2026-01-05T09:30:12.635Z"]"#,
            r#"{"time":"2026-02-30T00:00:00.000Z"}"#,
            r#"{"time":"2026-01-01T24:00:00.000Z"}"#,
            r#"{"time":"2026-01-05T09:30:12.635Z","client":1}"#,
            r#"{"time":"2026-01-05T09:30:12.635Z","cost":1e3}"#,
            r#"{"time":"2026-01-05T09:30:12.635Z","cost":"1"}"#,
            r#"{"time":"2026-01-05T09:30:12.635Z","cost":-1}"#,
            r#"{"time":"2026-01-05T09:30:12.635Z","input_tokens":-1}"#,
            r#"{"time":"2026-01-05T09:30:12.635Z"} x"#,
            r#"{"time":"2026-01-05T09:30:12.635Z","time":"2026-01-05T09:30:12.635Z"}"#,
        ] {
            assert!(read(line).is_none(), "{line}");
        }
        assert!(Reader::default()
            .read(b"{\"time\":\"2026-01-05T09:30:12.635Z\",\"client\":\"\xff\"}")
            .is_err());
    }

    #[test]
    fn seals_are_no_requests_and_no_faults() {
        let kind = |line: &str| Reader::default().read(line.as_bytes()).err();
        for line in [
            r#"{"seal":{"chain":"x","last":5}}"#,
            r#"{"seal":1,"time":"2026-01-05T09:30:12.635Z"}"#,
            r#"{"time":5,"client":[],"seal":null}"#,
        ] {
            assert_eq!(kind(line), Some(NoRequest::Seal), "{line}");
        }
        assert_eq!(kind(" \r"), Some(NoRequest::Empty));
        for line in ["seal", r#"["seal"]"#, r#"{"x":{"seal":1}}"#, r#"{"seal":1"#] {
            assert_eq!(kind(line), Some(NoRequest::Broken), "{line}");
        }
        let with_seq = r#"{"seq":7,"time":"2026-01-05T09:30:12.635Z","client":"seal"}"#;
        assert_eq!(read(with_seq).unwrap().client(), Some("seal"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, text: String) {
            let _ = Reader::default().read(&bytes);
            let _ = Reader::default().millis(&text);
        }

        #[test]
        fn times_are_those_that_the_module_writes(
            times in prop::collection::vec(-62_167_219_200_000..253_402_200_000_000_i64, 1..8),
        ) {
            let mut reader = Reader::default();
            for ms in times {
                let mut text = Vec::new();
                TimeFormat::default().write(UnixMillis(ms), &mut text);
                let text = String::from_utf8(text).unwrap();
                prop_assert_eq!(reader.millis(&text), Some(ms));
            }
        }
    }
}
