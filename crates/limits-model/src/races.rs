//! Mistakes that are planted, to see that the models catch them.

use std::cell::Cell;

/// A mistake: where the sources say `planted!` with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Race {
    /// A bucket or a budget is read and then stored, instead of swapped.
    StoredBucket,
    /// Whose slot it is is asked before its word is read, and not after.
    CheckedTooEarly,
    /// An idle slot is frozen without looking again.
    FrozenUnseen,
    /// The words of a slot that is given away are not told apart from those before.
    RepeatedNumber,
    /// An in-flight count is read and then stored, instead of swapped.
    StoredCount,
    /// A seat is marked as held before it is counted.
    HeldTooEarly,
    /// A count is overwritten without helping the one who wrote it.
    Unhelped,
    /// What a dead process had begun is judged by the count alone, without a second look at its seat.
    JudgedAtOnce,
    /// A seat is freed before it is taken off the count.
    FreedTooEarly,
    /// A waiter is counted and put in line without the mutex.
    UnlockedQueue,
    /// The end of the queue is drawn in without asking whether somebody came meanwhile.
    TrimmedBlindly,
    /// The two words of a waiter are read without asking whether they belong together.
    ReadInParts,
    /// The changes that are noted are only looked at by whoever has taken his promise back.
    GlancedChanges,
    /// What a slot of an object holds is read without a second look at its stamp.
    HastyLook,
    /// A limit begins anew before that is counted.
    CountedLate,
    /// A slot of an object changes while it is valid.
    OpenSlot,
    /// The networks of a record are counted without a second look at its tag.
    HastyCount,
    /// A record of networks changes hands while it is valid.
    OpenRecord,
    /// The minute of a network is stored without asking whether it is still the one that was read.
    BlindSighting,
    /// What is left of a lease is read and then stored, by who draws from it.
    StoredBalance,
    /// The same, by the thread that buys it and gives it back.
    StoredLease,
    /// What is bought is put into a lease twice.
    GrantedTwice,
    /// What goes back to the store stays in the lease.
    ReturnedTwice,
    /// Who draws doesn't ask whether the lease has run out meanwhile.
    SpentLate,
    /// Who draws doesn't ask whether that was reported before he decided.
    ToldTooEarly,
    /// How many may be in flight is lowered without looking at how many are.
    LoweredUnseen,
    /// The words of an entry that changes hands are stored and not swapped.
    TakenOverUnseen,
    /// Who begins a turn doesn't ask whether he still has the right to.
    TurnUnasked,
}

std::thread_local! {
    // A model checker runs all of its threads on one thread of the system.
    static PLANTED: Cell<Option<Race>> = const { Cell::new(None) };
    static IS_REACHED: Cell<bool> = const { Cell::new(false) };
}

/// Whether `race` is planted.
pub(crate) fn is_planted(race: Race) -> bool {
    let is_planted = PLANTED.get() == Some(race);
    if is_planted {
        IS_REACHED.set(true);
    }
    is_planted
}

/// Runs `check` with `race` planted, and gives whether it failed after it came upon the mistake: a check
/// that fails before, in its preparations say, catches nothing.
pub fn is_caught(race: Race, check: impl FnOnce() + std::panic::UnwindSafe) -> bool {
    PLANTED.set(Some(race));
    IS_REACHED.set(false);
    let outcome = std::panic::catch_unwind(check);
    PLANTED.set(None);
    outcome.is_err() && IS_REACHED.get()
}
