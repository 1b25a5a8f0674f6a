//! Which claim holds which field of the principal.

use std::fmt;

use serde_json::{Map, Value};

/// The longest name of a claim, in bytes.
const MAX_CLAIM_LEN: usize = 256;

/// Where the fields of a principal are found in a claims set. By default `client` is in `sub`, `tier`
/// in `tier`, `rate_limit` in `rate_limit`, and `models` and `tenant` are unset. `scopes` are in `scope`, or
/// else in `scp`, where these name any of ours: see [`ClaimMap::has_scopes_of_others`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimMap {
    pub(super) client: Claim,
    pub(super) tier: Claim,
    pub(super) scopes: Option<Claim>,
    pub(super) rate_limit: Claim,
    pub(super) models: Option<Claim>,
    pub(super) tenant: Option<Claim>,
}

impl Default for ClaimMap {
    fn default() -> Self {
        Self {
            client: Claim("sub".into()),
            tier: Claim("tier".into()),
            scopes: None,
            rate_limit: Claim("rate_limit".into()),
            models: None,
            tenant: None,
        }
    }
}

impl ClaimMap {
    /// Looks for `field` in `claim`: the claim of exactly that name, or else the one at that dotted
    /// path, so that both `realm_access.tier` and `https://example.com/tier` can be written.
    ///
    /// # Errors
    ///
    /// An unknown field, or a claim that cannot be a name.
    pub fn set(&mut self, field: &str, claim: &str) -> Result<(), ClaimMapError> {
        let unusable = claim.len() > MAX_CLAIM_LEN
            || claim.chars().any(char::is_control)
            || claim.split('.').any(str::is_empty);
        let parsed = if unusable { Err(ClaimMapError::BadClaim) } else { Ok(Claim(claim.into())) };
        match field {
            "client" => self.client = parsed?,
            "tier" => self.tier = parsed?,
            "scopes" => self.scopes = Some(parsed?),
            "rate_limit" => self.rate_limit = parsed?,
            "models" => self.models = Some(parsed?),
            "tenant" => self.tenant = Some(parsed?),
            _ => return Err(ClaimMapError::UnknownField),
        }
        Ok(())
    }

    /// Whether the claim of scopes may be about other APIs alone. Providers put `openid profile` into each
    /// token, which says nothing of this API; whoever names the claim in the configuration, has its issuer
    /// use our names there.
    pub(super) fn has_scopes_of_others(&self) -> bool {
        self.scopes.is_none()
    }

    /// Where scopes are looked for, one after the other.
    pub(super) fn scopes(&self) -> Vec<Claim> {
        match &self.scopes {
            Some(claim) => vec![claim.clone()],
            None => vec![Claim("scope".into()), Claim("scp".into())],
        }
    }

    /// The claim that holds `field`, as the configuration names it. `None` where that is no field, or
    /// no claim holds it.
    #[must_use]
    pub fn claim_of(&self, field: &str) -> Option<&str> {
        let claim = match field {
            "client" => &self.client,
            "tier" => &self.tier,
            "scopes" => return Some(self.scopes.as_ref().map_or("scope", |claim| &claim.0)),
            "rate_limit" => &self.rate_limit,
            "models" => self.models.as_ref()?,
            "tenant" => self.tenant.as_ref()?,
            _ => return None,
        };
        Some(&claim.0)
    }
}

/// Why a field cannot be mapped to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimMapError {
    /// Not a field of the principal.
    UnknownField,
    /// Empty, too long, with control characters, or a path with an empty name in it.
    BadClaim,
}

impl fmt::Display for ClaimMapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownField => {
                "unknown field, expected client, tier, scopes, models, rate_limit or tenant"
            }
            Self::BadClaim => {
                "expected the name of a claim, or names with single dots between them"
            }
        })
    }
}

impl std::error::Error for ClaimMapError {}

/// The name of a claim, or the path to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim(Box<str>);

/// A name on the path leads to something that has no members.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotAnObject;

