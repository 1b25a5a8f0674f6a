//! The claims set (RFC 7519 section 4): what the policy demands, and the principal that it describes.
//!
//! A claim that is there must be right, even where it is not needed: one of the wrong type is a
//! misunderstanding between us and the issuer, and an absent `scopes` or `models` restricts nothing.

use std::num::NonZeroU32;

use serde_json::{Map, Value};

use super::claim_map::{Claim, ClaimMap};
use super::confirmation;
use super::error::{Part, TokenError};
use super::key::Key;
use super::keyset::KeySet;
use super::numeric_date;
use super::object;
use super::policy::Policy;
use super::scope_claim;
use crate::clock::UnixMillis;
use crate::principal::{is_valid_name, AuthMethod, Computed, Principal};

pub(crate) type Claims = Map<String, Value>;

/// The text of a list, as it is in a principal.
type List = Box<[Box<str>]>;

/// When a token is valid, leeway included: from `not_before` on, until just before `expires`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(super) not_before: Option<UnixMillis>,
    pub(super) expires: Option<UnixMillis>,
}

/// Reads the claims set in `payload`, which `key` has signed. The times are for the caller to compare, so
/// that all else that is wrong with a token is said first.
pub(super) fn judge(
    payload: &[u8],
    key: &Key,
    policy: &Policy,
) -> Result<(Principal, Window), TokenError> {
    let prefix = key.binding().client_prefix.as_ref().unwrap_or(&policy.client_prefix);
    let signer =
        Vouching { auth: AuthMethod::Jwt, key_id: key.kid().map(Box::from), client_prefix: prefix };
    judge_claims(&parse(payload)?, signer, policy)
}

fn parse(payload: &[u8]) -> Result<Claims, TokenError> {
    object::parse(payload).ok_or(TokenError::NotAnObject(Part::Payload))
}

/// Whether `key`, of `keys`, is for tokens of the issuer that `payload` names.
pub(super) fn check_key(payload: &[u8], keys: &KeySet, key: &Key) -> Result<(), TokenError> {
    let claims = parse(payload)?;
    let issuer = match claims.get("iss") {
        None => None,
        Some(Value::String(issuer)) => Some(issuer.as_str()),
        Some(_) => return Err(TokenError::BadClaim("iss")),
    };
    match (keys.may_sign(key, issuer), issuer) {
        (true, _) => Ok(()),
        (false, Some(_)) => Err(TokenError::ForeignKey),
        (false, None) => Err(TokenError::MissingClaim("iss")),
    }
}

/// What is known of a principal beside the claims.
pub(crate) struct Vouching<'p> {
    pub(crate) auth: AuthMethod,
    /// The `kid` of the key that has signed.
    pub(crate) key_id: Option<Box<str>>,
    /// What the name of the client begins with.
    pub(crate) client_prefix: &'p str,
}

/// The same for claims that somebody vouches for, whoever that is.
pub(crate) fn judge_claims(
    claims: &Claims,
    vouching: Vouching<'_>,
    policy: &Policy,
) -> Result<(Principal, Window), TokenError> {
    check_issuer(claims, &policy.issuers)?;
    check_audience(claims, &policy.audiences)?;
    let principal = principal(claims, vouching, &policy.claims)?;
    Ok((principal, window(claims, policy)?))
}

fn check_issuer(claims: &Claims, accepted: &[String]) -> Result<(), TokenError> {
    match claims.get("iss") {
        None if accepted.is_empty() => Ok(()),
        None => Err(TokenError::MissingClaim("iss")),
        Some(Value::String(issuer)) => {
            if accepted.is_empty() || accepted.contains(issuer) {
                Ok(())
            } else {
                Err(TokenError::IssuerNotAllowed)
            }
        }
        Some(_) => Err(TokenError::BadClaim("iss")),
    }
}

