//! Whether a key is in force.

use clap::ValueEnum;
use tollgate_core::clock::UnixMillis;

use super::values::moment;
use crate::keys_file::Entry;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum State {
    Active,
    Disabled,
    Revoked,
    Expired,
    NotYetValid,
}

impl State {
    /// The state of a key: the first of these that holds, in the order in which nginx judges.
    pub(super) fn of(entry: &Entry, now: UnixMillis) -> Self {
        let is_past = |date: &Option<String>| date.as_deref().and_then(moment).map(|at| at <= now);
        if entry.revoked.is_some() {
            Self::Revoked
        } else if entry.disabled == Some(true) {
            Self::Disabled
        } else if is_past(&entry.not_before) == Some(false) {
            Self::NotYetValid
        } else if is_past(&entry.expires) == Some(true) {
            Self::Expired
        } else {
            Self::Active
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
        }
    }
}

/// How many keys are in which state, in the order of the states; none of those without a key.
pub(crate) fn count_states(entries: &[Entry], now: UnixMillis) -> Vec<(&'static str, usize)> {
    let count = |state| entries.iter().filter(|entry| State::of(entry, now) == state).count();
    let states = State::value_variants().iter().map(|state| (state.as_str(), count(*state)));
    states.filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_that_of_the_judge() {
        let now = moment("2026-06-01T00:00:00Z").unwrap();
        let some = |text: &str| Some(text.to_owned());
        let base = Entry::default();
        let past = some("2026-06-01T00:00:00Z");
        let future = some("2026-06-01T00:00:01Z");
        for (entry, state) in [
            (base.clone(), State::Active),
            (Entry { expires: future.clone(), ..base.clone() }, State::Active),
            (Entry { expires: past.clone(), ..base.clone() }, State::Expired),
            (Entry { not_before: past.clone(), ..base.clone() }, State::Active),
            (Entry { not_before: future, ..base.clone() }, State::NotYetValid),
            (Entry { disabled: Some(false), ..base.clone() }, State::Active),
            (
                Entry { disabled: Some(true), expires: past.clone(), ..base.clone() },
                State::Disabled,
            ),
            (Entry { disabled: Some(false), revoked: past, ..base }, State::Revoked),
        ] {
            assert_eq!(State::of(&entry, now), state, "{entry:?}");
        }
    }
}
