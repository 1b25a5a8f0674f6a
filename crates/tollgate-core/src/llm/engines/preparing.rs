//! Paths at which an engine prepares a request, and does no more: counting its tokens, it fills in templates and
//! fetches media as if it were to answer.

use super::{Engine, Kind, Row};
use crate::llm::Endpoint;
use crate::path::up_to_query;

impl Engine {
    /// The form in which the body of a request by `method` for `path` is looked at, though nothing is metered there;
    /// `None`: it is not. Any spelling counts, as for [`Engine::read`].
    #[must_use]
    pub fn prepares(self, method: &[u8], path: &[u8]) -> Option<Endpoint> {
        if method != b"POST" {
            return None;
        }
        let is_it = |row: &&Row| {
            row.kind == Kind::Counts
                && row.methods.contain(method)
                && [Some(path), up_to_query(path)]
                    .into_iter()
                    .flatten()
                    .any(|path| ends(path, row.path))
        };
        let row = self.table().rows.iter().find(is_it)?;
        Some(match row.path {
            path if path.contains("/responses") => Endpoint::Responses,
            path if path.contains("/messages") => Endpoint::Messages,
            _ => Endpoint::Chat,
        })
    }
}

/// Whether the end of `path` is that of a row, which may lack its version.
fn ends(path: &[u8], row: &str) -> bool {
    let path = path.iter().rposition(|byte| *byte != b'/').and_then(|last| path.get(..=last));
    let without_version = row.strip_prefix("/v1").or_else(|| row.strip_prefix("/v2"));
    let is_end = |end: &str| {
        let start = path.unwrap_or_default().len().checked_sub(end.len());
        let last = start.and_then(|start| path.unwrap_or_default().get(start..));
        last.is_some_and(|last| last.eq_ignore_ascii_case(end.as_bytes()))
    };
    is_end(row) || without_version.is_some_and(is_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_tokens_is_looked_at_in_any_spelling() {
        let vllm = |path: &str| Engine::Vllm.prepares(b"POST", path.as_bytes());
        for path in ["/tokenize", "/x/Tokenize/", "/tokenize?a", "/chat/completions/render"] {
            assert_eq!(vllm(path), Some(Endpoint::Chat), "{path}");
        }
        assert_eq!(vllm("/v1/messages/count_tokens"), Some(Endpoint::Messages));
        assert_eq!(vllm("/v1/responses/render"), Some(Endpoint::Responses));
        for path in ["/v1/chat/completions", "/v1/models", "/health", "/", ""] {
            assert_eq!(vllm(path), None, "{path}");
        }
        assert_eq!(Engine::Vllm.prepares(b"GET", b"/tokenize"), None);
    }

    #[test]
    fn each_line_that_counts_is_looked_at() {
        for engine in Engine::ALL {
            for row in engine.table().rows.iter().filter(|row| row.kind == Kind::Counts) {
                assert!(engine.prepares(b"POST", row.path.as_bytes()).is_some(), "{}", row.path);
            }
        }
    }
}
