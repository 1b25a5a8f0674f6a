//! `cluster-sim`: schedules of faults by their seeds, and clusters of some size in ordinary times.
#![forbid(unsafe_code)]

use std::num::NonZeroU16;

use clap::{Parser, Subcommand};

use cluster_sim::plan::Plan;
use cluster_sim::scenario::{self, Findings, Scenario, Served};
use cluster_sim::schedule;
use tollgate_core::cluster::OnLoss;
use tollgate_core::limits::Quota;

/// A cluster in virtual time.
#[derive(Parser)]
#[command(name = "cluster-sim")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the schedules of seeds, and says what didn't hold. Ends with status 1 if anything didn't.
    Schedules {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many.
        #[arg(long, default_value_t = 1)]
        count: u64,
        /// Shows what each schedule consists of.
        #[arg(long)]
        plan: bool,
    },
    /// What a cluster does, and what its store has to do: in ordinary times, or where something goes wrong in the middle.
    Scenario(ScenarioArguments),
}

#[derive(clap::Args)]
struct ScenarioArguments {
    /// Nodes, which all get the same share of requests.
    #[arg(long, default_value_t = 3)]
    nodes: usize,
    /// The share of each node, such as 9:1:0, in place of --nodes.
    #[arg(long)]
    shares: Option<String>,
    /// Clients, each with a limit of its own.
    #[arg(long, default_value_t = 100)]
    clients: usize,
    /// For how many of them the memory of a node has room: all, if this isn't given.
    #[arg(long)]
    room: Option<usize>,
    /// The limit.
    #[arg(long, default_value = "60r/m")]
    limit: String,
    /// Requests in a second, of all.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// By which law clients ask: uniform, or zipf:EXPONENT.
    #[arg(long, default_value = "zipf:1.1")]
    skew: String,
    /// How many requests of a client come at once.
    #[arg(long, default_value_t = 1)]
    bursts: u64,
    /// How long.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Milliseconds between exchanges.
    #[arg(long, default_value_t = 50)]
    exchange: u64,
    /// Microseconds from a node to the store.
    #[arg(long, default_value_t = 500)]
    delay: u64,
    /// Microseconds of CPU that the store takes for a limit in a call.
    #[arg(long, default_value_t = 9.0)]
    cost: f64,
    /// So many nodes can't reach the store for so many seconds, such as 50:10.
    #[arg(long)]
    cut: Option<String>,
    /// The store loses its data.
    #[arg(long)]
    lose_data: bool,
    /// What nodes do without the store: share, local or deny.
    #[arg(long, default_value = "share")]
    on_loss: String,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> std::process::ExitCode {
    match Arguments::parse().command {
        Command::Schedules { seed, count, plan } => schedules(seed, count, plan),
        Command::Scenario(arguments) => match try_scenario(&arguments) {
            Ok(()) => std::process::ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cluster-sim: {error}");
                std::process::ExitCode::from(2)
            }
        },
    }
}

fn schedules(first: u64, count: u64, shows_plan: bool) -> std::process::ExitCode {
    let mut failed = 0;
    let (mut admitted, mut waited, mut longest_us) = (0, 0, 0);
    for seed in first..first.saturating_add(count) {
        if shows_plan {
            println!("{:#?}", Plan::of(seed));
        }
        let report = schedule::run(seed, None);
        (admitted, waited) = (admitted + report.admitted, waited + report.waited);
        longest_us = longest_us.max(report.longest_wait_us);
        failed += u64::from(!report.broken.is_empty());
        for what in report.broken {
            println!("seed {seed}: {what}");
        }
    }
    println!(
        "{count} schedules, {failed} failed; {admitted} requests were admitted, {waited} waited, for {} ms at most",
        longest_us / 1_000
    );
    if failed > 0 {
        std::process::ExitCode::FAILURE
    } else {
        std::process::ExitCode::SUCCESS
    }
}

