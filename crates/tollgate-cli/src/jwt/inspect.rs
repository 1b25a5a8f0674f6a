//! `tollgate jwt inspect`

use std::ffi::OsString;
use std::fmt::Write as _;

use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD};
use base64::engine::DecodePaddingMode;
use base64::Engine as _;
use clap::Args;
use jiff::Timestamp;
use serde_json::{json, Map, Value};
use tollgate_core::clock::UnixSeconds;
use tollgate_core::jwt::{verify, verify_signature, KeySet, Policy, TokenError};

use super::base64url::base64url;
use super::input::read_token;
use super::private_key::PrivateKey;
use crate::escape::{shown, shown_json};
use crate::exit::{print, Exit, Failure};
use crate::time::{from_now, rfc3339};

/// Show what a token says. Nothing is verified.
///
/// Anybody can write a token that says anything: `tollgate jwt verify` tells whether a key has signed
/// it. The token is read from stdin where none is given, and so stays out of the history of the
/// shell. Exit status 1: it is no token, or one that the module would refuse whoever had signed it.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The token; - or nothing: stdin.
    token: Option<OsString>,
}

const NOT_VERIFIED: &str =
    "not verified: anybody can write this; tollgate jwt verify --keys FILE tells who signed it";

/// What a token says, as far as it can be read.
#[derive(Default)]
struct Findings {
    header: Option<Map<String, Value>>,
    claims: Option<Map<String, Value>>,
    signature_bytes: Option<usize>,
    problems: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let token = read_token(self.token.as_deref())?;
        let now = Timestamp::now().as_second();
        let findings = look(&token)?;
        let text = match self.json {
            true => shown_json(&format!("{:#}\n", findings.as_json(now))),
            false => findings.as_text(now),
        };
        print(text.as_bytes())?;
        Ok(if findings.problems.is_empty() { Exit::Yes } else { Exit::No })
    }
}

fn look(token: &[u8]) -> Result<Findings, Failure> {
    let mut findings = Findings::default();
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let [header, payload, signature] = parts[..] else {
        findings.problems.push(number_of_parts(token, parts.len()));
        return Ok(findings);
    };
    findings.header = findings.object("header", header);
    findings.claims = findings.object("payload", payload);
    findings.signature_bytes = findings.decoded("signature", signature).map(|bytes| bytes.len());
    if signature.is_empty() {
        findings.problems.push("the signature is empty: an unsigned token".to_owned());
    }
    if findings.problems.is_empty() {
        findings.problems = refusals(token, payload)?;
    }
    Ok(findings)
}

