//! Files of the log, whole: plain or compressed, or stdin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressStyle};

use super::record::MAX_LINE;
use crate::exit::Failure;

/// From how many bytes on reading takes so long that a bar is shown.
const LARGE: u64 = 64 << 20;

const BUFFER: usize = 256 << 10;

/// How other compressed files begin, and what unpacks them.
const UNREAD: [(&[u8], &str); 3] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstdcat"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xzcat"),
    (b"BZh", "bzcat"),
];

/// The bar of a terminal, where reading takes long.
pub(super) fn progress(paths: &[PathBuf]) -> ProgressBar {
    let len = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let total: u64 = paths.iter().map(len).sum();
    if total < LARGE || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// Calls `each` with every line of the file, without its line break; with `None` for one that is too
/// long to be a record.
pub(super) fn each_line(
    path: &Path,
    progress: &ProgressBar,
    each: impl FnMut(Option<&[u8]>),
) -> Result<(), Failure> {
    Input::open(path)?.each_line(progress, each)
}

/// A file that can be looked into before it is read.
pub(super) struct Input {
    path: PathBuf,
    raw: Raw,
}

enum Raw {
    /// It is opened when it is read, which may be more than once.
    File,
    /// What comes out of it comes once: what was looked at is kept.
    Pipe { kept: Vec<u8>, rest: Box<dyn Read> },
}

/// So much of a pipe is looked at, in bytes.
const MAX_KEPT: u64 = 16 << 20;

impl Input {
    /// Opens it, if it can't be opened again.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let is_stdin = path.as_os_str() == "-";
        let is_file = !is_stdin && path.metadata().map_err(failed(path))?.is_file();
        let rest: Option<Box<dyn Read>> = match (is_stdin, is_file) {
            (true, _) => Some(Box::new(io::stdin().lock())),
            (false, true) => None,
            (false, false) => Some(Box::new(File::open(path).map_err(failed(path))?)),
        };
        let raw = rest.map_or(Raw::File, |rest| Raw::Pipe { kept: Vec::new(), rest });
        Ok(Self { path: path.to_owned(), raw })
    }

    /// Looks at its lines, until one has what is asked for.
    pub(super) fn first<T>(
        &mut self,
        mut look: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let mut found = None;
        let each = |line: Option<&[u8]>| {
            found = line.and_then(&mut look);
            match found {
                Some(_) => ControlFlow::Break(()),
                None => ControlFlow::Continue(()),
            }
        };
        match &mut self.raw {
            Raw::File => {
                let file = File::open(&self.path).map_err(failed(&self.path))?;
                read(&self.path, file, each)?;
            }
            Raw::Pipe { kept, rest } => {
                // That it ends in the middle shows when it is read.
                drop(read(&self.path, Keeping { kept, rest }.take(MAX_KEPT), each));
            }
        }
        Ok(found)
    }

    /// Calls `each` with every line, without its line break; with `None` for one that is too long to be a record.
    pub(super) fn each_line(
        self,
        progress: &ProgressBar,
        mut each: impl FnMut(Option<&[u8]>),
    ) -> Result<(), Failure> {
        let raw: Box<dyn Read> = match self.raw {
            Raw::File => Box::new(File::open(&self.path).map_err(failed(&self.path))?),
            Raw::Pipe { kept, rest } => Box::new(io::Cursor::new(kept).chain(rest)),
        };
        read(&self.path, progress.wrap_read(raw), |line| {
            each(line);
            ControlFlow::Continue(())
        })
    }
}

/// Keeps what is read.
struct Keeping<'a, R> {
    kept: &'a mut Vec<u8>,
    rest: R,
}

impl<R: Read> Read for Keeping<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.rest.read(buffer)?;
        self.kept.extend_from_slice(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| Failure::failed(format!("{}: {error}", path.display()))
}

fn read(
    path: &Path,
    raw: impl Read,
    each: impl FnMut(Option<&[u8]>) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let mut raw = BufReader::with_capacity(BUFFER, raw);
    // By its first bytes: logrotate names files as it likes.
    let first = raw.fill_buf().map_err(failed(path))?;
    let is_gzip = first.starts_with(&[0x1f, 0x8b]);
    if let Some((_, tool)) = UNREAD.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(Failure::failed(format!(
            "{}: compressed in a way that is not read here; \"{tool} FILE\" unpacks it, and - reads that",
            path.display()
        )));
    }
    let done = match is_gzip {
        true => lines(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw)), each),
        false => lines(raw, each),
    };
    done.map_err(failed(path))
}

fn lines(
    mut input: impl BufRead,
    mut each: impl FnMut(Option<&[u8]>) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_LINE as u64 + 1;
        if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let next = match line.strip_suffix(b"\n") {
            Some(line) => each(Some(line)),
            None if line.len() > MAX_LINE => {
                skip_line(&mut input)?;
                each(None)
            }
            // The last line, which may still be written.
            None => each(Some(&line)),
        };
        if next.is_break() {
            return Ok(());
        }
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (skip, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(skip);
        if ended {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_one_is_read() {
        let text = [&b"a\n"[..], &vec![b'x'; 3 * MAX_LINE], b"\n\nb"].concat();
        let mut seen = Vec::new();
        let each = |line: Option<&[u8]>| {
            seen.push(line.map(<[u8]>::to_vec));
            ControlFlow::Continue(())
        };
        lines(&text[..], each).unwrap();
        let line = |text: &[u8]| Some(text.to_vec());
        assert_eq!(seen, [line(b"a"), None, line(b""), line(b"b")]);
    }

    #[test]
    fn what_was_looked_at_in_a_pipe_is_read_all_the_same() {
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        io::Write::write_all(&mut writer, b"a\nb\nc").unwrap();
        drop(writer);
        let mut input = Input::open(Path::new(&path)).unwrap();
        let found = input.first(|line| (line == b"b").then_some(line.len())).unwrap();
        assert_eq!(found, Some(1));
        let mut seen = Vec::new();
        let each = |line: Option<&[u8]>| seen.push(line.unwrap_or_default().to_vec());
        input.each_line(&ProgressBar::hidden(), each).unwrap();
        assert_eq!(seen, [b"a", b"b", b"c"]);
    }
}
