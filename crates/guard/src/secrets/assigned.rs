//! Values that are credentials by what they are called.

use base64::Engine;

use super::kind::{detector, named};
use super::value::{entropy, is_mixed, is_placeholder, is_random};
use crate::detector::{Candidate, Detector};

/// Assignments, and headers.
pub(super) fn detectors() -> Vec<Detector> {
    vec![
        named(
            detector(
                "aws_secret_key",
                "AWS_SECRET_KEY",
                r#"(?i)(?:aws.{0,10})?secret.?(?:access)?.?key["']?\s{0,3}(?:=>|:=|=|:)\s{0,3}["']?[A-Za-z0-9/+]{40}"#,
                &[],
                |candidate, _| {
                    let value = candidate.text().get(candidate.text().len().checked_sub(40)?..)?;
                    let is_longer =
                        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '+' | '=');
                    let is_hash = value.bytes().all(|byte| byte.is_ascii_hexdigit());
                    (!candidate.behind().is_some_and(is_longer) && !is_hash && is_random(value))
                        .then_some(95)
                },
            ),
            |text| text.len().saturating_sub(40),
        ),
        named(
            detector(
                "basic_auth",
                "BASIC_AUTH",
                r#"(?i)authorization["']?\s{0,2}[:=]\s{0,2}["']?basic\s{1,2}[A-Za-z0-9+/]{6,200}={0,2}"#,
                &[],
                |candidate, _| {
                    // RFC 7617: the name, a colon and the password.
                    let value =
                        candidate.text().rsplit([' ', '\t', '\n']).next()?.trim_end_matches('=');
                    let decoded =
                        base64::engine::general_purpose::STANDARD_NO_PAD.decode(value).ok()?;
                    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
                    let is_whole = !candidate.behind().is_some_and(is_value);
                    (is_whole && !password.is_empty() && !is_placeholder(password)).then_some(95)
                },
            ),
            behind_blank,
        ),
        named(
            detector(
                "bearer_token",
                "BEARER_TOKEN",
                r#"(?i)authorization["']?\s{0,2}[:=]\s{0,2}["']?(?:bearer|token)\s{1,2}[A-Za-z0-9_.~+/-]{16,200}={0,2}"#,
                &[],
                |candidate, _| {
                    // RFC 6750, section 2.1.
                    let value = candidate.text().rsplit([' ', '\t', '\n']).next()?;
                    let is_whole = value.len() >= 200 || !candidate.behind().is_some_and(is_value);
                    (is_whole && is_random(value) && is_mixed(value) && entropy(value) >= 3.0)
                        .then_some(85)
                },
            ),
            behind_blank,
        ),
        named(
            detector(
                "generic_secret",
                "SECRET",
                concat!(
                    r"(?i)(?:api.?key|access.?key|secret.?key|private.?key|encryption.?key|signing.?key|auth.?key|secret|token|",
                    r#"passwd|password|passphrase|pwd|credentials?)["'`]?\s{0,3}(?:=>|:=|==?|:)\s{0,3}["'`]?"#,
                    r"[A-Za-z0-9!#%&*+,./:;?@^_|~=-]{6,128}",
                ),
                &[],
                generic,
            ),
            name,
        ),
    ]
}

/// How much of `Authorization: Bearer ...` stays.
fn behind_blank(text: &str) -> usize {
    text.rfind([' ', '\t', '\n', '\r']).map_or(0, |at| at + 1)
}

/// How much of `name = "value` stays.
fn name(text: &str) -> usize {
    let Some(sign) = text.find(['=', ':']) else { return 0 };
    let rest = text.get(sign..).unwrap_or_default();
    let value = rest.trim_start_matches(['=', ':', '>']).trim_start().trim_start_matches(QUOTES);
    text.len() - value.len()
}

/// The longest value that is looked at. A longer one ends there.
const LONGEST_VALUE: usize = 128;

const QUOTES: [char; 3] = ['"', '\'', '`'];

/// A value that is a credential by its name and its randomness. One that isn't quoted has to be more random, since
/// it may be the name of a variable, or a sentence.
fn generic(candidate: &Candidate<'_>, _: bool) -> Option<u8> {
    let (lead, value) = candidate.text().split_at_checked(name(candidate.text()))?;
    let quote = lead.chars().next_back().filter(|c| QUOTES.contains(c));
    let is_quoted = quote.is_some() && quote == candidate.behind();
    if !is_quoted && value.len() < LONGEST_VALUE && candidate.behind().is_some_and(is_value) {
        return None;
    }
    let name = lead.to_ascii_lowercase();
    let is_password = name.starts_with("pass") || name.starts_with("pwd");
    let value =
        if is_quoted { value } else { value.trim_end_matches(['.', ',', ';', ':', '?', '!']) };
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let signs = value.len() - digits - letters;
    let bits = entropy(value);
    if is_password {
        // People choose passwords: short, but no plain word.
        let is_chosen = value.len() >= 6 && letters > 0 && digits + signs > 0 && bits >= 2.2;
        let is_name = !is_quoted && (value.contains(['.', '(', '/']) || digits == 0);
        let is_one = is_chosen && !is_name && !is_placeholder(value) && !value.contains("://");
        return is_one.then_some(if is_quoted { 75 } else { 60 });
    }
    if digits < 2 || letters < 2 || !is_random(value) || value.contains("://") || is_uuid(value) {
        return None;
    }
    let is_path = value.contains('/') && value.matches('/').count() > 2;
    match (is_quoted, value.len()) {
        (true, 12..) if bits >= 3.0 && !is_path => Some(75),
        (false, 16..) if bits >= 3.3 && !value.contains(['/', '.', ':', ',', ';', '?']) => Some(65),
        _ => None,
    }
}

/// Whether a value goes on with it.
fn is_value(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=' | '~')
}

/// RFC 9562: 8-4-4-4-12.
fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
