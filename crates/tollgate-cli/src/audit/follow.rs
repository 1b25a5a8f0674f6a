//! A log that is being written: its end, and what comes after.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::record::MAX_LINE;

/// How often a log is looked at.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// For how many looks in a row an old file must be silent before the one that replaced it is read:
/// workers open the new one each in its own time, and until then write to the old one.
const SILENT_LOOKS: u32 = 5;

const BLOCK: u64 = 64 << 10;

/// Reads what is added to a file, a whole line at a time, wherever the file goes: it may be renamed and
/// made anew, replaced, or truncated.
pub(super) struct Follower {
    path: PathBuf,
    current: Option<Current>,
    silent_looks: u32,
}

struct Current {
    file: File,
    identity: (u64, u64),
    position: u64,
    /// The beginning of a line whose end isn't written yet.
    partial: Vec<u8>,
    /// The rest of this line is left out, as it is too long.
    skipping: bool,
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Current {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { file, identity, position: 0, partial: Vec::new(), skipping: false })
    }

    /// Reads on, up to the end of the file. Whether there was anything.
    fn read<E: From<io::Error>>(
        &mut self,
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.file.seek(SeekFrom::Start(self.position))?;
        let mut block = Vec::new();
        let mut any = false;
        loop {
            block.clear();
            let read = self.file.by_ref().take(BLOCK).read_to_end(&mut block)?;
            if read == 0 {
                return Ok(any);
            }
            any = true;
            self.position += read as u64;
            self.take(&block, each)?;
        }
    }

    fn take<E>(
        &mut self,
        block: &[u8],
        each: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for piece in block.split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                None if self.skipping => {}
                None => self.partial.extend_from_slice(piece),
                Some(_) if self.skipping => self.skipping = false,
                Some(end) if self.partial.is_empty() => each(end)?,
                Some(end) => {
                    self.partial.extend_from_slice(end);
                    let line = std::mem::take(&mut self.partial);
                    each(&line)?;
                }
            }
            if self.partial.len() > MAX_LINE {
                self.partial.clear();
                self.skipping = true;
            }
        }
        Ok(())
    }
}

impl Follower {
    /// Follows the file from its beginning.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let current = Some(Current::open(path)?);
        Ok(Self { path: path.to_owned(), current, silent_looks: 0 })
    }

    /// Calls `each` with the lines that are there already, the last one first, until it breaks off; and
    /// goes on after the last of them.
    pub(super) fn look_back(
        &mut self,
        each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<()> {
        if let Some(current) = &mut self.current {
            current.position = look_back(&mut current.file, each)?;
        }
        Ok(())
    }

    /// Calls `each` with the lines that were added since.
    pub(super) fn look<E: From<io::Error>>(
        &mut self,
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        // Before reading, so that what is written between the two is not lost.
        let now = self.path.metadata().ok();
        let Some(current) = &mut self.current else {
            self.current = Current::open(&self.path).ok();
            return Ok(());
        };
        let len = current.file.metadata()?.len();
        if len < current.position {
            // copytruncate, or somebody emptied it: the line that was begun is gone.
            current.position = 0;
            current.partial.clear();
            current.skipping = false;
        }
        let any = current.read(&mut each)?;
        let replaced = now.is_some_and(|now| identity(&now) != current.identity);
        self.silent_looks = if replaced && !any { self.silent_looks + 1 } else { 0 };
        if self.silent_looks >= SILENT_LOOKS {
            self.silent_looks = 0;
            // Should it be gone again, the next look will find what comes then.
            self.current = Current::open(&self.path).ok();
        }
        Ok(())
    }
}

