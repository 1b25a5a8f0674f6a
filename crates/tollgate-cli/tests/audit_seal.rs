//! `tollgate audit seal keygen`, `verify` and `heads`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    reason = "a test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicU64;

use tollgate_core::audit::seal::{Closing, Sealer, SealingKey, Seals, Stamp, SEALS_BYTES};
use tollgate_core::clock::UnixMillis;
use tollgate_core::limits::{ClaimLock, Process};

fn tollgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(arguments).output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

struct NoLock;

impl ClaimLock for NoLock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

/// A folder with a pair of keys.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        assert_eq!(status(&folder.keygen()), 0);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn keygen(&self) -> Output {
        let (seal, verify) = (self.text("seal.key"), self.text("verify.key"));
        tollgate(&["audit", "seal", "keygen", "--seal", &seal, "--verify", &verify])
    }

    /// A log of one worker, in two files.
    fn log(&self) -> [String; 2] {
        let mut key = SealingKey::parse(&fs::read(self.path("seal.key")).unwrap()).unwrap();
        let now = UnixMillis(
            i64::try_from(
                std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap()
                    .as_millis(),
            )
            .unwrap(),
        );
        let stamp = |at: u64| Stamp {
            time: UnixMillis(now.0 + i64::try_from(at).unwrap()),
            up_ms: 5_000 + at,
        };
        let words: Vec<_> = (0..SEALS_BYTES / 8).map(|_| AtomicU64::new(0)).collect();
        let generation = key.begin(now).unwrap();
        let seals = Seals::format(&words, &generation, [1; 16], None).unwrap();
        let me = Process { pid: 1, started: 1 };
        let mut sealer = Sealer::begin(&seals, &NoLock, me, key.id().clone()).unwrap();
        let signer = key.signer().unwrap();
        let mut files = [Vec::new(), Vec::new()];
        let mut at = 0;
        for (number, file) in files.iter_mut().enumerate() {
            sealer.opened(&seals, &NoLock, 1, number as u64);
            let mut add = |sealer: &mut Sealer, line: Vec<u8>| {
                let start = file.len();
                file.extend(line);
                sealer.add(&seals, file, start);
            };
            if number == 0 {
                let opening = sealer.opening(&seals, stamp(0), &signer);
                add(&mut sealer, opening);
                let manifest = sealer.manifest(&seals, stamp(0), &signer, me, |_| true);
                add(&mut sealer, manifest.unwrap());
            }
            for _ in 0..20 {
                at += 100;
                let time = jiff::Timestamp::from_millisecond(stamp(at).time.0).unwrap();
                let line = format!(
                    "{{\"time\":\"{time:.3}\",\"status\":200,\"path\":\"/v1/chat/{at}\"}}\n"
                );
                let start = file.len();
                file.extend(line.into_bytes());
                sealer.add(&seals, file, start);
                if at % 500 == 0 {
                    let is_end = at == 4000;
                    let closing = Closing { stamp: stamp(at), in_pieces: false, is_end };
                    sealer.close(&seals, file, &closing);
                    sealer.written(&seals, 1);
                }
            }
        }
        let [first, second] = files.map(|file| String::from_utf8(file).unwrap());
        [first, second]
    }

    fn write(&self, files: &[String; 2]) {
        fs::write(self.path("audit.log.1"), &files[0]).unwrap();
        fs::write(self.path("audit.log"), &files[1]).unwrap();
    }

    fn verify(&self, options: &[&str]) -> Output {
        let (key, first, second) =
            (self.text("verify.key"), self.text("audit.log.1"), self.text("audit.log"));
        let fixed = ["audit", "verify", "--key", &key, &second, &first];
        tollgate(&[&fixed, options].concat())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_made_once_and_for_their_owner() {
    let folder = Folder::new();
    assert_eq!([mode(&folder.path("seal.key")), mode(&folder.path("verify.key"))], [0o600, 0o600]);
    let before = fs::read(folder.path("seal.key")).unwrap();
    let again = folder.keygen();
    assert_eq!(status(&again), 3);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
    assert_eq!(fs::read(folder.path("seal.key")).unwrap(), before);

    let same = folder.text("same");
    assert_eq!(
        status(&tollgate(&["audit", "seal", "keygen", "--seal", &same, "--verify", &same])),
        2
    );
    let (new, none) = (folder.text("new"), folder.text("none/x"));
    assert_eq!(
        status(&tollgate(&["audit", "seal", "keygen", "--seal", &none, "--verify", &new])),
        3
    );
    assert!(!folder.path("new").exists());
}

#[test]
fn a_log_that_nobody_touched_is_intact() {
    let folder = Folder::new();
    folder.write(&folder.log());
    let output = folder.verify(&[]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    let text = stdout(&output);
    assert!(text.contains("40 lines, 8 seals, 1 chains, 1 manifests"), "{text}");
    assert!(text.contains("nothing was changed"), "{text}");
    assert!(text.contains("--heads"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&folder.verify(&["--json"]))).unwrap();
    assert_eq!(json["intact"], true);
    assert_eq!((&json["lines"], &json["from_beginning"]), (&40.into(), &true.into()));
}

/// `copytruncate` of logrotate: what stands in the file then has the same number as what was copied.
#[test]
fn a_file_that_was_copied_and_truncated_is_read_in_its_order() {
    let folder = Folder::new();
    let [first, second] = folder.log();
    let ends = |text: &str| -> Vec<usize> {
        text.match_indices("\n{\"seal\":{\"chain\":")
            .map(|(at, _)| at + 1 + text[at + 1..].find('\n').unwrap() + 1)
            .collect()
    };
    let cut = ends(&first)[1];
    let (copied, rest) = first.split_at(cut);
    let verify = |files: [(&str, &str); 3]| {
        let paths = files.map(|(name, text)| {
            fs::write(folder.path(name), text).unwrap();
            folder.text(name)
        });
        let [one, two, three] = &paths;
        tollgate(&["audit", "verify", "--key", &folder.text("verify.key"), one, two, three])
    };
    for files in [
        [("audit.log", &*second), ("audit.log.1", rest), ("audit.log.2", copied)],
        [("audit.log.2", copied), ("audit.log.1", rest), ("audit.log", &second)],
    ] {
        let output = verify(files);
        assert_eq!(status(&output), 0, "{}", stdout(&output));
    }
    // What was written between the two is lost, and found.
    let (_, rest) = first.split_at(ends(&first)[2]);
    let output = verify([("audit.log", &*second), ("audit.log.1", rest), ("audit.log.2", copied)]);
    assert_eq!(status(&output), 1);
    let text = stdout(&output);
    assert_eq!(text.matches("removed: ").count(), 1, "{text}");
    assert!(text.contains("the log is not as it was written: 1 finding"), "{text}");
}

#[test]
fn what_was_done_is_named_with_file_and_line() {
    let folder = Folder::new();
    let [first, second] = folder.log();
    let lines: Vec<&str> = first.lines().collect();
    let without = |at: usize| {
        let kept = lines
            .iter()
            .enumerate()
            .filter(|(line, _)| *line != at)
            .map(|(_, line)| format!("{line}\n"));
        kept.collect::<String>()
    };
    let cases = [
        (first.replace("/v1/chat/300\"", "/v1/chat/301\""), "audit.log.1:5: changed", "0.0.5"),
        (without(4), "audit.log.1:4: removed", "0.0.5"),
        (
            first.replacen(lines[4], &format!("{0}\n{0}", lines[4]), 1),
            "audit.log.1:6: added",
            "0.0.5",
        ),
        (
            first.replace(
                &format!("{}\n{}", lines[4], lines[5]),
                &format!("{}\n{}", lines[5], lines[4]),
            ),
            "audit.log.1:6: reordered",
            "0.0.5",
        ),
        (
            format!("{first}{{\"time\":\"2026-01-01T00:00:00.000Z\",\"status\":200}}\n"),
            "added",
            "not sealed",
        ),
        (first.replace("\"state\":\"open\"", "\"state\":\"ended\""), "bad_seal", "signed"),
    ];
    for (changed, place, text) in cases {
        assert_ne!(changed, first, "{place}");
        folder.write(&[changed, second.clone()]);
        let output = folder.verify(&[]);
        assert_eq!(status(&output), 1, "{place}");
        let found = stdout(&output);
        assert!(found.contains(place) && found.contains(text), "{place}: {found}");
    }
    // A part of the log is no log that was changed.
    folder.write(&[String::new(), second]);
    let output = folder.verify(&[]);
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    assert!(stdout(&output).contains("is not known"));
}

#[test]
fn what_was_cut_off_is_found_by_heads_alone() {
    let folder = Folder::new();
    let [first, second] = folder.log();
    folder.write(&[first.clone(), second.clone()]);
    let heads = tollgate(&["audit", "heads", &folder.text("audit.log")]);
    assert_eq!(status(&heads), 0);
    fs::write(folder.path("heads"), format!("Jan  1 00:00:00 host x: {}", stdout(&heads))).unwrap();
    let heads = folder.text("heads");
    assert_eq!(status(&folder.verify(&["--heads", &heads])), 0);

    let end = second.match_indices("{\"seal\":{\"chain\"").nth(1).unwrap().0;
    let end = end + second[end..].find('\n').unwrap() + 1;
    folder.write(&[first, second[..end].to_owned()]);
    assert_eq!(status(&folder.verify(&[])), 0);
    let output = folder.verify(&["--heads", &heads]);
    assert_eq!(status(&output), 1);
    assert!(stdout(&output).contains("cut_off"), "{}", stdout(&output));
}

#[test]
fn what_can_not_be_verified_is_no_answer() {
    let folder = Folder::new();
    folder.write(&folder.log());
    let (log, none) = (folder.text("audit.log"), folder.text("none"));
    let seal = folder.text("seal.key");
    let verify = |key: &str, log: &str| tollgate(&["audit", "verify", "--key", key, log]);
    for (output, problem) in [
        (verify(&seal, &log), "is the key that seals"),
        (verify(&none, &log), "can't be read"),
        (verify(&folder.text("verify.key"), &none), "none"),
        (verify(&folder.text("verify.key"), &seal), "no seal"),
        (tollgate(&["audit", "heads", &seal]), "no seal"),
        (folder.verify(&["--heads", &seal]), "no line"),
    ] {
        assert_eq!(status(&output), 3, "{problem}");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains(problem), "{problem}: {told}");
    }
    let other = Folder::new();
    assert_eq!(status(&verify(&other.text("verify.key"), &log)), 1);
}

#[test]
fn a_file_is_read_once_whatever_it_is_called() {
    let folder = Folder::new();
    folder.write(&folder.log());
    let first = folder.text("audit.log.1");
    assert_eq!(status(&folder.verify(&[&first])), 0);
    // While logrotate compresses a file, both are there.
    fs::write(folder.path("audit.log.1.gz"), "not yet whole").unwrap();
    assert_eq!(status(&folder.verify(&[&folder.text("audit.log.1.gz")])), 0);
    fs::remove_file(folder.path("audit.log.1.gz")).unwrap();

    let (key, newest) = (folder.text("verify.key"), folder.text("audit.log"));
    let alone = tollgate(&["audit", "verify", "--key", &key, &newest]);
    assert!(stdout(&alone).contains("is not known"), "{}", stdout(&alone));
    let rotated = tollgate(&["audit", "verify", "--key", &key, "--rotated", &newest]);
    assert_eq!(status(&rotated), 0);
    assert!(stdout(&rotated).contains("40 lines"), "{}", stdout(&rotated));
}

#[test]
fn files_come_out_of_pipes_in_any_order() {
    let folder = Folder::new();
    folder.write(&folder.log());
    let script = "\"$0\" audit verify --key verify.key <(cat audit.log) <(gzip -c audit.log.1)";
    let output = std::process::Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_tollgate")])
        .current_dir(folder.path("."))
        .output()
        .unwrap();
    assert_eq!(status(&output), 0, "{}", stdout(&output));
    assert!(stdout(&output).contains("40 lines, 8 seals"), "{}", stdout(&output));
}
