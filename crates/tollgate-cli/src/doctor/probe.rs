//! What a server says to a stranger.

use std::process::{Command, Stdio};

use tollgate_doctor::facts::Probe;

/// A URL that can be asked; one without a path is asked for its models.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.starts_with('/')) else {
        return Err("it is no URL, write it as https://api.example.com".to_owned());
    };
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) || rest.contains('@') {
        return Err("it has signs that no URL has, or a user, which is not sent".to_owned());
    }
    Ok(match rest.trim_end_matches('/').contains('/') {
        true => text.to_owned(),
        false => format!("{}/v1/models", text.trim_end_matches('/')),
    })
}

/// Asks without a key. curl knows the certificates that this machine trusts.
pub(super) fn ask(url: &str) -> Probe {
    let mut command = Command::new("curl");
    // No file of curl's may add a credential.
    command.args(["--disable", "--silent", "--show-error", "--globoff", "--max-time", "10"]);
    command.args(["--output", "/dev/null", "--write-out", "%{http_code}", "--", url]);
    let outcome = match command.stdin(Stdio::null()).output() {
        Err(error) => Err(format!("curl can't be run ({error})")),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().parse();
            match (output.status.success(), said) {
                (true, Ok(status)) => Ok(status),
                _ => {
                    let why = String::from_utf8_lossy(&output.stderr);
                    let why = why.lines().next().unwrap_or("curl failed").trim();
                    Err(why.strip_prefix("curl: ").unwrap_or(why).to_owned())
                }
            }
        }
    };
    Probe { url: url.to_owned(), outcome }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_asks_for_models() {
        assert_eq!(url("https://a.example").unwrap(), "https://a.example/v1/models");
        assert_eq!(url("http://a.example:8080/").unwrap(), "http://a.example:8080/v1/models");
        assert_eq!(url("http://[::1]:1/x").unwrap(), "http://[::1]:1/x");
        for wrong in
            ["a.example", "ftp://a", "http://", "http:///x", "http://a b", "http://u:p@a", "--help"]
        {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
