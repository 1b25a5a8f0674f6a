//! With real servers: what is asked for is answered, over each way to a store, and after each way to lose one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod servers;

use std::time::{Duration, Instant};

use servers::{client, config, has, port, programs, soon, until, Server};
use store_client::{Access, Client, Failure, Greeted, Greeting, NodeRow};
use tollgate_core::cluster::message::{Incarnation, Message, Outcome};
use tollgate_core::cluster::revocations::{KeyHash, Word};

fn row(name: &str) -> NodeRow {
    NodeRow {
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        leases: 3,
        lag_us: 700,
        exchange_ms: 50,
        revocations: 0,
    }
}

fn incarnation(number: u64) -> Incarnation {
    Incarnation::from_random(number << 11)
}

fn greeting(number: u64, known: u64) -> Greeting {
    let row = NodeRow { revocations: known, ..row(&format!("node-{number}")) };
    Greeting { row, seed: (number, number) }
}

fn message(number: u64, latest_us: u64) -> Message {
    Message { incarnation: incarnation(number), seq: 1, latest_us, lines: Vec::new() }
}

fn greet(client: &mut Client, number: u64, known: u64) -> Result<Greeted, Failure> {
    client.prepare()?;
    client.speak(Some(&greeting(number, known)), &message(number, 0), soon()).greeted.unwrap()
}

#[test]
fn nodes_hear_of_each_other_and_of_one_seed() {
    for program in programs() {
        let server = Server::start(program, port(), &[]);
        let (mut one, mut two) = (client(&[&server.url()]), client(&[&server.url()]));
        let first = greet(&mut one, 1, 0).unwrap();
        assert_eq!((first.seed, first.revocations, first.has_lost), ((1, 1), 0, false));
        assert_eq!(greet(&mut two, 2, 0).unwrap().seed, (1, 1), "the first one's");
        let nodes = one.nodes(soon()).unwrap();
        let names: Vec<_> = nodes.iter().map(|node| node.row.name.as_str()).collect();
        assert_eq!(names, ["node-1", "node-2"]);
        assert_eq!(nodes[0].row, row("node-1"));
        assert!(nodes.iter().all(|node| node.silent_us < 5_000_000));
        // Another cluster of the same store knows nothing of it.
        let mut other = client(&[&server.url(), "name=other"]);
        assert_eq!(greet(&mut other, 3, 0).unwrap().seed, (3, 3));
        assert_eq!(other.nodes(soon()).unwrap().len(), 1);
    }
}

#[test]
fn a_server_says_what_it_is_to_whom_it_may() {
    for (program, name) in [("redis-server", "Redis"), ("valkey-server", "Valkey")] {
        if !programs().contains(&program) {
            continue;
        }
        let words = ["--maxmemory-policy", "allkeys-lru", "--appendonly", "yes"];
        let server = Server::start(program, port(), &words);
        let mut client = client(&[&server.url()]);
        client.prepare().unwrap();
        let said = client.server(soon()).unwrap().said.unwrap();
        let (found, version) = said.version.unwrap();
        assert_eq!(found, name);
        assert!(version.split('.').next().unwrap().parse::<u64>().unwrap() >= 7, "{version}");
        assert_eq!(said.policy.as_deref(), Some("allkeys-lru"));
        assert_eq!(said.is_append_only, Some(true));
        assert_eq!(server.ask(&["ACL", "SETUSER", "default", "-info"]), "OK");
        let silent = client.server(soon()).unwrap();
        assert!(silent.said.is_none() && silent.now_us > 1_700_000_000_000_000);
    }
}

/// How often scripts were called, as the server counts it.
fn calls(server: &Server) -> u64 {
    let stats = server.ask(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.starts_with("cmdstat_evalsha:calls="));
    let count = line.and_then(|line| line.split(['=', ',']).nth(1));
    count.map_or(0, |count| count.trim().parse().unwrap())
}

#[test]
fn a_greeting_and_an_exchange_are_one_call() {
    for program in programs() {
        let server = Server::start(program, port(), &[]);
        let mut client = client(&[&server.url()]);
        let now_us = greet(&mut client, 1, 0).unwrap().now_us;
        let before = calls(&server);
        for _ in 0..5 {
            let message = message(1, now_us + 60_000_000);
            let spoken = client.speak(Some(&greeting(1, 0)), &message, soon());
            assert_eq!(spoken.greeted.unwrap().unwrap().seed, (1, 1));
            let answer = spoken.exchanged[0].1.clone().unwrap();
            assert_eq!(answer.outcome, Outcome::Done(vec![]));
        }
        assert_eq!(calls(&server), before + 5);
        // A message that comes too late is none, and the greeting is one nevertheless.
        let late = message(7, 0);
        let spoken = client.speak(Some(&greeting(7, 0)), &late, soon());
        assert_eq!(spoken.exchanged[0].1.clone().unwrap().outcome, Outcome::Stale);
        assert_eq!(client.nodes(soon()).unwrap().len(), 2);
    }
}

