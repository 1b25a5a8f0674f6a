//! The claim of scopes, and what it means.

use serde_json::{Map, Value};

use super::claim_map::ClaimMap;
use super::claims::scopes;
use super::error::TokenError;
use crate::permissions::scopes::{Said, Scopes};

/// The value of the claim of scopes: of several that are there, the first one that names any of ours.
pub(super) fn find<'c>(
    map: &ClaimMap,
    claims: &'c Map<String, Value>,
) -> Result<Option<&'c Value>, TokenError> {
    let mut first = None;
    for claim in map.scopes() {
        match claim.find(claims).map_err(|_| TokenError::BadClaim("scopes"))? {
            Some(value) if names_ours(value) => return Ok(Some(value)),
            found => first = first.or(found),
        }
    }
    Ok(first)
}

fn names_ours(value: &Value) -> bool {
    scopes(value)
        .is_some_and(|names| Scopes::among(names.iter().map(|name| &**name)) != Scopes::NONE)
}

/// What the scopes of a token mean. One without any at all is good for nothing, nor is one without the claim
/// that is known to be about this API; where none is, one that has none of ours says nothing of it.
pub(super) fn said(map: &ClaimMap, names: Option<&[Box<str>]>) -> Said {
    let Some(names) = names else {
        return match map.has_scopes_of_others() {
            true => Said::Nothing,
            false => Said::ByToken(Scopes::NONE),
        };
    };
    match Scopes::among(names.iter().map(|name| &**name)) {
        Scopes::NONE if map.has_scopes_of_others() && !names.is_empty() => Said::Nothing,
        scopes => Said::ByToken(scopes),
    }
}

#[cfg(test)]
mod tests {
    use super::super::claims::{judge_claims, Vouching};
    use super::super::{object, Policy};
    use super::*;
    use crate::principal::AuthMethod;

    #[test]
    fn scopes_of_others_restrict_only_where_the_claim_is_known_to_be_ours() {
        let said = |claim: Option<&str>, members: &str| {
            let mut policy = Policy::default();
            claim.into_iter().for_each(|claim| policy.claims.set("scopes", claim).unwrap());
            let comma = if members.is_empty() { "" } else { "," };
            let json = format!(r#"{{"sub":"acme","exp":2000{comma}{members}}}"#);
            let claims = object::parse(json.as_bytes()).unwrap();
            let vouching = Vouching { auth: AuthMethod::Jwt, key_id: None, client_prefix: "" };
            judge_claims(&claims, vouching, &policy).unwrap().0.said
        };
        let some = |names: &str| Said::ByToken(Scopes::among(names.split(' ')));
        for (members, by_default, by_name) in [
            ("", Said::Nothing, some("")),
            (r#""scope":"openid profile""#, Said::Nothing, some("")),
            (r#""scope":"openid chat""#, some("chat"), some("chat")),
            (r#""scope":["chat","files"]"#, some("chat files"), some("chat files")),
            (r#""scope":"""#, some(""), some("")),
            (r#""scope":[]"#, some(""), some("")),
            (r#""scp":"chat""#, some("chat"), some("")),
            (r#""scp":["files"],"scope":"chat""#, some("chat"), some("chat")),
            (r#""scp":["files"],"scope":"openid""#, some("files"), some("")),
            (r#""scp":["read"],"scope":"openid""#, Said::Nothing, some("")),
        ] {
            assert_eq!(said(None, members), by_default, "{members}");
            assert_eq!(said(Some("scope"), members), by_name, "{members}");
        }
    }
}
