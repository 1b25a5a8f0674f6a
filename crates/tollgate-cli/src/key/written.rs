//! After a change of the keys file: what nginx makes of it.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::state::State;
use crate::exit::{tell, Exit, Failure};
use crate::keys_file::{Entry, Keys};
use crate::status::source::{of_keys_file, Running, Source};
use crate::status::wait::{used_files, wait, Effect};
use crate::time::{now, parse_duration};

/// Which file is changed, and whether to wait for nginx.
#[derive(Args)]
pub(crate) struct Writing {
    #[command(flatten)]
    pub(crate) keys: Keys,
    /// Return when the change is in force in all workers of nginx: status 1 if nginx refuses it, 3 if it
    /// isn't in force after this time.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s"
    )]
    wait: Option<Duration>,
    #[command(flatten)]
    source: Source,
}

impl Writing {
    pub(crate) fn path(&self) -> &Path {
        &self.keys.file
    }

    /// Tells what nginx makes of the file, which has been written; and of these keys in it, which are to
    /// be good. `is_quiet`: says only what is not as it should be.
    pub(crate) fn tell(&self, keys: &[Entry], is_quiet: bool) -> Result<Exit, Failure> {
        match self.wait {
            Some(patience) => self.wait(keys, patience, is_quiet),
            None => {
                self.look(keys, is_quiet);
                Ok(Exit::Yes)
            }
        }
    }

    fn wait(&self, keys: &[Entry], patience: Duration, is_quiet: bool) -> Result<Exit, Failure> {
        let path = self.path().display();
        match wait(&self.source, self.path(), patience) {
            Effect::InForce { workers, running } => {
                let refused = refusals(&running, self.path(), keys);
                refused.iter().for_each(|refused| tell(&format!("tollgate: {refused}")));
                if !refused.is_empty() {
                    return Ok(Exit::No);
                }
                if !is_quiet {
                    tell(&format!("In force in all {workers} workers of nginx."));
                }
                Ok(Exit::Yes)
            }
            Effect::Refused(error) => {
                tell(&format!(
                    "tollgate: nginx does not take {path}: {error}; what it read before stays in force"
                ));
                Ok(Exit::No)
            }
            Effect::NotUsed(used) => Err(Failure::failed(format!(
                "{path} is written, but nginx uses other files: {}; name one of them with --file, or the \
                 nginx that is meant with --status-file",
                used.join(", ")
            ))),
            Effect::Unknown(unknown) => Err(Failure::failed(format!(
                "{path} is written, but nobody knows whether it is in force: {unknown}"
            ))),
            Effect::TimedOut(missing) => Err(Failure::failed(format!(
                "{path} is written, but not in force after {} s: {missing}; see \"tollgate status\" and \
                 nginx's error log",
                patience.as_secs_f64()
            ))),
        }
    }

    /// Tells what is known at once, which can't be whether the change is in force.
    fn look(&self, keys: &[Entry], is_quiet: bool) {
        let path = self.path();
        let shown = path.display();
        let running = match self.source.read() {
            Ok(running) => running,
            Err(unknown) if !is_quiet => {
                tell(&format!(
                    "{shown} is written; whether nginx has taken it is not known: {unknown}."
                ));
                return;
            }
            Err(_) => return,
        };
        let users: Vec<&Running> =
            running.iter().filter(|one| !of_keys_file(&one.status, path).is_empty()).collect();
        if users.is_empty() {
            if is_quiet {
                return;
            }
            tell(&format!(
                "tollgate: {shown} is written, but nginx uses other files: {}",
                used_files(&running).join(", ")
            ));
            return;
        }
        for one in &users {
            for of in of_keys_file(&one.status, path) {
                if let Some(failure) = of.state.and_then(|state| state.failure.as_ref()) {
                    tell(&format!(
                        "tollgate: nginx did not take what {shown} held before: {}",
                        failure.error
                    ));
                }
            }
        }
        for refused in undeclared(&running, path, keys) {
            tell(&format!("tollgate: {refused}"));
        }
        if !is_quiet {
            tell(&format!(
                "{shown} is written. nginx takes it within a second; \"tollgate status\" tells, and --wait \
                 waits for it."
            ));
        }
    }
}

/// Which of these keys nginx refuses though the file is in force, and why.
fn refusals(running: &[Running], path: &Path, keys: &[Entry]) -> Vec<String> {
    let mut told = undeclared(running, path, keys);
    for entry in keys {
        let name = format!("key \"{}\": ", entry.id.escape_debug());
        let states = running.iter().flat_map(|one| of_keys_file(&one.status, path));
        let refused = states.filter_map(|of| of.state).flat_map(|state| &state.refused);
        let mut of_key = refused.filter(|refused| refused.contains(&name));
        if let Some(refused) =
            of_key.next().filter(|_| !told.iter().any(|told| told.starts_with(&name)))
        {
            told.push(refused.clone());
        }
    }
    told
}

/// Which of these keys name a tier that isn't declared.
fn undeclared(running: &[Running], path: &Path, keys: &[Entry]) -> Vec<String> {
    let users: Vec<&Running> =
        running.iter().filter(|one| !of_keys_file(&one.status, path).is_empty()).collect();
    let lacks =
        |tier: &String| users.iter().find(|one| !one.status.description.tiers.contains(tier));
    let now = now();
    let active = keys.iter().filter(|entry| State::of(entry, now) == State::Active);
    let told = active.filter_map(|entry| {
        let tier = entry.tier.as_ref()?;
        let one = lacks(tier)?;
        let declared = one.status.description.tiers.join(", ");
        Some(format!(
            "key \"{}\": the tier \"{}\" is not declared in nginx's configuration, so that the key gets 403 \
             (declared are: {declared}); correct it with \"tollgate key edit --tier\"",
            entry.id.escape_debug(),
            tier.escape_debug(),
        ))
    });
    told.collect()
}
