//! `tollgate status`: the whole server at a glance, and what is in force in it.

mod overview;
pub(crate) mod source;
pub(crate) mod wait;

use std::fs;
use std::io::{self, IsTerminal as _};
use std::num::NonZeroU16;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde_json::{json, Value};
use tollgate_core::control::Request;
use tollgate_core::status::{digest, Phase, SetDescription, SetKind, SetState, Sign, Status};

use crate::cluster::Nodes;
use crate::control::Socket;
use crate::escape::{shown, shown_json};
use crate::exit::{print, Exit, Failure};
use crate::rules_files;
use crate::time::in_words;
use overview::Overview;
use source::{now_ms, Running, Source};

/// Show how nginx is, and what is in force in how many of its workers.
///
/// What goes through it just now, who is refused, and of each file with keys what was read of it and when, by how many
/// workers, and what was refused and why. With no `tollgate_control` to ask at, only what is in force.
///
/// With --cluster: the nodes that share limits, as their store knows them, and how much of their limits clients have
/// used over all of them. Exit status: 0 if all nodes are there and have heard of all revocations; 1 if not; 3 if the
/// store doesn't answer.
///
/// Exit status: 0 if all that the files hold is in force in all workers; 1 if not; 3 if no nginx tells.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    socket: Socket,
    #[command(flatten)]
    cluster: Nodes,
    /// Print a JSON array: an object for each nginx. What one tells at its socket is `overview`.
    #[arg(long)]
    json: bool,
    /// Look again every so many seconds, until it is interrupted.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", conflicts_with = "json")]
    watch: Option<NonZeroU16>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let Some(seconds) = self.watch else {
            let (text, is_good) = self.look()?;
            print(text.as_bytes())?;
            return Ok(if is_good { Exit::Yes } else { Exit::No });
        };
        loop {
            let text = match self.look() {
                Ok((text, _)) => text,
                // It may be back soon.
                Err(failure) => format!("tollgate: {failure}\n"),
            };
            let begin = if io::stdout().is_terminal() { CLEAR } else { "\n" };
            print(format!("{begin}{text}").as_bytes())?;
            std::thread::sleep(Duration::from_secs(seconds.get().into()));
        }
    }

    /// What there is to print, and whether all is well.
    fn look(&self) -> Result<(String, bool), Failure> {
        if self.cluster.is_asked() {
            return self.cluster.look(&self.socket, self.json);
        }
        let overview = self.ask()?;
        let running = match self.source.read() {
            Ok(running) => running,
            // What is in force is told at the socket, too.
            Err(_) if overview.is_some() && !self.source.is_said() => Vec::new(),
            Err(unknown) => return Err(Failure::failed(unknown.to_string())),
        };
        let now = now_ms();
        let is_good = match (running.is_empty(), &overview) {
            (true, Some(overview)) => Overview::of(overview).is_good(),
            _ => running.iter().all(|one| is_good(&one.status, now)),
        };
        let text = match self.json {
            true => {
                let mut all: Vec<Value> = running.iter().map(|one| as_json(one, now)).collect();
                if let Some(overview) = overview {
                    if all.is_empty() {
                        all.push(json!({ "ok": is_good }));
                    }
                    // The first one is the newest.
                    if let Some(newest) = all.first_mut().and_then(Value::as_object_mut) {
                        newest.insert("overview".to_owned(), overview);
                    }
                }
                format!("{}\n", shown_json(&json!(all).to_string()))
            }
            false => {
                let mut parts: Vec<String> = Vec::new();
                if let Some(overview) = &overview {
                    parts.push(Overview::of(overview).text(now, running.is_empty()));
                }
                parts.extend(running.iter().map(|one| as_text(one, now)));
                parts.join(if overview.is_some() { "\n" } else { "" })
            }
        };
        Ok((text, is_good))
    }

    /// What nginx tells at its socket; `None`: nobody said that there is one, and there is none.
    fn ask(&self) -> Result<Option<Value>, Failure> {
        if self.source.is_said() && !self.socket.is_said() {
            // It may be that of another nginx.
            return Ok(None);
        }
        match self.socket.ask(&Request::Status {}) {
            Ok(overview) => Ok(Some(overview)),
            Err(silence) if self.socket.is_said() => Err(silence.into()),
            Err(_) => Ok(None),
        }
    }
}

/// Has a terminal begin anew.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// What the file at a path holds now, or the folder; `None`: it can't be read.
fn now_in(path: &str) -> Option<String> {
    let bytes = match Path::new(path).is_dir() {
        true => rules_files::read(Path::new(path)),
        false => fs::read(path),
    };
    bytes.ok().map(|bytes| digest(&bytes))
}

/// Whether the file at a path was removed or replaced where it comes from, and what is seen here is the old
/// one: a mount of its own. Nobody here knows what it holds now.
fn is_old(path: &str) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.nlink() == 0)
}

fn serving(status: &Status, now_ms: i64) -> usize {
    status.workers.iter().filter(|worker| worker.is_serving(now_ms)).count()
}

/// Whether all that the files hold is in force in all workers.
fn is_good(status: &Status, now_ms: i64) -> bool {
    let sets = status.description.sets.iter().zip(&status.sets).enumerate();
    let all = status.workers.len();
    serving(status, now_ms) == all
        && sets.into_iter().all(|(index, (set, state))| {
            let Some(state) = state else { return false };
            let same = |(path, digest): (&String, &String)| now_in(path).as_ref() == Some(digest);
            state.failure.is_none()
                && state.refused_count == 0
                && status.following(index, now_ms) == all
                && set.paths.len() == state.digests.len()
                && set.paths.iter().zip(&state.digests).all(same)
                && !set.paths.iter().any(|path| is_old(path))
        })
}

