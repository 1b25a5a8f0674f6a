use super::*;
use crate::limits::quota::Period;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const START: MonoNanos = MonoNanos(86_400 * SECOND);

fn quota(count: u32, period: Period, burst: u32) -> Quota {
    Quota::new(count, period, burst).unwrap()
}

fn none(_: u16) -> Option<Scale> {
    None
}

/// Takes one token at `now`; `Err` is the wait in nanoseconds.
fn take(scale: &Scale, word: &mut u64, now: MonoNanos) -> Result<Standing, u64> {
    let (next, standing) = scale.take(Level::of(*word), 1, now, none).map_err(|wait| wait.nanos)?;
    *word = next;
    Ok(standing)
}

#[test]
fn ten_a_minute_lets_ten_pass_then_one_every_six_seconds() {
    let scale = Scale::exact(quota(10, Period::Minute, 10), 1);
    let mut word = full_word(START);
    for left in (0..10).rev() {
        assert_eq!(take(&scale, &mut word, START).unwrap().remaining, left);
    }
    let wait = take(&scale, &mut word, START).unwrap_err();
    assert!(wait.abs_diff(6 * SECOND) < 128, "{wait}");
    assert!(take(&scale, &mut word, MonoNanos(START.0 + wait - 1)).is_err());
    assert!(take(&scale, &mut word, MonoNanos(START.0 + wait)).is_ok());
    assert!(take(&scale, &mut word, MonoNanos(START.0 + wait)).is_err());
}

#[test]
fn the_burst_is_the_capacity() {
    let scale = Scale::exact(quota(1, Period::Second, 5), 1);
    let mut word = full_word(START);
    for _ in 0..5 {
        assert!(take(&scale, &mut word, START).is_ok());
    }
    let wait = take(&scale, &mut word, START).unwrap_err();
    assert!(wait <= SECOND + 128);
    let standing = scale.look(Level::of(word), START, none);
    assert_eq!(standing.remaining, 0);
    assert!(standing.until_full_nanos.abs_diff(5 * SECOND) < 128);
}

#[test]
fn a_raised_rate_keeps_what_was_used_and_gives_the_new_rest_at_once() {
    let (old, new) = (
        Scale::exact(quota(10, Period::Minute, 10), 1),
        Scale::exact(quota(100, Period::Minute, 100), 2),
    );
    let mut word = full_word(START);
    for _ in 0..10 {
        take(&old, &mut word, START).unwrap();
    }
    let (_, standing) = new.take(Level::of(word), 1, START, |_| Some(old)).unwrap();
    assert_eq!(standing.remaining, 89);
}

/// Keeps what a refusal says is to be stored, as a slot does.
fn refuse(scale: &Scale, word: &mut u64, now: MonoNanos, old: Scale) -> u64 {
    let wait = scale.take(Level::of(*word), 1, now, |_| Some(old)).unwrap_err();
    assert_eq!(scale.wait(Level::of(*word), 1, now, |_| Some(old)), Some(wait));
    *word = wait.converted.unwrap_or(*word);
    wait.nanos
}

#[test]
fn a_spent_bucket_refills_at_a_raised_rate_from_the_next_refusal_on() {
    let (old, new) =
        (Scale::exact(quota(1, Period::Hour, 1), 1), Scale::exact(quota(60, Period::Hour, 1), 2));
    let mut word = full_word(START);
    take(&old, &mut word, START).unwrap();
    let wait = refuse(&new, &mut word, START, old);
    assert!(wait.abs_diff(60 * SECOND) < 128, "{wait}");
    assert!(new.take(Level::of(word), 1, MonoNanos(START.0 + wait - 1), none).is_err());
    assert!(new.take(Level::of(word), 1, MonoNanos(START.0 + wait), none).is_ok());
}

#[test]
fn a_refusal_by_a_smaller_bucket_forgets_nothing_and_its_wait_is_true() {
    let (large, small) = (
        Scale::exact(quota(10, Period::Minute, 1000), 1),
        Scale::exact(quota(10, Period::Minute, 10), 2),
    );
    let mut word = full_word(START);
    for _ in 0..1000 {
        take(&large, &mut word, START).unwrap();
    }
    let wait = refuse(&small, &mut word, START, large);
    assert!(large.take(Level::of(word), 1, START, none).is_err());
    // 991 tokens drain at 10 a minute.
    assert!(wait.abs_diff(991 * 6 * SECOND) < 128, "{wait}");
    let then = |wait: u64| {
        small.take(Level::of(word), 1, MonoNanos(START.0 + wait), |_| Some(large)).is_ok()
    };
    assert!(!then(wait - 1) && then(wait));
}

