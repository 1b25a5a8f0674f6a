//! The clocks of the project. Nothing in this crate reads a clock: both are parameters.

/// A moment on the monotonic clock, in nanoseconds since an arbitrary start (the boot of the
/// machine). All workers of one machine see the same clock; limits are computed on it, so a change
/// of the wall clock neither frees nor locks anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonoNanos(pub u64);

/// A moment on the wall clock, in whole seconds since 1970-01-01T00:00:00Z (as RFC 7519's
/// `NumericDate`): validity of keys and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixSeconds(pub i64);

/// A moment on the wall clock, in milliseconds since 1970-01-01T00:00:00Z: the audit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The second that this moment lies in.
    #[must_use]
    pub fn seconds(self) -> UnixSeconds {
        UnixSeconds(self.0.div_euclid(1000))
    }
}

impl From<UnixSeconds> for UnixMillis {
    fn from(seconds: UnixSeconds) -> Self {
        Self(seconds.0.saturating_mul(1000))
    }
}

/// A wall clock that may lag behind, as nginx's does: by the turn of the event loop, or by
/// `timer_resolution`. Where that decides, the exact time is asked for.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    now: UnixMillis,
    exact: Option<fn() -> UnixMillis>,
}

/// More milliseconds than any clock lags.
const MAX_LAG_MS: i64 = 60_000;

impl WallClock {
    /// A clock that says `now`, and never goes ahead of `exact`, which costs a little.
    #[must_use]
    pub fn lagging(now: UnixMillis, exact: fn() -> UnixMillis) -> Self {
        Self { now, exact: Some(exact) }
    }

    /// What it says.
    #[must_use]
    pub fn now(self) -> UnixMillis {
        self.now
    }

    /// Whether it is this moment, or later.
    #[must_use]
    pub fn has_reached(self, moment: UnixMillis) -> bool {
        if self.now >= moment {
            return true;
        }
        let is_near = moment.0.saturating_sub(self.now.0) <= MAX_LAG_MS;
        is_near && self.exact.is_some_and(|exact| exact() >= moment)
    }
}

impl From<UnixMillis> for WallClock {
    fn from(now: UnixMillis) -> Self {
        Self { now, exact: None }
    }
}

impl From<UnixSeconds> for WallClock {
    fn from(now: UnixSeconds) -> Self {
        UnixMillis::from(now).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_time_is_asked_for_where_it_decides() {
        let clock = WallClock::lagging(UnixMillis(1_000_000), || UnixMillis(1_000_250));
        for (moment, is_reached) in [
            (i64::MIN, true),
            (1_000_000, true),
            (1_000_001, true),
            (1_000_250, true),
            (1_000_251, false),
            (1_060_000, false),
            (i64::MAX, false),
        ] {
            assert_eq!(clock.has_reached(UnixMillis(moment)), is_reached, "{moment}");
        }
        let clock = WallClock::from(UnixSeconds(1000));
        assert!(clock.has_reached(UnixMillis(1_000_000)));
        assert!(!clock.has_reached(UnixMillis(1_000_001)));
    }

    #[test]
    fn exact_time_is_not_asked_for_in_vain() {
        let clock = WallClock::lagging(UnixMillis(0), || unreachable!());
        assert!(clock.has_reached(UnixMillis(0)));
        assert!(!clock.has_reached(UnixMillis(MAX_LAG_MS + 1)));
        assert!(!clock.has_reached(UnixSeconds(i64::MAX).into()));
    }
}
