//! What a rule is counted by (`key=` of `tollgate_limit`), and whether that is ever known.

use std::fmt;

use super::expression::{lacks_dollar, names};
use super::maps::Maps;

/// What is known of a request in a location, when its limits are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Clients authenticate.
    pub clients: bool,
    /// By something that has an id: an API key, or the key that verifies a token.
    pub key_ids: bool,
    /// Some key names a tenant; or tokens may, as `tollgate_jwt_claim tenant` says in which claim.
    pub tenants: bool,
    /// The body is read, and the model with it.
    pub models: bool,
}

/// A key by which nothing can be limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A variable that has its value only later.
    Later(String),
    /// A variable that is another one with each request, or whenever the client connects anew.
    Unique(String),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Later(name) => write!(
                f,
                "can't be counted by \"${name}\", which is empty as long as a request isn't let in; use \
                 what is known by then, such as \"key=$tollgate_client\" or \"key=$tollgate_model\""
            ),
            Self::Unique(name) => write!(
                f,
                "can't be counted by \"${name}\", which is another one with each request or connection, \
                 so that no limit is ever reached; use what requests have in common, such as \
                 \"key=$tollgate_client\" or \"key=$binary_remote_addr\""
            ),
        }
    }
}

impl std::error::Error for KeyError {}

/// Whether requests could be counted by `expression`.
///
/// # Errors
///
/// Which of its variables is in the way.
pub fn check(expression: &str) -> Result<(), KeyError> {
    const LATER: [&str; 15] = [
        "tollgate_decision",
        "tollgate_reason",
        "tollgate_detail",
        "tollgate_input_tokens",
        "tollgate_output_tokens",
        "tollgate_usage",
        "tollgate_cost",
        "tollgate_ttft",
        "tollgate_key_refetch",
        "status",
        "body_bytes_sent",
        "bytes_sent",
        "request_completion",
        "proxy_host",
        "proxy_port",
    ];
    const LATER_ALL: [&str; 3] = ["upstream_", "sent_http_", "sent_trailer_"];
    const UNIQUE: [&str; 9] = [
        "tollgate_request_id",
        "request_id",
        "msec",
        "request_time",
        "time_iso8601",
        "time_local",
        "connection",
        "connection_requests",
        "remote_port",
    ];
    for name in names(expression) {
        let is_later = LATER_ALL.iter().any(|prefix| name.starts_with(prefix));
        if is_later || LATER.contains(&name.as_str()) {
            return Err(KeyError::Later(name));
        }
        if UNIQUE.contains(&name.as_str()) {
            return Err(KeyError::Unique(name));
        }
    }
    Ok(())
}

/// A constant that looks like a variable whose `$` is missing.
#[must_use]
pub fn is_doubtful(expression: &str) -> bool {
    !expression.contains('$') && lacks_dollar(expression)
}

/// A variable that names the client's address, if it wasn't a proxy that wrote it: then the client did, and a new
/// one whenever it likes.
#[must_use]
pub fn chosen_address(expression: &str) -> Option<String> {
    const CHOSEN: [&str; 3] =
        ["http_x_forwarded_for", "proxy_add_x_forwarded_for", "http_forwarded"];
    names(expression).find(|name| CHOSEN.contains(&name.as_str()))
}

/// A variable that is never known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// As the key has it.
    pub variable: String,
    /// The one that it is made of; the same, unless that is a map.
    pub source: String,
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, source } = self;
        write!(f, "\"${variable}\"")?;
        match variable == source {
            true => Ok(()),
            false => write!(f, ", a map of \"${source}\","),
        }
    }
}

/// The first of the variables in `expression`, if none of them is ever known where so much is: then the
/// key is empty, or the same for everybody. `None`: it tells requests apart, or was meant as a constant.
#[must_use]
pub fn unknown(expression: &str, knowledge: Knowledge, maps: &Maps) -> Option<Unknown> {
    let is_known = |name: &str| match name {
        "tollgate_client" | "tollgate_tier" | "tollgate_auth" => knowledge.clients,
        "tollgate_key_id" => knowledge.key_ids,
        "tollgate_tenant" => knowledge.tenants,
        "tollgate_model" => knowledge.models,
        _ => true,
    };
    let source = maps.unknown(expression, &is_known)?;
    Some(Unknown { variable: names(expression).next()?, source })
}