fn date(ms: i64) -> String {
    let second = Timestamp::from_second(ms.div_euclid(1000));
    second.map_or_else(|_| "?".to_owned(), |moment| moment.to_string())
}

fn date_and_age(ms: i64, now_ms: i64) -> String {
    let seconds = u64::try_from(now_ms.saturating_sub(ms) / 1000).unwrap_or(0);
    match seconds {
        0..60 => format!("{} ({seconds} s ago)", date(ms)),
        _ => format!("{} ({} ago)", date(ms), in_words(seconds)),
    }
}

fn name_of(kind: SetKind) -> &'static str {
    match kind {
        SetKind::ApiKeys => "API keys",
        SetKind::JwtKeys => "keys of tokens",
        SetKind::GuardRules => "rules of guards",
        SetKind::GuardTerms => "terms of guards",
    }
}

fn as_text(Running { path, status }: &Running, now_ms: i64) -> String {
    let all = status.workers.len();
    let mut text = format!(
        "nginx, of {}\n{}{}\n{}{} of {all} take requests\n",
        shown(&path.to_string_lossy()),
        label("since"),
        date_and_age(status.description.since_ms, now_ms),
        label("workers"),
        serving(status, now_ms),
    );
    for (index, (set, state)) in status.description.sets.iter().zip(&status.sets).enumerate() {
        let paths: Vec<String> = set.paths.iter().map(|path| shown(path)).collect();
        text.push_str(&format!("\n{}: {}\n", paths.join(", "), name_of(set.kind)));
        match state {
            Some(state) => {
                let following = status.following(index, now_ms);
                text.push_str(&state_text(set, state, (following, all), now_ms));
            }
            None => text.push_str(&format!("{}is being written just now\n", label("state"))),
        }
    }
    text
}

/// The name of a line, in the first column.
fn label(name: &str) -> String {
    format!("  {name:<12}  ")
}

fn state_text(
    set: &SetDescription,
    state: &SetState,
    (following, all): (usize, usize),
    now_ms: i64,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{}{value}\n", label(name)));
    line(
        "in force",
        format!("in {following} of {all} workers, since {}", date_and_age(state.since_ms, now_ms)),
    );
    line("generation", state.generation.to_string());
    if !state.version.is_empty() {
        line("version", shown(&state.version));
    }
    line(set.kind.unit(), state.keys.to_string());
    for (path, digest) in set.paths.iter().zip(&state.digests) {
        line("sha-256", shown(digest));
        match now_in(path) {
            Some(_) if is_old(path) => line(
                "not in force",
                format!("{} was removed or replaced where it comes from", shown(path)),
            ),
            Some(now) if now == *digest => {}
            Some(now) => {
                line("not in force", format!("{} holds something else: {now}", shown(path)))
            }
            None => line("not in force", format!("{} can't be read by this user", shown(path))),
        }
    }
    if let Some(failure) = &state.failure {
        let at = date_and_age(failure.at_ms, now_ms);
        line("not taken", format!("{}; at {at}", shown(&failure.error)));
    }
    for refused in &state.refused {
        line("refused", shown(refused));
    }
    let more = state.refused_count.saturating_sub(state.refused.len() as u64);
    if more > 0 {
        line("refused", format!("{more} more entries; \"tollgate check\" tells which"));
    }
    for warning in &state.warnings {
        line("warning", shown(warning));
    }
    text
}

fn as_json(Running { path, status }: &Running, now_ms: i64) -> Value {
    let sets = status.description.sets.iter().zip(&status.sets).enumerate();
    let sets: Vec<Value> = sets
        .map(|(index, (set, state))| {
            let digest = |position| state.as_ref().and_then(|state| state.digests.get(position));
            let files = set.paths.iter().enumerate().map(|(position, path)| {
                json!({"path": path, "sha256": digest(position), "sha256_now": now_in(path)})
            });
            json!({
                "kind": set.kind,
                "files": files.collect::<Vec<_>>(),
                "workers": status.following(index, now_ms),
                "of_workers": status.workers.len(),
                "state": state.as_ref().map(|state| state_json(set.kind, state)),
            })
        })
        .collect();
    let worker = |worker: &tollgate_core::status::Worker| {
        let seen = match worker.sign {
            Sign::Beat(ms) => Some(date(ms)),
            Sign::Lock => (worker.phase != Phase::Gone).then(|| date(now_ms)),
        };
        json!({
            "pid": worker.pid, "phase": worker.phase.as_str(),
            "takes_requests": worker.is_serving(now_ms), "seen": seen,
        })
    };
    json!({
        "file": path.to_string_lossy(),
        "version": status.description.version,
        "since": date(status.description.since_ms),
        "tiers": status.description.tiers,
        "workers": status.workers.iter().map(worker).collect::<Vec<_>>(),
        "sets": sets,
        "ok": is_good(status, now_ms),
    })
}

fn state_json(kind: SetKind, state: &SetState) -> Value {
    let failure = state.failure.as_ref().map(|failure| {
        json!({"at": date(failure.at_ms), "error": failure.error, "sha256": failure.digests})
    });
    let mut json = json!({
        "generation": state.generation, "since": date(state.since_ms), (kind.unit()): state.keys,
        "refused": state.refused, "refused_count": state.refused_count,
        "warnings": state.warnings, "failure": failure,
    });
    if let (false, Some(members)) = (state.version.is_empty(), json.as_object_mut()) {
        members.insert("version".to_owned(), state.version.as_str().into());
    }
    json
}
