use super::*;
use proptest::prelude::*;

/// 2026-06-15T12:00:00Z
const NOON: UnixSeconds = UnixSeconds(1_781_524_800);
const UNIT: u64 = 1_000_000_000;
const ALL: [Calendar; 3] = [Calendar::Hour, Calendar::Day, Calendar::Month];

fn budget(text: &str) -> Budget {
    Budget::parse(text).unwrap()
}

fn at(hour: i64, minute: i64, second: i64) -> UnixSeconds {
    UnixSeconds(NOON.0 + (hour - 12) * 3_600 + minute * 60 + second)
}

/// Reserves `n` and stores the word; `Err` is the wait in seconds.
fn take(budget: Budget, word: &mut u64, n: u64, now: UnixSeconds) -> Result<u32, u64> {
    assert_eq!(budget.wait(*word, n, 0, now), budget.take(*word, n, 0, now).err());
    let reserved = budget.take(*word, n, 0, now).map_err(|wait| {
        *word = wait.converted.unwrap_or(*word);
        wait.nanos.div_ceil(1_000_000_000)
    })?;
    *word = reserved.word.unwrap_or(*word);
    assert_eq!(budget.look(*word, now), reserved.standing);
    Ok(reserved.period)
}

fn settle(
    budget: Budget,
    word: &mut u64,
    period: u32,
    reserved_and_used: (u64, u64),
    now: UnixSeconds,
) {
    *word = match budget.settle(*word, period, reserved_and_used, now) {
        Settled::Same => *word,
        Settled::Nothing => fresh(budget.calendar(), 77),
        Settled::Word(word) => word,
    };
}

#[test]
fn a_budget_is_an_amount_and_a_period() {
    for (text, amount, calendar) in [
        ("20/day", 20 * UNIT, Calendar::Day),
        ("0.50/hour", UNIT / 2, Calendar::Hour),
        ("100/month", 100 * UNIT, Calendar::Month),
        ("0.000000001/hour", 1, Calendar::Hour),
    ] {
        let budget = budget(text);
        assert_eq!((budget.amount(), budget.calendar()), (amount, calendar), "{text}");
    }
    assert_eq!(budget("0.50/hour").to_string(), "0.5/hour");
    assert_eq!(budget("20/day").to_string(), "20/day");
    for text in ["", "20", "20/", "20/d", "20/Day", "20/week", "20 /day ", "20/day/day"] {
        assert_eq!(Budget::parse(text), Err(BudgetError::Form), "{text}");
    }
    for text in ["/day", "-1/day", "1e3/day", "$1/day", " 1/day", "1 /day", ".5/day"] {
        assert_eq!(Budget::parse(text), Err(BudgetError::Amount(MoneyError::Form)), "{text}");
    }
    let decimals = BudgetError::Amount(MoneyError::TooManyDecimals);
    assert_eq!(Budget::parse("0.0000000001/day"), Err(decimals));
    assert_eq!(Budget::parse("0.00/day"), Err(BudgetError::Zero));
}

#[test]
fn a_budget_that_a_word_cannot_count_is_refused() {
    for (calendar, most) in ALL.into_iter().zip([70_368, 1_125_899, 18_014_398]) {
        let text = |amount: u64| format!("{amount}/{}", calendar.as_str());
        assert!(Budget::parse(&text(most)).is_ok());
        for amount in [most + 1, u64::MAX / UNIT, u64::MAX] {
            let error = Budget::parse(&text(amount)).unwrap_err();
            assert_eq!(error, BudgetError::TooLarge(calendar));
            assert!(error.to_string().contains(&most.to_string()), "{error}");
        }
    }
}

#[test]
fn a_budget_is_spent_to_the_last_nano_unit_until_its_period_ends() {
    let (budget, mut word) = (budget("1/day"), fresh(Calendar::Day, 5));
    take(budget, &mut word, UNIT - 1, NOON).unwrap();
    assert_eq!(take(budget, &mut word, 2, NOON), Err(12 * 3_600));
    take(budget, &mut word, 1, NOON).unwrap();
    assert_eq!(take(budget, &mut word, 1, at(23, 59, 59)), Err(1));
    let standing = budget.look(word, at(23, 59, 59));
    assert_eq!((standing.remaining, standing.until_full_nanos), (0, UNIT));
    assert_eq!((standing.quota, standing.period_secs), (UNIT, 86_400));
    let standing = budget.look(word, at(24, 0, 0));
    assert_eq!((standing.remaining, standing.until_full_nanos), (UNIT, 0));
    take(budget, &mut word, UNIT, at(24, 0, 0)).unwrap();
}