#[test]
fn a_revocation_is_heard_once_and_survives_the_store() {
    for program in programs() {
        let mut server = Server::start(program, port(), &[]);
        let (mut one, mut two) = (client(&[&server.url()]), client(&[&server.url()]));
        one.prepare().unwrap();
        let word =
            |key: u8, is_revoked, number| Word { key: KeyHash([key; 32]), is_revoked, number };
        assert_eq!(one.revoke(KeyHash([1; 32]), true, soon()), Ok(1));
        assert_eq!(one.revoke(KeyHash([2; 32]), true, soon()), Ok(2));
        assert_eq!(one.revoke(KeyHash([1; 32]), false, soon()), Ok(3));
        assert_eq!(greet(&mut two, 2, 0).unwrap().revocations, 3);
        let words = two.revocations(0, soon()).unwrap();
        assert_eq!(words, [word(2, true, 2), word(1, false, 3)]);
        assert_eq!(two.revocations(2, soon()).unwrap(), [word(1, false, 3)]);
        assert_eq!(two.revocations(3, soon()).unwrap(), []);
        server.stop();
        server.start_again();
        // It has nothing any more, and is told.
        let greeted = until(5, || greet(&mut two, 2, 3).ok());
        assert_eq!((greeted.revocations, greeted.has_lost), (3, true));
        two.restore_revocations(&[word(2, true, 2)], soon()).unwrap();
        let heard = until(5, || one.prepare().and_then(|()| one.revocations(0, soon())).ok());
        assert_eq!(heard, [word(2, true, 2)]);
        assert_eq!(one.revoke(KeyHash([4; 32]), true, soon()), Ok(4), "behind what nodes know");
        assert!(!greet(&mut two, 2, 3).unwrap().has_lost);
    }
}

#[test]
fn many_revocations_come_in_pages() {
    for program in programs() {
        let server = Server::start(program, port(), &[]);
        let mut client = client(&[&server.url()]);
        client.prepare().unwrap();
        let words: Vec<Word> = (1..=2500u64)
            .map(|number| {
                let mut hash = [0; 32];
                hash[..8].copy_from_slice(&number.to_le_bytes());
                Word { key: KeyHash(hash), is_revoked: true, number }
            })
            .collect();
        client.restore_revocations(&words, soon()).unwrap();
        let mut heard: Vec<Word> = Vec::new();
        loop {
            let page =
                client.revocations(heard.last().map_or(0, |word| word.number), soon()).unwrap();
            if page.is_empty() {
                break;
            }
            heard.extend(page);
        }
        assert_eq!(heard, words);
    }
}

#[test]
fn a_password_lets_in_and_is_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("password_file={}", path.display())
    };
    let (right, wrong) = (file("right", "correct horse\n"), file("wrong", "battery staple"));
    for program in programs() {
        let server = Server::start(
            program,
            port(),
            &["--user", "gate", "on", ">correct horse", "~tollgate:*", "+@all"],
        );
        server.ask(&["ACL", "SETUSER", "default", "resetpass", ">other"]);
        let url = format!("redis://gate@127.0.0.1:{}/2", server.port);
        let mut allowed = client(&[&url, &right]);
        greet(&mut allowed, 1, 0).unwrap();
        for (words, code) in [(vec![&*url, &*wrong], "WRONGPASS"), (vec![&*server.url()], "NOAUTH")]
        {
            let failure = client(&words).prepare().unwrap_err();
            let Failure::Refused(error) = &failure else { panic!("{failure:?}") };
            assert_eq!(error.code, code);
            let told = format!("{failure} {failure:?}");
            assert!(!told.contains("battery") && !told.contains("horse"), "{told}");
        }
    }
}

