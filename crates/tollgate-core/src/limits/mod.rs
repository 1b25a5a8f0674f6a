//! How much a client may still use: limits, and the zone that all workers share.
//!
//! What a limit says:
//! * [`quota`]: `100r/m burst=200`, `200k/m`; [`budget`] and [`calendar`]: `20/day`.
//!
//! One limit in one word:
//! * [`bucket`]: a token bucket, a GCRA on the monotonic clock, with debt;
//! * [`rates`]: the table of rates in the zone, which lets a bucket outlive a change of its quota;
//! * [`budget`]: money of a calendar period;
//! * [`ledger`]: the requests in flight, in such a way that those of a killed worker are reclaimed;
//!   [`queue`]: who waits for a place among them; `flight_words`: where both lie.
//!
//! All limits together:
//! * [`key`], [`ask`], [`standing`]: whose limit, what a request takes from it, and how it stands;
//!   [`subject`]: whose limit it is under a rule, and where there is no room for it; [`address_memo`]: the
//!   keys of addresses that came a moment ago;
//! * [`slots`]: where the limits of a client are found; `take`: taking from one of them;
//! * [`layout`]: what a shared memory begins with; [`zone`]: where what lies in that of the limits;
//! * [`reserve`]: the reservation over several limits, and its settlement;
//! * [`reset`]: a client begins anew; [`resets`]: who did lately;
//! * [`learned`]: how much output requests lately had, and how many tokens their text made;
//!   [`learned_memo`]: where that is, of the names that came a moment ago;
//! * `mirror`: limits that are kept elsewhere;
//! * [`view`]: how limits stand, for whoever looks from outside; [`census`]: how full the zone is;
//! * [`snapshot`]: the zone in a file; [`state_marks`]: what of the zone is in it.
//!
//! Between processes:
//! * [`process`], [`holder`]: one that takes part, and what it has;
//! * [`claim_lock`]: the zone's mutex; [`process_lock`]: one that outlives its holder;
//! * `frozen`: the word of a slot that changes hands.

pub mod address_memo;
pub mod ask;
pub mod bucket;
pub mod budget;
pub mod calendar;
pub mod census;
pub mod claim_lock;
#[cfg(test)]
mod fixtures;
mod flight_words;
mod frozen;
pub mod holder;
pub mod key;
pub mod layout;
pub mod learned;
pub mod learned_memo;
pub mod ledger;
mod mirror;
pub mod process;
pub mod process_lock;
pub mod queue;
pub mod quota;
pub mod rates;
pub mod reserve;
mod reset;
mod resets;
pub mod slots;
// One thread writes a file, and reads each word of the zone once: nothing for a model checker.
#[cfg(not(tollgate_model))]
pub mod snapshot;
pub mod standing;
pub mod state_marks;
pub mod subject;
pub(crate) mod sync;
mod take;
mod view;
pub mod zone;

pub use address_memo::AddressMemo;
pub use ask::{Ask, Dimension, Need, Now, Oversize, Take};
pub use bucket::Scale;
pub use budget::{Budget, BudgetError};
pub use calendar::Calendar;
pub use claim_lock::ClaimLock;
pub use holder::Holder;
pub use key::{Area, Key, Seed};
pub use layout::{Layout, LayoutError};
pub use learned::{Author, LearnedKeys, Output, OutputGuess, Text, TextRates};
pub use learned_memo::LearnedMemo;
pub use ledger::{Ledger, NotTaken, Seat};
pub use process::Process;
pub use process_lock::ProcessLock;
pub use queue::{NoPlace, Queue, Ranked, Waiting};
pub use quota::{Period, Quota, QuotaError};
pub use reserve::{Exceeded, Refused};
pub use resets::Reset;
#[cfg(not(tollgate_model))]
pub use snapshot::{BootId, Restored, Saving, Snapshot, SnapshotError};
pub use standing::{Obstacle, Standing, View};
pub use state_marks::StateMarks;
pub use subject::{CountedBy, Subject};
pub use zone::{client_slots, Group, Zone};
