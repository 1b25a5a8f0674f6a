//! What can be asked at the control socket.

use serde::{Deserialize, Serialize};

use super::answer::Refused;
use crate::clients::{Query, Sort};
use crate::limits::{Dimension, Reset};
use crate::principal::is_valid_name;

/// What can be asked: an object with `command`, and what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The overview of the server, as `tollgate_status` has it.
    Status {},
    /// Some of the clients.
    Clients(Listed),
    /// A client, and how its limits stand.
    Client {
        /// Which one.
        client: String,
    },
    /// The limits of a client begin anew.
    Reset {
        /// Whose.
        client: String,
        /// Which of them; none: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<String>,
    },
    /// A `tollgate_limit`, and how it stands for one key.
    Limit {
        /// The name of the rule.
        name: String,
        /// The value of its key.
        key: String,
    },
    /// A `tollgate_limit` begins anew for one key.
    ResetLimit {
        /// The name of the rule.
        name: String,
        /// The value of its key.
        key: String,
        /// Which of its limits; none: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<String>,
    },
    /// The requests of a client that are in flight end.
    Drop {
        /// Whose.
        client: String,
    },
    /// What became of a [`Request::Drop`].
    Dropped {
        /// The number that its answer had.
        order: u64,
    },
}

/// Which clients are asked for, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// What they are sorted by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// A part of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// How many are passed over.
    #[serde(default)]
    pub offset: usize,
    /// How many there are to be at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl Listed {
    /// So many, unless that is said.
    pub const LIMIT: usize = 50;
    /// So many at most, which a worker has ready within a few milliseconds.
    pub const MOST: usize = 200;

    /// The same, as it is looked for.
    ///
    /// # Errors
    ///
    /// When there is no such order.
    pub fn query(&self) -> Result<Query, Refused> {
        let sort = match self.sort.as_deref() {
            None => Sort::default(),
            Some(name) => Sort::parse(name).ok_or_else(|| {
                let names = Sort::ALL.map(Sort::as_str);
                Refused::Malformed(format!(
                    "clients can't be sorted by \"{}\"; it takes \"{}\"",
                    name.escape_debug(),
                    names.join("\", \"")
                ))
            })?,
        };
        let search = self.search.clone().unwrap_or_default();
        let limit = self.limit.unwrap_or(Self::LIMIT).min(Self::MOST);
        Ok(Query { sort, search, offset: self.offset, limit }.bounded())
    }
}

impl Request {
    /// Reads a line. `None`: it was too long to be read.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(line: Option<&[u8]>) -> Result<Self, Refused> {
        let line = line.ok_or(Refused::TooLong)?;
        let request: Self = serde_json::from_slice(line)
            .map_err(|error| Refused::Malformed(format!("this can't be asked: {error}")))?;
        match request.client() {
            Some(client) if !is_valid_name(client) => {
                Err(Refused::Malformed("no client can be called so".to_owned()))
            }
            _ => Ok(request),
        }
    }

    /// Which client it is about.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        match self {
            Self::Client { client } | Self::Reset { client, .. } | Self::Drop { client } => {
                Some(client)
            }
            Self::Status {}
            | Self::Clients(_)
            | Self::Limit { .. }
            | Self::ResetLimit { .. }
            | Self::Dropped { .. } => None,
        }
    }
}

/// Which limits of a `tollgate_limit` begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfRule {
    /// All of them.
    All,
    /// Those of a kind.
    Limits(Reset),
    /// The failures to authenticate.
    AuthFailures,
}

impl OfRule {
    /// What [`OfRule::AuthFailures`] is called.
    pub const AUTH_FAILURES: &'static str = Dimension::AuthFailures.as_str();

