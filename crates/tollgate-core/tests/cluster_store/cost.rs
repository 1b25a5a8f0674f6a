//! What an exchange costs the store: `cargo test -p tollgate-core --test cluster_store -- --ignored --nocapture`
//! (20 s). docs/cluster.md calculates with it.

use tollgate_core::cluster::message::{Call, Incarnation, Line, Message, Shards, StoreId, Terms};

use crate::random::{self, Random};
use crate::server::{Server, Value};
use crate::{execute, CLUSTER};
use tollgate_core::cluster::store::SCRIPT;

/// Limits in a call, and calls.
const LINES: u64 = 1_000;
const CALLS: u64 = 30;

#[test]
#[ignore = "measures, and takes 20 seconds"]
fn cost_of_an_exchange() {
    for (program, mut server) in Server::all() {
        for nodes in [1, 4] {
            measure(program, &mut server, nodes);
        }
    }
}

/// Of `LINES * CALLS` limits, each used by so many nodes.
fn measure(program: &str, server: &mut Server, nodes: u64) {
    server.ask(&[b"FLUSHALL"]);
    let sha = server.load(SCRIPT);
    let empty = number_in(server, "memory", "used_memory:");
    let mut random = Random(1);
    let (mut sent, mut answered) = (0, 0);
    let mut cpu = 0.0;
    // The first round writes each limit for the first time.
    for round in 0..=2 {
        server.ask(&[b"CONFIG", b"RESETSTAT"]);
        let cpu_before = cpu_seconds(server.process());
        (sent, answered) = (0, 0);
        for node in 0..nodes {
            for call in 0..CALLS {
                let message = message(&mut random, node, 1 + round, call);
                for call in Call::all(&message, Shards::ONE) {
                    let keys: usize = call.keys(CLUSTER).iter().map(|key| key.len() + 7).sum();
                    sent += keys + call.argument(0).len();
                    let answer = execute(server, &sha, &call, 0, None);
                    answered += answer.to_bytes(&call).len();
                }
            }
        }
        cpu = cpu_seconds(server.process()) - cpu_before;
    }
    let script_us = script_us(server);
    let lines = (LINES * CALLS * nodes) as f64;
    let Value::Number(limits) = server.ask(&[b"DBSIZE"]) else { panic!("no size") };
    println!(
        "{program}, {nodes} node(s) a limit, {LINES} limits a call: {:.2} us of CPU a limit and call \
         ({:.2} in the script), {:.0} bytes sent, {:.0} bytes answered, {:.0} bytes of memory a limit",
        cpu * 1e6 / lines,
        script_us / lines,
        sent as f64 / lines,
        answered as f64 / lines,
        (number_in(server, "memory", "used_memory:") - empty) / limits as f64,
    );
}

/// What a node says of limits that are in use: of requests and tokens, half each.
fn message(random: &mut Random, node: u64, seq: u64, call: u64) -> Message {
    let now_us = u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let line = |index: u64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&Random(call * LINES + index).next().to_be_bytes());
        id[8..].copy_from_slice(&(call * LINES + index).to_be_bytes());
        let capacity = [600, 200_000][usize::try_from(index % 2).unwrap()];
        let terms = Terms::Bucket { capacity, count: capacity, period_us: 60_000_000 };
        let drawn = random.below(capacity);
        Line {
            id: StoreId(id),
            born: 1_000_000,
            drawn: seq * capacity + drawn,
            acked_drawn: (seq - 1) * capacity + drawn,
            held: random.below(capacity / 10),
            want: random.below(capacity / 10),
            known: random.below(capacity),
            heard_us: now_us - random.below(100_000),
            ..random::first_line(0, terms)
        }
    };
    let lines = (0..LINES).map(line).collect();
    let incarnation = Incarnation::from_random(Random(node).next());
    Message { incarnation, seq, latest_us: now_us + 60_000_000, lines }
}

/// What the calls of the script took by the server's own measure, in microseconds.
fn script_us(server: &mut Server) -> f64 {
    let Value::Bulk(text) = server.ask(&[b"INFO", b"commandstats"]) else {
        panic!("no statistics")
    };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    let usec = line.split_once(",usec=").unwrap().1;
    usec.split_once(',').unwrap().0.parse().unwrap()
}

fn number_in(server: &mut Server, section: &str, before: &str) -> f64 {
    let Value::Bulk(text) = server.ask(&[b"INFO", section.as_bytes()]) else {
        panic!("no {section}")
    };
    let text = String::from_utf8(text).unwrap();
    let after = text.split_once(before).unwrap().1;
    after.split([',', '\r']).next().unwrap().parse().unwrap()
}

/// Of all threads of a process.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // In clock ticks of a hundredth of a second: utime and stime.
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}
