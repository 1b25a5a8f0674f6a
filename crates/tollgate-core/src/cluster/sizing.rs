//! How much of a limit a node should hold: enough that no request has to wait, and no more than that, as others
//! can't have what it holds.
//!
//! All numbers are in the store's units, and time is counted in exchanges.

/// Parts of a unit in which means are kept.
const PARTS: u64 = 16;
/// After so many exchanges nothing is left of what was.
const FORGOTTEN: u64 = 64;
/// A lease of which nothing was drawn for so many exchanges is idle.
const IDLE_EXCHANGES: u64 = 2;
/// What share of what the store has left may be held idly.
const IDLE_SHARE: u64 = 8;

/// What was drawn of a lease lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appetite {
    /// In an exchange, in the mean and at most.
    mean: u64,
    most: u64,
    /// Exchanges since anything was drawn.
    idle: u64,
}

impl Appetite {
    /// Notes that so much was drawn in the last of so many exchanges, and nothing in those before it.
    pub fn note(&mut self, drawn: u64, exchanges: u64) {
        for _ in 0..exchanges.min(FORGOTTEN) {
            self.mean -= self.mean.div_ceil(4);
            self.most -= self.most.div_ceil(8);
        }
        let drawn_parts = drawn.saturating_mul(PARTS);
        self.mean = self.mean.saturating_add(drawn_parts / 4);
        self.most = self.most.max(drawn_parts);
        self.idle = if drawn > 0 { 0 } else { self.idle.saturating_add(exchanges) };
    }

    /// How much should be at hand: twice what is drawn in the mean, and a draw and a half of the largest.
    fn liking(&self) -> u64 {
        let most = self.most.saturating_add(self.most / 2);
        self.mean.saturating_mul(2).max(most) / PARTS
    }

    /// What is drawn in the mean.
    fn habit(&self) -> u64 {
        self.mean.div_ceil(PARTS)
    }

    /// Whether nothing was drawn lately.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.idle >= IDLE_EXCHANGES
    }
}

/// What the store has said of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What it can sell, as far as is known.
    pub unsold: Option<u64>,
    /// Whether another node wants more than it got.
    pub is_short: bool,
}

/// What to do about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To have so much more.
    More(u64),
    /// To give so much back.
    Less(u64),
}

impl Wish {
    /// To leave it.
    pub const NONE: Self = Self::More(0);
}

/// What to do about a lease of tokens or money, of which `held` is left and requests that wait lack `need`.
/// `is_old`: it has been idle for long.
#[must_use]
pub fn of_amount(appetite: &Appetite, need: u64, held: u64, offer: Offer, is_old: bool) -> Wish {
    let liking = if offer.is_short { appetite.habit() } else { appetite.liking() };
    if need > 0 {
        // Those who wait take what is held.
        return Wish::More(need.saturating_add(spare(liking.max(need), need, offer)));
    }
    if appetite.is_idle() {
        return idle(held, 0, offer, is_old);
    }
    let too_much = if offer.is_short { liking } else { liking.saturating_mul(2) };
    by_liking(liking, held, too_much, offer)
}

/// The same of places in flight, of which there are `in_flight`, and may be `held`.
#[must_use]
pub fn of_places(
    appetite: &Appetite,
    need: u64,
    (held, in_flight): (u64, u64),
    offer: Offer,
    is_old: bool,
) -> Wish {
    let most = in_flight.max(appetite.most / PARTS);
    let liking = if offer.is_short { in_flight } else { most + (most / 4).max(1) };
    if need > 0 {
        // Those who wait have a seat each, so what they need is liked already.
        let lacking = liking.saturating_sub(held.saturating_add(need));
        return Wish::More(need.saturating_add(spare(lacking, need, offer)));
    }
    if in_flight == 0 && appetite.is_idle() {
        return idle(held, 0, offer, is_old);
    }
    let too_much = if offer.is_short { liking } else { liking + liking.div_ceil(2) };
    by_liking(liking, held, too_much, offer)
}

/// Of what one holds whose use isn't known yet, as another process bought it, nothing goes back: of that the store says how
/// it stands with the next answer.
fn by_liking(liking: u64, held: u64, too_much: u64, offer: Offer) -> Wish {
    match liking.checked_sub(held) {
        Some(lacking) => Wish::More(spare(lacking, 0, offer)),
        None if held > too_much && offer.unsold.is_some() => Wish::Less(held - liking),
        None => Wish::NONE,
    }
}

/// Of what isn't needed at once, at most half of what is left for others.
fn spare(wanted: u64, need: u64, offer: Offer) -> u64 {
    match offer.unsold {
        Some(unsold) => wanted.min(unsold.saturating_sub(need) / 2),
        None => wanted,
    }
}