    /// All names, in the order of the documentation.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Reset::NAMED.into_iter().map(Reset::as_str).chain([Self::AUTH_FAILURES])
    }

    /// Those of a rule that are called so; `None`: all.
    ///
    /// # Errors
    ///
    /// When there are none of that name.
    pub fn named(name: Option<&str>) -> Result<Self, Refused> {
        match name {
            None => Ok(Self::All),
            Some(Self::AUTH_FAILURES) => Ok(Self::AuthFailures),
            Some(name) => match Reset::NAMED.into_iter().find(|named| named.as_str() == name) {
                Some(named) => Ok(Self::Limits(named)),
                None => Err(unknown(name, Self::names())),
            },
        }
    }

    /// What begins anew of the rule's limits but its failures.
    #[must_use]
    pub fn limits(self) -> Option<Reset> {
        match self {
            Self::All => Some(Reset::All),
            Self::Limits(named) => Some(named),
            Self::AuthFailures => None,
        }
    }

    /// Whether the failures begin anew.
    #[must_use]
    pub fn has_failures(self) -> bool {
        match self {
            Self::All | Self::AuthFailures => true,
            Self::Limits(_) => false,
        }
    }
}

fn unknown(name: &str, known: impl Iterator<Item = &'static str>) -> Refused {
    Refused::Malformed(format!(
        "there is no limit \"{}\" that could begin anew; it takes \"{}\"",
        name.escape_debug(),
        known.collect::<Vec<_>>().join("\", \"")
    ))
}

