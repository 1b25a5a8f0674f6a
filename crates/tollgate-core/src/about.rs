//! What a key says of itself for people and programs that read the audit log: `name`, `created` and
//! `metadata`. Nothing is decided by it.

/// The most members that `metadata` has.
pub const MAX_METADATA: usize = 16;
/// The longest `metadata`, in bytes of JSON without blanks.
pub const MAX_METADATA_LEN: usize = 1024;
/// The longest name of a member of it, in bytes.
pub const MAX_METADATA_KEY_LEN: usize = 64;

/// What a key says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub(crate) name: Option<Box<str>>,
    pub(crate) created: Option<Box<str>>,
    pub(crate) metadata: Box<[(Box<str>, MetadataValue)]>,
}

/// A value in `metadata`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataValue {
    /// A string, without control characters.
    Text(Box<str>),
    /// A number, `true` or `false`, as JSON has it.
    Literal(Box<str>),
}

impl About {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// When it was made: a date of RFC 3339, as the keys file has it.
    #[must_use]
    pub fn created(&self) -> Option<&str> {
        self.created.as_deref()
    }

    /// What else was written down about it, in the order of the file.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &MetadataValue)> {
        self.metadata.iter().map(|(name, value)| (&**name, value))
    }
}

/// Whether a member of `metadata` may be called so: not empty, at most [`MAX_METADATA_KEY_LEN`] bytes of ASCII
/// letters, digits, `_`, `-` and `.`, so that `tollgate_audit_fields` can name it.
#[must_use]
pub fn is_metadata_key(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    !name.is_empty() && name.len() <= MAX_METADATA_KEY_LEN && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_metadata_can_be_named_in_a_configuration() {
        for name in ["team", "cost-center", "a.b_C9", &"a".repeat(64)] {
            assert!(is_metadata_key(name), "{name}");
        }
        for name in ["", "a b", "a\"", "a;", "$a", "\u{e9}", &"a".repeat(65)] {
            assert!(!is_metadata_key(name), "{name}");
        }
    }
}
