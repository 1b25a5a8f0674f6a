//! Servers that want no good: whatever they send, and however slowly, a call ends by its deadline, takes little memory,
//! and tells nothing that a log shouldn't have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod servers;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use servers::client;
use store_client::{Client, Failure};

/// A server that says yes to a greeting, and then `says` something to whatever it is asked.
fn fake(says: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let says = std::sync::Arc::new(says);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, says) = (stream.unwrap(), says.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    let _ = stream.write_all(b"%1\r\n+proto\r\n:3\r\n");
                    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                        says(&mut stream);
                    }
                }
            });
        }
    });
    url
}

fn ask(url: &str, patience: u64) -> (Result<(), Failure>, Duration) {
    let mut client: Client = client(&[url]);
    client.prepare().unwrap();
    let begun = Instant::now();
    let answer = client.nodes(begun + Duration::from_millis(patience)).map(|_| ());
    (answer, begun.elapsed())
}

#[test]
fn nonsense_is_refused_at_once() {
    for says in [
        b"garbage\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"$99999999999\r\n",
        b"*99999999999\r\n",
        b"$-5\r\n",
        b":1\r\n:1\r\n",
        b"+OK\r\n+OK\r\n",
        b"*2\r\n$1\r\nx\r\n$1\r\ny\r\n*0\r\n",
        b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n:1\r\n",
        &[0xff; 70_000],
        b"\x16\x03\x01\x00\x05",
    ] {
        let url = fake(move |stream| drop(stream.write_all(says)));
        let (answer, took) = ask(&url, 3000);
        // What isn't whole is waited for.
        let is_cut = says == b"\x16\x03\x01\x00\x05";
        assert!(matches!(answer, Err(Failure::Garbled(_))) || is_cut, "{says:?}: {answer:?}");
        assert!(took < Duration::from_secs(3) || is_cut, "{took:?}");
    }
}

#[test]
fn endless_answers_end() {
    for (head, body) in [
        ("$2097100\r\n", "x"),
        ("+", "x"),
        ("*100000\r\n", ":1\r\n"),
        ("", ">1\r\n+x\r\n"),
        ("", "*1\r\n"),
        ("*2\r\n$1\r\n1\r\n$1\r\n1\r\n", "*3\r\n"),
    ] {
        let url = fake(move |stream| {
            if stream.write_all(head.as_bytes()).is_ok() {
                let many = body.repeat(10_000);
                while stream.write_all(many.as_bytes()).is_ok() {}
            }
        });
        let (answer, took) = ask(&url, 3000);
        assert!(matches!(answer, Err(Failure::Garbled(_))), "{head:?} {body:?}: {answer:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn a_byte_now_and_then_keeps_nobody_waiting() {
    let url = fake(|stream| {
        for _ in 0..1000 {
            if stream.write_all(b"$").is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let (answer, took) = ask(&url, 200);
    assert_eq!(answer, Err(Failure::TimedOut));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn nor_does_one_who_takes_the_connection_and_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let begun = Instant::now();
    assert_eq!(client(&[&url]).prepare(), Err(Failure::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[test]
fn an_error_that_repeats_the_password_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    std::fs::write(&file, "hunter2-hunter2").unwrap();
    let word = format!("password_file={}", file.display());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at_once = format!("redis://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"-ERR wrong arguments: 'HELLO' '3' 'AUTH' 'default' 'hunter2-hunter2'\r\n",
            );
        }
    });
    let failure = client(&[&at_once, &word]).prepare().unwrap_err();
    assert!(matches!(failure, Failure::Refused(_)));
    assert!(!format!("{failure} {failure:?}").contains("hunter2"));
    let later = fake(|stream| {
        drop(stream.write_all(b"-ERR it is hunter2-hunter2\r\n-ERR it is hunter2-hunter2\r\n"))
    });
    let mut client = client(&[&later, &word]);
    client.prepare().unwrap();
    let failure = client.nodes(servers::soon()).unwrap_err();
    assert!(matches!(failure, Failure::Refused(_)));
    assert!(!format!("{failure} {failure:?}").contains("hunter2"));
}

#[test]
fn a_sentinel_can_name_no_odd_place() {
    for says in [
        b"*2\r\n$9\r\n127.0.0.1\r\n$1\r\n0\r\n".as_slice(),
        b"*2\r\n$3\r\na b\r\n$4\r\n6379\r\n",
        b"*2\r\n$0\r\n\r\n$4\r\n6379\r\n",
        b"*3\r\n$1\r\na\r\n$4\r\n6379\r\n:1\r\n",
        b"_\r\n",
        b":7\r\n",
    ] {
        let url = fake(move |stream| drop(stream.write_all(says)));
        let failure = client(&[&url, "sentinel=main"]).prepare().unwrap_err();
        assert!(
            matches!(failure, Failure::Garbled(_) | Failure::NoMaster),
            "{says:?}: {failure:?}"
        );
    }
}
