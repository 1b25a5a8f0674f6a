//! What happens rarely, with labels of its own: any process counts it, also in a thread.

use super::names::Name;

/// What is counted so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `tollgate_upstream_errors_total{model,status}`
    UpstreamErrors,
    /// `tollgate_load_failures_total{file}`
    LoadFailures,
    /// `tollgate_provider_requests_total{provider,result}`
    ProviderRequests,
    /// `tollgate_guard_total{guard,rule,action}`
    GuardFindings,
}

impl Family {
    /// Every one.
    pub const ALL: [Self; 4] =
        [Self::UpstreamErrors, Self::LoadFailures, Self::ProviderRequests, Self::GuardFindings];

    pub(super) fn number(self) -> u64 {
        match self {
            Self::UpstreamErrors => 1,
            Self::LoadFailures => 2,
            Self::ProviderRequests => 3,
            Self::GuardFindings => 4,
        }
    }

    pub(super) fn of(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.number() == number)
    }
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event {
    /// What is counted.
    pub family: Family,
    /// Its first label.
    pub first: Name,
    /// Its second label, if it has one.
    pub second: Name,
    /// Its third label, if it has one.
    pub third: Name,
}

impl Event {
    pub(super) fn word(self) -> u64 {
        self.family.number() << 48
            | u64::from(self.third.0) << 32
            | u64::from(self.first.0) << 16
            | u64::from(self.second.0)
    }

    pub(super) fn of(word: u64) -> Option<Self> {
        let name = |bits: u64| u16::try_from(bits & 0xffff).map(Name).ok();
        Some(Self {
            family: Family::of(word >> 48)?,
            first: name(word >> 16)?,
            second: name(word)?,
            third: name(word >> 32)?,
        })
    }
}
