//! Which file, and which key of it.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::entry::{hash_of, Entry, KEY_PREFIX};
use crate::exit::tell;

/// Which file.
#[derive(Args)]
pub(crate) struct Keys {
    /// The keys file, as `tollgate_api_keys` names it.
    #[arg(long, env = "TOLLGATE_KEYS", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// The key of this id. Says so where there is none.
pub(crate) fn find<'e>(entries: &'e mut [Entry], id: &str) -> Option<&'e mut Entry> {
    let Some(position) = entries.iter().position(|entry| entry.id == id) else {
        // Whoever holds a key that has leaked may well take it for its name. It is not repeated.
        let message = match is_a_key(entries, id) {
            true => "that is a key, and no id: \"tollgate key find\" tells its id".to_owned(),
            false => format!("no key has the id \"{}\"", id.escape_debug()),
        };
        tell(&format!("tollgate: {message}"));
        return None;
    };
    entries.get_mut(position)
}

/// Whether a text is a key of the file, or has the form of those that are made here.
fn is_a_key(entries: &[Entry], text: &str) -> bool {
    let hash = Some(hash_of(text.as_bytes()));
    text.starts_with(KEY_PREFIX) || entries.iter().any(|entry| entry.hash == hash)
}
