//! The variables in the argument of a directive, such as `$host:${tollgate_client}`.

/// The names of the variables in `text`, in lower case, as nginx compares them, without `$` and braces.
/// What a regular expression found (`$1`) is none.
pub fn names(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let name = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next()?;
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        is_name.then(|| name.to_ascii_lowercase())
    })
}

/// The whole of `text` is one variable: its name, in lower case.
#[must_use]
pub fn only_name(text: &str) -> Option<String> {
    let name = text.strip_prefix('$')?;
    let name = match name.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?,
        None => name,
    };
    names(text).next().filter(|found| found.eq_ignore_ascii_case(name))
}

/// Names that are variables of nginx: a text that is one of them lacks its `$`.
#[must_use]
pub fn lacks_dollar(text: &str) -> bool {
    const NAMES: [&str; 14] = [
        "binary_remote_addr",
        "remote_addr",
        "remote_user",
        "realip_remote_addr",
        "proxy_protocol_addr",
        "host",
        "http_host",
        "uri",
        "request_uri",
        "request_id",
        "server_name",
        "ssl_client_fingerprint",
        "ssl_client_s_dn",
        "ssl_client_serial",
    ];
    const PREFIXES: [&str; 5] = ["tollgate_", "http_", "arg_", "cookie_", "jwt_"];
    let bare = text.trim_start_matches('{').trim_end_matches('}').to_ascii_lowercase();
    NAMES.contains(&bare.as_str()) || PREFIXES.iter().any(|prefix| bare.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_as_nginx_finds_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("plain", &[]),
            ("$host", &["host"]),
            ("${host}x", &["host"]),
            ("a$Host:$uri-${Tollgate_Client}b", &["host", "uri", "tollgate_client"]),
            ("$1$2", &[]),
            ("$", &[]),
            ("$$host", &["host"]),
            ("$tollgate_client$tollgate_tier", &["tollgate_client", "tollgate_tier"]),
        ] {
            assert_eq!(names(text).collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn one_variable_alone_is_told_from_more() {
        for (text, expected) in [
            ("$host", Some("host")),
            ("${Host}", Some("host")),
            ("$host:", None),
            ("a$host", None),
            ("$host$uri", None),
            ("host", None),
            ("${host", None),
        ] {
            assert_eq!(only_name(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_without_its_dollar_is_told_from_a_word() {
        for text in ["binary_remote_addr", "{remote_addr}", "Tollgate_Tenant", "http_x_tenant"] {
            assert!(lacks_dollar(text), "{text}");
        }
        for text in ["a", "global", "everybody", "all-hosts", "hosts"] {
            assert!(!lacks_dollar(text), "{text}");
        }
    }
}
