//! How much a client may still use: quotas, buckets, and the zone that all workers share.
//!
//! * [`quota`]: what a limit says (`100r/m burst=200`);
//! * [`bucket`]: the arithmetic of one token bucket in one word, a GCRA on the monotonic clock;
//! * [`rates`]: the table of rates in the zone, which lets a bucket outlive a change of its quota;
//! * [`key`], [`ask`]: whose bucket, and what a request takes from it;
//! * [`slots`]: where the buckets of a client are found;
//! * [`zone`]: the layout of the shared memory, and the reservation over several buckets.

pub mod ask;
pub mod bucket;
pub mod key;
pub mod quota;
pub mod rates;
pub mod slots;
pub mod zone;

pub use ask::{Ask, Dimension};
pub use bucket::{Scale, Standing};
pub use key::{Area, Key};
pub use quota::{Period, Quota, QuotaError};
pub use zone::{ClaimLock, Exceeded, LayoutError, Refused, Zone};
