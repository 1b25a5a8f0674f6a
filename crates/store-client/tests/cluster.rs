//! A Redis Cluster of three masters: each call goes where its keys are, also while these move.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod servers;

use servers::{ask, client, has, port, programs, soon, until, Server};
use store_client::{Client, Greeting, NodeRow};
use tollgate_core::cluster::message::{
    Incarnation, Line, Message, Outcome, Shards, StoreId, Terms,
};

fn line(number: u8) -> Line {
    Line {
        id: StoreId([number; 16]),
        terms: Terms::Bucket { capacity: 100, count: 100, period_us: 60_000_000 },
        born: 1,
        drawn: 0,
        adjust: 0,
        acked_drawn: 0,
        acked_adjust: 0,
        in_doubt: false,
        held: 0,
        want: 1,
        known: 0,
        heard_us: 0,
        reset: false,
    }
}

fn message(seq: u64) -> Message {
    Message {
        incarnation: Incarnation::from_random(1 << 20),
        seq,
        latest_us: 1 << 51,
        lines: (0..=255).map(line).collect(),
    }
}

/// How many lines were executed.
fn exchange(client: &mut Client, seq: u64) -> usize {
    let message = message(seq);
    let answers = client.speak(None, &message, soon()).exchanged;
    let done = answers.iter().map(|(call, answer)| match answer {
        Ok(answer) => match &answer.outcome {
            Outcome::Done(sold) => sold.len(),
            Outcome::Stale => 0,
        },
        Err(failure) => {
            eprintln!("shard {}: {failure:?}", call.shard());
            0
        }
    });
    done.sum()
}

fn greeting() -> Greeting {
    let row = NodeRow {
        name: "a".to_owned(),
        version: "0.1.0".to_owned(),
        leases: 0,
        lag_us: 0,
        exchange_ms: 50,
        revocations: 0,
    };
    Greeting { row, seed: (5, 6) }
}

#[test]
fn one_server_executes_a_message() {
    for program in programs() {
        let server = Server::start(program, port(), &[]);
        let mut client = client(&[&server.url()]);
        client.prepare().unwrap();
        assert_eq!(client.shards(), Shards::ONE);
        assert_eq!(exchange(&mut client, 1), 256);
    }
}

#[test]
fn a_message_is_spread_over_the_masters_and_follows_its_keys() {
    if !has("redis-cli") {
        return;
    }
    for program in programs().into_iter().take(1) {
        let servers: Vec<Server> = (0..3)
            .map(|_| {
                let bus = port().to_string();
                let words = [
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "500",
                ];
                Server::start(program, port(), &words)
            })
            .collect();
        let places: Vec<String> =
            servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(places.iter().map(String::as_str));
        create.push("--cluster-yes");
        let said = ask(servers[0].port, &create);
        assert!(said.contains("All 16384 slots covered"), "{said}");
        until(10, || {
            let is_ok =
                |server: &Server| server.ask(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
            servers.iter().all(is_ok).then_some(())
        });
        // One of those that are named isn't there.
        let gone = format!("redis://127.0.0.1:{}", port());
        let mut client = client(&[&gone, &servers[1].url(), "cluster"]);
        client.prepare().unwrap();
        assert_eq!(client.shards(), Shards::MANY);
        assert_eq!(exchange(&mut client, 1), 256);
        assert!(servers.iter().all(|server| server.ask(&["DBSIZE"]) != "0"), "each has some");
        // With the lines of the part where nodes are greeted, and without.
        for lines in [0..=255, 1..=1] {
            let message = Message { lines: lines.map(line).collect(), ..message(1) };
            let spoken = client.speak(Some(&greeting()), &message, soon());
            assert_eq!(spoken.greeted.unwrap().unwrap().seed, (5, 6));
            assert!(spoken.exchanged.iter().all(|(_, answer)| answer.is_ok()));
        }

        // A place is on its way from one to another: what is there already is asked for there.
        let key = format!("{}:life", Shards::prefix("default", 7));
        let slot = servers[0].ask(&["CLUSTER", "KEYSLOT", &key]);
        let owner = servers.iter().position(|server| server.ask(&["EXISTS", &key]) == "1").unwrap();
        let (from, to) = (&servers[owner], &servers[(owner + 1) % 3]);
        let (from_id, to_id) = (from.ask(&["CLUSTER", "MYID"]), to.ask(&["CLUSTER", "MYID"]));
        to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        move_keys(from.port, to.port, &slot);
        assert_eq!(exchange(&mut client, 2), 256, "ASK");
        for server in &servers {
            server.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
        assert_eq!(exchange(&mut client, 3), 256, "MOVED");
        client.prepare().unwrap();
        assert_eq!(exchange(&mut client, 4), 256);

        // One master is gone: the limits of the others go on.
        let mut servers = servers;
        servers[2].stop();
        let done = exchange(&mut client, 5);
        assert!(done > 0 && done < 256, "{done}");
    }
}

/// Moves all keys of a place. Their names have bytes that no command line has, so RESP is spoken here.
fn move_keys(from: u16, to: u16, slot: &str) {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", from)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut send = |words: &[&[u8]]| {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).into_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        stream.write_all(&bytes).unwrap();
    };
    send(&[b"CLUSTER", b"GETKEYSINSLOT", slot.as_bytes(), b"1000"]);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let count: usize = line.trim_start_matches('*').trim().parse().unwrap();
    let keys: Vec<Vec<u8>> = (0..count)
        .map(|_| {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let length: usize = line.trim_start_matches('$').trim().parse().unwrap();
            let mut key = vec![0; length + 2];
            reader.read_exact(&mut key).unwrap();
            key.truncate(length);
            key
        })
        .collect();
    assert!(!keys.is_empty());
    let port = to.to_string();
    let mut words: Vec<&[u8]> =
        vec![b"MIGRATE", b"127.0.0.1", port.as_bytes(), b"", b"0", b"5000", b"KEYS"];
    words.extend(keys.iter().map(Vec::as_slice));
    send(&words);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "+OK");
}