/// What the module would say, had the right key signed the token: its own verifier is asked, about
/// the header as it is, and about the claims under a signature of our own.
fn refusals(token: &[u8], payload: &[u8]) -> Result<Vec<String>, Failure> {
    let algorithm = tollgate_core::jwt::Algorithm::Hs256;
    let ours = PrivateKey::generate(algorithm, 0)?;
    let keys = KeySet::load(&[("", &ours.verifying_jwk())]);
    let keys = keys.map_err(|error| Failure::failed(error.to_string()))?;
    let header = verify_signature(token, &keys, None, usize::MAX).map(drop);
    let header =
        header.err().filter(|e| !matches!(e, TokenError::NoKey | TokenError::BadSignature));

    let mut signed = [base64url(br#"{"alg":"HS256"}"#).as_bytes(), b".", payload].concat();
    let signature = base64url(ours.sign(algorithm, &signed)?);
    signed.push(b'.');
    signed.extend_from_slice(signature.as_bytes());
    // Which claims are demanded is for the configuration to say.
    let policy = Policy { require_exp: false, max_len: usize::MAX, ..Policy::default() };
    let now = UnixSeconds(Timestamp::now().as_second());
    let claims = verify(&signed, &keys, &policy, now).map(drop).err().filter(|error| {
        !matches!(error, TokenError::Expired | TokenError::NotYetValid)
            && *error != TokenError::MissingClaim("client")
    });
    let refused = |error: TokenError| match error {
        TokenError::BadClaim("client" | "tier" | "scopes" | "rate_limit") => {
            let detail = error.detail(&policy.claims);
            format!("with the default tollgate_jwt_claim, the module refuses it: {detail}")
        }
        _ => format!("the module refuses it: {}", error.detail(&policy.claims)),
    };
    Ok(header.into_iter().chain(claims).map(refused).collect())
}

fn number_of_parts(token: &[u8], parts: usize) -> String {
    let trimmed = token.trim_ascii();
    if trimmed.is_empty() {
        "no token: nothing was given".to_owned()
    } else if trimmed.starts_with(b"{") {
        "no compact JWS: JSON serialisation, which is not accepted as a credential".to_owned()
    } else if parts == 5 {
        "no compact JWS: five parts, as an encrypted token (JWE) has".to_owned()
    } else {
        let plural = if parts == 1 { "" } else { "s" };
        format!("no compact JWS: {parts} part{plural} instead of three with dots between them")
    }
}

impl Findings {
    fn object(&mut self, part: &str, text: &[u8]) -> Option<Map<String, Value>> {
        let bytes = self.decoded(part, text)?;
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(Value::Object(members)) => Some(members),
            Ok(_) => {
                self.problems.push(format!("the {part} is JSON, but no object"));
                None
            }
            Err(error) => {
                self.problems.push(format!("the {part} is no JSON: {error}"));
                None
            }
        }
    }

    /// The bytes of a part; where it is not canonical, what it seems to mean.
    fn decoded(&mut self, part: &str, text: &[u8]) -> Option<Vec<u8>> {
        if let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) {
            return Some(bytes);
        }
        let strange = text.iter().find(|b| !(b.is_ascii_alphanumeric() || b"-_".contains(b)));
        let what = match strange {
            Some(b'=') => "has padding (=), which base64url here has not".to_owned(),
            Some(b'+' | b'/') => {
                "is in the standard alphabet of base64 (+ and /), not that of base64url".to_owned()
            }
            Some(byte) => {
                format!("has a character that is not of base64url: {:?}", char::from(*byte))
            }
            None if text.len() % 4 == 1 => "has a length that base64url never has: cut?".to_owned(),
            None => "has bits set behind its last byte: changed?".to_owned(),
        };
        self.problems.push(format!("the {part} {what}"));
        let lenient = GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let standard: Vec<u8> = text
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        GeneralPurpose::new(&URL_SAFE, lenient).decode(standard).ok()
    }

    fn as_json(&self, now: i64) -> Value {
        let times: Map<String, Value> = self
            .times()
            .map(|(name, second)| {
                let time = json!({ "time": rfc3339(second), "words": from_now(second, now) });
                (name.to_owned(), time)
            })
            .collect();
        json!({
            "verified": false,
            "header": self.header,
            "claims": self.claims,
            "signature_bytes": self.signature_bytes,
            "times": times,
            "problems": self.problems,
        })
    }

    fn as_text(&self, now: i64) -> String {
        let mut text = String::new();
        if let Some(header) = &self.header {
            write_members(&mut text, "header", header, |_| None);
        }
        if let Some(claims) = &self.claims {
            let time = |name: &str| self.times().find(|(time, _)| *time == name);
            write_members(&mut text, "claims", claims, |name| {
                time(name).map(|(_, second)| at(second, now))
            });
        }
        if let Some(bytes) = self.signature_bytes {
            let _ = writeln!(text, "signature\n  {bytes} bytes");
        }
        if self.claims.is_some() {
            let _ = writeln!(text, "\n{}", self.life(now));
        }
        for problem in &self.problems {
            let _ = writeln!(text, "wrong: {}", shown(problem));
        }
        let _ = writeln!(text, "{NOT_VERIFIED}");
        text
    }

    /// The times among the claims.
    fn times(&self) -> impl Iterator<Item = (&'static str, i64)> + '_ {
        let claims = self.claims.as_ref();
        ["exp", "nbf", "iat"].into_iter().filter_map(move |name| {
            let value = claims?.get(name)?;
            Some((name, seconds(value)?))
        })
    }

    /// Whether it would be time for it, in words.
    fn life(&self, now: i64) -> String {
        let find =
            |wanted| self.times().find(|(name, _)| *name == wanted).map(|(_, second)| second);
        let at = |second| at(second, now);
        let start = find("nbf").max(find("iat")).filter(|start| *start > now);
        match (find("exp"), start) {
            (Some(end), _) if end <= now => format!("expired {}", at(end)),
            (Some(end), Some(start)) => format!("starts {}, expires {}", at(start), at(end)),
            (None, Some(start)) => format!("starts {}, names no end", at(start)),
            (Some(end), None) => format!("expires {}", at(end)),
            (None, None) => "names no end (exp)".to_owned(),
        }
    }
}

/// `in 3 hours (2026-01-05T09:30:12Z)`
fn at(second: i64, now: i64) -> String {
    format!("{} ({})", from_now(second, now), rfc3339(second))
}

fn write_members(
    text: &mut String,
    title: &str,
    members: &Map<String, Value>,
    remark: impl Fn(&str) -> Option<String>,
) {
    let _ = writeln!(text, "{title}");
    let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0).min(24);
    for (name, value) in members {
        let value = match value {
            Value::String(text) => shown(text),
            other => shown_json(&other.to_string()),
        };
        let remark = remark(name).map(|remark| format!("  {remark}")).unwrap_or_default();
        let _ = writeln!(text, "  {:<width$}  {value}{remark}", shown(name));
    }
}

/// `NumericDate`, rounded up as the verifier does.
fn seconds(value: &Value) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(seconds) = value.as_i64() {
        return Some(seconds);
    }
    let seconds = value.as_f64()?.ceil();
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
    (-EXACT..=EXACT).contains(&seconds).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_looked_at_is_told_of_safely(
            header in ".*",
            exp in prop_oneof![any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from)],
            claims: Vec<(String, String)>,
            garbage: Vec<u8>,
        ) {
            let mut members: Map<String, Value> =
                claims.into_iter().map(|(name, value)| (name, value.into())).collect();
            members.insert("exp".to_owned(), exp.clone());
            members.insert("nbf".to_owned(), exp);
            let payload = base64url(Value::Object(members).to_string());
            let token = format!("{}.{payload}.", base64url(header));
            for token in [token.as_bytes(), &garbage, &[token.as_bytes(), &garbage].concat()] {
                let findings = look(token).unwrap();
                for now in [i64::MIN, 0, i64::MAX] {
                    let text = findings.as_text(now);
                    prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
                    prop_assert!(text.trim_end().ends_with(NOT_VERIFIED));
                    prop_assert_eq!(&findings.as_json(now)["verified"], &Value::Bool(false));
                }
            }
        }
    }
}
