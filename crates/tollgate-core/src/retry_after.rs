//! `Retry-After`: when a refused request would pass.

const NANOS_PER_MS: u64 = 1_000_000;
const NANOS_PER_SEC: u64 = 1000 * NANOS_PER_MS;

/// When a refused request would pass, in the units of the two headers that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter {
    /// `Retry-After` (RFC 9110 section 10.2.3), in seconds.
    pub secs: u64,
    /// `retry-after-ms`, which the official SDKs prefer, in milliseconds.
    pub ms: u64,
}

impl RetryAfter {
    /// The names of both headers.
    pub const NAMES: [&'static str; 2] = ["Retry-After", "retry-after-ms"];

    /// Gives `emit` the name and value of both headers.
    pub fn write(self, mut emit: impl FnMut(&'static str, &[u8])) {
        let [secs, ms] = Self::NAMES;
        emit(secs, itoa::Buffer::new().format(self.secs).as_bytes());
        emit(ms, itoa::Buffer::new().format(self.ms).as_bytes());
    }
}

/// The headers for a wait of so many nanoseconds: rounded up, so that neither is 0 while there is
/// something to wait for.
#[must_use]
pub fn retry_after(wait_nanos: u64) -> RetryAfter {
    RetryAfter { secs: wait_nanos.div_ceil(NANOS_PER_SEC), ms: wait_nanos.div_ceil(NANOS_PER_MS) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wait_is_never_rounded_to_nothing() {
        assert_eq!(retry_after(0), RetryAfter { secs: 0, ms: 0 });
        assert_eq!(retry_after(1), RetryAfter { secs: 1, ms: 1 });
        assert_eq!(retry_after(1_000_000_000), RetryAfter { secs: 1, ms: 1000 });
        assert_eq!(retry_after(1_000_000_001), RetryAfter { secs: 2, ms: 1001 });
        let mut sent = Vec::new();
        retry_after(5_400_000_000).write(|name, value| sent.push((name, value.to_vec())));
        assert_eq!(sent, [("Retry-After", b"6".to_vec()), ("retry-after-ms", b"5400".to_vec())]);
    }

    proptest! {
        #[test]
        fn who_waits_as_told_waits_long_enough_and_less_than_a_unit_too_long(wait: u64, shift in 0_u32..64) {
            let wait = wait >> shift;
            let told = retry_after(wait);
            let (secs, ms) = (u128::from(told.secs) * 1_000_000_000, u128::from(told.ms) * 1_000_000);
            let wait = u128::from(wait);
            prop_assert!(secs >= wait && secs < wait + 1_000_000_000);
            prop_assert!(ms >= wait && ms < wait + 1_000_000);
        }
    }
}
