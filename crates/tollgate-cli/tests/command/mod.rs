//! Runs the `tollgate` command.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// How a run ended, and what it wrote.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `tollgate ARGUMENT...` with nothing to read.
#[allow(dead_code)] // not every test has nothing to read
pub(crate) fn tollgate<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    tollgate_with(arguments, b"")
}

/// The same, reading `input`.
pub(crate) fn tollgate_with<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    input: &[u8],
) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // From another thread: output may fill its pipe before the input is read.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        status: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// Other people's test vectors; `None` where they are not there.
#[allow(dead_code)] // not every test has some
pub(crate) fn vectors() -> Option<PathBuf> {
    let folder = match std::env::var_os("TOLLGATE_VECTORS") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    if !folder.is_dir() {
        println!("skipped: no vectors");
        return None;
    }
    Some(folder)
}