/// Whether a request without a tenant escapes what is counted by `expression`, as the key is empty then.
#[must_use]
pub fn is_of_tenants_alone(expression: &str) -> bool {
    matches!(expression, "$tollgate_tenant" | "${tollgate_tenant}")
}

/// What makes `name` known, for whoever finds that it isn't.
#[must_use]
pub fn remedy(name: &str) -> &'static str {
    match name {
        "tollgate_tenant" => {
            "no key of the file names a tenant, and no token can; give keys a \"tenant\", or add \
             \"tollgate_jwt_claim tenant CLAIM;\" where \"jwt\" or \"introspection\" is accepted"
        }
        "tollgate_key_id" => {
            "neither API keys nor JWTs are accepted; use \"key=$tollgate_client\", or add \"api_key\" or \
             \"jwt\" to \"tollgate_auth\""
        }
        "tollgate_model" => {
            "no body is read; use another key, or a limit on tokens or money, for which bodies are read"
        }
        _ => {
            "nobody authenticates; use \"key=$binary_remote_addr\", or another \"tollgate_auth\" than \
             \"none\""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Knowledge = Knowledge { clients: true, key_ids: true, tenants: true, models: true };

    #[test]
    fn what_comes_later_and_what_is_unique_counts_nothing() {
        for (key, expected) in [
            ("$tollgate_reason", KeyError::Later("tollgate_reason".into())),
            ("$tollgate_client-${Tollgate_Cost}", KeyError::Later("tollgate_cost".into())),
            ("$status", KeyError::Later("status".into())),
            ("$upstream_http_x_a", KeyError::Later("upstream_http_x_a".into())),
            ("$sent_http_x", KeyError::Later("sent_http_x".into())),
            ("$remote_addr:$remote_port", KeyError::Unique("remote_port".into())),
            ("$connection", KeyError::Unique("connection".into())),
            ("$request_id", KeyError::Unique("request_id".into())),
            ("a$tollgate_request_id", KeyError::Unique("tollgate_request_id".into())),
        ] {
            assert_eq!(check(key), Err(expected), "{key}");
        }
        for key in ["all", "$tollgate_client", "$host:$uri", "request_id", "$tollgate_tenant$arg_x"]
        {
            assert_eq!(check(key), Ok(()), "{key}");
        }
    }

    #[test]
    fn a_key_is_unknown_where_all_of_its_variables_are() {
        let keys = Knowledge { clients: true, key_ids: true, models: true, ..Knowledge::default() };
        let opaque = Knowledge { clients: true, models: true, ..Knowledge::default() };
        let nobody = Knowledge::default();
        for (key, knowledge, expected) in [
            ("$tollgate_tenant", keys, Some("tollgate_tenant")),
            ("t:${tollgate_tenant}", keys, Some("tollgate_tenant")),
            ("$tollgate_tenant", ALL, None),
            ("$tollgate_tenant$tollgate_client", keys, None),
            ("$tollgate_tenant$tollgate_client", nobody, Some("tollgate_tenant")),
            ("$tollgate_client", nobody, Some("tollgate_client")),
            ("$tollgate_client$host", nobody, None),
            ("$tollgate_key_id", opaque, Some("tollgate_key_id")),
            ("$tollgate_key_id", keys, None),
            ("$tollgate_model", nobody, Some("tollgate_model")),
            ("$tollgate_model", keys, None),
            ("$group", nobody, None),
            ("all", nobody, None),
        ] {
            let found = unknown(key, knowledge, &Maps::default());
            assert_eq!(found.as_ref().map(|found| found.source.as_str()), expected, "{key}");
            if let Some(found) = found {
                assert_eq!(found.to_string(), format!("\"${}\"", found.source));
            }
        }
    }

    #[test]
    fn an_address_that_the_client_writes_is_told() {
        for (key, expected) in [
            ("$http_x_forwarded_for", Some("http_x_forwarded_for")),
            ("a:${proxy_add_x_forwarded_for}", Some("proxy_add_x_forwarded_for")),
            ("$http_x_forwarded_proto", None),
            ("$binary_remote_addr", None),
        ] {
            assert_eq!(chosen_address(key).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn a_constant_that_is_the_name_of_a_variable_is_doubtful() {
        for (key, expected) in [
            ("binary_remote_addr", true),
            ("tollgate_client", true),
            ("$tollgate_client", false),
            ("all", false),
            ("a", false),
        ] {
            assert_eq!(is_doubtful(key), expected, "{key}");
        }
    }
}
