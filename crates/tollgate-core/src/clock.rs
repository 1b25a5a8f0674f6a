//! The two clocks of the project. Nothing in this crate reads a clock: both are parameters.

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
