//! `tollgate audit top`

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::by::{self, By};
use super::follow::{Follower, PAUSE};
use super::groups::{Common, Group, Groups, Sort};
use super::output;
use super::record::Reader;
use crate::exit::{print, Exit, Failure};
use crate::time::{exactly_in_words, parse_duration};

/// Show who used most in the last minutes, again and again.
///
/// Where the output is no terminal, one table is printed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The log.
    #[arg(env = "TOLLGATE_AUDIT_LOG")]
    file: PathBuf,
    /// How far back.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    window: Duration,
    /// What to put requests together by; several with commas between them, such as client,model.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "client",
        value_name = "BY,..."
    )]
    by: Vec<By>,
    /// The order of the rows: the most first.
    #[arg(long, value_enum, default_value = "tokens")]
    sort: Sort,
    /// How many rows.
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// How often it is drawn.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    interval: Duration,
    /// Print one table, and end.
    #[arg(long)]
    once: bool,
    /// Print JSON: one object, and end.
    #[arg(long)]
    json: bool,
}

/// After so many lines in a row that are too old, the ones before are too: lines are not quite in the
/// order of their times, as each worker writes its own when its buffer is full.
const ENOUGH_OLD: u32 = 1000;

/// Into how many slices the window is cut.
const SLICES: i64 = 60;

/// Requests by the slice of time in which they ended, so that those that are too old can be dropped.
struct Window {
    by: Vec<By>,
    len_ms: i64,
    slice_ms: i64,
    slices: BTreeMap<i64, Groups>,
    reader: Reader,
}

impl Window {
    fn new(by: Vec<By>, len: Duration) -> Self {
        let len_ms = i64::try_from(len.as_millis()).unwrap_or(i64::MAX);
        let slice_ms = (len_ms / SLICES).max(1000);
        Self { by, len_ms, slice_ms, slices: BTreeMap::new(), reader: Reader::default() }
    }

    /// Counts a line, if it is young enough. Whether it was too old.
    fn count(&mut self, line: &[u8], now_ms: i64) -> bool {
        let Ok(record) = self.reader.read(line) else { return false };
        let is_old = record.time_ms <= now_ms - self.len_ms;
        if !is_old {
            let slice = record.time_ms.div_euclid(self.slice_ms);
            self.slices.entry(slice).or_insert_with(|| Groups::new(&self.by)).count_use(&record);
        }
        is_old
    }

    fn drop_old(&mut self, now_ms: i64) {
        self.slices = self.slices.split_off(&(now_ms - self.len_ms).div_euclid(self.slice_ms));
    }

    fn groups(&self) -> (Vec<Group>, Group) {
        let mut all = Groups::new(&self.by);
        self.slices.values().for_each(|groups| all.add(groups));
        let (groups, totals) = all.finish();
        (groups, Group { common: Common::All, totals })
    }
}

#[derive(Serialize)]
struct Json<'a> {
    by: String,
    time: String,
    window_seconds: u64,
    groups: Vec<output::JsonGroup<'a>>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        by::check(&self.by)?;
        let failed =
            |error: io::Error| Failure::failed(format!("{}: {error}", self.file.display()));
        let mut follower = Follower::open(&self.file).map_err(failed)?;
        let mut window = Window::new(self.by.clone(), self.window);
        let start_ms = now_ms();
        let mut old = 0;
        let look_back = follower.look_back(|line| {
            old = if window.count(line, start_ms) { old + 1 } else { 0 };
            match old >= ENOUGH_OLD {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        look_back.map_err(failed)?;
        let is_terminal = io::stdout().is_terminal();
        loop {
            let drawn = Instant::now();
            let text = self.draw(&window)?;
            if self.once || self.json || !is_terminal {
                print(text.as_bytes())?;
                return Ok(Exit::Yes);
            }
            // To the upper left, and clear what is below.
            print(format!("\u{1b}[H\u{1b}[J{text}").as_bytes())?;
            loop {
                std::thread::sleep(PAUSE);
                let now_ms = now_ms();
                follower.look(|line| {
                    window.count(line, now_ms);
                    Ok::<(), io::Error>(())
                })?;
                window.drop_old(now_ms);
                if drawn.elapsed() >= self.interval {
                    break;
                }
            }
        }
    }

    fn draw(&self, window: &Window) -> Result<String, Failure> {
        let (mut groups, sum) = window.groups();
        self.sort.sort(&mut groups);
        groups.truncate(self.top);
        let time = Timestamp::from_second(now_ms().div_euclid(1000)).unwrap_or_default();
        if self.json {
            return output::pretty(&Json {
                by: by::joined(&self.by),
                time: time.to_string(),
                window_seconds: self.window.as_secs(),
                groups: output::json_groups(&self.by, &groups)?,
            });
        }
        groups.push(sum);
        let rows: Vec<&Group> = groups.iter().collect();
        let table = output::totals_table(&self.by, &rows).render();
        Ok(format!("the last {}, at {time}\n\n{table}", exactly_in_words(self.window.as_secs())))
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
