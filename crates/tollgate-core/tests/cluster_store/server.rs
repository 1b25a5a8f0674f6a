//! A real store on a socket of its own, and as much of its protocol as the tests need.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What the servers are called that this was written for.
pub(crate) const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];

pub(crate) struct Server {
    process: Child,
    folder: PathBuf,
    stream: BufReader<UnixStream>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Bulk(Vec<u8>),
    Number(i64),
    Line(String),
    Nothing,
}

impl Server {
    /// `None`: the program isn't installed.
    pub(crate) fn start(program: &str) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let unique = format!("tollgate-{program}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&folder).unwrap();
        let socket = folder.join("s");
        let process = Command::new(program)
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
            .arg(&folder)
            .arg("--unixsocket")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            std::fs::remove_dir_all(&folder).unwrap();
            return None;
        };
        let begun = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Some(Self { process, folder, stream: BufReader::new(stream) })
    }

    /// Every server that is installed; says which is not.
    pub(crate) fn all() -> Vec<(&'static str, Self)> {
        let started = PROGRAMS.into_iter().filter_map(|program| {
            let server = Self::start(program);
            if server.is_none() {
                eprintln!("skipped: no {program} (scripts/setup --cluster)");
            }
            Some((program, server?))
        });
        started.collect()
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> Value {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&out).unwrap();
        self.read()
    }

    fn read(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "$" if rest == "-1" => Value::Nothing,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Value::Bulk(bytes)
            }
            ":" => Value::Number(rest.parse().unwrap()),
            "+" | "-" => Value::Line(line.trim_end().to_owned()),
            _ => panic!("{line:?}"),
        }
    }

    /// Loads a script, and gives its name.
    pub(crate) fn load(&mut self, script: &str) -> Vec<u8> {
        match self.ask(&[b"SCRIPT", b"LOAD", script.as_bytes()]) {
            Value::Bulk(sha) => sha,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