#[test]
fn the_rights_that_the_documentation_gives_suffice() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cluster.md"))
            .unwrap();
    let rule = page.lines().find(|line| line.starts_with("ACL SETUSER tollgate ")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    std::fs::write(&file, "CHANGE-ME").unwrap();
    let file = format!("password_file={}", file.display());
    for program in programs() {
        let server = Server::start(program, port(), &[]);
        assert_eq!(server.ask(&rule.split(' ').collect::<Vec<_>>()), "OK");
        let mut client = client(&[&format!("redis://tollgate@127.0.0.1:{}/1", server.port), &file]);
        let seen = greet(&mut client, 1, 0).unwrap();
        // With a table of nodes in which somebody looks for those that are gone.
        for _ in 0..300 {
            greet(&mut client, 1, 0).unwrap();
        }
        assert_eq!(client.revoke(KeyHash([1; 32]), true, soon()), Ok(1));
        assert_eq!(client.revocations(0, soon()).unwrap().len(), 1);
        client.restore_revocations(&client_words(), soon()).unwrap();
        assert_eq!(client.nodes(soon()).unwrap().len(), 1);
        let said = client.server(soon()).unwrap().said.unwrap();
        assert_eq!(said.policy.as_deref(), Some("noeviction"));
        let message = message(1, seen.now_us + 60_000_000);
        let spoken = client.speak(None, &message, soon());
        assert!(spoken.greeted.is_none());
        assert!(spoken.exchanged.iter().all(|(_, answer)| answer.is_ok()), "{spoken:?}");
        let other = server.ask(&["--user", "tollgate", "--pass", "CHANGE-ME", "GET", "other"]);
        assert!(other.contains("NOPERM"), "{other}");
    }
}

fn client_words() -> [Word; 1] {
    [Word { key: KeyHash([2; 32]), is_revoked: true, number: 1 }]
}

#[test]
fn a_socket_of_the_file_system_is_enough() {
    for program in programs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s").display().to_string();
        let _server = Server::start(program, port(), &["--unixsocket", &path]);
        let mut client = client(&[&format!("unix:{path}")]);
        greet(&mut client, 1, 0).unwrap();
    }
}

#[test]
fn a_store_that_forgets_its_scripts_or_starts_anew_is_used_again() {
    for program in programs() {
        let mut server = Server::start(program, port(), &[]);
        let mut client = client(&[&server.url()]);
        greet(&mut client, 1, 0).unwrap();
        server.ask(&["SCRIPT", "FLUSH"]);
        greet(&mut client, 1, 0).unwrap();
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        assert!(greet(&mut client, 1, 0).is_err(), "the connection is gone");
        until(5, || greet(&mut client, 1, 0).ok());
        server.stop();
        assert!(greet(&mut client, 1, 0).is_err());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(300) {
            let _ = client.prepare();
        }
        assert!(
            matches!(client.prepare(), Err(Failure::Pausing(_))),
            "it isn't tried all the time"
        );
        server.start_again();
        until(5, || greet(&mut client, 1, 0).ok());
    }
}

#[test]
fn a_store_that_has_stopped_is_waited_for_until_the_deadline() {
    for program in programs() {
        let server = Server::start(program, port(), &[]);
        let mut client = client(&[&server.url()]);
        greet(&mut client, 1, 0).unwrap();
        server.signal("STOP");
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(200);
        assert_eq!(client.nodes(deadline), Err(Failure::TimedOut));
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
        server.signal("CONT");
        until(5, || greet(&mut client, 1, 0).ok());
    }
}

/// An authority, and a certificate of it for `store.example` and 127.0.0.1.
fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        set -e
        key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=ca -days 2 -addext keyUsage=critical,keyCertSign
        openssl req -x509 $key -keyout other.key -out other.pem -subj /CN=other -days 2
        openssl req $key -keyout store.key -out store.csr -subj /CN=store
        printf 'subjectAltName=DNS:store.example,IP:127.0.0.1\n' > ext
        openssl x509 -req -in store.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out store.pem
        printf 'subjectAltName=DNS:store.example\n' > ext
        openssl x509 -req -in store.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out named.pem
    "#;
    let made = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder
}

