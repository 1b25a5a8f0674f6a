//! What is in force, told to whoever looks at nginx from outside: which files were read, what of them
//! was taken, and by how many workers.
//!
//! It stands in a file of a fixed size ([`Board`]) that the master makes for each configuration, and that
//! its workers inherit, opened: they need no right to write at its path, and nobody waits for anybody.
//! Each worker has a part of its own. What is said of a set of files is written by whoever has the right
//! to change that set, into the one of two copies that is not in use: so a process that is killed in the
//! middle leaves what was there before. Whoever reads the file gets [`Status`].
//!
//! A worker writes only what changes. That it is there is told by a lock on its part of the file, which the
//! kernel frees when the process ends, however it ends, and which is seen from any container; where there are
//! no locks, by the time that it writes once a second.
//!
//! No credential is in it, nor the hash of one.

mod board;
mod read;

pub use board::{Board, Part};
pub use read::{Sign, Status, Worker, WORKER_SILENCE_MS};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::hex;

/// The longest message that is kept, in bytes.
const MAX_MESSAGE: usize = 500;

/// What doesn't change as long as a configuration is in use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The version of the module.
    pub version: String,
    /// When the configuration came into use: milliseconds since 1970.
    pub since_ms: i64,
    /// The tiers that are declared.
    pub tiers: Vec<String>,
    /// The sets of files that are followed.
    pub sets: Vec<SetDescription>,
}

/// Files that are used together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDescription {
    /// What is in them.
    pub kind: SetKind,
    /// Where they are.
    pub paths: Vec<String>,
}

/// What files hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SetKind {
    /// `tollgate_api_keys`
    ApiKeys,
    /// `tollgate_jwt_key_file`
    JwtKeys,
    /// `tollgate_guard_rules`
    GuardRules,
    /// A list of a `tollgate_guard`.
    GuardTerms,
}

impl SetKind {
    /// Whether credentials are judged by it.
    #[must_use]
    pub fn is_of_keys(self) -> bool {
        matches!(self, Self::ApiKeys | Self::JwtKeys)
    }

    /// What is counted in it.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::ApiKeys | Self::JwtKeys => "keys",
            Self::GuardRules => "rules",
            Self::GuardTerms => "terms",
        }
    }
}

/// What was made of a set of files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetState {
    /// What is in force has this number; a higher one came later.
    pub generation: u64,
    /// Since when: milliseconds since 1970.
    pub since_ms: i64,
    /// The SHA-256 of what each of the files held, in hexadecimal digits.
    pub digests: Vec<String>,
    /// How many keys there are; or rules, or terms.
    pub keys: u64,
    /// What the files call it; empty: nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What is in the files and not in force, and why: the first ones.
    pub refused: Vec<String>,
    /// How many entries that are.
    pub refused_count: u64,
    /// What else the operator should know.
    pub warnings: Vec<String>,
    /// What the files hold now could not be taken.
    pub failure: Option<Failure>,
}

/// Why what files hold was not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When: milliseconds since 1970.
    pub at_ms: i64,
    /// The SHA-256 of what each of the files held; empty: that could not be read.
    pub digests: Vec<String>,
    /// What is wrong.
    pub error: String,
}

/// How far a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    Absent,
    /// It takes requests.
    Running,
    /// It takes no new ones, and ends when its last one does.
    Exiting,
    /// It has ended.
    Gone,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Absent, Self::Running, Self::Exiting, Self::Gone];

    fn word(self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Running => 1,
            Self::Exiting => 2,
            Self::Gone => 3,
        }
    }

    fn of(word: u64) -> Self {
        Self::ALL.into_iter().find(|phase| phase.word() == word).unwrap_or(Self::Absent)
    }

    /// What it is called.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Running => "running",
            Self::Exiting => "exiting",
            Self::Gone => "gone",
        }
    }
}

/// The SHA-256 of what a file holds, as it is told.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// A message as it is kept: not longer than there is room for.
#[must_use]
pub fn message(text: &str) -> String {
    match text.char_indices().map(|(at, c)| at + c.len_utf8()).find(|end| *end > MAX_MESSAGE) {
        None => text.to_owned(),
        Some(end) => {
            let short: String = text
                .char_indices()
                .take_while(|(at, c)| at + c.len_utf8() < end)
                .map(|(_, c)| c)
                .collect();
            format!("{short}...")
        }
    }
}

#[cfg(test)]
mod tests;
