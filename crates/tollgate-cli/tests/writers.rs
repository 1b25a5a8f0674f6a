//! The keys file under several writers, kills, and full disks: it is always the old one or the new one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use command::tollgate;
use tollgate_core::keys::KeySet;

fn create(path: &Path, client: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["key", "create", "--quiet", "--client", client, "--file"]).arg(path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn count(path: &Path) -> usize {
    KeySet::parse(&fs::read(path).unwrap()).unwrap().len()
}

/// A file with so many keys.
fn large(path: &Path, keys: usize) {
    let entries: Vec<String> = (0..keys)
        .map(|n| format!("{{\"id\":\"k_{n}\",\"client\":\"c\",\"hash\":\"sha256:{n:064x}\"}}"))
        .collect();
    fs::write(path, format!("{{\"version\":1,\"keys\":[{}]}}", entries.join(","))).unwrap();
}

#[test]
fn of_many_writers_at_once_none_loses_anothers_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let path = path.clone();
            std::thread::spawn(move || {
                for n in 0..25 {
                    let run = create(&path, &format!("client-{writer}-{n}")).output().unwrap();
                    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert_eq!(count(&path), 200);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn writer_that_is_killed_leaves_the_old_file_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    large(&path, 20_000);
    let begun = Instant::now();
    assert!(create(&path, "acme").output().unwrap().status.success());
    let whole = begun.elapsed();
    let (mut known, mut cut_short) = (20_001, 0);
    const ROUNDS: u32 = 40;
    for round in 0..ROUNDS {
        let mut writer = create(&path, "acme").spawn().unwrap();
        // Anywhere between its start and its end.
        std::thread::sleep(whole * round / ROUNDS);
        writer.kill().unwrap();
        writer.wait().unwrap();
        let now = count(&path);
        assert!(now == known || now == known + 1, "{now} keys after {known}");
        cut_short += usize::from(now == known);
        known = now;
    }
    assert!(cut_short > 0, "no writer was killed before its end");
    // Nobody holds the lock, and what they left behind is gone.
    assert!(create(&path, "acme").output().unwrap().status.success());
    assert_eq!(count(&path), known + 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn full_disk_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    large(&path, 20_000);
    let before = fs::read(&path).unwrap();
    // No file may grow beyond 512 KiB: where the disk ends, to whoever writes.
    let script = "ulimit -f 512; exec \"$0\" key create --quiet --client acme --file \"$1\"";
    let run = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_tollgate")])
        .arg(&path)
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(3), "{message}");
    assert!(message.contains("cannot write") && run.stdout.is_empty(), "{message}");
    assert!(fs::read(&path).unwrap() == before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(create(&path, "acme").output().unwrap().status.success());
}

#[test]
fn small_disk_that_is_full_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!("skipped: no right to mount");
        return;
    }
    let path = folder.path().join("keys.json");
    large(&path, 7000);
    let before = fs::read(&path).unwrap();
    let run = create(&path, "acme").output().unwrap();
    let (left, after) = (fs::read_dir(folder.path()).unwrap().count(), fs::read(&path).unwrap());
    let unmounted = Command::new("umount").arg(folder.path()).status().unwrap();
    assert!(unmounted.success());
    assert_eq!(run.status.code(), Some(3), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(after == before);
    assert_eq!(left, 1);
}

#[test]
fn folder_that_is_not_there_is_told() {
    let run = tollgate(["key", "create", "--client", "a", "--file", "/nowhere/at/all/keys.json"]);
    assert_eq!((run.status, run.out.as_str()), (3, ""));
    assert!(run.err.contains("/nowhere/at/all"), "{}", run.err);
}