#[test]
fn tls_is_verified_by_default() {
    if !has("openssl") {
        return;
    }
    let folder = certificates();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for program in programs() {
        let tls = port().to_string();
        let start = |certificate: &str, clients: &str| {
            let words = [
                "--tls-port",
                &tls,
                "--tls-cert-file",
                &path(certificate),
                "--tls-key-file",
                &path("store.key"),
            ];
            let more = ["--tls-ca-cert-file", &path("ca.pem"), "--tls-auth-clients", clients];
            Server::start(program, port(), &[words.as_slice(), more.as_slice()].concat())
        };
        let url = format!("rediss://127.0.0.1:{tls}");
        let (ca, other) = (format!("ca={}", path("ca.pem")), format!("ca={}", path("other.pem")));
        let reason = |words: &[&str]| match client(words).prepare() {
            Err(Failure::Tls(reason)) => reason,
            other => panic!("{other:?}"),
        };
        {
            let server = start("store.pem", "no");
            greet(&mut client(&[&url, &ca]), 1, 0).unwrap();
            assert!(reason(&[&url, &other]).contains("signed by nobody who is trusted"));
            assert!(
                reason(&[&url]).contains("signed by nobody who is trusted"),
                "the machine's own"
            );
            assert!(reason(&[&url, &ca, "tls_name=evil.example"]).contains("for another name"));
            let plain = format!("rediss://127.0.0.1:{}", server.port);
            assert!(client(&[&plain, &ca]).prepare().is_err(), "a port without TLS");
            assert!(client(&[&format!("redis://127.0.0.1:{tls}")]).prepare().is_err());
        }
        {
            let _server = start("named.pem", "yes");
            let name = "tls_name=store.example";
            assert!(reason(&[&url, &ca]).contains("for another name"));
            assert!(client(&[&url, &ca, name]).prepare().is_err(), "it wants to see a certificate");
            let certificate = format!("certificate={}", path("store.pem"));
            let key = format!("certificate_key={}", path("store.key"));
            greet(&mut client(&[&url, &ca, name, &certificate, &key]), 1, 0).unwrap();
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("empty", ""), ("two", "a\nb\n"), ("nul", "a\0b"), ("pem", "no pem")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for (words, text) in [
        (vec!["redis://a", "password_file=missing"], "password_file=\""),
        (vec!["redis://a", "password_file=empty"], "in one line"),
        (vec!["redis://a", "password_file=two"], "in one line"),
        (vec!["redis://a", "password_file=nul"], "in one line"),
        (vec!["rediss://a", "ca=pem"], "must have certificates"),
        (vec!["rediss://a", "ca=missing"], "can't be read"),
    ] {
        let error = Access::read(&config(&words), folder.path()).unwrap_err().to_string();
        assert!(error.contains(text), "{words:?}: {error}");
    }
}

#[test]
fn the_next_master_is_found_by_sentinels() {
    // Sentinels take their time, and both programs have the same ones.
    for program in programs().into_iter().take(1) {
        let (mut master, replica) = {
            let master = Server::start(program, port(), &[]);
            let of = ["127.0.0.1", &master.port.to_string()].join(" ");
            let replica = Server::start(
                program,
                port(),
                &["--replicaof", &of, "--repl-diskless-sync-delay", "0"],
            );
            (master, replica)
        };
        until(10, || {
            replica.ask(&["INFO", "replication"]).contains("master_link_status:up").then_some(())
        });
        let folder = tempfile::tempdir().unwrap();
        let sentinel = port();
        let conf = folder.path().join("sentinel.conf");
        let text = format!(
            "port {sentinel}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 1000\n",
            folder.path().display(),
            master.port
        );
        std::fs::write(&conf, text).unwrap();
        let _sentinel =
            Server::start(program, sentinel, &[&conf.display().to_string(), "--sentinel"]);
        let urls =
            [format!("redis://127.0.0.1:{sentinel}"), format!("redis://127.0.0.1:{}", port())];
        let mut nobody = client(&[&urls[0], "sentinel=nobody"]);
        assert_eq!(nobody.prepare(), Err(Failure::NoMaster));
        // One of the two sentinels is not there.
        let mut client = client(&[&urls[1], &urls[0], "sentinel=main"]);
        let seed = greet(&mut client, 1, 0).unwrap().seed;
        let replicas =
            |server: &Server| server.ask(&["INFO", "replication"]).contains("role:slave");
        assert!(replicas(&replica));
        until(10, || ask_sentinel(sentinel).contains("slaves=1").then_some(()));
        master.stop();
        let greeted = until(30, || greet(&mut client, 1, 0).ok());
        assert!(
            !replicas(&replica) && greeted.seed == seed,
            "the replica is master, with all that it had"
        );
        // The old one comes back as if nothing had happened, and nobody speaks with it.
        master.start_again();
        for _ in 0..20 {
            greet(&mut client, 1, 0).unwrap();
        }
        assert_eq!(replica.ask(&["EXISTS", "tollgate:{default:00}:nodes"]), "1");
    }
}

fn ask_sentinel(port: u16) -> String {
    servers::ask(port, &["INFO", "sentinel"])
}