/// Calls `each` with the whole lines of `file`, from the last one to the first. Returns where the last
/// one ends.
fn look_back(file: &mut File, mut each: impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut start = len;
    // What was read of a line whose beginning was not.
    let mut tail: Vec<u8> = Vec::new();
    let mut end = None;
    while start > 0 {
        let size = start.min(BLOCK);
        start -= size;
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        file.by_ref().take(size).read_to_end(&mut block)?;
        let mut rest = &block[..];
        while let Some(at) = rest.iter().rposition(|byte| *byte == b'\n') {
            let (before, after) = rest.split_at(at);
            let line = [after.get(1..).unwrap_or_default(), &tail].concat();
            tail.clear();
            // Behind the last line break is a line that is still being written.
            let is_whole = end.is_some();
            end.get_or_insert(start + at as u64 + 1);
            if is_whole && each(&line).is_break() {
                return Ok(end.unwrap_or(len));
            }
            rest = before;
        }
        // Too long a line is broken, whatever is left of it.
        match tail.len() > MAX_LINE {
            true => tail = rest.to_vec(),
            false => tail = [rest, &tail].concat(),
        }
    }
    if end.is_some() {
        let _ = each(&tail);
    }
    Ok(end.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::io::Write as _;

    struct Log {
        folder: tempfile::TempDir,
    }

    impl Log {
        fn new(text: &[u8]) -> Self {
            let log = Self { folder: tempfile::tempdir().unwrap() };
            fs::write(log.path(), text).unwrap();
            log
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("audit.log")
        }

        fn append(&self, name: &str, text: &[u8]) {
            let path = self.folder.path().join(name);
            let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
            file.write_all(text).unwrap();
        }
    }

    fn new_lines(follower: &mut Follower) -> Vec<String> {
        let mut lines = Vec::new();
        let mut each = |line: &[u8]| {
            lines.push(String::from_utf8_lossy(line).into_owned());
            Ok::<(), io::Error>(())
        };
        follower.look(&mut each).unwrap();
        lines
    }

    #[test]
    fn lines_are_read_once_they_are_whole() {
        let log = Log::new(b"a\nb");
        let mut follower = Follower::open(&log.path()).unwrap();
        assert_eq!(new_lines(&mut follower), ["a"]);
        log.append("audit.log", b"b\nc\n");
        assert_eq!(new_lines(&mut follower), ["bb", "c"]);
        assert!(new_lines(&mut follower).is_empty());
    }

    #[test]
    fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_beginning() {
        let log = Log::new(b"a\n");
        let mut follower = Follower::open(&log.path()).unwrap();
        assert_eq!(new_lines(&mut follower), ["a"]);
        fs::rename(log.path(), log.folder.path().join("audit.log.1")).unwrap();
        log.append("audit.log.1", b"b\n");
        assert_eq!(new_lines(&mut follower), ["b"]);
        log.append("audit.log", b"d\n");
        // A worker that has not opened the new one yet.
        log.append("audit.log.1", b"c\n");
        let mut seen = Vec::new();
        for _ in 0..3 * SILENT_LOOKS {
            seen.extend(new_lines(&mut follower));
        }
        assert_eq!(seen, ["c", "d"]);
        log.append("audit.log", b"e\n");
        assert_eq!(new_lines(&mut follower), ["e"]);
    }

    #[test]
    fn a_truncated_file_is_read_from_its_beginning() {
        let log = Log::new(b"a\nb\nbeg");
        let mut follower = Follower::open(&log.path()).unwrap();
        assert_eq!(new_lines(&mut follower), ["a", "b"]);
        fs::write(log.path(), b"c\n").unwrap();
        assert_eq!(new_lines(&mut follower), ["c"]);
    }

    #[test]
    fn a_line_without_an_end_is_left_out() {
        let log = Log::new(&vec![b'x'; 2 * MAX_LINE]);
        let mut follower = Follower::open(&log.path()).unwrap();
        assert!(new_lines(&mut follower).is_empty());
        log.append("audit.log", b"x\na\n");
        assert_eq!(new_lines(&mut follower), ["a"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn looking_back_sees_the_same_lines_as_looking_forward(
            lines in prop::collection::vec((0_usize..30, 0_usize..2000, prop::bool::weighted(0.01)), 0..80),
            rest in 0_usize..100,
        ) {
            let mut text = Vec::new();
            for (number, (short, long, is_long)) in lines.iter().enumerate() {
                text.extend(number.to_string().bytes());
                text.extend(vec![b'.'; if *is_long { *long * 50 } else { *short }]);
                text.push(b'\n');
            }
            let whole = text.len() as u64;
            text.extend(vec![b'r'; rest]);
            let log = Log::new(&text);
            let mut seen = Vec::new();
            let end = look_back(&mut File::open(log.path()).unwrap(), |line| {
                seen.push(line.to_vec());
                ControlFlow::Continue(())
            })
            .unwrap();
            prop_assert_eq!(end, whole);
            seen.reverse();
            let expected: Vec<_> = text[..text.len() - rest]
                .split_inclusive(|byte| *byte == b'\n')
                .map(|line| line[..line.len() - 1].to_vec())
                .collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
