//! One entry of the keys file.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::Deserialize;

use super::digest::Digest;
use super::error::{EntryName, Problem};
use super::field::{Field, Text, FIELDS};
use super::metadata::as_metadata;
use super::value::{
    as_bool, as_cert, as_cidrs, as_date, as_date_text, as_denied_cidrs, as_digest, as_models,
    as_name, as_scopes, as_str, Rounding,
};
use crate::clock::{UnixMillis, UnixSeconds};

/// The members of one entry, duplicates included, in the order of the file.
pub(super) struct Members<'de>(Vec<(Text<'de>, Field<'de>)>);

/// An element of `keys`; `None`: it is no object.
pub(super) struct Element<'de>(pub(super) Option<Members<'de>>);

impl<'de> Deserialize<'de> for Element<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(FIELDS.len());
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Element(Some(Members(members))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Element(None))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Element(None))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Element(None))
    }
}

/// A field and what is wrong with it.
type FieldError = (String, Problem);

/// What an entry says, checked.
pub(super) struct Draft<'m> {
    /// Of the API key; one of the two is there.
    pub(super) digest: Option<Digest>,
    /// Of the name of the certificate.
    pub(super) cert: Option<Digest>,
    pub(super) id: &'m str,
    pub(super) client: &'m str,
    pub(super) tenant: Option<&'m str>,
    pub(super) tier: Option<&'m str>,
    pub(super) models: Option<Vec<&'m str>>,
    pub(super) scopes: Option<Vec<&'m str>>,
    /// Each is known to be one.
    pub(super) cidrs: Option<Vec<&'m str>>,
    /// The same.
    pub(super) deny_cidrs: Option<Vec<&'m str>>,
    pub(super) not_before: UnixMillis,
    pub(super) expires: UnixMillis,
    pub(super) disabled: bool,
    pub(super) name: Option<&'m str>,
    /// It is known to be one.
    pub(super) created: Option<&'m str>,
    /// As it is kept.
    pub(super) metadata: Option<String>,
}

/// What can be told of an entry that something is wrong with.
#[derive(Default)]
pub(super) struct Wrong<'m> {
    pub(super) digest: Option<Digest>,
    pub(super) cert: Option<Digest>,
    /// Empty where it can't be shown.
    pub(super) id: &'m str,
    pub(super) client: &'m str,
    /// It says that it is revoked or disabled.
    pub(super) is_taken_back: bool,
}

