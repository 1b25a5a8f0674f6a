//! The page for browsers, put together of its parts.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};

/// Where the style and the script stand in the page.
const STYLE: &str = "<style></style>";
const SCRIPT: &str = "<script></script>";

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

/// The source expression of CSP 3, section 2.3.1.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_may_run_what_is_in_it_and_nothing_else() {
        let shell = Shell::new("<head><style></style></head><script></script>", "b{}", "alert(1)");
        assert_eq!(shell.html, "<head><style>b{}</style></head><script>alert(1)</script>");
        // printf 'alert(1)' | openssl dgst -sha256 -binary | base64
        let script = "script-src 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI=';";
        assert!(shell.policy.contains(script), "{}", shell.policy);
        assert!(shell.policy.starts_with("default-src 'none';"));
        assert!(!shell.policy.contains("unsafe"));
    }
}
