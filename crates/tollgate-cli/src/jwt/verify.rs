//! `tollgate jwt verify`

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{json, Value};
use tollgate_core::clock::UnixSeconds;
use tollgate_core::hex;
use tollgate_core::jwt::{
    self, Algorithm, AlgorithmSet, Binding, ClaimMap, KeySet, Policy, TokenError, VerifiedToken,
    DEFAULT_MAX_LEN,
};
use tollgate_core::principal::Principal;

use super::input::{read_key_file, read_token};
use crate::escape::{shown, shown_json};
use crate::exit::{print, tell, Exit, Failure};
use crate::time::{from_now, now, parse_duration, rfc3339, When};

/// Judge a token as the module does: the same yes or no, with the reason.
///
/// The options are those of the directives: tollgate_jwt_key_file, tollgate_jwt_algorithms and so on. Whether the
/// configuration has the tier that the token names is not looked at. The token is read from stdin
/// where none is given, and so stays out of the history of the shell.
#[derive(Args)]
pub(crate) struct Arguments {
    /// tollgate_jwt_key_file: a JWK Set, a PEM file or a secret; repeatable.
    #[arg(long, value_name = "FILE", required = true)]
    keys: Vec<PathBuf>,
    /// The issuer= of a tollgate_jwt_key_file, one of --keys: an issuer whose keys these are; repeatable.
    #[arg(long, value_name = "FILE=ISSUER")]
    key_issuer: Vec<OsString>,
    /// The client_prefix= of a tollgate_jwt_key_file, one of --keys; repeatable.
    #[arg(long, value_name = "FILE=TEXT")]
    key_client_prefix: Vec<OsString>,
    /// tollgate_jwt_client_prefix: what the names of clients begin with.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    client_prefix: String,
    /// tollgate_jwt_algorithms: the only ones that are accepted; several with commas.
    #[arg(long, value_name = "ALG", value_delimiter = ',')]
    algorithms: Vec<Algorithm>,
    /// tollgate_jwt_issuer: an accepted iss; repeatable.
    #[arg(long)]
    issuer: Vec<String>,
    /// tollgate_jwt_audience: an accepted aud; repeatable.
    #[arg(long)]
    audience: Vec<String>,
    /// tollgate_jwt_leeway: how far the issuer's clock may be off.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = leeway)]
    leeway: u32,
    /// tollgate_jwt_require_exp off: accept tokens that never expire.
    #[arg(long)]
    no_require_exp: bool,
    /// tollgate_jwt_max_size: the longest token, such as 16384 or 16k.
    #[arg(long, value_name = "SIZE", default_value_t = DEFAULT_MAX_LEN, value_parser = size)]
    max_size: usize,
    /// tollgate_jwt_claim: which claim holds client, tier, scopes, models, rate_limit or tenant;
    /// repeatable.
    #[arg(long, value_name = "FIELD=CLAIM")]
    claim: Vec<String>,
    /// Judge as of this moment: a date, or a duration from now.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    /// Judge each line of stdin: a line of output for each.
    #[arg(long, conflicts_with = "token")]
    batch: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The token; - or nothing: stdin.
    token: Option<OsString>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let policy = self.policy()?;
        let keys = self.load_keys(&policy)?;
        let at = self.at;
        let now = || {
            let now = now();
            at.map_or(now, |at| at.after(now))
        };
        if self.batch {
            return batch(self.json, &policy.claims, |token| {
                jwt::verify(token, &keys, &policy, now())
            });
        }
        let token = read_token(self.token.as_deref())?;
        let now = now();
        let judged = jwt::verify(&token, &keys, &policy, now);
        let text = match self.json {
            true => shown_json(&format!("{:#}\n", as_json(&judged, &policy.claims))),
            false => as_text(&judged, &policy.claims, now.seconds()),
        };
        print(text.as_bytes())?;
        Ok(if judged.is_ok() { Exit::Yes } else { Exit::No })
    }

    fn policy(&self) -> Result<Policy, Failure> {
        let mut claims = ClaimMap::default();
        for mapping in &self.claim {
            let (field, claim) = mapping.split_once('=').unwrap_or((mapping, ""));
            claims.set(field, claim).map_err(|error| {
                Failure::usage(format!("--claim {}: {error}", mapping.escape_debug()))
            })?;
        }
        let algorithms = AlgorithmSet::of(&self.algorithms);
        Ok(Policy {
            algorithms: (!algorithms.is_empty()).then_some(algorithms),
            issuers: self.issuer.clone(),
            audiences: self.audience.clone(),
            leeway_secs: self.leeway,
            require_exp: !self.no_require_exp,
            max_len: self.max_size,
            claims,
            client_prefix: self.client_prefix.clone(),
        })
    }

    /// The keys, checked as `nginx -t` checks them.
    fn load_keys(&self, policy: &Policy) -> Result<KeySet, Failure> {
        let bindings = self.bindings()?;
        let read = |path: &PathBuf| Ok((name(path), read_key_file(path)?));
        let files = self.keys.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
        let named = || files.iter().zip(&bindings);
        let sources: Vec<_> =
            named().map(|((name, _), binding)| (name.as_str(), binding)).collect();
        match jwt::check_bindings(&sources, &[], policy) {
            Ok(None) => {}
            Ok(Some(unbound)) => tell(&format!("tollgate: {unbound} (--key-issuer)")),
            Err(error) => return Err(Failure::failed(error.to_string())),
        }
        let files: Vec<_> =
            named().map(|((name, bytes), binding)| (name.as_str(), &bytes[..], binding)).collect();
        let load = || {
            let keys = KeySet::load_bound(&files)?;
            keys.check(policy.algorithms.as_ref())?;
            Ok(keys)
        };
        let keys: KeySet =
            load().map_err(|error: jwt::KeyError| Failure::failed(error.to_string()))?;
        for note in keys.notes().iter().filter(|note| note.is_mistake()) {
            let rest = if note.is_remark() { "" } else { "; that key is not used" };
            tell(&format!("tollgate: {note}{rest}"));
        }
        Ok(keys)
    }

    /// Whose tokens the keys of each file are for.
    fn bindings(&self) -> Result<Vec<Binding>, Failure> {
        let fit = |prefix: &str| {
            match jwt::is_valid_client_prefix(prefix) {
            true => Ok(()),
            false => Err(Failure::usage(
                "a prefix of clients has up to 64 bytes, no control characters and no blanks around it",
            )),
        }
        };
        fit(&self.client_prefix)?;
        let mut bindings = vec![Binding::default(); self.keys.len()];
        for said in &self.key_issuer {
            let (binding, issuer) = self.of_file(&mut bindings, said, "--key-issuer")?;
            binding.issuers.push(issuer);
        }
        for said in &self.key_client_prefix {
            let (binding, prefix) = self.of_file(&mut bindings, said, "--key-client-prefix")?;
            fit(&prefix)?;
            binding.client_prefix = Some(prefix);
        }
        Ok(bindings)
    }

    /// The file that stands before the `=`, and what is behind.
    fn of_file<'b>(
        &self,
        bindings: &'b mut [Binding],
        said: &OsStr,
        option: &str,
    ) -> Result<(&'b mut Binding, String), Failure> {
        let value = |path: &PathBuf| {
            let rest = said.as_bytes().strip_prefix(path.as_os_str().as_bytes())?;
            let value = std::str::from_utf8(rest.strip_prefix(b"=")?).ok()?;
            Some(value.to_owned())
        };
        let found = self.keys.iter().zip(bindings).find_map(|(p, b)| Some((b, value(p)?)));
        found.filter(|(_, value)| option != "--key-issuer" || !value.is_empty()).ok_or_else(|| {
            Failure::usage(format!(
                "{option}: expected one of the files of --keys, \"=\", and a value"
            ))
        })
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

type Judged = Result<VerifiedToken, TokenError>;

fn batch(json: bool, claims: &ClaimMap, judge: impl Fn(&[u8]) -> Judged) -> Result<Exit, Failure> {
    let mut input = io::stdin().lock();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut exit = Exit::Yes;
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        // A carriage return is part of the line: these are bytes that somebody might send.
        let judged = judge(line.strip_suffix(b"\n").unwrap_or(&line));
        if judged.is_err() {
            exit = Exit::No;
        }
        match (json, &judged) {
            (true, _) => writeln!(out, "{}", shown_json(&as_json(&judged, claims).to_string()))?,
            (false, Ok(token)) => writeln!(out, "ok {}", shown(token.principal().client()))?,
            (false, Err(error)) => {
                writeln!(out, "no {}: {}", error.reason().as_str(), error.detail(claims))?;
            }
        }
        line.clear();
    }
    out.flush()?;
    Ok(exit)
}

