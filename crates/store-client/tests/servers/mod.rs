//! Real servers, started by the tests, each with a port and a folder of its own.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use store_client::{Access, Client, Config};

/// The programs that are here, of those that are spoken with.
pub fn programs() -> Vec<&'static str> {
    let found: Vec<_> = ["redis-server", "valkey-server"]
        .into_iter()
        .filter(|name| Command::new(name).arg("--version").stdout(Stdio::null()).status().is_ok())
        .collect();
    if found.is_empty() {
        eprintln!(
            "skipped: neither redis-server nor valkey-server is here (scripts/setup --cluster)"
        );
    }
    found
}

/// Whether a program is here.
pub fn has(name: &str) -> bool {
    let found = Command::new(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("skipped: {name} is not here");
    }
    found
}

/// A port that nobody has.
pub fn port() -> u16 {
    // Below those from which the system takes ports for connections.
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let base = 20_000 + u16::try_from(std::process::id() % 1000).unwrap() * 10;
    loop {
        let port = base + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running server, which ends with it.
pub struct Server {
    pub program: &'static str,
    pub port: u16,
    pub folder: tempfile::TempDir,
    words: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts one that listens at `port`, with further words of its command line.
    pub fn start(program: &'static str, port: u16, words: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let child = run(program, port, folder.path(), &words);
        let mut server = Self { program, port, folder, words, child };
        server.wait();
        server
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn wait(&mut self) {
        let log = self.path("log");
        let begun = Instant::now();
        while !std::fs::read_to_string(&log).is_ok_and(|log| {
            log.contains("Ready to accept connections")
                || log.contains("monitor master")
                || log.contains("Sentinel ID")
        }) {
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "{}",
                std::fs::read_to_string(&log).unwrap_or_default()
            );
            assert!(begun.elapsed() < Duration::from_secs(20), "the server doesn't start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        self.signal("KILL");
        self.child.wait().unwrap();
    }

    pub fn start_again(&mut self) {
        std::fs::remove_file(self.path("log")).unwrap();
        self.child = run(self.program, self.port, self.folder.path(), &self.words);
        self.wait();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    /// Asks the server by its own client.
    pub fn ask(&self, words: &[&str]) -> String {
        ask(self.port, words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, port: u16, folder: &Path, words: &[String]) -> Child {
    let (port, folder_text) = (port.to_string(), folder.display().to_string());
    let log = folder.join("log").display().to_string();
    let mut command = Command::new(program);
    if words.first().is_some_and(|word| word.ends_with(".conf")) {
        command.args(words);
    } else {
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        command.args(["--dir", &folder_text]).args(words);
    }
    command.args(["--logfile", &log]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub fn ask(port: u16, words: &[&str]) -> String {
    let port = port.to_string();
    let said = Command::new("redis-cli")
        .args(["-h", "127.0.0.1", "-p", &port])
        .args(words)
        .output()
        .unwrap();
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

pub fn config(words: &[&str]) -> Config {
    Config::parse(words.iter().copied().chain(["on_loss=deny"]), "node-1").unwrap()
}

pub fn client(words: &[&str]) -> Client {
    let config = config(words);
    let access = Access::read(&config, Path::new("/")).unwrap();
    Client::new(&config, &access).unwrap()
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// Waits until `f` gives something.
pub fn until<T>(seconds: u64, mut f: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = f() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(seconds), "nothing came within {seconds} s");
        std::thread::sleep(Duration::from_millis(20));
    }
}
