//! `tollgate key import`: keys that another gateway has, hashed on the way.
//!
//! | file      | from                                                                        |
//! |-----------|-----------------------------------------------------------------------------|
//! | `map`     | an nginx.conf whose `map` has the keys                                      |
//! | `env`     | lines `NAME=key:tier:description`                                           |
//! | `plain`   | one key a line                                                              |
//! | `litellm` | LiteLLM's keys, as JSON                                                     |
//! | `kong`    | Kong's declarative configuration, or pages of its Admin API, as JSON        |

mod env;
mod json;
mod kong;
mod litellm;
mod map;
mod plain;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use serde_json::json;
use tollgate_core::principal::is_valid_name;

use crate::exit::{print, tell, Exit, Failure};
use crate::key::{self, Keys};
use crate::keys_file::{self, Entry};

/// What is shorter is no key: `DEBUG=true` is none.
const GUESSABLE: usize = 8;

/// A key that is shorter can be guessed, with some patience.
const SHORT: usize = 16;

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

/// Where something stands in a source. Never what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Whole,
    Line(usize),
    Entry(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("the export"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Entry(entry) => write!(f, "entry {entry}"),
        }
    }
}

/// What stands for a key in a source.
#[derive(Clone, Debug)]
enum Secret {
    /// The key itself.
    Key(String),
    /// Its SHA-256, in hexadecimal digits.
    Hash(String),
}

/// A key that was found.
#[derive(Clone, Debug)]
struct Found {
    place: Place,
    secret: Secret,
    client: String,
    tier: Option<String>,
    models: Option<Vec<String>>,
    expires: Option<String>,
    is_disabled: bool,
    description: Option<String>,
}

impl Found {
    fn new(place: Place, secret: Secret, client: String) -> Self {
        let (tier, models, expires, description) = (None, None, None, None);
        Self { place, secret, client, tier, models, expires, is_disabled: false, description }
    }

    /// What is shown of it.
    fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = [Some(&self.client), self.tier.as_ref(), self.description.as_ref()];
        texts.into_iter().flatten().chain(self.models.iter().flatten()).map(String::as_str)
    }
}

/// What a source holds.
#[derive(Debug, Default)]
struct Source {
    found: Vec<Found>,
    /// What can't be understood.
    faults: Vec<(Place, String)>,
    /// What isn't taken over, for a reason that is no fault: how often.
    skipped: BTreeMap<String, usize>,
    notes: Vec<String>,
}

impl Source {
    fn fault(&mut self, place: Place, message: impl Into<String>) {
        self.faults.push((place, message.into()));
    }