fn try_scenario(arguments: &ScenarioArguments) -> Result<(), String> {
    let shares: Result<Vec<f64>, _> = match &arguments.shares {
        Some(shares) => shares.split(':').map(str::parse).collect(),
        None => Ok(vec![1.0; arguments.nodes]),
    };
    let skew = match (arguments.skew.as_str(), arguments.skew.strip_prefix("zipf:")) {
        ("uniform", _) => Ok(0.0),
        (_, Some(exponent)) => exponent.parse(),
        (other, None) => return Err(format!("--skew {other}: it is \"uniform\" or \"zipf:1.1\"")),
    };
    let shares = shares.map_err(|error| format!("--shares: {error}"))?;
    let quota = Quota::parse(&arguments.limit, None);
    let on_loss = match arguments.on_loss.as_str() {
        "share" => {
            let nodes = u16::try_from(shares.len()).ok().and_then(NonZeroU16::new);
            OnLoss::Share { nodes: nodes.ok_or("--nodes: from 1 to 65535")? }
        }
        "local" => OnLoss::Local,
        "deny" => OnLoss::Deny,
        other => return Err(format!("--on-loss {other}: it is \"share\", \"local\" or \"deny\"")),
    };
    let cut = arguments.cut.as_ref().map(|cut| {
        let (nodes, seconds) = cut.split_once(':')?;
        Some((nodes.parse().ok()?, seconds.parse().ok()?))
    });
    if cut == Some(None) {
        return Err("--cut: it is a number of nodes and of seconds, such as 50:10".to_owned());
    }
    let scenario = Scenario {
        shares,
        clients: arguments.clients,
        room: arguments.room.unwrap_or(arguments.clients),
        quota: quota.map_err(|error| format!("--limit: {error}"))?,
        rate: arguments.rate,
        skew: skew.map_err(|error| format!("--skew: {error}"))?,
        burst: arguments.bursts.max(1),
        seconds: arguments.seconds,
        exchange_ms: arguments.exchange,
        delay_us: arguments.delay,
        on_loss,
        cut: cut.flatten(),
        loses_data: arguments.lose_data,
        seed: arguments.seed,
    };
    let findings =
        scenario::run(&scenario).map_err(|error| format!("the memory of a node {error}"))?;
    print(&findings, arguments);
    Ok(())
}

fn print(findings: &Findings, arguments: &ScenarioArguments) {
    let seconds = arguments.seconds as f64;
    let part = |n: u64, of: u64| 100.0 * n as f64 / of.max(1) as f64;
    let served = |name: &str, served: &Served| {
        println!(
            "{name:<17} {} requests, of which one bucket for all nodes would admit {}",
            served.requests, served.possible
        );
        println!(
            "  admitted        {}: {:.2}% of that",
            served.admitted,
            part(served.admitted, served.possible)
        );
        println!(
            "  wrongly refused {}: {:.2}% of all, as a tenth of the limit was left",
            served.wrongly_refused,
            part(served.wrongly_refused, served.requests)
        );
    };
    served("in all", &findings.all);
    if findings.in_trouble != Served::default() {
        served("in trouble", &findings.in_trouble);
    }
    println!("exceeded          by {} requests of a client at most", findings.exceeded);
    if findings.full > 0 {
        println!("no room           for {} requests", findings.full);
    }
    let waits = findings.waited.max(1) as f64 * 1_000.0;
    println!(
        "waited            {} ({:.2}% of all), {:.0} ms in the mean and {:.0} at most; {} of them went on",
        findings.waited,
        part(findings.waited, findings.all.requests),
        findings.wait_us as f64 / waits,
        findings.longest_wait_us as f64 / 1_000.0,
        findings.waited_and_went_on
    );
    println!(
        "store, a second   {:.0} calls, {:.0} limits in them, {:.0} kB, {:.1}% of a CPU at {} us a limit",
        findings.calls as f64 / seconds,
        findings.lines as f64 / seconds,
        findings.bytes as f64 / seconds / 1_000.0,
        findings.lines as f64 * arguments.cost / seconds / 10_000.0,
        arguments.cost
    );
}