fn as_json(judged: &Judged, claims: &ClaimMap) -> Value {
    match judged {
        Ok(token) => {
            let principal = token.principal();
            let time = |second: Option<UnixSeconds>| second.map(|second| rfc3339(second.0));
            json!({
                "valid": true,
                "client": principal.client(),
                "key_id": principal.key_id(),
                "tier": principal.tier(),
                "tenant": principal.tenant(),
                "scopes": principal.scopes(),
                "models": principal.models(),
                "rate_limit": principal.rate_limit(),
                "bound_to": bound_to(principal),
                "not_before": time(token.not_before()),
                "expires": time(token.expires()),
            })
        }
        Err(error) => json!({
            "valid": false,
            "reason": error.reason().as_str(),
            "detail": error.detail(claims).value(),
            "error": error.detail(claims).to_string(),
        }),
    }
}

fn as_text(judged: &Judged, claims: &ClaimMap, now: UnixSeconds) -> String {
    let token = match judged {
        Ok(token) => token,
        Err(error) => {
            let detail = error.detail(claims);
            return format!("not valid: {detail} ({})\n", error.reason().as_str());
        }
    };
    let principal = token.principal();
    let list = |items: Option<&[Box<str>]>| match items {
        None => "any".to_owned(),
        Some([]) => "none".to_owned(),
        Some(items) => items.join(", "),
    };
    let time =
        |second: UnixSeconds| format!("{} ({})", rfc3339(second.0), from_now(second.0, now.0));
    let absent = || "-".to_owned();
    let rows = [
        ("client", principal.client().to_owned()),
        ("tier", principal.tier().map_or_else(absent, str::to_owned)),
        ("tenant", principal.tenant().map_or_else(absent, str::to_owned)),
        ("scopes", list(principal.scopes())),
        ("models", list(principal.models())),
        ("rate limit", principal.rate_limit().map_or_else(absent, |n| format!("{n} a minute"))),
        ("key id", principal.key_id().map_or_else(absent, str::to_owned)),
        ("valid from", token.not_before().map_or_else(absent, time)),
        ("expires", token.expires().map_or_else(|| "never".to_owned(), time)),
    ];
    let rows = rows.map(|(name, value)| format!("  {name:<11} {}\n", shown(&value)));
    let bound = bound_to(principal).map_or_else(String::new, |name| {
        format!("  {:<11} the client certificate {name}, and good with no other\n", "bound to")
    });
    format!("valid\n{}{bound}", rows.concat())
}

/// The certificate that a token is bound to, as the keys file has it. Whether its client has it, shows only when it
/// connects.
fn bound_to(principal: &Principal) -> Option<String> {
    principal.bound_to().map(|digest| format!("sha256:{}", hex::encode(digest)))
}

fn leeway(text: &str) -> Result<u32, String> {
    let seconds = parse_duration(text)?.as_secs();
    u32::try_from(seconds).map_err(|_| "too long".to_owned())
}

/// As nginx has sizes.
fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("\"{}\" is no size, write it as 16384 or 16k", text.escape_debug());
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1024),
        None => match text.strip_suffix(['m', 'M']) {
            Some(digits) => (digits, 1024 * 1024),
            None => (text, 1),
        },
    };
    let number: usize = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_nginx() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("16k"), Ok(16384));
        assert_eq!(size("1M"), Ok(1 << 20));
        for text in ["", "k", "-1", "1g", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