    fn skip(&mut self, reason: &str) {
        *self.skipped.entry(reason.to_owned()).or_default() += 1;
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let (format, mut source) = self.understand(&read(&self.source)?)?;
        let entries = entries(&mut source)?;
        for (place, message) in &source.faults {
            tell(&format!("tollgate: {place}: {message}"));
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
            Format::Map => map::read(text, self.map_variable.as_deref()),
            Format::Env => env::read(text),
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
                .map(|(place, message)| json!({"place": place.to_string(), "message": message}))
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

struct Added {
    new: Vec<Entry>,
    /// How many were there already, as another client's.
    of_others: usize,
}

/// Adds the entries whose keys are not there yet.
fn add(known: &mut Vec<Entry>, entries: &[Entry]) -> Added {
    // By hash: of a million keys, each is looked for once.
    let before: HashMap<&str, &str> =
        known.iter().map(|entry| (entry.hash.as_str(), entry.client.as_str())).collect();
    let mut added = Added { new: Vec::new(), of_others: 0 };
    for entry in entries {
        match before.get(entry.hash.as_str()) {
            Some(client) => added.of_others += usize::from(*client != entry.client),
            None => added.new.push(entry.clone()),
        }
    }
    known.extend(added.new.iter().cloned());
    added
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let outcome = match path.as_os_str() == "-" {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => fs::read(path).map(|read| bytes = read),
    };
    outcome.map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))?;
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
    if lines().any(|line| !line.starts_with('#') && is_map(line)) {
        return Ok(Format::Map);
    }
    refuse_yaml(text)?;
    let is_env = env::are_assignments(lines().filter(|line| !line.starts_with('#')));
    Ok(if is_env { Format::Env } else { Format::Plain })
}

/// Kong's own way of writing its configuration.
fn refuse_yaml(text: &str) -> Result<(), Failure> {
    let is_yaml =
        |line: &str| line.starts_with("_format_version:") || line.starts_with("consumers:");
    if text.lines().map(str::trim).any(is_yaml) {
        return Err(Failure::usage(
            "this is YAML: write Kong's configuration as JSON, such as with \"deck gateway dump --format \
             json\"; for what \"kong config db_export\" wrote, \"yq -o json\"",
        ));
    }
    Ok(())
}

/// The entries of what was found. What can't be one becomes a fault.
fn entries(source: &mut Source) -> Result<Vec<Entry>, Failure> {
    let mut hashed = Vec::new();
    for found in std::mem::take(&mut source.found) {
        match check(&found) {
            Ok(hash) => hashed.push((hash, found)),
            Err(message) => source.fault(found.place, message),
        }
    }
    // What a key is called is shown and logged: it must not be a key, be it another's.
    let hashes: HashSet<String> = hashed.iter().map(|(hash, _)| hash.clone()).collect();
    let mut is_key: HashMap<String, bool> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut owners: HashMap<String, (Place, String)> = HashMap::new();
    let mut short = 0usize;
    for (hash, found) in hashed {
        let place = found.place;
        let mut tells_key = false;
        for text in found.texts() {
            tells_key |= match is_key.get(text) {
                Some(known) => *known,
                None => {
                    let is = key::is_like_a_key(text)
                        || hashes.contains(&keys_file::hash_of(text.as_bytes()));
                    *is_key.entry(text.to_owned()).or_insert(is)
                }
            };
        }
        if tells_key {
            source.fault(place, "a name or description that is a key, and would be in every log");
            continue;
        }
        if let Some((first, owner)) = owners.get(&hash) {
            match *owner == found.client {
                true => source.skip("the same key again"),
                false => {
                    let message = format!("the key of {first} again, for another client");
                    source.fault(place, message);
                }
            }
            continue;
        }
        owners.insert(hash.clone(), (place, found.client.clone()));
        short += usize::from(matches!(&found.secret, Secret::Key(key) if key.len() < SHORT));
        entries.push(Entry {
            id: keys_file::new_id()?,
            hash,
            client: found.client,
            tier: found.tier,
            models: found.models,
            expires: found.expires,
            disabled: found.is_disabled.then_some(true),
            description: found.description,
            ..Entry::default()
        });
    }
    if short > 0 {
        source.notes.push(format!(
            "{short} keys are shorter than {SHORT} characters, and can be guessed: replace them with \
             \"tollgate key rotate\""
        ));
    }
    Ok(entries)
}

/// The hash of a key that can be one, under names that can be some.
fn check(found: &Found) -> Result<String, &'static str> {
    let names = [Some(&found.client), found.tier.as_ref()];
    let mut names = names.into_iter().flatten().chain(found.models.iter().flatten());
    if names.any(|name| !is_valid_name(name)) {
        return Err(
            "a name that is empty, longer than 256 bytes, or has control characters or space \
                    around it",
        );
    }
    let key = match &found.secret {
        Secret::Key(key) => key,
        Secret::Hash(digits) => {
            let hash = format!("sha256:{}", digits.to_ascii_lowercase());
            return match hash == keys_file::hash_of(b"") {
                true => Err("the hash of an empty key"),
                false => Ok(hash),
            };
        }
    };
    if key.is_empty() {
        return Err("an empty key");
    }
    if key.len() > tollgate_core::keys::MAX_KEY_LEN {
        return Err("a key of more than 4096 bytes, which nginx refuses unseen");
    }
    if key.len() < GUESSABLE {
        return Err("a key of less than 8 characters, which anybody can guess; is it one at all?");
    }
    if key.chars().any(char::is_control) || key.trim() != key {
        return Err("a key with control characters, or blanks around it, which no header can have");
    }
    if found.texts().any(|text| text.contains(key.as_str())) {
        return Err("a key that is in its own name or description, and would be in every log");
    }
    Ok(keys_file::hash_of(key.as_bytes()))
}

#[cfg(test)]
mod tests;
