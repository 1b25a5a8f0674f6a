//! What a line may have of a key beside who it belongs to: `tollgate_audit_fields`.

use std::fmt;

use super::json::write_string;
use super::{text, MAX_TEXT_LEN};
use crate::about::{is_metadata_key, About, MetadataValue};

/// Which fields a log has of keys, beyond those that every line has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    name: bool,
    created: bool,
    metadata: Metadata,
    /// As they were given.
    given: Box<str>,
}

/// Which members of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Metadata {
    #[default]
    None,
    All,
    Some(Vec<Box<str>>),
}

/// Why a word is no field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldError {
    /// There is none of this name.
    Unknown,
    /// It is there already, or in another one.
    Twice,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => {
                "is no field that can be added: there are \"name\", \"created\", \"metadata\", and \
                 \"metadata.KEY\" for one member of it"
            }
            Self::Twice => "is there already; once is enough",
        })
    }
}

impl std::error::Error for FieldError {}

impl Fields {
    /// Adds one.
    ///
    /// # Errors
    ///
    /// It is unknown, or there already: all of `metadata` has each member of it.
    pub fn add(&mut self, field: &str) -> Result<(), FieldError> {
        let flag = match field {
            "name" => &mut self.name,
            "created" => &mut self.created,
            "metadata" => match self.metadata {
                Metadata::None => {
                    self.metadata = Metadata::All;
                    return self.note(field);
                }
                Metadata::All | Metadata::Some(_) => return Err(FieldError::Twice),
            },
            _ => return self.add_member(field),
        };
        if std::mem::replace(flag, true) {
            return Err(FieldError::Twice);
        }
        self.note(field)
    }

    fn add_member(&mut self, field: &str) -> Result<(), FieldError> {
        let key = field.strip_prefix("metadata.").filter(|key| is_metadata_key(key));
        let key = key.ok_or(FieldError::Unknown)?;
        match &mut self.metadata {
            Metadata::All => return Err(FieldError::Twice),
            Metadata::Some(keys) if keys.iter().any(|other| **other == *key) => {
                return Err(FieldError::Twice)
            }
            Metadata::Some(keys) => keys.push(key.into()),
            Metadata::None => self.metadata = Metadata::Some(vec![key.into()]),
        }
        self.note(field)
    }

    fn note(&mut self, field: &str) -> Result<(), FieldError> {
        self.given = format!("{}{field} ", self.given).into();
        Ok(())
    }

    /// The same for two that have the same fields in the same order.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.given
    }

    pub(super) fn write(&self, about: &About, out: &mut Vec<u8>) {
        if self.name {
            text(out, b",\"name\":\"", about.name().map(str::as_bytes));
        }
        if self.created {
            text(out, b",\"created\":\"", about.created().map(str::as_bytes));
        }
        let is_wanted = |name: &str| match &self.metadata {
            Metadata::None => false,
            Metadata::All => true,
            Metadata::Some(keys) => keys.iter().any(|key| **key == *name),
        };
        let mut before: &[u8] = b",\"metadata\":{";
        for (name, value) in about.metadata().filter(|(name, _)| is_wanted(name)) {
            out.extend_from_slice(before);
            write_string(out, name.as_bytes(), MAX_TEXT_LEN);
            out.push(b':');
            match value {
                MetadataValue::Text(text) => write_string(out, text.as_bytes(), MAX_TEXT_LEN),
                MetadataValue::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
            }
            before = b",";
        }
        if before == b"," {
            out.push(b'}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(words: &[&str]) -> Result<Fields, FieldError> {
        let mut fields = Fields::default();
        words.iter().try_for_each(|word| fields.add(word)).map(|()| fields)
    }

    fn about() -> About {
        let text = |text: &str| MetadataValue::Text(text.into());
        About {
            name: Some("Bob's \"laptop\"".into()),
            created: Some("2026-01-01T00:00:00Z".into()),
            metadata: Box::new([
                ("team".into(), text("a\u{202e}b")),
                ("seats".into(), MetadataValue::Literal("12".into())),
                ("beta".into(), MetadataValue::Literal("true".into())),
            ]),
        }
    }

    fn written(words: &[&str], about: &About) -> String {
        let mut out = Vec::new();
        fields(words).unwrap().write(about, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_is_written_that_was_not_asked_for() {
        let about = about();
        assert_eq!(written(&[], &about), "");
        assert_eq!(written(&["name"], &about), r#","name":"Bob's \"laptop\"""#);
        assert_eq!(written(&["created"], &about), r#","created":"2026-01-01T00:00:00Z""#);
        assert_eq!(
            written(&["metadata"], &about),
            r#","metadata":{"team":"a\u202eb","seats":12,"beta":true}"#
        );
        let some = written(&["metadata.beta", "metadata.seats", "metadata.none"], &about);
        assert_eq!(some, r#","metadata":{"seats":12,"beta":true}"#);
        assert_eq!(written(&["metadata.none"], &about), "");
        assert_eq!(written(&["name", "created", "metadata"], &About::default()), "");
    }

    #[test]
    fn fields_are_known_and_there_once() {
        for words in [
            &["key"][..],
            &["hash"],
            &["metadata."],
            &["metadata.a b"],
            &["Name"],
            &["description"],
        ] {
            assert_eq!(fields(words), Err(FieldError::Unknown), "{words:?}");
        }
        for words in [
            &["name", "name"][..],
            &["metadata", "metadata"],
            &["metadata", "metadata.a"],
            &["metadata.a", "metadata"],
            &["metadata.a", "metadata.a"],
        ] {
            assert_eq!(fields(words), Err(FieldError::Twice), "{words:?}");
        }
        let both = fields(&["name", "metadata.a"]).unwrap();
        assert_ne!(both.as_str(), fields(&["name"]).unwrap().as_str());
        assert_eq!(both.as_str(), both.clone().as_str());
    }
}
