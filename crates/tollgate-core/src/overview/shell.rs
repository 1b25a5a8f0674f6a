//! The page for browsers, put together of its parts.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};

/// Where the style and the script stand in the page.
const STYLE: &str = "<style></style>";
const SCRIPT: &str = "<script></script>";
/// Where it is told which header carries a credential.
const HEADER: &str = "data-header=\"\"";

/// A page that needs nothing but itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// All of it.
    pub html: String,
    /// Its `Content-Security-Policy`: only this style and this script, by their hashes, and only what the page's own
    /// origin answers.
    pub policy: String,
}

impl Shell {
    /// Puts style and script into their empty elements.
    #[must_use]
    pub fn new(html: &str, style: &str, script: &str) -> Self {
        Self {
            html: html
                .replacen(STYLE, &format!("<style>{style}</style>"), 1)
                .replacen(SCRIPT, &format!("<script>{script}</script>"), 1),
            policy: format!(
                "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; img-src data:; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                 trusted-types 'none'",
                hash(style),
                hash(script)
            ),
        }
    }
}

impl Shell {
    /// The page where this header carries a credential; `None`: it can carry none.
    #[must_use]
    pub fn with_header(&self, header: Option<&[u8]>) -> String {
        let is_plain = |name: &&[u8]| {
            name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let header = header.filter(is_plain).unwrap_or_default();
        let header = String::from_utf8_lossy(header);
        self.html.replacen(HEADER, &format!("data-header=\"{header}\""), 1)
    }
}

/// The source expression of CSP 3, section 2.3.1.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_may_run_what_is_in_it_and_nothing_else() {
        let html = "<head><style></style></head><body data-header=\"\"><script></script>";
        let shell = Shell::new(html, "b{}", "alert(1)");
        let made =
            "<head><style>b{}</style></head><body data-header=\"\"><script>alert(1)</script>";
        assert_eq!(shell.html, made);
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        let script = "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';";
        assert!(shell.policy.contains(script), "{}", shell.policy);
        assert!(shell.policy.starts_with("default-src 'none';"));
        assert!(!shell.policy.contains("unsafe"));
        for (header, told) in [
            (Some(&b"x-api-key"[..]), "data-header=\"x-api-key\""),
            (Some(b"\"><script>"), "data-header=\"\""),
            (None, "data-header=\"\""),
        ] {
            assert_eq!(shell.with_header(header), made.replace("data-header=\"\"", told));
        }
    }
}