/// An idle lease is kept for a while where others don't miss it.
fn idle(held: u64, least: u64, offer: Offer, is_old: bool) -> Wish {
    let is_small = offer.unsold.is_some_and(|unsold| held.saturating_mul(IDLE_SHARE) <= unsold);
    match held.saturating_sub(least) {
        0 => Wish::NONE,
        _ if is_small && !offer.is_short && !is_old => Wish::NONE,
        spare => Wish::Less(spare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLENTY: Offer = Offer { unsold: Some(1_000), is_short: false };

    fn steady(drawn: u64) -> Appetite {
        let mut appetite = Appetite::default();
        (0..100).for_each(|_| appetite.note(drawn, 1));
        appetite
    }

    #[test]
    fn what_is_drawn_in_two_exchanges_is_at_hand() {
        for drawn in [1, 2, 10, 100] {
            let Wish::More(wanted) = of_amount(&steady(drawn), 0, 0, PLENTY, false) else {
                panic!()
            };
            assert!((drawn..=2 * drawn).contains(&wanted), "{drawn}: {wanted}");
        }
        assert!(matches!(of_amount(&steady(100), 0, 0, PLENTY, false), Wish::More(185..=200)));
    }

    #[test]
    fn who_waits_is_served_first_and_a_stock_is_laid_in() {
        let new = Appetite::default();
        let offer = Offer { unsold: None, is_short: false };
        assert_eq!(of_amount(&new, 5, 0, offer, false), Wish::More(10));
        let offer = Offer { unsold: Some(7), is_short: false };
        assert_eq!(of_amount(&new, 5, 0, offer, false), Wish::More(6));
        let offer = Offer { unsold: Some(0), is_short: true };
        assert_eq!(of_amount(&steady(100), 5, 0, offer, false), Wish::More(5));
    }

    #[test]
    fn idle_leases_go_back_unless_nobody_misses_them() {
        let mut appetite = steady(10);
        assert_eq!(of_amount(&appetite, 0, 20, PLENTY, false), Wish::NONE);
        appetite.note(0, 1);
        assert_eq!(of_amount(&appetite, 0, 20, PLENTY, false), Wish::NONE);
        appetite.note(0, 1);
        let offer = |unsold, is_short| Offer { unsold: Some(unsold), is_short };
        assert_eq!(of_amount(&appetite, 0, 20, offer(160, false), false), Wish::NONE);
        assert_eq!(of_amount(&appetite, 0, 20, offer(159, false), false), Wish::Less(20));
        assert_eq!(of_amount(&appetite, 0, 20, offer(160, true), false), Wish::Less(20));
        assert_eq!(of_amount(&appetite, 0, 20, offer(160, false), true), Wish::Less(20));
    }

    #[test]
    fn who_is_busy_keeps_no_more_than_needed_where_others_are_short() {
        let short = Offer { unsold: Some(0), is_short: true };
        assert_eq!(of_amount(&steady(10), 0, 40, short, false), Wish::Less(30));
        assert_eq!(of_amount(&steady(10), 0, 90, PLENTY, false), Wish::Less(71));
    }

    #[test]
    fn places_are_held_for_those_in_flight_and_a_few_more() {
        let appetite = steady(8);
        assert_eq!(of_places(&appetite, 0, (8, 8), PLENTY, false), Wish::More(2));
        assert_eq!(of_places(&appetite, 0, (10, 8), PLENTY, false), Wish::NONE);
        assert_eq!(of_places(&appetite, 0, (16, 8), PLENTY, false), Wish::Less(6));
        let short = Offer { unsold: Some(0), is_short: true };
        assert_eq!(of_places(&appetite, 0, (10, 8), short, false), Wish::Less(2));
        assert_eq!(of_places(&appetite, 3, (8, 8), short, false), Wish::More(3));
        let mut gone = appetite;
        gone.note(0, 2);
        assert_eq!(of_places(&gone, 0, (16, 0), PLENTY, true), Wish::Less(16));
    }

    proptest! {
        #[test]
        fn no_more_is_given_back_than_held_or_bought_than_others_can_spare(
            drawn in prop::collection::vec((0u64..1 << 45, 1u64..70), 0..20),
            need in 0u64..1 << 40,
            held in 0u64..1 << 45,
            in_flight in 0u64..1 << 16,
            unsold in 0u64..1 << 45,
            is_short: bool,
            is_old: bool,
        ) {
            let mut appetite = Appetite::default();
            drawn.into_iter().for_each(|(drawn, exchanges)| appetite.note(drawn, exchanges));
            let offer = Offer { unsold: Some(unsold), is_short };
            let in_flight = in_flight.min(held);
            for (wish, least) in [
                (of_amount(&appetite, need, held, offer, is_old), 0),
                (of_places(&appetite, need, (held, in_flight), offer, is_old), in_flight),
            ] {
                match wish {
                    Wish::More(more) => {
                        prop_assert!(more >= need && more <= need + unsold.saturating_sub(need) / 2);
                    }
                    Wish::Less(less) => prop_assert!(need == 0 && less <= held - least),
                }
            }
        }
    }
}
