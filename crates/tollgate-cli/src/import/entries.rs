//! From what was found to entries of the keys file.

use std::collections::{BTreeMap, HashMap, HashSet};

use tollgate_core::principal::is_valid_name;

use super::doubt;
use super::source::{Found, Secret, Source, SourcePlace};
use crate::exit::Failure;
use crate::keys_file::{self, Entry};

/// What is shorter is no key: `DEBUG=true` is none.
const GUESSABLE: usize = 8;

/// A key that is shorter can be guessed, with some patience.
const SHORT: usize = 16;

/// The entries of what was found. What can't be one becomes a fault; and so does a key that would be
/// restricted by less than before, unless it `drops` what restricts it.
pub(super) fn entries(source: &mut Source, drops: bool) -> Result<Vec<Entry>, Failure> {
    let mut hashed = Vec::new();
    let mut told = 0usize;
    let mut dropped: BTreeMap<&str, usize> = BTreeMap::new();
    for mut found in std::mem::take(&mut source.found) {
        let is_without = |text: &mut String| !doubt::may_tell_secret(text);
        match check(&found) {
            Ok(_) if !drops && !found.lost.is_empty() => source.fault(
                found.place,
                format!(
                    "a key that is restricted there, and would not be here ({}): --drop-restrictions \
                     takes such keys over without",
                    found.lost.join(", ")
                ),
            ),
            Ok(hash) => {
                for restriction in std::mem::take(&mut found.lost) {
                    *dropped.entry(restriction).or_default() += 1;
                }
                let before = found.description.is_some();
                found.description = found.description.take_if(is_without);
                told += usize::from(before && found.description.is_none());
                hashed.push((hash, found));
            }
            Err(message) => source.fault(found.place, message),
        }
    }
    for (restriction, count) in dropped {
        source.note(count, &format!("keys were restricted, and are no more: {restriction}"));
    }
    source.note(told, "descriptions may hold a credential, and were left out");
    // What a key is called is shown and logged: it must not be a key, be it another's.
    let hashes: HashSet<String> = hashed.iter().map(|(hash, _)| hash.clone()).collect();
    let mut is_key: HashMap<String, bool> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut owners: HashMap<String, (SourcePlace, String)> = HashMap::new();
    let mut short = 0usize;
    for (hash, found) in hashed {
        let place = found.place;
        let mut tells_key = false;
        for text in found.texts() {
            tells_key |= match is_key.get(text) {
                Some(known) => *known,
                None => {
                    let is = keys_file::is_like_a_key(text)
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
                    let message =
                        format!("the key of {} again, for another client", source.place(*first));
                    source.fault(place, message);
                }
            }
            continue;
        }
        owners.insert(hash.clone(), (place, found.client.clone()));
        short += usize::from(matches!(&found.secret, Secret::Key(key) if key.len() < SHORT));
        entries.push(Entry {
            id: keys_file::new_id()?,
            hash: Some(hash),
            client: found.client,
            tenant: found.tenant,
            tier: found.tier,
            models: found.models,
            cidrs: found.cidrs,
            expires: found.expires,
            created: found.created,
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
    let names = [Some(&found.client), found.tenant.as_ref(), found.tier.as_ref()];
    let mut names = names.into_iter().flatten().chain(found.models.iter().flatten());
    if names.any(|name| !is_valid_name(name)) {
        return Err(
            "a name that is empty, longer than 256 bytes, or has control characters or space \
                    around it",
        );
    }
    for name in
        [Some(&found.client), found.tenant.as_ref(), found.tier.as_ref()].into_iter().flatten()
    {
        if doubt::may_be_secret(name) {
            return Err("a name that may be a key itself, and would be in every log");
        }
        if doubt::is_no_name(name) {
            return Err(
                "a placeholder in the place of a name: put the client's, the tenant's or the tier's there",
            );
        }
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
    if let Some(message) = doubt::is_no_key(key) {
        return Err(message);
    }
    if key.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a key with blanks or control characters, which no client sends");
    }
    if found.texts().any(|text| text.contains(key.as_str())) {
        return Err("a key that is in its own name or description, and would be in every log");
    }
    Ok(keys_file::hash_of(key.as_bytes()))
}

/// What was added.
pub(super) struct Added {
    pub(super) new: Vec<Entry>,
    /// How many were there already, as another client's.
    pub(super) of_others: usize,
}

/// Adds the entries whose keys are not there yet.
pub(super) fn add(known: &mut Vec<Entry>, entries: &[Entry]) -> Added {
    // By hash: of a million keys, each is looked for once.
    let keyed =
        known.iter().filter_map(|entry| Some((entry.hash.as_deref()?, entry.client.as_str())));
    let before: HashMap<&str, &str> = keyed.collect();
    let mut added = Added { new: Vec::new(), of_others: 0 };
    for entry in entries {
        match entry.hash.as_deref().and_then(|hash| before.get(hash)) {
            Some(client) => added.of_others += usize::from(*client != entry.client),
            None => added.new.push(entry.clone()),
        }
    }
    known.extend(added.new.iter().cloned());
    added
}
