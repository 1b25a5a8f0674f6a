use crate::llm::request::names::Known;
use crate::llm::request::RequestError;
use crate::surrogate::MARK;

/// The names that matter in one object of the body, while its members are read.
pub(super) struct Names {
    known: &'static Known,
    /// Which of the policy names have come, a bit each.
    seen: u32,
}

impl Names {
    pub(super) fn new(known: &'static Known) -> Self {
        Self { known, seen: 0 }
    }

    /// The known name that `written` is, if any.
    ///
    /// # Errors
    /// A policy name for the second time, or in a spelling that only servers take for it that fold
    /// case (Go's `encoding/json`, which Ollama uses, prefers the exact one and takes any), or that leave
    /// out halves of surrogate pairs.
    pub(super) fn take(&mut self, written: &str) -> Result<Option<&'static str>, RequestError> {
        // A byte that folding changes is not a lower-case ASCII one. Most names have none.
        let plain = !written.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
        let is = |name: &&str| if plain { written == *name } else { equals_folded(written, name) };

        let mut bit = 1_u32;
        for &name in self.known.policy {
            if is(&name) {
                if self.seen & bit != 0 {
                    return Err(RequestError::DuplicateKey(name));
                }
                if !plain {
                    return Err(match written.contains(MARK) {
                        true => RequestError::HalfPair(name),
                        false => RequestError::MisspeltKey(name),
                    });
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
/// `CaseFolding.txt`, C and S) maps two characters to ASCII that are not: LONG S and KELVIN SIGN. Halves
/// of surrogate pairs count for nothing.
fn equals_folded(written: &str, name: &str) -> bool {
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => character.to_ascii_lowercase(),
    };
    written.chars().filter(|character| *character != MARK).map(fold).eq(name.chars())
}