#[test]
fn more_than_the_capacity_is_taken_from_a_full_bucket_only_and_leaves_a_debt() {
    let scale = Scale::exact(quota(60, Period::Minute, 60), 1);
    let word = full_word(START);
    let (used, _) = scale.take(Level::of(word), 1, START, none).unwrap();
    let wait = scale.take(Level::of(used), 100, START, none).unwrap_err();
    assert!(wait.nanos.abs_diff(SECOND) < 128, "{wait:?}");
    let (mut word, standing) = scale.take(Level::of(word), 100, START, none).unwrap();
    assert_eq!(standing.remaining, 0);
    assert!(standing.until_full_nanos.abs_diff(100 * SECOND) < 128);
    // 40 of debt, and the one that is asked for.
    let wait = take(&scale, &mut word, START).unwrap_err();
    assert!(wait.abs_diff(41 * SECOND) < 128, "{wait}");
    assert!(take(&scale, &mut word, MonoNanos(START.0 + wait)).is_ok());
}

#[test]
fn an_excess_that_is_charged_to_a_full_bucket_is_counted_at_its_exact_rate() {
    let scale = Scale::exact(quota(7, Period::Second, 7), 1);
    let foreign = Scale::exact(quota(1, Period::Second, 1), 2);
    for word in [full_word(START), foreign.settle(Level::of(0), (0, 0), START, none)] {
        let word = scale.settle(Level::of(word), (0, 3), START, |_| Some(foreign));
        assert_eq!(Level::of(word).index, 1);
        assert_eq!(scale.look(Level::of(word), START, none).remaining, 4);
    }
}

#[test]
fn a_debt_survives_a_change_of_rate_and_is_paid_at_the_faster_one() {
    let (slow, fast) = (
        Scale::exact(quota(60, Period::Minute, 60), 1),
        Scale::exact(quota(6_000, Period::Minute, 100), 2),
    );
    let (word, _) = slow.take(Level::of(full_word(START)), 700, START, none).unwrap();
    let mut raised = word;
    let wait = refuse(&fast, &mut raised, START, slow);
    // 601 tokens too many, at 100 a second.
    assert!(wait.abs_diff(6_010_000_000) < 256, "{wait}");
    assert!(fast.take(Level::of(raised), 1, MonoNanos(START.0 + wait), none).is_ok());
    // A slower one leaves it at the rate that it had.
    let (mut word, _) = fast.take(Level::of(full_word(START)), 700, START, none).unwrap();
    let wait = refuse(&slow, &mut word, START, fast);
    assert!(wait.abs_diff(6_410_000_000) < 256, "{wait}");
    assert_eq!(Level::of(word).index, 2);
}

#[test]
fn plain_ticks_serve_where_the_table_is_full() {
    let (plain, exact) = (
        Scale::plain(quota(10, Period::Minute, 10)),
        Scale::exact(quota(20, Period::Minute, 20), 3),
    );
    let mut word = full_word(START);
    for _ in 0..10 {
        take(&plain, &mut word, START).unwrap();
    }
    let wait = take(&plain, &mut word, START).unwrap_err();
    assert!((6 * SECOND..6 * SECOND + 1000).contains(&wait), "{wait}");
    // Read as the other rate's own ticks: 60 s ahead of the clock are 20 tokens of 20.
    assert!(exact.take(Level::of(word), 1, START, none).is_err());
    // And back: an exact level keeps its tokens in plain ticks.
    let mut word = full_word(START);
    for _ in 0..4 {
        take(&exact, &mut word, START).unwrap();
    }
    let (_, standing) = plain.take(Level::of(word), 1, START, |_| Some(exact)).unwrap();
    assert_eq!(standing.remaining, 5);
}

#[test]
fn no_token_is_lost_to_rounding_at_any_rate() {
    for count in [3u32, 7, 999, 30_011, 170_000, 999_983, 10_000_000] {
        let scale = Scale::exact(quota(count, Period::Second, 1), 1);
        let mut word = full_word(START);
        let (mut now, mut admitted) = (START, 0u64);
        let end = START.0 + 2 * SECOND;
        loop {
            match take(&scale, &mut word, now) {
                Ok(_) => admitted += 1,
                Err(wait) => now.0 += wait,
            }
            if now.0 >= end || admitted > 200_000 {
                break;
            }
        }
        // The one rounding that there is: the reading of the clock at the start, by a tick.
        let nanos = u128::from(now.0 - START.0) + 128;
        let expected = nanos * u128::from(count) / u128::from(SECOND);
        let short = expected as i128 + 1 - i128::from(admitted);
        assert!((0..=1).contains(&short), "{count}: {admitted} of {expected} + 1");
    }
}

