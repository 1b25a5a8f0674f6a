//! The member names that matter, in whatever spelling a server might take for them.

use super::RequestError;
use crate::json::JsonString;

/// The names that matter in one object of the body, while its members are read.
#[derive(Debug)]
pub(super) struct Names {
    known: &'static Known,
    /// Which of the policy names have come, a bit each.
    seen: u32,
}

/// The names that matter in objects of one kind.
#[derive(Debug)]
pub(super) struct Known {
    /// Names on whose value something is decided. At most 32.
    pub(super) policy: &'static [&'static str],
    /// Names whose value is only measured, for the estimate: twice is counted twice, and another
    /// spelling counts, too.
    pub(super) measured: &'static [&'static str],
}

impl Names {
    pub(super) fn new(known: &'static Known) -> Self {
        Self { known, seen: 0 }
    }

    /// The known name that `key` is, if any.
    ///
    /// # Errors
    /// A policy name for the second time, or in a spelling that only servers take for it that fold
    /// case (Go's `encoding/json`, which Ollama uses, prefers the exact one and takes any), or that leave
    /// out halves of surrogate pairs.
    pub(super) fn take(
        &mut self,
        key: JsonString<'_>,
    ) -> Result<Option<&'static str>, RequestError> {
        // No name is as long as the part that is kept, in whatever spelling.
        let Some(written) = key.short() else { return Ok(None) };
        // A byte that folding changes is not a lower-case ASCII one. Most names have none.
        let is_lower = !written.iter().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
        let is = |name: &&str| match is_lower {
            true => written == name.as_bytes(),
            false => equals_folded(written, name),
        };

        let mut bit = 1_u32;
        for &name in self.known.policy {
            if is(&name) {
                if self.seen & bit != 0 {
                    return Err(RequestError::DuplicateKey(name));
                }
                if key.has_half {
                    return Err(RequestError::HalfPair(name));
                }
                if !is_lower {
                    return Err(RequestError::MisspeltKey(name));
                }
                self.seen |= bit;
                return Ok(Some(name));
            }
            bit = bit.wrapping_shl(1);
        }
        Ok(self.known.measured.iter().copied().find(|name| is(name)))
    }
}

/// Whether `written` folds to `name`, which is lower-case ASCII. Simple case folding (Unicode
/// `CaseFolding.txt`, C and S) maps two characters to ASCII that are not: LONG S and KELVIN SIGN.
pub(crate) fn equals_folded(written: &[u8], name: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    };
    std::str::from_utf8(written).is_ok_and(|written| written.chars().map(fold).eq(name.chars()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surrogate::MARK;

    /// As the scanner tells of a key with these characters, of which a mark stands for half a pair.
    fn take(names: &mut Names, written: &str) -> Result<Option<&'static str>, RequestError> {
        let kept = written.replace(MARK, "");
        let has_half = kept.len() < written.len();
        names.take(JsonString { has_half, ..JsonString::plain(kept.as_bytes()) })
    }

    const KNOWN: Known = Known { policy: &["model", "max_tokens"], measured: &["system"] };

    #[test]
    fn exact_names_are_taken_once() {
        let mut names = Names::new(&KNOWN);
        assert_eq!(take(&mut names, "max_tokens"), Ok(Some("max_tokens")));
        assert_eq!(take(&mut names, "model"), Ok(Some("model")));
        assert_eq!(take(&mut names, "max_tokens"), Err(RequestError::DuplicateKey("max_tokens")));
    }

    #[test]
    fn other_spellings_of_a_policy_name_are_refused_alone_and_as_a_second_one() {
        for written in ["Model", "MODEL", "mODEL"] {
            let mut names = Names::new(&KNOWN);
            assert_eq!(take(&mut names, written), Err(RequestError::MisspeltKey("model")));
            assert_eq!(take(&mut names, "model"), Ok(Some("model")));
            assert_eq!(take(&mut names, written), Err(RequestError::DuplicateKey("model")));
        }
        for written in ["max_to\u{212a}ens", "max_token\u{17f}", "MAX_TO\u{212a}EN\u{17f}"] {
            let taken = take(&mut Names::new(&KNOWN), written);
            assert_eq!(taken, Err(RequestError::MisspeltKey("max_tokens")));
        }
    }

    #[test]
    fn policy_name_around_half_a_pair_is_refused() {
        for written in ["mod\u{ffff}el", "\u{ffff}model", "MODEL\u{ffff}"] {
            let mut names = Names::new(&KNOWN);
            assert_eq!(
                take(&mut names, written),
                Err(RequestError::HalfPair("model")),
                "{written}"
            );
        }
        assert_eq!(take(&mut Names::new(&KNOWN), "mod\u{ffff}"), Ok(None));
        assert_eq!(take(&mut Names::new(&KNOWN), "system\u{ffff}"), Ok(Some("system")));
    }

    #[test]
    fn unknown_names_may_come_as_often_as_they_like() {
        let mut names = Names::new(&KNOWN);
        for written in ["", "models", "mode", " model", "m\u{f6}del", "temperature", "temperature"]
        {
            assert_eq!(take(&mut names, written), Ok(None), "{written}");
        }
    }

    #[test]
    fn measured_names_are_known_in_any_spelling_and_any_number() {
        let mut names = Names::new(&KNOWN);
        for written in ["system", "System", "\u{17f}y\u{17f}tem", "system"] {
            assert_eq!(take(&mut names, written), Ok(Some("system")), "{written}");
        }
    }
}
