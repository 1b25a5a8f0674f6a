//! What requests are put together by.

use std::borrow::Cow;

use clap::ValueEnum;

use super::record::Record;
use crate::exit::Failure;

/// One thing that requests have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum By {
    Client,
    Tenant,
    Model,
    Tier,
    KeyId,
    Hour,
    Day,
    Month,
}

impl By {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Tenant => "tenant",
            Self::Model => "model",
            Self::Tier => "tier",
            Self::KeyId => "key_id",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// How much of a time names the period, in bytes; `None` where it is no period.
    pub(super) fn period_len(self) -> Option<usize> {
        match self {
            Self::Month => Some(7),
            Self::Day => Some(10),
            Self::Hour => Some(13),
            Self::Client | Self::Tenant | Self::Model | Self::Tier | Self::KeyId => None,
        }
    }

    /// What the request has of it.
    pub(super) fn of<'a>(self, record: &'a Record<'_>) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::Client => record.client(),
            Self::Tenant => record.tenant(),
            Self::Model => record.model(),
            Self::Tier => record.tier(),
            Self::KeyId => record.key_id(),
            Self::Hour | Self::Day | Self::Month => {
                return self.period_len().map(|len| record.period(len));
            }
        };
        text.map(Cow::Borrowed)
    }

    /// A name as people and other programs get it.
    pub(super) fn shown(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Hour => Cow::Owned(format!("{name}:00Z")),
            _ => Cow::Borrowed(name),
        }
    }
}

/// Refuses what is there twice.
pub(super) fn check(by: &[By]) -> Result<(), Failure> {
    let twice =
        by.iter().enumerate().find(|(at, one)| by.iter().take(*at).any(|other| other == *one));
    match twice {
        Some((_, by)) => Err(Failure::usage(format!("--by has \"{}\" twice", by.as_str()))),
        None => Ok(()),
    }
}

/// All of them, as on the command line.
pub(super) fn joined(by: &[By]) -> String {
    by.iter().map(|by| by.as_str()).collect::<Vec<_>>().join(",")
}

/// The shortest period of them.
pub(super) fn finest_period(by: &[By]) -> Option<(usize, By)> {
    let periods = by.iter().copied().enumerate().filter(|(_, by)| by.period_len().is_some());
    periods.max_by_key(|(_, by)| by.period_len())
}