/// RFC 7519 section 4.1.3: a string, or an array of strings.
fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), TokenError> {
    let audiences = match claims.get("aud") {
        None if accepted.is_empty() => return Ok(()),
        None => return Err(TokenError::MissingClaim("aud")),
        Some(value) => strings(value).ok_or(TokenError::BadClaim("aud"))?,
    };
    let is_accepted = |audience: &&str| accepted.iter().any(|accepted| accepted == audience);
    if accepted.is_empty() || audiences.iter().any(is_accepted) {
        Ok(())
    } else {
        Err(TokenError::AudienceNotAllowed)
    }
}

/// `exp`, `nbf` and `iat`: RFC 7519 sections 4.1.4 to 4.1.6. One that was issued in the future is not
/// valid yet.
fn window(claims: &Claims, policy: &Policy) -> Result<Window, TokenError> {
    let time = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => numeric_date::parse(value).map(Some).ok_or(TokenError::BadClaim(name)),
    };
    let (exp, nbf, iat) = (time("exp")?, time("nbf")?, time("iat")?);
    if exp.is_none() && policy.require_exp {
        return Err(TokenError::MissingClaim("exp"));
    }
    let leeway = i64::from(policy.leeway_secs) * 1000;
    Ok(Window {
        not_before: nbf.max(iat).map(|start| UnixMillis(start.0.saturating_sub(leeway))),
        expires: exp.map(|end| UnixMillis(end.0.saturating_add(leeway))),
    })
}

fn principal(
    claims: &Claims,
    vouching: Vouching<'_>,
    map: &ClaimMap,
) -> Result<Principal, TokenError> {
    let Vouching { auth, key_id, client_prefix } = vouching;
    let find = |claim: &Claim, field| claim.find(claims).map_err(|_| TokenError::BadClaim(field));
    let find_optional = |claim: &Option<Claim>, field| match claim {
        Some(claim) => find(claim, field),
        None => Ok(None),
    };
    let scopes = read(scope_claim::find(map, claims)?, "scopes", scopes)?;
    Ok(Principal {
        auth,
        client: read(find(&map.client, "client")?, "client", |value| {
            behind(client_prefix, name(value)?)
        })?
        .ok_or(TokenError::MissingClaim("client"))?,
        key_id,
        tier: read(find(&map.tier, "tier")?, "tier", name)?,
        // As with clients: who may name them for one issuer, must not reach those of others.
        tenant: read(find_optional(&map.tenant, "tenant")?, "tenant", |value| {
            behind(client_prefix, name(value)?)
        })?,
        about: None,
        said: scope_claim::said(map, scopes.as_deref()),
        scopes,
        models: read(find_optional(&map.models, "models")?, "models", models)?,
        rate_limit: read(find(&map.rate_limit, "rate_limit")?, "rate_limit", rate_limit)?,
        bound_to: confirmation::bound_to(claims)?,
        expires: None,
        computed: Computed::default(),
    })
}

/// What `parse` makes of `value`, if it is there.
fn read<'a, T>(
    value: Option<&'a Value>,
    field: &'static str,
    parse: impl FnOnce(&'a Value) -> Option<T>,
) -> Result<Option<T>, TokenError> {
    value.map(|value| parse(value).ok_or(TokenError::BadClaim(field))).transpose()
}

fn name(value: &Value) -> Option<Box<str>> {
    value.as_str().filter(|name| is_valid_name(name)).map(Box::from)
}

/// The name with the prefix before it, which must be a name as well.
fn behind(prefix: &str, name: Box<str>) -> Option<Box<str>> {
    match prefix {
        "" => Some(name),
        prefix => Some(format!("{prefix}{name}")).filter(|name| is_valid_name(name)).map(Box::from),
    }
}

/// RFC 8693 section 4.2: a string of scopes with blanks between them; or an array of scopes.
pub(super) fn scopes(value: &Value) -> Option<List> {
    match value {
        Value::String(text) => names(text.split(' ').filter(|scope| !scope.is_empty())),
        _ => models(value),
    }
}

