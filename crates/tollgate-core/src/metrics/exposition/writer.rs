//! How a metric is spelled.

use super::family::{Family, Kind};
use super::format::Format;
use crate::metrics::bounds::Bounds;
use crate::money::Amount;

/// A text that grows.
pub(super) struct Writer {
    out: Vec<u8>,
    format: Format,
}

/// The labels of a sample, as they are written: `tier="pro",model="llama"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels(Vec<u8>);

impl Labels {
    /// With these values, in the order of the family's labels; it may have more of them.
    pub(super) fn of(family: &Family, values: &[&str]) -> Self {
        let mut labels = Self::default();
        for (name, value) in family.labels.iter().zip(values) {
            labels.push(name, value);
        }
        labels
    }

    /// These, and the last one of the family.
    pub(super) fn and(&self, family: &Family, value: &str) -> Self {
        let mut labels = self.clone();
        if let Some(name) = family.labels.last() {
            labels.push(name, value);
        }
        labels
    }

    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push(b',');
        }
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"=\"");
        escape(&mut self.0, value);
        self.0.push(b'"');
    }
}

/// The same in both formats.
fn escape(out: &mut Vec<u8>, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'"' => out.extend_from_slice(b"\\\""),
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(other),
        }
    }
}

impl Writer {
    pub(super) fn new(format: Format, capacity: usize) -> Self {
        Self { out: Vec::with_capacity(capacity), format }
    }

    /// What is said of a family before its samples.
    pub(super) fn begin(&mut self, family: &Family) {
        // In the older format a family is called as its samples are, and knows of no `info`.
        let (suffix, kind) = match (self.format, family.kind) {
            (Format::Prometheus, Kind::Info) => (Kind::Info.suffix(), "gauge"),
            (Format::OpenMetrics, Kind::Info) => ("", "info"),
            (Format::Prometheus, Kind::Counter) => (Kind::Counter.suffix(), "counter"),
            (Format::OpenMetrics, Kind::Counter) => ("", "counter"),
            (_, Kind::Gauge) => ("", "gauge"),
            (_, Kind::Histogram) => ("", "histogram"),
        };
        self.push(&["# HELP ", family.name, suffix, " ", family.help, "\n"]);
        self.push(&["# TYPE ", family.name, suffix, " ", kind, "\n"]);
        if self.format == Format::OpenMetrics && !family.unit.is_empty() {
            self.push(&["# UNIT ", family.name, " ", family.unit, "\n"]);
        }
    }

    /// A sample, with values for the labels that `labels` doesn't have.
    pub(super) fn sample(&mut self, family: &Family, labels: &Labels, more: &[&str], value: u64) {
        self.head(family, labels, more);
        self.integer(value);
        self.out.push(b'\n');
    }

    /// The same with an amount of money.
    pub(super) fn money(&mut self, family: &Family, labels: &Labels, nanos: u64) {
        self.head(family, labels, &[]);
        self.out.extend_from_slice(Amount::from_nanos(nanos).as_bytes());
        self.out.push(b'\n');
    }

    /// A sample without labels, of `value / scale`: `scale` is a power of ten.
    pub(super) fn scaled_sample(&mut self, family: &Family, value: u64, scale: u64) {
        self.head(family, &Labels::default(), &[]);
        self.scaled(value, scale);
        self.out.push(b'\n');
    }

    /// The same with a ratio; nothing, where it is none.
    pub(super) fn ratio(&mut self, family: &Family, labels: &Labels, ratio: f64) {
        if ratio.is_finite() {
            self.head(family, labels, &[]);
            self.push(&[&ratio.to_string(), "\n"]);
        }
    }

    fn head(&mut self, family: &Family, labels: &Labels, more: &[&str]) {
        self.push(&[family.name, family.kind.suffix()]);
        let names = family.labels.iter().skip(family.labels.len().saturating_sub(more.len()));
        match (labels.0.is_empty(), more.is_empty()) {
            (true, true) => {}
            (false, true) => {
                self.out.push(b'{');
                self.out.extend_from_slice(&labels.0);
                self.out.push(b'}');
            }
            (_, false) => {
                self.out.push(b'{');
                self.out.extend_from_slice(&labels.0);
                let mut is_first = labels.0.is_empty();
                for (name, value) in names.zip(more) {
                    self.push(&[if is_first { "" } else { "," }, name, "=\""]);
                    escape(&mut self.out, value);
                    self.out.push(b'"');
                    is_first = false;
                }
                self.out.push(b'}');
            }
        }
        self.out.push(b' ');
    }

    /// A histogram of cells, as [`Bounds`] has them; nothing, where nothing was counted.
    pub(super) fn histogram(
        &mut self,
        family: &Family,
        labels: &Labels,
        bounds: &Bounds,
        cells: &[u64],
    ) {
        let (buckets, sum) = cells.split_at(bounds.sum().min(cells.len()));
        let count = buckets.iter().fold(0_u64, |count, cell| count.wrapping_add(*cell));
        if count == 0 {
            return;
        }
        let mut below = 0_u64;
        for (bound, cell) in bounds.texts.iter().zip(buckets) {
            below = below.wrapping_add(*cell);
            self.bucket(family, labels, bound, below);
        }
        self.bucket(family, labels, "+Inf", count);
        self.push(&[family.name, "_sum{"]);
        self.out.extend_from_slice(&labels.0);
        self.out.extend_from_slice(b"} ");
        self.scaled(sum.first().copied().unwrap_or(0), bounds.scale);
        self.push(&["\n", family.name, "_count{"]);
        self.out.extend_from_slice(&labels.0);
        self.out.extend_from_slice(b"} ");
        self.integer(count);
        self.out.push(b'\n');
    }

    #[inline]
    fn bucket(&mut self, family: &Family, labels: &Labels, bound: &str, below: u64) {
        self.push(&[family.name, "_bucket{"]);
        self.out.extend_from_slice(&labels.0);
        self.push(&[",le=\"", bound, "\"} "]);
        self.integer(below);
        self.out.push(b'\n');
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.out.extend_from_slice(b"# EOF\n");
        }
        self.out
    }

    #[inline]
    fn push(&mut self, parts: &[&str]) {
        for part in parts {
            self.out.extend_from_slice(part.as_bytes());
        }
    }

    #[inline]
    fn integer(&mut self, value: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }

    /// `value / scale`, exactly: `scale` is a power of ten.
    fn scaled(&mut self, value: u64, scale: u64) {
        let scale = scale.max(1);
        self.integer(value / scale);
        let rest = value % scale;
        if rest > 0 {
            // A digit in front keeps the leading zeros.
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(scale.saturating_add(rest));
            let digits = digits.get(1..).unwrap_or_default().trim_end_matches('0');
            self.push(&[".", digits]);
        }
    }
}
