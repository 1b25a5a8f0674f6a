//! Whose tokens keys are for.
//!
//! Keys of several issuers side by side would each verify the tokens of all of them: whoever signs for one
//! could name another one in `iss`. So a source of keys (a file, or what a provider publishes) can name its
//! issuers. Its keys then verify their tokens only, and their tokens are verified by no other keys.

use std::fmt;

use super::policy::Policy;
use crate::principal::is_valid_name;

/// The longest prefix of clients' names, in bytes: the names themselves need room.
const MAX_PREFIX_LEN: usize = 64;

/// Whose tokens the keys of one source verify, and what their clients are called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The values of `iss`; empty: those that no other source names.
    pub issuers: Vec<String>,
    /// What the name of each client begins with; `None`: as [`Policy::client_prefix`] says.
    pub client_prefix: Option<String>,
}

impl Binding {
    pub(super) fn names(&self, issuer: &str) -> bool {
        self.issuers.iter().any(|own| own == issuer)
    }

    /// Whether no token is one of both.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        !self.issuers.is_empty()
            && !other.issuers.is_empty()
            && !self.issuers.iter().any(|issuer| other.names(issuer))
    }

    fn prefix<'a>(&'a self, policy: &'a Policy) -> &'a str {
        self.client_prefix.as_deref().unwrap_or(&policy.client_prefix)
    }
}

/// Whether what clients' names begin with is fit for that.
#[must_use]
pub fn is_valid_client_prefix(prefix: &str) -> bool {
    prefix.is_empty() || (is_valid_name(prefix) && prefix.len() <= MAX_PREFIX_LEN)
}

/// A way in which the sources of keys and the policy don't go together. Its text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindingError {
    /// An issuer that a source names, and the policy doesn't accept.
    NotAccepted {
        /// The source.
        source: String,
        /// The issuer.
        issuer: String,
    },
    /// An issuer that the policy accepts, and for which there are no keys.
    WithoutKeys(String),
    /// A source without an issuer, where each that is accepted has keys of its own.
    Inert(String),
    /// Two sources of which clients can have the same name, though they are meant to be told apart.
    SameNames {
        /// A source, and what names begin with.
        one: (String, String),
        /// Another one, with a longer beginning.
        other: (String, String),
    },
}

impl fmt::Display for BindingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAccepted { source, issuer } => write!(
                f,
                "\"{source}\" is for tokens of \"{}\", which is not accepted; name it in \
                 \"tollgate_jwt_issuer\" as well, to the letter",
                issuer.escape_debug()
            ),
            Self::WithoutKeys(issuer) => write!(
                f,
                "\"{}\" is accepted, and all keys are those of other issuers; name it in the \
                 \"issuer=\" of its keys, or leave it out of \"tollgate_jwt_issuer\"",
                issuer.escape_debug()
            ),
            Self::Inert(source) => write!(
                f,
                "the keys in \"{source}\" verify no token, as each issuer that is accepted has keys of \
                 its own; say whose they are with \"issuer=\", or leave them out"
            ),
            Self::SameNames { one, other } => write!(
                f,
                "clients of \"{}\" (prefix \"{}\") can have the names of clients of \"{}\" (prefix \
                 \"{}\"); give each a \"client_prefix=\" that is not how another one begins, such as \
                 \"NAME:\"",
                one.0, one.1, other.0, other.1
            ),
        }
    }
}

impl std::error::Error for BindingError {}

/// Keys of several sources of which each verifies the tokens of several issuers: as an operator may
/// want it, but mostly doesn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbound(Vec<String>);

impl fmt::Display for Unbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "several issuers are accepted, and the keys in each of \"{}\" verify the tokens of all of \
             them; say whose they are with \"issuer=\"",
            self.0.join("\", \"")
        )
    }
}

/// A source, by its name.
type Source<'a> = (&'a str, &'a Binding);

