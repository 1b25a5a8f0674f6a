//! Mistakes that a simulation makes on purpose: one that notices none of them proves nothing.

use tollgate_core::cluster::message::Message;

/// What is done wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// A node takes what an answer granted two times.
    GrantedTwice,
    /// A node says that it holds nothing, and keeps it: it gives the same lease back again and again.
    ReturnedTwice,
    /// A node doesn't look at the clock after it took something: it spends what has run out meanwhile.
    SpentAfterExpiry,
    /// The store goes by the clock of whoever speaks.
    StoreClockIgnored,
    /// The store executes a message that is older than one it has executed, or the same one again.
    OrderIgnored,
    /// What was drawn isn't reported.
    NotReported,
    /// What was given back is reported again and again.
    GivenBackTwice,
    /// Nodes don't say that they knew data which are lost.
    LossUnnoticed,
}

impl Mistake {
    /// Every one.
    pub const ALL: [Self; 8] = [
        Self::GrantedTwice,
        Self::ReturnedTwice,
        Self::SpentAfterExpiry,
        Self::StoreClockIgnored,
        Self::OrderIgnored,
        Self::NotReported,
        Self::GivenBackTwice,
        Self::LossUnnoticed,
    ];

    /// What a node says that makes it.
    pub(crate) fn say(self, message: &mut Message) {
        for line in &mut message.lines {
            match self {
                Self::ReturnedTwice => line.held = 0,
                Self::NotReported => line.drawn = line.acked_drawn,
                Self::GivenBackTwice if line.adjust < 0 => {
                    // A further account of the same gifts.
                    line.born += message.seq;
                    line.drawn = 0;
                    line.acked_drawn = 0;
                }
                _ => {}
            }
        }
    }
}