#[test]
fn more_than_the_budget_is_never_reserved_and_may_be_settled() {
    let (budget, mut word) = (budget("1/day"), fresh(Calendar::Day, 5));
    assert!(take(budget, &mut word, UNIT + 1, NOON).is_err());
    let period = take(budget, &mut word, UNIT, NOON).unwrap();
    settle(budget, &mut word, period, (UNIT, 3 * UNIT), NOON);
    assert_eq!(budget.look(word, NOON).remaining, 0);
    // The overdraft counts in its own period only, and a give-back pays it off first.
    settle(budget, &mut word, period, (2 * UNIT, 0), NOON);
    assert_eq!(budget.look(word, NOON).remaining, 0);
    settle(budget, &mut word, period, (UNIT, 0), NOON);
    assert_eq!(budget.look(word, NOON), budget.full(NOON));
}

#[test]
fn a_worker_that_is_late_at_the_turn_counts_in_the_new_period() {
    let (budget, mut word) = (budget("10/hour"), fresh(Calendar::Hour, 5));
    take(budget, &mut word, UNIT, at(13, 0, 0)).unwrap();
    let late = take(budget, &mut word, 2 * UNIT, at(12, 59, 59)).unwrap();
    assert_eq!(budget.look(word, at(13, 0, 1)).remaining, 7 * UNIT);
    // And so does its settlement.
    settle(budget, &mut word, late, (2 * UNIT, UNIT), at(12, 59, 59));
    assert_eq!(budget.look(word, at(13, 0, 1)).remaining, 8 * UNIT);
    // What was reserved before the turn does not come back after it.
    let mut word = fresh(Calendar::Hour, 6);
    let before = take(budget, &mut word, 5 * UNIT, at(12, 59, 58)).unwrap();
    take(budget, &mut word, UNIT, at(13, 0, 0)).unwrap();
    settle(budget, &mut word, before, (5 * UNIT, 0), at(12, 59, 59));
    assert_eq!(budget.look(word, at(13, 0, 1)).remaining, 9 * UNIT);
}

#[test]
fn a_clock_set_back_frees_nobody_and_locks_nobody_for_longer_than_a_period() {
    let (budget, mut word) = (budget("1/hour"), fresh(Calendar::Hour, 5));
    let period = take(budget, &mut word, UNIT / 2, at(15, 0, 0)).unwrap();
    // Two hours back: what was spent stays spent, until the hour ends.
    assert_eq!(budget.look(word, at(13, 0, 0)).remaining, UNIT / 2);
    take(budget, &mut word, UNIT / 2, at(13, 0, 0)).unwrap();
    assert_eq!(take(budget, &mut word, 1, at(13, 0, 0)), Err(3_600));
    // What is in flight is still settled rightly.
    settle(budget, &mut word, period, (UNIT / 2, 0), at(13, 30, 0));
    assert_eq!(budget.look(word, at(13, 30, 0)).remaining, UNIT / 2);
    assert_eq!(budget.look(word, at(14, 0, 0)).remaining, UNIT);
    // Also a word that nobody writes in between, and clocks from before the epoch.
    let mut word = fresh(Calendar::Hour, 6);
    take(budget, &mut word, UNIT, at(15, 0, 0)).unwrap();
    assert_eq!(take(budget, &mut word, 1, at(10, 30, 0)), Err(1_800));
    assert!(budget.wait(word, 1, 0, UnixSeconds(0)).is_some());
    assert!(budget.wait(word, 1, 0, UnixSeconds(i64::MIN)).is_some());
}

#[test]
fn a_budget_is_idle_when_nothing_is_spent_or_its_period_is_over() {
    for calendar in ALL {
        let budget = Budget::new(UNIT, calendar).unwrap();
        let mut word = fresh(calendar, 5);
        assert!(is_idle(calendar, word, NOON));
        let period = take(budget, &mut word, UNIT, NOON).unwrap();
        let end = calendar.end(period);
        assert!(!is_idle(calendar, word, NOON));
        // A worker that is late may still charge it.
        assert!(!is_idle(calendar, word, end));
        assert!(is_idle(calendar, word, UnixSeconds(end.0 + SKEW_SECS)));
        settle(budget, &mut word, period, (UNIT, 0), NOON);
        assert!(is_idle(calendar, word, NOON));
    }
}

