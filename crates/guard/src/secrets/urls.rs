//! Passwords in URLs and connection strings.

use super::kind::{detector, named};
use super::value::is_placeholder;
use crate::detector::{Candidate, Detector};

/// Passwords that stand for one, in lower case.
const NONE: [&str; 14] = [
    "password",
    "passwd",
    "pass",
    "pwd",
    "secret",
    "token",
    "pw",
    "pswd",
    "p4ssw0rd",
    "passphrase",
    "mypassword",
    "yourpassword",
    "user",
    "username",
];

/// User information with a password (RFC 3986, section 3.2.1), of databases and queues, and of what else has URLs.
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        detector(
            "connection_string",
            "CONNECTION_STRING",
            concat!(
                r"(?i)(?:postgres(?:ql)?|mysqlx?2?|mariadb|mongodb|rediss?|valkeys?|amqps?|mssql|sqlserver|oracle|clickhouse|",
                r"cockroachdb|cassandra|couchdb|neo4j|bolt|influxdb|ldaps?|smtps?|nats|kafka|snowflake)(?:\+[a-z0-9]{2,16})?",
                r#"://[^\s:/@"'<>]{0,64}:[^\s@"'<>]{1,96}@[A-Za-z0-9\[][A-Za-z0-9.:,\]_-]{0,80}"#,
            ),
            &[],
            |candidate, _| password(candidate).map(|_| 95),
        ),
        detector(
            "basic_auth_url",
            "BASIC_AUTH_URL",
            r#"(?i)(?:https?|ftps?|sftp|ssh|git|svn|wss?|socks5h?|rtsp|smb)(?:\+[a-z0-9]{2,16})?://[^\s:/@"'<>]{0,64}:[^\s/@"'<>]{1,96}@[A-Za-z0-9\[][A-Za-z0-9.:\]_-]{0,80}"#,
            &[],
            |candidate, _| password(candidate).map(|_| 90),
        ),
        detector(
            "azure_storage_key",
            "AZURE_KEY",
            r"(?i)(?:Account|SharedAccess)Key=[A-Za-z0-9+/]{43,86}={1,2}",
            &[],
            |candidate, _| {
                let (_, value) = candidate.text().split_once('=')?;
                super::value::is_random(value).then_some(98)
            },
        ),
        named(
            detector(
                "connection_password",
                "PASSWORD",
                r#"(?i)(?:Server|Data Source|Host|Endpoint|User Id|Uid|Username)=[^;"'\r\n]{1,64};(?:[A-Za-z ]{2,24}=[^;"'\r\n]{0,32};){0,4}(?:Password|Pwd)=[^;"'`()\s]{3,64}"#,
                &[],
                |candidate, _| {
                    let (_, value) = candidate.text().rsplit_once('=')?;
                    let goes_on = |c: char| {
                        !c.is_whitespace() && !matches!(c, ';' | '"' | '\'' | '`' | '(' | ')')
                    };
                    (is_password(value) && !candidate.behind().is_some_and(goes_on)).then_some(95)
                },
            ),
            |text| text.rfind('=').map_or(0, |at| at + 1),
        ),
    ]
}

/// The password of the URL, if it is one.
fn password<'t>(candidate: &Candidate<'t>) -> Option<&'t str> {
    let (_, rest) = candidate.text().split_once("://")?;
    let (user_info, host) = rest.rsplit_once('@')?;
    let (_, password) = user_info.split_once(':')?;
    let is_documented =
        host.starts_with("example.") && NONE.contains(&password.to_ascii_lowercase().as_str());
    (!is_documented && is_password(password)).then_some(password)
}

/// Whether it is no word in the place of a password, and no variable.
fn is_password(password: &str) -> bool {
    let lower = password.to_ascii_lowercase();
    let is_same = password.chars().zip(password.chars().skip(1)).all(|(one, other)| one == other);
    !is_same && !NONE.contains(&lower.as_str()) && !is_placeholder(password)
}
