//! `tollgate audit heads`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use tollgate_core::audit::seal::LatestHeads;

use super::follow::{Follower, PAUSE};
use super::input;
use crate::exit::{print, Exit, Failure};

/// Print the newest seal of each chain of a sealed log, in one line.
///
/// The line is to be kept off the machine, by syslog or a webhook: "tollgate audit verify --heads" finds by it what
/// was cut off the end of the log.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The log.
    file: PathBuf,
    /// Go on, and print a line whenever there are newer seals.
    #[arg(short, long)]
    follow: bool,
    /// With --follow, the least number of seconds between two lines.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "follow")]
    every: u64,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut latest = LatestHeads::default();
        if !self.follow {
            input::each_line(&self.file, &ProgressBar::hidden(), |line| {
                latest.read(line.unwrap_or_default())
            })?;
            return match latest.take_line() {
                Some(line) => print(format!("{line}\n").as_bytes()).map(|()| Exit::Yes),
                None => {
                    let path = self.file.display();
                    Err(Failure::failed(format!(
                        "{path}: there is no seal in it: is it a sealed log?"
                    )))
                }
            };
        }
        let failed =
            |error: std::io::Error| Failure::failed(format!("{}: {error}", self.file.display()));
        let mut follower = Follower::open(&self.file).map_err(failed)?;
        let mut told: Option<Instant> = None;
        loop {
            follower.look(|line| {
                latest.read(line);
                Ok::<(), Failure>(())
            })?;
            if told.is_none_or(|told| told.elapsed() >= Duration::from_secs(self.every)) {
                if let Some(line) = latest.take_line() {
                    print(format!("{line}\n").as_bytes())?;
                    told = Some(Instant::now());
                }
            }
            std::thread::sleep(PAUSE);
        }
    }
}