/// The limits that are called so; `None`: all.
///
/// # Errors
///
/// When there are none of that name.
pub fn limits_named(name: Option<&str>) -> Result<Reset, Refused> {
    let Some(name) = name else { return Ok(Reset::All) };
    let found = Reset::NAMED.into_iter().find(|named| named.as_str() == name);
    found.ok_or_else(|| unknown(name, Reset::NAMED.into_iter().map(Reset::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Request, Refused> {
        Request::parse(Some(line.as_bytes()))
    }

    #[test]
    fn each_request_has_one_form() {
        let client = || "acme".to_owned();
        for (line, request) in [
            (r#"{"command":"status"}"#, Request::Status {}),
            (r#"{"command":"clients","offset":0}"#, Request::Clients(Listed::default())),
            (
                r#"{"command":"clients","sort":"cost","search":"a","offset":5,"limit":7}"#,
                Request::Clients(Listed {
                    sort: Some("cost".to_owned()),
                    search: Some("a".to_owned()),
                    offset: 5,
                    limit: Some(7),
                }),
            ),
            (r#"{"command":"client","client":"acme"}"#, Request::Client { client: client() }),
            (
                r#"{"command":"reset","client":"acme"}"#,
                Request::Reset { client: client(), limit: None },
            ),
            (
                r#"{"command":"reset","client":"acme","limit":"tokens"}"#,
                Request::Reset { client: client(), limit: Some("tokens".to_owned()) },
            ),
            (r#"{"command":"drop","client":"acme"}"#, Request::Drop { client: client() }),
            (r#"{"command":"dropped","order":3}"#, Request::Dropped { order: 3 }),
            (
                r#"{"command":"limit","name":"each","key":"192.0.2.1"}"#,
                Request::Limit { name: "each".to_owned(), key: "192.0.2.1".to_owned() },
            ),
            (
                r#"{"command":"reset_limit","name":"each","key":" ","limit":"requests"}"#,
                Request::ResetLimit {
                    name: "each".to_owned(),
                    key: " ".to_owned(),
                    limit: Some("requests".to_owned()),
                },
            ),
        ] {
            assert_eq!(parse(line).as_ref(), Ok(&request), "{line}");
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            "",
            "{}",
            "[]",
            "status",
            r#"{"command":"Status"}"#,
            r#"{"command":"stop"}"#,
            r#"{"command":"status","client":"acme"}"#,
            r#"{"command":"client"}"#,
            r#"{"command":"client","client":7}"#,
            r#"{"command":"client","client":""}"#,
            r#"{"command":"client","client":" acme"}"#,
            r#"{"command":"client","client":"a\nb"}"#,
            r#"{"command":"client","client":"acme","client":"beta"}"#,
            r#"{"command":"clients","offset":-1}"#,
            r#"{"command":"clients","order":"name"}"#,
            r#"{"command":"dropped","order":"3"}"#,
            r#"{"command":"limit","name":"each"}"#,
            r#"{"command":"limit","key":"a"}"#,
            r#"{"command":"limit","name":"each","key":"a","limit":"requests"}"#,
            r#"{"command":"reset_limit","name":"each","key":7}"#,
            r#"{"command":"status"} {"command":"status"}"#,
        ] {
            assert!(matches!(parse(line), Err(Refused::Malformed(_))), "{line}");
        }
        let long = format!(r#"{{"command":"client","client":"{}"}}"#, "x".repeat(257));
        assert!(parse(&long).is_err() && parse(&long.replacen("xx", "x", 1)).is_ok());
        assert_eq!(Request::parse(None), Err(Refused::TooLong));
        assert!(Request::parse(Some(b"{\"command\":\"client\",\"client\":\"\xff\"}")).is_err());
    }

    #[test]
    fn a_list_has_an_order_and_an_end() {
        let query = Listed::default().query().unwrap();
        assert_eq!((query.sort, query.offset, query.limit), (Sort::Used, 0, Listed::LIMIT));
        let listed = Listed {
            sort: Some("last_seen".to_owned()),
            search: Some("ac".to_owned()),
            offset: 100,
            limit: Some(5000),
        };
        let query = listed.query().unwrap();
        assert_eq!((query.sort, &*query.search), (Sort::LastSeen, "ac"));
        assert_eq!((query.offset, query.limit), (100, Listed::MOST));
        let unknown = Listed { sort: Some("size".to_owned()), ..Listed::default() };
        let error = unknown.query().unwrap_err().to_string();
        assert!(error.contains("it takes \"used\", \"requests\""), "{error}");
    }

    #[test]
    fn limits_are_named_as_in_the_configuration() {
        assert_eq!(limits_named(None), Ok(Reset::All));
        assert_eq!(limits_named(Some("budget")), Ok(Reset::Budgets));
        assert_eq!(
            limits_named(Some("output_tokens")),
            Ok(Reset::Buckets(Dimension::OutputTokens))
        );
        for name in ["", "concurrency", "auth_failures", "Budget"] {
            let error = limits_named(Some(name)).unwrap_err().to_string();
            assert!(error.contains("it takes \"requests\", \"tokens\""), "{error}");
        }
    }

    #[test]
    fn limits_of_a_rule_have_failures_as_well() {
        assert_eq!(OfRule::named(None), Ok(OfRule::All));
        assert_eq!(OfRule::named(Some("budget")), Ok(OfRule::Limits(Reset::Budgets)));
        assert_eq!(OfRule::named(Some("auth_failures")), Ok(OfRule::AuthFailures));
        for name in OfRule::names() {
            let named = OfRule::named(Some(name)).unwrap();
            assert_ne!(named.limits().is_some(), named.has_failures(), "{name}");
        }
        assert_eq!((OfRule::All.limits(), OfRule::All.has_failures()), (Some(Reset::All), true));
        for name in ["", "concurrency", "AUTH_FAILURES"] {
            let error = OfRule::named(Some(name)).unwrap_err().to_string();
            assert!(
                error.contains("it takes \"requests\"") && error.contains("auth_failures"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line: Vec<u8>) {
            let _ = Request::parse(Some(&line));
        }

        #[test]
        fn whatever_is_asked_is_read_again(client in "[^\\x00-\\x1f\\x7f-\\x9f ]{1,60}") {
            prop_assume!(is_valid_name(&client));
            let request = Request::Drop { client };
            let line = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(Request::parse(Some(&line)), Ok(request));
        }
    }
}
