//! Scripts, which a store knows by the SHA-1 of their text.

use std::fmt::Write;

use aws_lc_rs::digest::{digest, SHA1_FOR_LEGACY_USE_ONLY};

/// A script in Lua.
#[derive(Clone, Debug)]
pub struct Script {
    source: String,
    sha1: String,
}

impl Script {
    /// A script of this text.
    pub(crate) fn new(source: &str) -> Self {
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, source.as_bytes());
        let sha1 = digest.as_ref().iter().fold(String::with_capacity(40), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Self { source: source.to_owned(), sha1 }
    }

    /// Its text.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// Its SHA-1, in hexadecimal digits.
    pub(crate) fn sha1(&self) -> &str {
        &self.sha1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_the_name_that_stores_give_it() {
        assert_eq!(Script::new("return 1").sha1(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
