//! How much a verifier does for a log that somebody has made up: it neither hangs, nor takes all memory.

use super::report::{Finding, Report};

/// So many findings are told; all of them are counted.
pub(super) const MAX_FINDINGS: usize = 10_000;

/// So many lines may have no seal yet: of each worker, one batch.
pub(super) const MAX_UNSEALED: usize = 1 << 22;

/// So many chains may be there whose beginning is not: those that had begun before the first file.
pub(super) const MAX_UNOPENED: usize = 1 << 16;

/// So many lines are told of that are there a second time.
pub(super) const MAX_TWICE: usize = 1 << 16;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    first: Vec<Finding>,
    count: u64,
}

impl Findings {
    pub(super) fn push(&mut self, finding: Finding) {
        self.count = self.count.saturating_add(1);
        if self.first.len() < MAX_FINDINGS {
            self.first.push(finding);
        }
    }

    pub(super) fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }

    /// Takes all of another one.
    pub(super) fn append(&mut self, other: &mut Self) {
        let Self { first, count } = std::mem::take(other);
        let unkept = count.saturating_sub(first.len() as u64);
        self.extend(first);
        self.count = self.count.saturating_add(unkept);
    }

    /// Into a report, by place.
    pub(super) fn report(self, report: &mut Report) {
        let Self { mut first, count } = self;
        first.sort_by_key(|finding| (finding.place, finding.kind));
        let before = first.len();
        first.dedup();
        let same = before.saturating_sub(first.len()) as u64;
        report.count = count.saturating_sub(same);
        report.findings = first;
    }
}
