//! Runs schedules.
use cluster_sim::schedule;
fn main() {
    let mut args = std::env::args().skip(1).map(|n| n.parse::<u64>().unwrap_or(0));
    let (from, count) = (args.next().unwrap_or(1), args.next().unwrap_or(1));
    for seed in from..from + count {
        if std::env::var_os("PLAN").is_some() {
            println!("{:#?}", cluster_sim::plan::Plan::of(seed));
        }
        let report = schedule::run(seed, None);
        println!("{seed}: {report:?}");
    }
}
