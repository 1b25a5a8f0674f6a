//! What is published of a cluster holds in schedules of faults, and mistakes that are made on purpose are noticed.
//!
//! `TOLLGATE_SCHEDULES=10000 cargo test --release -p cluster-sim` runs as many, in some minutes; `TOLLGATE_SEED` begins
//! with another seed. A seed that fails is run again by `cargo run -p cluster-sim -- schedules --seed SEED`.
#![allow(clippy::unwrap_used, reason = "a test")]

use cluster_sim::mistakes::Mistake;
use cluster_sim::plan::Plan;
use cluster_sim::schedule;

/// Seeds that failed once, and why; all others of the same kinds are among the first 10,000.
const REGRESSIONS: [u64; 6] = [
    // A request gave back, on a node that was alone, what it had leased before: part of that had drained.
    30_550, // A node was stopped until so late that its leases lay idle for less than they may.
    30_816, 31_137,
    // A replica took over that hadn't heard that a node keeps the places of requests in flight.
    3_514, 20_247, 20_530,
];

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

#[test]
fn bounds_hold_whatever_goes_wrong() {
    let first = number_of("TOLLGATE_SEED", 1);
    let count = number_of("TOLLGATE_SCHEDULES", 20);
    let mut broken = Vec::new();
    let (mut admitted, mut waited) = (0, 0);
    for seed in first..first + count {
        let report = schedule::run(seed, None);
        admitted += report.admitted;
        waited += report.waited;
        broken.extend(report.broken.into_iter().map(|what| format!("seed {seed}: {what}")));
    }
    assert!(broken.is_empty(), "{} of {count}: {broken:#?}", broken.len());
    // Else nothing was tried.
    assert!(admitted > 100 * count && waited > count, "{admitted} {waited}");
}

#[test]
fn bounds_hold_where_they_did_not() {
    for seed in REGRESSIONS {
        assert_eq!(schedule::run(seed, None).broken, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn the_same_seed_makes_the_same_schedule() {
    assert_eq!(schedule::run(7, None), schedule::run(7, None));
}

#[test]
fn bounds_hold_where_nodes_contend() {
    for seed in 1..5 {
        let report = schedule::run_plan(&Plan::of_stops(seed), seed, None);
        assert_eq!(report.broken, Vec::<String>::new(), "seed {seed}");
        for plan in [Plan::of_storms(), Plan::of_losses()] {
            let report = schedule::run_plan(&plan, seed, None);
            assert_eq!(report.broken, Vec::<String>::new(), "seed {seed}");
        }
    }
}

#[test]
fn mistakes_are_noticed() {
    for mistake in Mistake::ALL {
        let is_noticed = |seed: &u64| {
            let report = match mistake {
                Mistake::SpentAfterExpiry => {
                    schedule::run_plan(&Plan::of_stops(*seed), *seed, Some(mistake))
                }
                Mistake::OrderIgnored => {
                    schedule::run_plan(&Plan::of_storms(), *seed, Some(mistake))
                }
                Mistake::LossUnnoticed => {
                    schedule::run_plan(&Plan::of_losses(), *seed, Some(mistake))
                }
                _ => schedule::run(*seed, Some(mistake)),
            };
            !report.broken.is_empty()
        };
        let found = (1..200).find(is_noticed);
        println!("{mistake:?}: seed {found:?}");
        assert!(found.is_some(), "nobody notices {mistake:?}");
    }
}
