//! `tollgate audit tail`

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use jiff::Timestamp;

use super::filter::Filter;
use super::follow::{Follower, PAUSE};
use super::input;
use super::record::{NoRequest, Reader, Record, RecordedDecision};
use super::table::{cut, grouped};
use crate::escape::shown_json;
use crate::exit::{Exit, Failure};

/// Show the latest requests, and each new one as it ends.
///
/// The file is followed where it is rotated or truncated. - reads stdin to its end.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The log.
    #[arg(env = "TOLLGATE_AUDIT_LOG")]
    file: PathBuf,
    #[command(flatten)]
    filter: Filter,
    /// Only refused requests, those of a dry run included.
    #[arg(long)]
    denied: bool,
    /// How many of those before are shown.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    lines: usize,
    /// End where the file ends.
    #[arg(long, overrides_with = "follow")]
    no_follow: bool,
    /// Wait for more; the default.
    #[arg(short, long)]
    follow: bool,
    /// Whether to use colours.
    #[arg(long, value_enum, default_value = "auto")]
    color: Color,
    /// Print the lines as they are in the log.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let choice = match self.color {
            Color::Auto => AutoStream::choice(&io::stdout()),
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        let mut out = AutoStream::new(io::stdout().lock(), choice);
        let mut reader = Reader::default();
        let mut show = |line: &[u8]| -> Result<(), Failure> {
            if let Some(text) = self.format(&mut reader, line) {
                out.write_all(&text)?;
            }
            out.flush()?;
            Ok(())
        };
        if self.file.as_os_str() == "-" {
            return show_stdin(&mut show);
        }
        let path = self.file.display();
        let failed = |error: io::Error| Failure::failed(format!("{path}: {error}"));
        let mut follower = Follower::open(&self.file).map_err(failed)?;
        for line in self.latest(&mut follower).map_err(failed)? {
            show(&line)?;
        }
        if self.no_follow {
            return Ok(Exit::Yes);
        }
        loop {
            std::thread::sleep(PAUSE);
            follower.look(&mut show)?;
        }
    }

    /// The last lines that are wanted, in their order.
    fn latest(&self, follower: &mut Follower) -> io::Result<VecDeque<Vec<u8>>> {
        let mut reader = Reader::default();
        let mut latest = VecDeque::new();
        follower.look_back(|line| {
            if latest.len() == self.lines {
                return ControlFlow::Break(());
            }
            if self.format(&mut reader, line).is_some() {
                latest.push_front(line.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(latest)
    }

    /// What is printed of a line; `None` where it isn't asked for.
    fn format(&self, reader: &mut Reader, line: &[u8]) -> Option<Vec<u8>> {
        let record = reader.read(line);
        let is_wanted = match &record {
            Ok(record) => self.wants(record),
            Err(NoRequest::Seal | NoRequest::Empty) => false,
            Err(NoRequest::Broken) => self.filter.is_open() && !self.denied,
        };
        if !is_wanted {
            return None;
        }
        let mut text = match (self.json, &record) {
            // Byte for byte, unless a terminal would act on it.
            (true, _) if !io::stdout().is_terminal() => line.to_vec(),
            (true, _) => shown_json(&String::from_utf8_lossy(line)).into_bytes(),
            (false, Ok(record)) => one_line(record).into_bytes(),
            (false, Err(_)) => {
                let line = cut(&String::from_utf8_lossy(line));
                paint(Style::new().dimmed(), &format!("no record: {line}")).into_bytes()
            }
        };
        text.push(b'\n');
        Some(text)
    }

    fn wants(&self, record: &Record<'_>) -> bool {
        let refused = matches!(
            record.outcome(),
            RecordedDecision::Refused | RecordedDecision::WouldBeRefused
        );
        (refused || !self.denied) && self.filter.wants(record)
    }
}

fn show_stdin(show: &mut impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<Exit, Failure> {
    let mut shown = Ok(());
    input::each_line("-".as_ref(), &ProgressBar::hidden(), |line| {
        if let (Some(line), Ok(())) = (line, &shown) {
            shown = show(line);
        }
    })?;
    shown?;
    Ok(Exit::Yes)
}

fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A request in one line: when, how it ended, who, what, and what it took.
fn one_line(record: &Record<'_>) -> String {
    let outcome = record.outcome();
    let status = record.status.map_or("  -".to_owned(), |status| format!("{status:>3}"));
    let style = match (outcome, record.status) {
        (RecordedDecision::Refused, _) => AnsiColor::Red.on_default(),
        (RecordedDecision::WouldBeRefused, _) => AnsiColor::Yellow.on_default(),
        (_, Some(..400)) => AnsiColor::Green.on_default(),
        (_, Some(400..)) => AnsiColor::Magenta.on_default(),
        (_, None) => Style::new(),
    };
    let mut parts =
        vec![paint(Style::new().dimmed(), &time(record.time_ms)), paint(style, &status)];
    parts.push(match (record.client(), record.tier()) {
        (Some(client), Some(tier)) => format!("{} ({})", bold(client), cut(tier)),
        (Some(client), None) => bold(client),
        (None, _) => cut(record.remote_addr().unwrap_or("-")),
    });
    let request = [record.method(), record.path()].into_iter().flatten().map(cut);
    let request = request.collect::<Vec<_>>().join(" ");
    parts.extend(Some(request).filter(|request| !request.is_empty()));
    if let Some(model) = record.model() {
        let stream = if record.stream == Some(true) { ", streamed" } else { "" };
        parts.push(format!("{}{stream}", cut(model)));
    }
    parts.extend(taken(record));
    if let Some(reason) = record.reason() {
        let limit = record.limit().filter(|_| outcome != RecordedDecision::Allowed);
        let limit = limit.map(|limit| format!(": {}", cut(limit))).unwrap_or_default();
        let detail = record.detail().map(|detail| format!(" ({})", cut(detail)));
        let detail = detail.unwrap_or_default();
        let dry =
            if outcome == RecordedDecision::WouldBeRefused { "would be refused, " } else { "" };
        parts.push(paint(style, &format!("{dry}{}{detail}{limit}", cut(reason))));
    }
    parts.join("  ")
}

fn bold(text: &str) -> String {
    paint(Style::new().bold(), &cut(text))
}

/// Tokens, money and time.
fn taken(record: &Record<'_>) -> Vec<String> {
    let mut parts = Vec::new();
    if let (Some(input), Some(output)) = (record.input_tokens, record.output_tokens) {
        let number = |tokens: u64| grouped(tokens.into());
        let mut tokens = format!("{}+{} tokens", number(input), number(output));
        let remarks = [
            record.cached_tokens.map(|tokens| format!("{} cached", number(tokens))),
            record.reasoning_tokens.map(|tokens| format!("{} reasoning", number(tokens))),
            record.usage().filter(|usage| *usage != "measured").map(cut),
        ];
        let remarks: Vec<_> = remarks.into_iter().flatten().collect();
        if !remarks.is_empty() {
            tokens.push_str(&format!(" ({})", remarks.join(", ")));
        }
        parts.push(tokens);
    }
    parts.extend(record.cost_nanos().map(|nanos| super::table::amount(nanos.into())));
    if let Some(ms) = record.duration_ms.filter(|_| record.outcome() != RecordedDecision::Refused) {
        let first = record.ttft_ms.map(|ms| format!(", first {}", grouped(ms.into())));
        parts.push(format!("{} ms{}", grouped(ms.into()), first.unwrap_or_default()));
    }
    parts
}

/// `2026-01-05 09:30:12.635`
fn time(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or_default();
    format!("{:.3}", time.to_zoned(jiff::tz::TimeZone::UTC).datetime()).replace('T', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown_line(line: &str) -> String {
        let text = one_line(&Reader::default().read(line.as_bytes()).unwrap());
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_request_is_one_line() {
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:12.901Z","decision":"allow","status":200,"client":"acme","tier":"pro","method":"POST","path":"/v1/chat/completions","model":"llama-3.1-8b","stream":true,"input_tokens":1000,"output_tokens":50,"cached_tokens":200,"usage":"measured","cost":0.0001575,"ttft_ms":84,"duration_ms":912}"#
            ),
            "2026-01-05 09:30:12.901  200  acme (pro)  POST /v1/chat/completions  llama-3.1-8b, \
             streamed  1,000+50 tokens (200 cached)  0.0001575  912 ms, first 84"
        );
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:13.601Z","decision":"deny","reason":"requests_exceeded","status":429,"client":"acme","tier":"pro","method":"POST","path":"/v1/models","duration_ms":0,"limit":"requests 100r/m"}"#
            ),
            "2026-01-05 09:30:13.601  429  acme (pro)  POST /v1/models  \
             requests_exceeded: requests 100r/m"
        );
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:14.000Z","status":400,"remote_addr":"198.51.100.4"}"#
            ),
            "2026-01-05 09:30:14.000  400  198.51.100.4"
        );
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:14.000Z","decision":"deny","reason":"invalid_token","detail":"missing_claim org.tier","status":401,"remote_addr":"198.51.100.4"}"#
            ),
            "2026-01-05 09:30:14.000  401  198.51.100.4  invalid_token (missing_claim org.tier)"
        );
        // A stream that was closed later.
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:14.000Z","decision":"allow","reason":"revoked_credential","status":200,"client":"acme","limit":"requests 100r/m","duration_ms":5}"#
            ),
            "2026-01-05 09:30:14.000  200  acme  5 ms  revoked_credential"
        );
        assert_eq!(
            shown_line(
                r#"{"time":"2026-01-05T09:30:14.000Z","decision":"deny","reason":"tokens_exceeded","status":200,"client":"acme","dry_run":true}"#
            ),
            "2026-01-05 09:30:14.000  200  acme  would be refused, tokens_exceeded"
        );
    }

    proptest! {
        #[test]
        fn no_name_moves_the_cursor(name: String, path: String, ms: i64) {
            let name = serde_json::to_string(&format!("\u{1b}[2J{name}")).unwrap();
            let path = serde_json::to_string(&format!("\u{9b}\n{path}")).unwrap();
            let line = format!(
                r#"{{"time":"2026-01-05T09:30:14.000Z","client":{name},"tier":{name},"path":{path},"method":{path},"model":{name},"reason":{name},"detail":{name},"limit":{path},"usage":{name},"remote_addr":{path},"input_tokens":1,"output_tokens":1}}"#
            );
            prop_assert!(!shown_line(&line).chars().any(char::is_control));
            let _ = time(ms);
        }
    }
}