proptest! {
    /// Against the plain definition, in exact rationals: a bucket of `burst` tokens, refilled
    /// continuously. Rounding the clock down may delay a token by one tick, and nothing else.
    #[test]
    fn agrees_with_a_plain_bucket(
        count in 1u32..1_000_000,
        period in 0u64..4,
        burst in 1u32..50,
        steps in proptest::collection::vec((0u64..3_000_000_000, 1u32..4), 1..60),
    ) {
        let period = Period::from_index(period).unwrap();
        let Ok(quota) = Quota::new(count, period, burst) else { return Ok(()) };
        let scale = Scale::exact(quota, 1);
        let tick = u128::from(quota.period().nanos()) / u128::from(count) / u128::from(scale.ticks_per_token) + 1;
        prop_assert!(tick <= 129);
        let (mut word, mut now) = (full_word(START), START);
        // The model: tokens scaled by the period's nanoseconds, so that it is all integers. Below
        // zero it is in debt.
        let unit = i128::from(quota.period().nanos());
        let tick = i128::try_from(tick).unwrap() * i128::from(count);
        let capacity = i128::from(burst) * unit;
        let (mut tokens, mut last) = (capacity, now);
        for (step, n) in steps {
            now.0 += step;
            tokens = (tokens + i128::from(now.0 - last.0) * i128::from(count)).min(capacity);
            last = now;
            let need = (i128::from(n) * unit).min(capacity);
            match scale.take(Level::of(word), n, now, none) {
                Ok((next, standing)) => {
                    // Never more than the model allows, but for the tick by which the start of
                    // the bucket was rounded down.
                    prop_assert!(tokens + tick >= need);
                    tokens -= i128::from(n) * unit;
                    word = next;
                    prop_assert!(i128::from(standing.remaining) <= (tokens + tick).max(0) / unit);
                }
                Err(wait) => {
                    prop_assert!(tokens < need + tick);
                    let later = MonoNanos(now.0 + wait.nanos);
                    prop_assert!(scale.take(Level::of(word), n, later, none).is_ok());
                    prop_assert!(scale.take(Level::of(word), n, MonoNanos(later.0 - 1), none).is_err());
                }
            }
        }
    }

    /// A settlement at the moment of the reservation, and any time later as long as the bucket has
    /// not run full, leaves what taking the real use in the first place would have left.
    #[test]
    fn reserving_and_settling_is_taking_what_was_used(
        count in 1u32..100_000, burst in 1u32..5_000, before in 0u32..5_000,
        reserved in 0u32..10_000, used in 0u32..10_000, later in 0u64..20_000_000_000,
    ) {
        let scale = Scale::exact(quota(count, Period::Minute, burst), 1);
        let word = full_word(START);
        let (word, _) = scale.take(Level::of(word), before, START, none).unwrap();
        let Ok((next, _)) = scale.take(Level::of(word), reserved, START, none) else { return Ok(()) };
        let now = MonoNanos(START.0 + later);
        let settled = scale.settle(Level::of(next), (reserved.into(), used.into()), now, none);
        // What `used` would have left, had it been charged at once.
        let direct = scale.settle(Level::of(word), (0, used.into()), START, none);
        let stand = |word| scale.look(Level::of(word), now, none);
        if scale.look(Level::of(next), now, none).until_full_nanos > 0 {
            prop_assert_eq!(stand(settled), stand(direct));
        } else {
            // It ran full, so nothing of the reservation is left; an excess counts from now on.
            let excess = used.saturating_sub(reserved);
            prop_assert_eq!(stand(settled).remaining, u64::from(burst.saturating_sub(excess)));
        }
    }

    /// A settlement of what was taken at another rate gives back and charges the same tokens.
    #[test]
    fn a_settlement_after_a_change_of_rate_counts_the_same_tokens(
        old in (1u32..100_000, 1u32..5_000), new in (1u32..100_000, 1u32..5_000),
        reserved in 1u32..10_000, used in 0u32..10_000, and in 0u32..5_000,
    ) {
        let old = Scale::exact(quota(old.0, Period::Minute, old.1), 1);
        let new = Scale::exact(quota(new.0, Period::Minute, new.1), 2);
        let (word, _) = old.take(Level::of(full_word(START)), reserved, START, none).unwrap();
        // The client comes with another tier meanwhile.
        let word = match new.take(Level::of(word), and, START, |_| Some(old)) {
            Ok((word, _)) => word,
            Err(wait) => wait.converted.unwrap_or(word),
        };
        let index = Level::of(word).index;
        let scales = |index| Some(if index == 1 { old } else { new });
        let word = old.settle(Level::of(word), (reserved.into(), used.into()), START, scales);
        prop_assert!(Level::of(word).index == index || used == 0);
        let before = u64::from(if index == 2 { and } else { 0 });
        let (in_use, _) = old.level(Level::of(word), START, scales);
        let tokens = in_use / old.ticks_per_token;
        // In converting there and back, less than a token is rounded.
        let expected = u64::from(used) + before;
        let is_taken = new.room(and) >= new.cost(reserved.into()) && index == 2;
        let expected = if is_taken { expected } else { u64::from(used) };
        prop_assert!(tokens.abs_diff(expected) <= 1, "{} {}", tokens, expected);
    }

    #[test]
    fn a_wait_is_true_after_a_change_of_rate(
        old in (1u32..100_000, 1u32..1000), new in (1u32..100_000, 1u32..1000),
        pause in 0u64..100_000_000_000,
    ) {
        let old = Scale::exact(quota(old.0, Period::Minute, old.1), 1);
        let new = Scale::exact(quota(new.0, Period::Minute, new.1), 2);
        let foreign = |_| Some(old);
        let mut word = full_word(START);
        while take(&old, &mut word, START).is_ok() {}
        let now = MonoNanos(START.0 + pause);
        if let Err(wait) = new.take(Level::of(word), 1, now, foreign) {
            let before = old.look(Level::of(word), now, |_| Some(new)).remaining;
            word = wait.converted.unwrap_or(word);
            // A refusal forgets nothing (and rounds up, in converting there and back).
            let after = old.look(Level::of(word), now, |_| Some(new)).remaining;
            prop_assert!(after <= before);
            let at = |nanos| new.take(Level::of(word), 1, MonoNanos(now.0 + nanos), foreign);
            prop_assert!(at(wait.nanos).is_ok());
            prop_assert!(at(wait.nanos - 1).is_err());
        }
    }

    #[test]
    fn giving_back_restores_but_never_overfills(
        count in 1u32..100_000, burst in 1u32..1000, n in 1u32..100, taken in 0u32..100, later in 0u64..10_000_000_000,
    ) {
        let scale = Scale::exact(quota(count, Period::Minute, burst.max(n + taken)), 1);
        let mut word = full_word(START);
        for _ in 0..taken {
            let _ = take(&scale, &mut word, START);
        }
        let before = scale.look(Level::of(word), START, none);
        let (next, _) = scale.take(Level::of(word), n, START, none).unwrap();
        let same = scale.settle(Level::of(next), (n.into(), 0), START, none);
        prop_assert_eq!(scale.look(Level::of(same), START, none), before);
        let now = MonoNanos(START.0 + later);
        let back = scale.settle(Level::of(next), (n.into(), 0), now, none);
        prop_assert!(scale.look(Level::of(back), now, none).remaining <= u64::from(scale.quota.burst()));
        prop_assert!(scale.look(Level::of(back), now, none).remaining >= before.remaining);
    }

    #[test]
    fn no_word_and_no_moment_overflows(word: u64, now: u64, count in 1u32..Quota::MAX_COUNT, burst in 1u32..Quota::MAX_COUNT, n: u32) {
        if let Ok(quota) = Quota::new(count, Period::Day, burst) {
            for scale in [Scale::exact(quota, 7), Scale::plain(quota)] {
                let now = MonoNanos(now);
                let _ = scale.take(Level::of(word), n, now, |_| Some(scale));
                let _ = scale.settle(Level::of(word), (n.into(), word), now, none);
                prop_assert!(scale.look(Level::of(word), now, none).remaining <= u64::from(burst));
            }
        }
    }
}

/// Else a worker that read the word of a full bucket could take that of a new one for it.
#[test]
fn a_bucket_is_idle_a_microsecond_after_it_is_full_and_not_before() {
    for scale in [
        Scale::exact(quota(10, Period::Minute, 10), 1),
        Scale::exact(quota(100_000, Period::Second, 1), 2),
    ] {
        let level = Level { index: scale.index, ticks: scale.ticks(START) };
        for nanos in [0, 200, 900] {
            assert!(!scale.is_idle(level, MonoNanos(START.0 + nanos)), "{nanos} ns");
        }
        assert!(scale.is_idle(level, MonoNanos(START.0 + 1_200)));
    }
    let level = Level::of(full_word(START));
    for nanos in [0, 200, 900] {
        assert!(!is_plain_idle(level, MonoNanos(START.0 + nanos)), "{nanos} ns");
    }
    assert!(is_plain_idle(level, MonoNanos(START.0 + 1_200)));
}