/// An array of patterns, or a single one.
fn models(value: &Value) -> Option<List> {
    names(strings(value)?.into_iter())
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Option<List> {
    names.map(|name| is_valid_name(name).then(|| name.into())).collect()
}

/// A whole number of requests a minute, of at least one.
fn rate_limit(value: &Value) -> Option<NonZeroU32> {
    value.as_u64().and_then(|limit| u32::try_from(limit).ok()).and_then(NonZeroU32::new)
}

/// The strings of a string or an array of strings.
fn strings(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(elements) => elements.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(json: &str, policy: &Policy) -> Result<(Principal, Window), TokenError> {
        let vouching = Vouching { auth: AuthMethod::Jwt, key_id: None, client_prefix: "" };
        judge_claims(&parse(json.as_bytes())?, vouching, policy)
    }

    /// A claims set with these further members.
    fn with(members: &str) -> String {
        let comma = if members.is_empty() { "" } else { "," };
        format!(r#"{{"sub":"acme","exp":2000{comma}{members}}}"#)
    }

    fn principal_of(members: &str) -> Result<Principal, TokenError> {
        let mut policy = Policy::default();
        policy.claims.set("models", "models").unwrap();
        policy.claims.set("tenant", "org.tenant").unwrap();
        judged(&with(members), &policy).map(|(principal, _)| principal)
    }

    fn list(items: &[&str]) -> Option<List> {
        Some(items.iter().map(|item| Box::from(*item)).collect())
    }

    #[test]
    fn client_is_required_and_must_be_a_name() {
        assert_eq!(principal_of("").unwrap().client(), "acme");
        let policy = Policy::default();
        let refused = |json: &str| judged(json, &policy).unwrap_err();
        assert_eq!(refused(r#"{"exp":2000}"#), TokenError::MissingClaim("client"));
        for value in
            ["1", "null", "true", "[\"a\"]", "{}", "\"\"", "\" a\"", "\"a\\n\"", "\"\\u0000\""]
        {
            let json = format!(r#"{{"sub":{value},"exp":2000}}"#);
            assert_eq!(refused(&json), TokenError::BadClaim("client"), "{json}");
        }
        let long = format!(r#"{{"sub":"{}","exp":2000}}"#, "a".repeat(257));
        assert_eq!(refused(&long), TokenError::BadClaim("client"));
    }

    #[test]
    fn issuer_is_checked_where_configured() {
        let policy = Policy {
            issuers: vec!["https://a.example".to_owned(), "https://b.example".to_owned()],
            ..Policy::default()
        };
        assert!(judged(&with(r#""iss":"https://b.example""#), &policy).is_ok());
        for (members, error) in [
            ("", TokenError::MissingClaim("iss")),
            (r#""iss":"https://c.example""#, TokenError::IssuerNotAllowed),
            (r#""iss":"https://a.example/""#, TokenError::IssuerNotAllowed),
            (r#""iss":"HTTPS://a.example""#, TokenError::IssuerNotAllowed),
            (r#""iss":["https://a.example"]"#, TokenError::BadClaim("iss")),
            (r#""iss":null"#, TokenError::BadClaim("iss")),
        ] {
            assert_eq!(judged(&with(members), &policy).unwrap_err(), error, "{members}");
        }
    }

    #[test]
    fn one_audience_of_the_configured_ones_suffices() {
        let policy =
            Policy { audiences: vec!["llm".to_owned(), "gpu".to_owned()], ..Policy::default() };
        for members in [r#""aud":"gpu""#, r#""aud":["x","llm"]"#] {
            assert!(judged(&with(members), &policy).is_ok(), "{members}");
        }
        for (members, error) in [
            ("", TokenError::MissingClaim("aud")),
            (r#""aud":"LLM""#, TokenError::AudienceNotAllowed),
            (r#""aud":"llm gpu""#, TokenError::AudienceNotAllowed),
            (r#""aud":[]"#, TokenError::AudienceNotAllowed),
            (r#""aud":["x"]"#, TokenError::AudienceNotAllowed),
            (r#""aud":["llm",1]"#, TokenError::BadClaim("aud")),
            (r#""aud":[["llm"]]"#, TokenError::BadClaim("aud")),
            (r#""aud":{"llm":1}"#, TokenError::BadClaim("aud")),
            (r#""aud":null"#, TokenError::BadClaim("aud")),
        ] {
            assert_eq!(judged(&with(members), &policy).unwrap_err(), error, "{members}");
        }
    }

    #[test]
    fn issuer_and_audience_of_the_wrong_type_are_refused_even_where_not_configured() {
        let policy = Policy::default();
        assert!(judged(&with(r#""iss":"a","aud":"b""#), &policy).is_ok());
        for (members, error) in [
            (r#""iss":1"#, TokenError::BadClaim("iss")),
            (r#""aud":1"#, TokenError::BadClaim("aud")),
        ] {
            assert_eq!(judged(&with(members), &policy).unwrap_err(), error, "{members}");
        }
    }

    #[test]
    fn exp_is_required_unless_configured_off() {
        let lax = Policy { require_exp: false, ..Policy::default() };
        let json = r#"{"sub":"acme"}"#;
        assert_eq!(judged(json, &Policy::default()).unwrap_err(), TokenError::MissingClaim("exp"));
        assert_eq!(judged(json, &lax).unwrap().1, Window::default());
        // Present, it must be right all the same.
        let text = r#"{"sub":"acme","exp":"2000"}"#;
        assert_eq!(judged(text, &lax).unwrap_err(), TokenError::BadClaim("exp"));
    }

    #[test]
    fn times_of_the_wrong_type_are_refused() {
        for name in ["exp", "nbf", "iat"] {
            for value in ["\"2000\"", "null", "true", "[2000]", "{}"] {
                let mut members =
                    vec![r#""sub":"acme""#.to_owned(), format!(r#""{name}":{value}"#)];
                if name != "exp" {
                    members.push(r#""exp":2000"#.to_owned());
                }
                let json = format!("{{{}}}", members.join(","));
                let error = judged(&json, &Policy::default()).unwrap_err();
                assert_eq!(error, TokenError::BadClaim(name), "{json}");
            }
        }
    }

    #[test]
    fn window_starts_at_the_later_of_nbf_and_iat_and_is_widened_by_the_leeway() {
        let window = |members, leeway_secs| {
            judged(&with(members), &Policy { leeway_secs, ..Policy::default() }).unwrap().1
        };
        let expected = |not_before: Option<i64>, expires| Window {
            not_before: not_before.map(UnixMillis),
            expires: Some(UnixMillis(expires)),
        };
        assert_eq!(window("", 0), expected(None, 2_000_000));
        assert_eq!(window(r#""nbf":10"#, 0), expected(Some(10_000), 2_000_000));
        assert_eq!(window(r#""iat":20"#, 0), expected(Some(20_000), 2_000_000));
        assert_eq!(window(r#""nbf":10,"iat":20"#, 0), expected(Some(20_000), 2_000_000));
        assert_eq!(window(r#""nbf":20,"iat":10"#, 5), expected(Some(15_000), 2_005_000));
        assert_eq!(window(r#""nbf":20.5"#, 0), expected(Some(20_500), 2_000_000));
    }

    #[test]
    fn scopes_are_a_string_with_blanks_or_an_array() {
        let scopes = |members: &str| principal_of(members).map(|principal| principal.scopes);
        assert_eq!(scopes(""), Ok(None));
        assert_eq!(scopes(r#""scope":"chat embeddings""#), Ok(list(&["chat", "embeddings"])));
        assert_eq!(scopes(r#""scope":["chat"]"#), Ok(list(&["chat"])));
        // No scope at all is not the same as no restriction.
        assert_eq!(scopes(r#""scope":"""#), Ok(list(&[])));
        assert_eq!(scopes(r#""scope":[]"#), Ok(list(&[])));
        for value in ["1", "null", "{}", "[1]", "[\"a\",null]", "\"a\\tb\"", "[\"\"]"] {
            let members = format!(r#""scope":{value}"#);
            assert_eq!(scopes(&members), Err(TokenError::BadClaim("scopes")), "{members}");
        }
    }

    #[test]
    fn models_are_an_array_or_one_string() {
        let models = |members: &str| principal_of(members).map(|principal| principal.models);
        assert_eq!(models(""), Ok(None));
        assert_eq!(models(r#""models":["llama-*","qwen"]"#), Ok(list(&["llama-*", "qwen"])));
        assert_eq!(models(r#""models":"llama-*""#), Ok(list(&["llama-*"])));
        assert_eq!(models(r#""models":[]"#), Ok(list(&[])));
        for value in ["1", "null", "{}", "[1]", "\"\"", "[\"a\",\"\"]"] {
            let members = format!(r#""models":{value}"#);
            assert_eq!(models(&members), Err(TokenError::BadClaim("models")), "{members}");
        }
    }

    #[test]
    fn rate_limit_is_a_positive_whole_number_of_32_bits() {
        let limit = |value: &str| {
            principal_of(&format!(r#""rate_limit":{value}"#))
                .map(|principal| principal.rate_limit().unwrap().get())
        };
        assert_eq!(limit("1"), Ok(1));
        assert_eq!(limit("4294967295"), Ok(u32::MAX));
        for value in ["0", "-1", "4294967296", "60.0", "6e1", "\"60\"", "null", "true", "[60]"] {
            assert_eq!(limit(value), Err(TokenError::BadClaim("rate_limit")), "{value}");
        }
    }

    #[test]
    fn tenants_of_an_issuer_have_its_prefix_as_its_clients_have() {
        let mut policy = Policy::default();
        policy.claims.set("tenant", "org").unwrap();
        let claims = parse(with(r#""org":"t1""#).as_bytes()).unwrap();
        let vouching = Vouching { auth: AuthMethod::Jwt, key_id: None, client_prefix: "issuer:" };
        let (principal, _) = judge_claims(&claims, vouching, &policy).unwrap();
        assert_eq!((principal.client(), principal.tenant()), ("issuer:acme", Some("issuer:t1")));
    }

    #[test]
    fn tier_and_tenant_are_names() {
        let principal = principal_of(r#""tier":"pro","org":{"tenant":"t1"}"#).unwrap();
        assert_eq!((principal.tier(), principal.tenant()), (Some("pro"), Some("t1")));
        let principal = principal_of("").unwrap();
        assert_eq!((principal.tier(), principal.tenant()), (None, None));
        for value in ["1", "null", "\"\"", "[\"pro\"]", "\" pro\""] {
            let tier = principal_of(&format!(r#""tier":{value}"#));
            assert_eq!(tier, Err(TokenError::BadClaim("tier")), "{value}");
            let tenant = principal_of(&format!(r#""org":{{"tenant":{value}}}"#));
            assert_eq!(tenant, Err(TokenError::BadClaim("tenant")), "{value}");
        }
        assert_eq!(principal_of(r#""org":"t1""#), Err(TokenError::BadClaim("tenant")));
    }

    #[test]
    fn claims_that_nobody_maps_are_ignored() {
        let policy = Policy::default();
        assert!(judged(&with(r#""models":1,"tenant":2,"jti":3,"x":[{}]"#), &policy).is_ok());
    }

    #[test]
    fn payload_must_be_an_object_with_distinct_names() {
        for json in ["", "foo", "[]", "\"a\"", &with(r#""sub":"other""#), &(with("") + "x")] {
            let error = judged(json, &Policy::default()).unwrap_err();
            assert_eq!(error, TokenError::NotAnObject(Part::Payload), "{json}");
        }
    }
}
