//! What a node does that hears nothing from the store.

use std::num::NonZeroU16;

use super::times::LOST;
use crate::clock::MonoNanos;

/// `on_loss`: what becomes of requests for which no lease is left when the store is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// Each node gives away its share of a limit, so that the nodes together keep it.
    Share {
        /// How many nodes there are at most.
        nodes: NonZeroU16,
    },
    /// Each node gives away all of a limit.
    Local,
    /// They are refused.
    Deny,
}

/// By what a request is judged that finds no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The store: the request waits for the next exchange.
    Store,
    /// The limits of this node, on which it counts so many times.
    Node {
        /// How many times.
        weight: NonZeroU16,
    },
    /// Nobody: it is refused.
    Nobody,
}

/// By what a request is judged at `now`, where the store was heard last at `contact` (`None`: never since `began`,
/// when this node's memory was made).
#[must_use]
pub fn judge(
    on_loss: OnLoss,
    contact: Option<MonoNanos>,
    began: MonoNanos,
    now: MonoNanos,
) -> Judge {
    let heard = contact.unwrap_or(began);
    if now.0.saturating_sub(heard.0) <= LOST {
        return Judge::Store;
    }
    match on_loss {
        OnLoss::Share { nodes } => Judge::Node { weight: nodes },
        OnLoss::Local => Judge::Node { weight: NonZeroU16::MIN },
        OnLoss::Deny => Judge::Nobody,
    }
}

/// Until when a request goes on waiting that has waited since `since` for as long as an answer may take: to whom the store
/// has said nothing, it may be lost, and then `on_loss` says what becomes of the request. `None`: the store was heard
/// meanwhile, so it goes by what it said. `contact` and `began` as with [`judge`].
#[must_use]
pub fn unheard_until(
    contact: Option<MonoNanos>,
    began: MonoNanos,
    since: MonoNanos,
) -> Option<MonoNanos> {
    let heard = contact.unwrap_or(began);
    (heard < since).then(|| MonoNanos(heard.0.saturating_add(LOST).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_heard_nothing_waits_until_the_store_counts_as_lost_and_not_longer() {
        let at = |ms: u64| MonoNanos(ms * 1_000_000);
        let on_loss = OnLoss::Deny;
        for contact in [None, Some(at(5_000))] {
            let began = if contact.is_none() { at(5_000) } else { at(0) };
            let until = unheard_until(contact, began, at(5_001)).unwrap();
            assert_eq!(until, MonoNanos(at(6_000).0 + 1));
            assert_eq!(judge(on_loss, contact, began, MonoNanos(until.0 - 1)), Judge::Store);
            assert_eq!(judge(on_loss, contact, began, until), Judge::Nobody);
            for since in [4_000, 5_000] {
                assert_eq!(unheard_until(contact, began, at(since)), None);
            }
        }
    }

    #[test]
    fn without_the_store_each_node_goes_by_what_was_configured() {
        let at = |ms: u64| MonoNanos(ms * 1_000_000);
        let nodes = NonZeroU16::new(4).unwrap();
        for (on_loss, lost) in [
            (OnLoss::Share { nodes }, Judge::Node { weight: nodes }),
            (OnLoss::Local, Judge::Node { weight: NonZeroU16::MIN }),
            (OnLoss::Deny, Judge::Nobody),
        ] {
            for contact in [None, Some(at(5_000))] {
                let began = if contact.is_none() { at(5_000) } else { at(0) };
                for (now, expected) in [(4_000, Judge::Store), (6_000, Judge::Store), (6_001, lost)]
                {
                    assert_eq!(judge(on_loss, contact, began, at(now)), expected, "{now}");
                }
            }
        }
    }
}
