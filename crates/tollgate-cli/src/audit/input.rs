//! Files of the log, whole: plain or compressed, or stdin.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
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
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let raw: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut raw = BufReader::with_capacity(BUFFER, progress.wrap_read(raw));
    // By its first bytes: logrotate names files as it likes.
    let first = raw.fill_buf().map_err(failed)?;
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
    done.map_err(failed)
}

fn lines(mut input: impl BufRead, mut each: impl FnMut(Option<&[u8]>)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_LINE as u64 + 1;
        if input.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        match line.strip_suffix(b"\n") {
            Some(line) => each(Some(line)),
            None if line.len() > MAX_LINE => {
                skip_line(&mut input)?;
                each(None);
            }
            // The last line, which may still be written.
            None => each(Some(&line)),
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
        lines(&text[..], |line| seen.push(line.map(<[u8]>::to_vec))).unwrap();
        let line = |text: &[u8]| Some(text.to_vec());
        assert_eq!(seen, [line(b"a"), None, line(b""), line(b"b")]);
    }
}
