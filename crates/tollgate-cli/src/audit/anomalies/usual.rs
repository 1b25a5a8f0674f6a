//! What is usual for somebody, of what an hour of theirs comes to.
//!
//! The middle of the hours before (their median), and how far from it they are in the middle (the median
//! absolute deviation): few odd hours among them change neither. Both are taken of logarithms: use grows
//! and shrinks by factors, so that an hour of thrice the usual is as far from it as one of a third.

/// So many hours of use are needed before anything is unusual,
const MIN_HOURS: usize = 24;

/// on so many days.
const MIN_DAYS: usize = 5;

/// So many deviations from the middle are usual yet. Of simulated hours that differ by day, night and weekend, and
/// by chance (log-normal), one in thirty thousand is beyond.
const DEVIATIONS: f64 = 5.0;

/// The median absolute deviation of a normal distribution, as part of its standard deviation, inverted.
const NORMAL: f64 = 1.4826;

/// Up to this factor of the middle, nothing is unusual, however even the hours are.
const LEAST_FACTOR: f64 = 3.0;

/// What was reached in so many hours before is not unusual: a job that runs each week.
const REACHED: usize = 3;

/// How far beyond those it must be.
const BEYOND_REACHED: f64 = 1.5;

/// The hours before, and from when on an hour is unusual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Usual {
    pub(super) hours: usize,
    pub(super) median: u64,
    /// Half of the hours are between these.
    pub(super) low: u64,
    pub(super) high: u64,
    /// What is more than that is unusual.
    pub(super) bound: u64,
}

/// Whether so many hours, on so many days, are enough to tell what is usual.
pub(super) fn are_enough(hours: usize, days: usize) -> bool {
    hours >= MIN_HOURS && days >= MIN_DAYS
}

/// The hours of the last weeks, in order of what they came to.
#[derive(Default)]
pub(super) struct Hours {
    sorted: Vec<u64>,
}

impl Hours {
    pub(super) fn add(&mut self, value: u64) {
        let at = self.sorted.partition_point(|other| *other < value);
        self.sorted.insert(at, value);
    }

    pub(super) fn remove(&mut self, value: u64) {
        if let Ok(at) = self.sorted.binary_search(&value) {
            self.sorted.remove(at);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether `value` is more than what is usual, and than `floor`, below which nothing is worth a word;
    /// then what is. `is_known`: there are enough of them, else `floor` alone decides.
    pub(super) fn exceeded_by(&self, value: u64, floor: u64, is_known: bool) -> Option<Usual> {
        if value <= floor || value <= self.reached() {
            return None;
        }
        let median = self.at(self.sorted.len() / 2);
        // Cheap, and most often enough.
        if is_known && log(value) <= log(median) + LEAST_FACTOR.ln() {
            return None;
        }
        let bound = match is_known {
            true => exp(log(median) + self.deviation(median)).max(self.reached()).max(floor),
            false => floor,
        };
        let (hours, quarter) = (self.sorted.len(), self.sorted.len() / 4);
        let usual = Usual {
            hours,
            median,
            low: self.at(quarter),
            high: self.at(hours.saturating_sub(quarter + 1)),
            bound,
        };
        (value > bound).then_some(usual)
    }

    /// What some hours before came to, and a bit more.
    fn reached(&self) -> u64 {
        let reached = self.sorted.len().checked_sub(REACHED).map_or(0, |place| self.at(place));
        to_u64(to_f64(reached) * BEYOND_REACHED)
    }

    /// How far from the middle an hour may be, as a difference of logarithms.
    fn deviation(&self, median: u64) -> f64 {
        let middle = log(median);
        let mut distances: Vec<f64> =
            self.sorted.iter().map(|value| (log(*value) - middle).abs()).collect();
        distances.sort_unstable_by(f64::total_cmp);
        let typical = distances.get(distances.len() / 2).copied().unwrap_or(0.0);
        (DEVIATIONS * NORMAL * typical).max(LEAST_FACTOR.ln())
    }

    fn at(&self, place: usize) -> u64 {
        self.sorted.get(place).copied().unwrap_or(0)
    }
}

/// Of one more, so that nothing has one as well.
fn log(value: u64) -> f64 {
    to_f64(value).ln_1p()
}

fn exp(log: f64) -> u64 {
    to_u64(log.exp_m1())
}

/// Nothing here is exact.
#[allow(clippy::cast_precision_loss, reason = "statistics")]
fn to_f64(value: u64) -> f64 {
    value as f64
}

/// The largest there is, if it is beyond that.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
fn to_u64(value: f64) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hours(values: impl IntoIterator<Item = u64>) -> Hours {
        let mut hours = Hours::default();
        values.into_iter().for_each(|value| hours.add(value));
        hours
    }

    #[test]
    fn what_is_even_may_treble() {
        let even = hours([100; 30]);
        assert_eq!(even.exceeded_by(300, 10, true), None);
        let usual = even.exceeded_by(303, 10, true).unwrap();
        assert_eq!(usual, Usual { hours: 30, median: 100, low: 100, high: 100, bound: 302 });
        assert_eq!(even.exceeded_by(303, 303, true), None);
    }

    #[test]
    fn what_varies_may_vary() {
        // From 10 to 1000 and back: a factor of 10 in the middle.
        let wide = hours([10, 30, 100, 300, 1000].into_iter().cycle().take(50));
        assert_eq!(wide.exceeded_by(20_000, 10, true), None);
        assert!(wide.exceeded_by(10_000_000, 10, true).is_some());
    }

    #[test]
    fn two_odd_hours_hide_nothing_and_three_are_usual() {
        let mut odd = hours([100; 30]);
        odd.add(100_000);
        odd.add(100_000);
        assert!(odd.exceeded_by(5000, 10, true).is_some());
        odd.add(100_000);
        assert_eq!(odd.exceeded_by(100_000, 10, true), None);
        assert!(odd.exceeded_by(160_000, 10, true).is_some());
    }

    #[test]
    fn a_few_hours_tell_nothing() {
        assert!(!are_enough(23, 9));
        assert!(!are_enough(24, 4));
        assert!(are_enough(24, 5));
        // Where the floor alone decides, the hours before don't matter, but those that reached it.
        assert_eq!(Hours::default().exceeded_by(101, 100, false).unwrap().bound, 100);
        assert_eq!(Hours::default().exceeded_by(100, 100, false), None);
        assert_eq!(hours([200; 3]).exceeded_by(250, 100, false), None);
    }

    proptest! {
        #[test]
        fn no_numbers_make_it_panic(values: Vec<u64>, value: u64, floor: u64, is_known: bool) {
            let mut hours = hours(values.clone());
            prop_assert!(hours.sorted.is_sorted());
            if let Some(usual) = hours.exceeded_by(value, floor, is_known) {
                prop_assert!(value > usual.bound && usual.bound >= floor);
                prop_assert!(usual.low <= usual.median && usual.median <= usual.high);
            }
            values.into_iter().for_each(|value| hours.remove(value));
            prop_assert!(hours.sorted.is_empty());
        }

        #[test]
        fn more_is_never_less_unusual(values: Vec<u32>, value: u32, more: u32) {
            let hours = hours(values.into_iter().map(u64::from));
            if hours.exceeded_by(value.into(), 10, true).is_some() {
                let more = u64::from(value) + u64::from(more);
                prop_assert!(hours.exceeded_by(more, 10, true).is_some());
            }
        }
    }
}
