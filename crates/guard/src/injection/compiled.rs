//! Patterns of rules, ready to be used.

use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::syntax;
use regex_automata::MatchKind;

use crate::matcher::pattern;

/// How much memory patterns that are looked for together may take, in bytes.
const LARGEST: usize = 4 << 20;

/// Patterns that are looked for together: [`MatchKind::All`] to be told all that fit, another one to be told where.
pub(super) fn compiled(patterns: &[impl AsRef<str>], kind: MatchKind) -> Result<Regex, String> {
    // A set is only asked which of it fits. Where something was found, takes a capture.
    let captures = match kind {
        MatchKind::All => WhichCaptures::None,
        _ => WhichCaptures::Implicit,
    };
    Regex::builder()
        .syntax(syntax::Config::new().case_insensitive(true).utf8(false))
        .configure(
            Regex::config()
                .utf8_empty(false)
                .nfa_size_limit(Some(LARGEST))
                .which_captures(captures)
                .match_kind(kind),
        )
        .build_many(patterns)
        .map_err(|error| match error.syntax_error() {
            Some(syntax) => pattern::kind(syntax),
            None if error.size_limit().is_some() => {
                "it is too large; use smaller repetitions".to_owned()
            }
            None => error.to_string(),
        })
}