#[test]
fn nothing_taken_leaves_no_trace() {
    let (budget, mut word) = (budget("1/day"), fresh(Calendar::Day, 5));
    take(budget, &mut word, 0, NOON).unwrap();
    assert_eq!(word, fresh(Calendar::Day, 5));
    let (first, second) = (fresh(Calendar::Day, 5), fresh(Calendar::Day, 6));
    assert_ne!(first, second);
}

proptest! {
    /// Reservations and settlements at moments that run on, against a plain ledger a period.
    #[test]
    fn agrees_with_a_plain_ledger_over_period_turns(
        calendar in 0usize..3, amount in 1u64..1_000,
        steps in proptest::collection::vec((0i64..400_000, 0u64..600, 0u64..900, any::<bool>()), 1..80),
    ) {
        let calendar = ALL[calendar];
        let budget = Budget::new(amount, calendar).unwrap();
        let mut word = fresh(calendar, 1);
        let mut now = NOON;
        let mut spent = std::collections::HashMap::<u32, u64>::new();
        let mut open: Vec<(u32, u64)> = Vec::new();
        for (step, n, used, settles) in steps {
            now.0 += step / 4;
            let running = calendar.number(now);
            if settles {
                let Some((period, reserved)) = open.pop() else { continue };
                settle(budget, &mut word, period, (reserved, used), now);
                if used >= reserved {
                    *spent.entry(running).or_default() += used - reserved;
                } else if period == running {
                    *spent.get_mut(&running).unwrap() -= reserved - used;
                }
            } else {
                let taken = take(budget, &mut word, n, now);
                // Nothing is reserved of an overdrawn budget, not even nothing.
                prop_assert_eq!(taken.is_ok(), *spent.entry(running).or_default() + n <= amount);
                if let Ok(period) = taken {
                    prop_assert_eq!(period, running);
                    *spent.get_mut(&running).unwrap() += n;
                    open.push((period, n));
                }
            }
            let free = amount.saturating_sub(*spent.entry(running).or_default());
            prop_assert_eq!(budget.look(word, now).remaining, free);
        }
    }

    /// However the clock jumps: a look never frees more than a period's turn, and a refusal lasts
    /// no longer than a period.
    #[test]
    fn a_jump_of_the_clock_never_locks_for_longer_than_a_period(
        calendar in 0usize..3, amount in 1u64..1_000,
        steps in proptest::collection::vec((-3_000_000i64..3_000_000, 0u64..600), 1..60),
    ) {
        let calendar = ALL[calendar];
        let budget = Budget::new(amount, calendar).unwrap();
        let mut word = fresh(calendar, 1);
        let mut now = NOON;
        let mut last = NOON;
        for (step, n) in steps {
            // From 2026 on: what was before is one period.
            now.0 = (now.0 + step).max(1_767_225_600);
            let before = budget.look(word, now).remaining;
            // Nobody is freed by a step back.
            if now.0 <= last.0 {
                prop_assert!(before <= budget.look(word, last).remaining);
            }
            last = now;
            match take(budget, &mut word, n, now) {
                Ok(_) => {}
                Err(seconds) if n <= amount => {
                    prop_assert!(seconds <= 31 * 86_400 + SKEW_SECS.unsigned_abs());
                    let then = UnixSeconds(now.0 + i64::try_from(seconds).unwrap());
                    prop_assert!(budget.wait(word, n, 0, then).is_none());
                }
                Err(_) => {}
            }
        }
    }

    #[test]
    fn no_word_and_no_moment_overflows_or_freezes(word: u64, now: i64, n: u64, used: u64, period: u32, amount in 1u64..1 << 46) {
        let now = UnixSeconds(now);
        for calendar in ALL {
            let budget = Budget::new(amount, calendar).unwrap();
            let _ = (budget.look(word, now), budget.wait(word, n, 0, now), is_idle(calendar, word, now));
            if let Ok(reserved) = budget.take(word, n, 0, now) {
                prop_assert_ne!(reserved.word, Some(u64::MAX));
            }
            prop_assume!(word != u64::MAX);
            if let Settled::Word(word) = budget.settle(word, period, (n, used), now) {
                prop_assert_ne!(word, u64::MAX);
            }
            prop_assert_ne!(fresh(calendar, n), u64::MAX);
        }
    }
}