impl Members<'_> {
    pub(super) fn read(&self) -> Result<Draft<'_>, FieldError> {
        self.check_names()?;
        let digest = self.optional("hash", as_digest)?;
        let cert = self.optional("cert", as_cert)?;
        if digest.is_none() && cert.is_none() {
            return Err(("hash".to_owned(), Problem::NoCredential));
        }
        let id = self.required("id", as_name)?;
        let client = self.required("client", as_name)?;
        let tenant = self.optional("tenant", as_name)?;
        let name = self.optional("name", as_name)?;
        let metadata = self.optional("metadata", as_metadata)?;
        let names =
            [("id", Some(id)), ("client", Some(client)), ("tenant", tenant), ("name", name)];
        let names = names.into_iter().filter_map(|(field, name)| Some((field, name?)));
        let values = self.get("metadata").and_then(Field::as_object).unwrap_or_default().iter();
        let values = values.filter_map(|(_, value)| Some(("metadata", value.as_str()?)));
        for (field, name) in names.chain(values) {
            if is_like_a_key(name) || Some(Digest::of(name.as_bytes())) == digest {
                return Err((field.to_owned(), Problem::NameIsAKey));
            }
        }
        let not_before = self
            .optional("not_before", |value| as_date(value, Rounding::Up))?
            .unwrap_or(UnixMillis(i64::MIN));
        let expires = self
            .optional("expires", |value| as_date(value, Rounding::Down))?
            .unwrap_or(UnixMillis(i64::MAX));
        if not_before >= expires {
            return Err(("expires".to_owned(), Problem::NeverValid));
        }
        // When it was revoked is for whoever reads the file: from its first reading on, it is.
        let revoked = self.optional("revoked", |value| as_date(value, Rounding::Down))?;
        // For whoever reads the file; nothing here needs it.
        self.optional("description", as_str)?;
        Ok(Draft {
            digest,
            cert,
            id,
            client,
            tenant,
            tier: self.optional("tier", as_name)?,
            models: self.optional("models", as_models)?,
            scopes: self.optional("scopes", as_scopes)?,
            cidrs: self.optional("cidrs", as_cidrs)?,
            deny_cidrs: self.optional("deny_cidrs", as_denied_cidrs)?,
            not_before,
            expires,
            disabled: self.optional("disabled", as_bool)?.unwrap_or(false) || revoked.is_some(),
            name,
            created: self.optional("created", as_date_text)?,
            metadata,
        })
    }

    /// What messages call the entry, which is at this place of the file: its `id`, unless that may
    /// be a key by mistake.
    pub(super) fn name(&self, position: usize) -> EntryName {
        let hash = self.get("hash").and_then(|value| as_digest(value).ok());
        let is_a_key = |id: &str| is_like_a_key(id) || hash == Some(Digest::of(id.as_bytes()));
        match self.get("id").and_then(Field::as_str) {
            Some(id) if !id.is_empty() && !is_a_key(id) => EntryName::Id(id.to_owned()),
            _ => EntryName::Position(position),
        }
    }

    /// What can be told of the entry though something is wrong with it.
    pub(super) fn wrong(&self) -> Wrong<'_> {
        let digest = self.get("hash").and_then(|value| as_digest(value).ok());
        let is_a_key =
            |name: &str| is_like_a_key(name) || digest == Some(Digest::of(name.as_bytes()));
        let named = |field| {
            let name = self.get(field).and_then(|value| as_name(value).ok());
            name.filter(|name| !is_a_key(name)).unwrap_or_default()
        };
        Wrong {
            digest,
            cert: self.get("cert").and_then(|value| as_cert(value).ok()),
            id: named("id"),
            client: named("client"),
            is_taken_back: self.is_taken_back(),
        }
    }

    /// Whether it says that it is revoked or disabled, maybe not in the right form.
    fn is_taken_back(&self) -> bool {
        self.0.iter().any(|(name, value)| match name.as_str() {
            "revoked" => true,
            "disabled" => value.as_bool() == Some(true),
            _ => false,
        })
    }

    /// Whether the key would not be in force anyway.
    pub(super) fn is_off(&self, now: UnixSeconds) -> bool {
        let expires = self.get("expires").map(|value| as_date(value, Rounding::Down));
        self.is_taken_back()
            || expires.is_some_and(|date| date.is_ok_and(|date| date <= now.into()))
    }

    fn check_names(&self) -> Result<(), FieldError> {
        for (position, (name, _)) in self.0.iter().enumerate() {
            if !FIELDS.contains(&name.as_str()) {
                return Err((name.as_str().to_owned(), Problem::UnknownField));
            }
            let mut earlier = self.0.iter().take(position);
            if earlier.any(|(earlier, _)| earlier.as_str() == name.as_str()) {
                return Err((name.as_str().to_owned(), Problem::DuplicateField));
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Field<'_>> {
        let (_, value) = self.0.iter().find(|(member, _)| member.as_str() == name)?;
        Some(value)
    }

    /// A `null` is a value of the wrong type, and not an absent field.
    fn optional<'v, T>(
        &'v self,
        name: &str,
        read: impl FnOnce(&'v Field<'v>) -> Result<T, Problem>,
    ) -> Result<Option<T>, FieldError> {
        let value = self.get(name).map(read).transpose();
        value.map_err(|problem| (name.to_owned(), problem))
    }

    fn required<'v, T>(
        &'v self,
        name: &str,
        read: impl FnOnce(&'v Field<'v>) -> Result<T, Problem>,
    ) -> Result<T, FieldError> {
        let value = self.optional(name, read)?;
        value.ok_or_else(|| (name.to_owned(), Problem::MissingField))
    }
}

/// The form of the keys that the `tollgate` command makes.
fn is_like_a_key(name: &str) -> bool {
    name.len() == 46 && name.starts_with("tg_")
}
