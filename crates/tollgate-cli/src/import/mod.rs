//! `tollgate key import`: keys that another gateway has, hashed on the way.
//!
//! Of each entry it is asked whether that is surely a key in force there, and what restricts it. What is in
//! doubt is refused, with its place: [`doubt`] says what that is, [`entries`] is where all formats meet.
//!
//! | file      | from                                                                        |
//! |-----------|-----------------------------------------------------------------------------|
//! | `map`     | an nginx.conf whose `map` has the keys                                      |
//! | `env`     | lines `NAME=key:tier:description`                                           |
//! | `plain`   | one key a line                                                              |
//! | `litellm` | LiteLLM's keys, as JSON                                                     |
//! | `kong`    | Kong's declarative configuration, or pages of its Admin API, as JSON        |

mod doubt;
mod dump;
mod entries;
mod env;
mod json;
mod kong;
mod litellm;
mod map;
mod nginx;
mod plain;
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use serde_json::json;

use crate::exit::{print, tell, Exit, Failure};
use crate::keys_file::{self, Entry, Keys};
use entries::{add, entries};
use source::Source;

/// Take over the keys of another gateway. Their clients keep them; only hashes are stored.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    keys: Keys,
    /// What to read; "-": stdin.
    #[arg(value_name = "SOURCE", value_hint = ValueHint::FilePath)]
    source: PathBuf,
    /// What it is; told by its content, if it isn't given.
    #[arg(long, default_value = "auto")]
    format: Format,
    /// The client of all keys; required for a plain list.
    #[arg(long)]
    client: Option<String>,
    /// The tier of keys whose source names none.
    #[arg(long)]
    tier: Option<String>,
    /// The variable that nginx's map of keys goes by, such as $http_x_token.
    #[arg(long, value_name = "VARIABLE")]
    map_variable: Option<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Leave out what can't be understood, instead of importing nothing.
    #[arg(long)]
    skip_invalid: bool,
    /// Take over keys without what restricts them, where Tollgate has nothing for that.
    #[arg(long)]
    drop_restrictions: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Auto,
    Map,
    Env,
    Plain,
    Litellm,
    Kong,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let (format, mut source) = self.understand(&read(&self.source)?)?;
        let entries = entries(&mut source, self.drop_restrictions)?;
        for (place, message) in &source.faults {
            tell(&format!("tollgate: {}: {message}", source.place(*place)));
        }
        if !source.faults.is_empty() && !self.skip_invalid {
            tell("tollgate: nothing was imported; mend these, or add --skip-invalid");
            if self.json {
                print(self.report(format, &source, &[]).as_bytes())?;
            }
            return Ok(Exit::No);
        }
        let file = &self.keys.file;
        let added = match self.dry_run {
            true => {
                let mut known = if file.exists() { keys_file::read(file)? } else { Vec::new() };
                let added = add(&mut known, &entries);
                keys_file::check(&known)?;
                added
            }
            false => keys_file::change_or_make(file, |known| Ok(add(known, &entries)))?,
        };
        let known = entries.len() - added.new.len();
        if known > 0 {
            *source.skipped.entry("in the file already".to_owned()).or_default() += known;
        }
        if added.of_others > 0 {
            source.notes.push(format!(
                "{} keys that are in the file already belong to another client there, and are left \
                 with it",
                added.of_others
            ));
        }
        print(self.report(format, &source, &added.new).as_bytes())?;
        Ok(Exit::Yes)
    }

    /// What the text is, and what it holds.
    fn understand(&self, text: &str) -> Result<(Format, Source), Failure> {
        let format = match self.format {
            Format::Auto => recognise(text)?,
            format => format,
        };
        let mut source = match format {
            Format::Map => map::read(text, self.map_variable.as_deref(), self.client.is_some()),
            Format::Env => env::read(text, self.client.is_some()),
            Format::Litellm => litellm::read(&json::parse(text)?),
            Format::Kong => {
                refuse_yaml(text)?;
                kong::read(&json::parse(text)?)
            }
            Format::Plain | Format::Auto => match &self.client {
                Some(client) => plain::read(text, client),
                None => {
                    return Err(Failure::usage(
                        "a plain list of keys needs a client; add --client NAME",
                    ))
                }
            },
        };
        for found in &mut source.found {
            if let Some(client) = &self.client {
                found.client.clone_from(client);
            }
            if found.tier.is_none() {
                found.tier.clone_from(&self.tier);
            }
        }
        Ok((format, source))
    }

    fn report(&self, format: Format, source: &Source, new: &[Entry]) -> String {
        const SHOWN: usize = 10;
        let mut clients: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in new {
            *clients.entry(&entry.client).or_default() += 1;
        }
        let format =
            format.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned());
        if self.json {
            let faults: Vec<_> = source
                .faults
                .iter()
                .map(|(place, message)| json!({"place": source.place(*place), "message": message}))
                .collect();
            let report = json!({
                "format": format, "dry_run": self.dry_run, "imported": new.len(), "clients": clients,
                "skipped": source.skipped, "invalid": source.faults.len(), "faults": faults,
                "notes": source.notes,
                "ids": new.iter().map(|entry| &entry.id).collect::<Vec<_>>(),
            });
            return format!("{report}\n");
        }
        let done = if self.dry_run { "would import" } else { "imported" };
        let mut text =
            format!("{done} {} keys of {} clients ({format})\n", new.len(), clients.len());
        for (client, count) in clients.iter().take(SHOWN) {
            text.push_str(&format!("  {count:>6}  {}\n", crate::escape::shown(client)));
        }
        if clients.len() > SHOWN {
            text.push_str(&format!("          and {} more clients\n", clients.len() - SHOWN));
        }
        for (reason, count) in &source.skipped {
            text.push_str(&format!("skipped {count}: {reason}\n"));
        }
        if !source.faults.is_empty() {
            text.push_str(&format!("left out {} that can't be understood\n", source.faults.len()));
        }
        for note in &source.notes {
            text.push_str(&format!("note: {note}\n"));
        }
        text
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let outcome = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => fs::read(path).map(|read| bytes = read),
    };
    outcome.map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
    if path.as_os_str() == "-" && bytes.is_empty() {
        return Err(Failure::failed(
            "there is nothing on stdin; if that is \"nginx -T\", it has to be run as root",
        ));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::failed(format!("{} is not UTF-8 text", path.display())))?;
    // Editors on Windows begin files with a mark, which would be part of the first key.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// What the text is, by what only that has.
