//! The claim of scopes, and what it means.

use serde_json::{Map, Value};

use super::claim_map::ClaimMap;
use super::error::TokenError;
use crate::permissions::scopes::{Said, Scopes};

/// The value of the first claim of scopes that is there.
pub(super) fn find<'c>(
    map: &ClaimMap,
    claims: &'c Map<String, Value>,
) -> Result<Option<&'c Value>, TokenError> {
    for claim in map.scopes() {
        let found = claim.find(claims).map_err(|_| TokenError::BadClaim("scopes"))?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What the scopes of a token mean. One without any at all is good for nothing; one that has none of ours
/// says nothing of this API, where the claim is not known to be about it.
pub(super) fn said(map: &ClaimMap, names: Option<&[Box<str>]>) -> Said {
    let Some(names) = names else { return Said::Nothing };
    match Scopes::among(names.iter().map(|name| &**name)) {
        Scopes::NONE if map.has_scopes_of_others() && !names.is_empty() => Said::Nothing,
        scopes => Said::ByToken(scopes),
    }
}