/// Whether sources of keys go together with each other and with the policy; and so the `others`, which
/// tell what tokens are worth without keys.
///
/// # Errors
///
/// The first thing that is wrong.
pub fn check_bindings(
    keys: &[Source<'_>],
    others: &[Source<'_>],
    policy: &Policy,
) -> Result<Option<Unbound>, BindingError> {
    let (bound, unbound): (Vec<_>, Vec<_>) =
        keys.iter().partition(|(_, binding)| !binding.issuers.is_empty());
    let accepted = &policy.issuers;
    for (source, binding) in bound.iter().copied().chain(others) {
        let foreign = binding.issuers.iter().find(|issuer| !accepted.contains(issuer));
        if let Some(issuer) = foreign.filter(|_| !accepted.is_empty()) {
            let (source, issuer) = ((*source).to_owned(), issuer.clone());
            return Err(BindingError::NotAccepted { source, issuer });
        }
    }
    let is_unclaimed = |issuer: &&String| !bound.iter().any(|(_, binding)| binding.names(issuer));
    let unclaimed: Vec<&String> = accepted.iter().filter(is_unclaimed).collect();
    match (unbound.first(), unclaimed.first()) {
        (None, Some(issuer)) if !keys.is_empty() && others.is_empty() => {
            return Err(BindingError::WithoutKeys((*issuer).clone()))
        }
        (Some((source, _)), None) if !accepted.is_empty() => {
            return Err(BindingError::Inert((*source).to_owned()))
        }
        _ => {}
    }
    let sources = || keys.iter().chain(others);
    for (one, binding) in sources() {
        let prefix = binding.prefix(policy);
        let longer = sources().find(|(_, other)| {
            let other = other.prefix(policy);
            other != prefix && other.starts_with(prefix)
        });
        if let Some((other, longer)) = longer {
            return Err(BindingError::SameNames {
                one: ((*one).to_owned(), prefix.to_owned()),
                other: ((*other).to_owned(), longer.prefix(policy).to_owned()),
            });
        }
    }
    let is_mixed = unbound.len() > 1 && unclaimed.len() > 1;
    Ok(is_mixed.then(|| Unbound(unbound.iter().map(|(source, _)| (*source).to_owned()).collect())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(issuers: &[&str], prefix: Option<&str>) -> Binding {
        Binding {
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
            client_prefix: prefix.map(str::to_owned),
        }
    }

    fn check(
        sources: &[Binding],
        issuers: &[&str],
        prefix: &str,
    ) -> Result<Option<Unbound>, BindingError> {
        let policy = Policy {
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
            client_prefix: prefix.to_owned(),
            ..Policy::default()
        };
        let names = ["one", "two", "three"];
        let sources: Vec<_> = names.into_iter().zip(sources).collect();
        check_bindings(&sources, &[], &policy)
    }

    #[test]
    fn issuers_of_keys_are_those_that_are_accepted() {
        let (a, b) = (binding(&["a"], None), binding(&["b"], None));
        let any = Binding::default();
        for (sources, issuers) in [
            (&[a.clone(), b.clone()][..], &["a", "b"][..]),
            (&[a.clone(), b.clone()], &[]),
            (&[a.clone(), any.clone()], &["a", "b"]),
            (&[a.clone(), any.clone()], &[]),
            (&[binding(&["a", "b"], None)], &["b", "a"]),
            (std::slice::from_ref(&any), &["a", "b"]),
            (&[any.clone(), any.clone()], &["a"]),
            (&[any.clone(), any.clone()], &[]),
        ] {
            assert_eq!(check(sources, issuers, ""), Ok(None), "{sources:?} {issuers:?}");
        }
        let error = check(&[a.clone(), b.clone()], &["a"], "").unwrap_err();
        assert!(error.to_string().starts_with("\"two\" is for tokens of \"b\""), "{error}");
        let error = check(&[a.clone(), b], &["a", "b", "c"], "").unwrap_err();
        assert_eq!(error, BindingError::WithoutKeys("c".to_owned()));
        let error = check(&[a, any], &["a"], "").unwrap_err();
        assert_eq!(error, BindingError::Inert("two".to_owned()));
    }

    #[test]
    fn keys_that_verify_for_several_issuers_are_told_of() {
        let any = Binding::default();
        let told = check(&[any.clone(), any.clone()], &["a", "b"], "").unwrap().unwrap();
        assert!(told.to_string().contains("\"one\", \"two\""), "{told}");
        let sources = [any.clone(), binding(&["a"], None), any];
        assert!(check(&sources, &["a", "b", "c"], "").unwrap().is_some());
        assert!(check(&sources, &["a", "b"], "").unwrap().is_none());
    }

    #[test]
    fn no_prefix_is_how_another_one_begins() {
        let of = |prefix| binding(&[], prefix);
        for (sources, default) in [
            ([of(None), of(None)], ""),
            ([of(None), of(None)], "jwt:"),
            ([of(Some("a:")), of(Some("b:"))], ""),
            ([of(Some("a:")), of(Some("a:"))], ""),
            ([of(Some("a:")), of(None)], "b:"),
        ] {
            assert_eq!(check(&sources, &[], default), Ok(None), "{sources:?}");
        }
        for (sources, default) in [
            ([of(Some("a:")), of(None)], ""),
            ([of(None), of(Some("a:"))], ""),
            ([of(Some("a:b:")), of(Some("a:"))], ""),
            ([of(Some("a:")), of(Some(""))], "a:"),
        ] {
            let error = check(&sources, &[], default).unwrap_err();
            assert!(matches!(error, BindingError::SameNames { .. }), "{sources:?}");
        }
    }

    #[test]
    fn who_is_asked_about_tokens_is_held_to_the_same() {
        let policy = |issuers: &[&str], prefix: &str| Policy {
            issuers: issuers.iter().map(|issuer| (*issuer).to_owned()).collect(),
            client_prefix: prefix.to_owned(),
            ..Policy::default()
        };
        let (a, b) = (binding(&["a"], None), binding(&["b"], None));
        let (keys, asked) = ([("one", &a)], [("/ask", &b)]);
        // Its tokens need no keys.
        assert_eq!(check_bindings(&keys, &asked, &policy(&["a", "b"], "")), Ok(None));
        assert_eq!(check_bindings(&[], &asked, &policy(&["b", "c"], "")), Ok(None));
        let error = check_bindings(&keys, &asked, &policy(&["a"], "")).unwrap_err();
        assert!(matches!(error, BindingError::NotAccepted { .. }), "{error}");
        let asked = binding(&["b"], Some("b:"));
        let error = check_bindings(&keys, &[("/ask", &asked)], &policy(&[], "")).unwrap_err();
        assert!(matches!(error, BindingError::SameNames { .. }), "{error}");
        assert_eq!(check_bindings(&keys, &[("/ask", &asked)], &policy(&[], "a:")), Ok(None));
        let bound = policy(&["a", "b"], "t:").bound(&asked);
        assert_eq!((bound.issuers, bound.client_prefix), (vec!["b".to_owned()], "b:".to_owned()));
        let unbound = policy(&["a"], "t:").bound(&Binding::default());
        assert_eq!(
            (unbound.issuers, unbound.client_prefix),
            (vec!["a".to_owned()], "t:".to_owned())
        );
    }

    #[test]
    fn prefix_is_fit_for_a_name() {
        for good in ["", "jwt:", "a", &"a".repeat(64)] {
            assert!(is_valid_client_prefix(good), "{good}");
        }
        for bad in [" a", "a ", "a\n", &"a".repeat(65)] {
            assert!(!is_valid_client_prefix(bad), "{bad}");
        }
    }
}
