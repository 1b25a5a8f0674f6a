//! One key, as it stands in the file.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tollgate_core::address::Cidr;
use tollgate_core::hex;

use crate::exit::Failure;

/// The beginning of every key that is made here.
pub(crate) const KEY_PREFIX: &str = "tg_";

/// One key, as it stands in the file. What is `None` is left out.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<String>,
    pub(crate) client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cidrs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deny_cidrs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
}

/// The hash of a key, as it stands in the file.
pub(crate) fn hash_of(key: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(key)))
}

/// An id for a new key: `k_` and ten random letters and digits.
pub(crate) fn new_id() -> Result<String, Failure> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut id = "k_".to_owned();
    while id.len() < 12 {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| Failure::failed(error.to_string()))?;
        // What is beyond the alphabet is left out, so that all of it is equally likely.
        let letters = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        id.extend(letters.take(12 - id.len()).map(|letter| char::from(*letter)));
    }
    Ok(id)
}

/// Whether a text has the form of the keys that are made here: as a name, nginx refuses it.
pub(crate) fn is_like_a_key(text: &str) -> bool {
    text.len() == 46 && text.starts_with(KEY_PREFIX)
}

/// Whether it is an address or a network, as keys may be restricted to.
pub(crate) fn is_network(text: &str) -> bool {
    text.parse::<Cidr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_that_of_sha256sum() {
        assert_eq!(
            hash_of(b"test"),
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        );
    }

    #[test]
    fn ids_are_random() {
        let ids: Vec<String> = (0..100).map(|_| new_id().unwrap()).collect();
        assert!(ids.iter().all(|id| id.len() == 12 && id.starts_with("k_")));
        assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)));
    }
}
