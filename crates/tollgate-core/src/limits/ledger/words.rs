//! The words of the ledger, taken apart.

const SEQ_BITS: u32 = 24;
const SEQ_MASK: u64 = (1 << SEQ_BITS) - 1;

/// The numbers in the word of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) count: u16,
    pub(super) signed: Signature,
}

/// Who wrote a count: a seat (its number plus one, or 0 for nobody), and at which of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    seat: u64,
    pub(super) seq: u64,
}

impl Signature {
    pub(super) fn new(index: usize, seq: u64) -> Self {
        Self { seat: index as u64 + 1, seq }
    }

    /// What stands in its place in the word of a slot that was just given away.
    pub(super) fn of_claim(claim: u64) -> Self {
        Self { seat: 0, seq: claim & SEQ_MASK }
    }

    /// The number of the seat that signed.
    pub(super) fn index(self) -> Option<usize> {
        usize::try_from(self.seat.checked_sub(1)?).ok()
    }
}

impl Tally {
    pub(super) fn of(word: u64) -> Self {
        let signed = Signature { seat: word >> SEQ_BITS & SEQ_MASK, seq: word & SEQ_MASK };
        // Sixteen bits fit into u16.
        Self { count: u16::try_from(word >> 48).unwrap_or(u16::MAX), signed }
    }

    pub(super) fn word(self) -> u64 {
        u64::from(self.count) << 48 | self.signed.seat << SEQ_BITS | self.signed.seq
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Of no request.
    Free,
    /// About to be counted.
    Pending,
    /// Counted.
    Held,
    /// About to be taken off the count.
    Releasing,
}

/// The parts of a seat's word. All zeros is a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: State,
    pub(super) seq: u64,
    pub(super) slot: u32,
}

impl Entry {
    pub(super) fn of(word: u64) -> Self {
        let state = match word & 0xff {
            1 => State::Pending,
            2 => State::Held,
            3 => State::Releasing,
            _ => State::Free,
        };
        let slot = u32::try_from(word >> 32).unwrap_or(0);
        Self { state, seq: word >> 8 & SEQ_MASK, slot }
    }

    pub(super) fn word(self) -> u64 {
        u64::from(self.slot) << 32 | self.seq << 8 | self.state as u64
    }

    /// The beginning of the next step.
    pub(super) fn next(self, state: State, slot: u32) -> Self {
        Self { state, seq: (self.seq + 1) & SEQ_MASK, slot }
    }

    /// The end of this one; that of a state in which there is nothing to do is itself.
    pub(super) fn done(self) -> Self {
        match self.state {
            State::Pending => Self { state: State::Held, ..self },
            State::Releasing => Self { state: State::Free, ..self },
            State::Held | State::Free => self,
        }
    }

    /// The same seat, free.
    pub(super) fn freed(self) -> Self {
        Self { state: State::Free, ..self }
    }
}