fn recognise(text: &str) -> Result<Format, Failure> {
    let start = text.trim_start();
    if start.starts_with(['{', '[']) {
        let value = json::parse(text)?;
        return Ok(if kong::is_kong(&value) { Format::Kong } else { Format::Litellm });
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    // A block may begin before it on the same line.
    let is_map = |line: &str| {
        let mut words = line.split([' ', '\t', '{', ';']).filter(|word| !word.is_empty());
        words.any(|word| word == "map") && words.next().is_some_and(|word| word.contains('$'))
    };
    let is_other = |line: &str| {
        ["if (", "if(", "geo $", "server {", "location ", "http {"]
            .iter()
            .any(|s| line.starts_with(s))
    };
    if lines().any(|line| !line.starts_with('#') && (is_map(line) || is_other(line))) {
        return Ok(Format::Map);
    }
    refuse_yaml(text)?;
    let is_env = env::are_assignments(lines().filter(|line| !line.starts_with('#')));
    Ok(if is_env { Format::Env } else { Format::Plain })
}

/// The way in which others write what is read as JSON here, and the lines of which are no keys.
fn refuse_yaml(text: &str) -> Result<(), Failure> {
    const KONG: [&str; 3] = ["_format_version:", "consumers:", "keyauth_credentials:"];
    const OTHERS: [&str; 7] = [
        "apiVersion:",
        "kind:",
        "model_list:",
        "general_settings:",
        "keys:",
        "api_keys:",
        "- key:",
    ];
    let has = |starts: &[&str]| {
        text.lines().map(str::trim).any(|line| starts.iter().any(|start| line.starts_with(start)))
    };
    if has(&KONG) {
        return Err(Failure::usage(
            "this is YAML: write Kong's configuration as JSON, such as with \"deck gateway dump --format \
             json\"; for what \"kong config db_export\" wrote, \"yq -o json\"",
        ));
    }
    if has(&OTHERS) {
        return Err(Failure::usage(
            "this is YAML, which is not read: write it as JSON if it is an export of LiteLLM or Kong, or \
             else as lines NAME=key:tier",
        ));
    }
    Ok(())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
#[cfg(test)]
mod tests;