impl Claim {
    /// The value of this claim, if it is there. A path that ends before its last name at anything but
    /// an object is an error, not an absence: what is absent restricts nothing.
    pub(super) fn find<'a>(
        &self,
        claims: &'a Map<String, Value>,
    ) -> Result<Option<&'a Value>, NotAnObject> {
        if let Some(value) = claims.get(&*self.0) {
            return Ok(Some(value));
        }
        let mut names = self.0.split('.');
        let mut value = names.next().and_then(|name| claims.get(name));
        for name in names {
            value = match value {
                None => return Ok(None),
                Some(Value::Object(members)) => members.get(name),
                Some(_) => return Err(NotAnObject),
            };
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(claim: &str, json: &str) -> Result<Option<Value>, NotAnObject> {
        let claims = super::super::object::parse(json.as_bytes()).unwrap();
        Claim(claim.into()).find(&claims).map(Option::<&Value>::cloned)
    }

    #[test]
    fn claim_is_found_by_its_name_or_at_its_path() {
        assert_eq!(find("sub", r#"{"sub":"a"}"#), Ok(Some("a".into())));
        assert_eq!(find("a.b.c", r#"{"a":{"b":{"c":1}}}"#), Ok(Some(1.into())));
        assert_eq!(find("a", r#"{"b":1}"#), Ok(None));
        assert_eq!(find("a.b", r#"{"a":{}}"#), Ok(None));
        assert_eq!(find("a.b", r#"{"b":1}"#), Ok(None));
    }

    #[test]
    fn literal_name_with_dots_comes_first() {
        let url = "https://example.com/tier";
        assert_eq!(find(url, r#"{"https://example.com/tier":"pro"}"#), Ok(Some("pro".into())));
        assert_eq!(find("a.b", r#"{"a.b":1,"a":{"b":2}}"#), Ok(Some(1.into())));
    }

    #[test]
    fn path_through_anything_but_an_object_is_an_error() {
        for json in [r#"{"a":1}"#, r#"{"a":null}"#, r#"{"a":"b"}"#, r#"{"a":[{"b":1}]}"#] {
            assert_eq!(find("a.b", json), Err(NotAnObject), "{json}");
        }
    }

    #[test]
    fn every_field_can_be_set() {
        let mut map = ClaimMap::default();
        for field in ["client", "tier", "scopes", "models", "rate_limit", "tenant"] {
            assert_eq!(map.set(field, "x.y"), Ok(()), "{field}");
            assert_eq!(map.claim_of(field), Some("x.y"), "{field}");
        }
        let claim = || Claim("x.y".into());
        let expected = ClaimMap {
            client: claim(),
            tier: claim(),
            scopes: Some(claim()),
            rate_limit: claim(),
            models: Some(claim()),
            tenant: Some(claim()),
        };
        assert_eq!(map, expected);
    }

    #[test]
    fn fields_have_the_claims_of_the_documentation() {
        let map = ClaimMap::default();
        for (field, claim) in [
            ("client", Some("sub")),
            ("tier", Some("tier")),
            ("scopes", Some("scope")),
            ("rate_limit", Some("rate_limit")),
            ("models", None),
            ("tenant", None),
            ("exp", None),
        ] {
            assert_eq!(map.claim_of(field), claim, "{field}");
        }
    }

    #[test]
    fn unknown_fields_and_unusable_claims_are_refused() {
        let mut map = ClaimMap::default();
        for field in ["", "Client", "sub", "exp"] {
            assert_eq!(map.set(field, "x"), Err(ClaimMapError::UnknownField), "{field:?}");
        }
        assert_eq!(map.set("client", &"a".repeat(256)), Ok(()));
        let mut map = ClaimMap::default();
        for claim in ["", ".", ".a", "a.", "a..b", "a\n", &"a".repeat(257)] {
            assert_eq!(map.set("client", claim), Err(ClaimMapError::BadClaim), "{claim:?}");
        }
        assert_eq!(map, ClaimMap::default());
        assert!(ClaimMapError::UnknownField
            .to_string()
            .starts_with("unknown field, expected client"));
        assert!(ClaimMapError::BadClaim.to_string().starts_with("expected the name of a claim"));
    }
}
