//! What can be wrong with a keys file, said so that the operator finds the place and the way out.
//!
//! The messages end in nginx's error log. They repeat no value of the file (somebody may have
//! written a key where its hash belongs) but the `id` of an entry, the names of fields, and
//! well-formed networks; control bytes and quotes in those are escaped, and they are cut short.

use std::fmt;

use crate::about::{MAX_METADATA, MAX_METADATA_KEY_LEN, MAX_METADATA_LEN};
use crate::address::CidrError;
use crate::cert::NameError;
use crate::pattern::Foreign;
use crate::permissions::scopes::Scope;
use crate::principal::MAX_NAME_LEN;

/// Why a keys file is refused.
///
/// ```
/// use tollgate_core::keys::KeySet;
///
/// let file = br#"{"version": 1, "keys": [{"id": "k_1", "client": "acme", "hash": "md5:1234"}]}"#;
/// assert_eq!(
///     KeySet::parse(file).unwrap_err().to_string(),
///     "key \"k_1\": field \"hash\" must be \"sha256:\" and the 64 lower-case hexadecimal digits \
///      of the key's sha-256"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysError {
    /// The entry; `None` where the file as a whole is wrong.
    pub entry: Option<EntryName>,
    /// The field of the entry, or of the file, where it is one field's fault.
    pub field: Option<String>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// How an entry is named in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryName {
    /// By its `id`.
    Id(String),
    /// By its place in `keys`, from 0: it has no `id`, or one that looks like a key itself.
    Position(usize),
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The file begins with a byte order mark.
    ByteOrderMark,
    /// The file is not one JSON text (RFC 8259); the parser's message, with line and column.
    Syntax(String),
    /// The file, or an entry, is not a JSON object.
    NotAnObject,
    /// The field is none of the format.
    UnknownField,
    /// The field occurs twice.
    DuplicateField,
    /// The field is required.
    MissingField,
    /// The field has another JSON type than this one.
    WrongType(&'static str),
    /// The version is not 1.
    UnknownVersion,
    /// A name that can not stand in a header and in a log.
    InvalidName,
    /// A hash that is not in the one form that is accepted.
    InvalidHash,
    /// The hash of the empty string: a slip of a script, no key.
    HashOfNothing,
    /// Neither a hash nor the name of a certificate: nobody could present such a key.
    NoCredential,
    /// What names no certificate.
    InvalidCert(NameError),
    /// A name which is the very key whose hash the entry holds, or has the form of our keys.
    NameIsAKey,
    /// A date that is not in the form of RFC 3339.
    InvalidDate,
    /// The key expires before it becomes valid.
    NeverValid,
    /// A restriction to nothing at all.
    EmptyRestriction,
    /// A `metadata` that is none.
    InvalidMetadata,
    /// A list of what is denied, with nothing in it.
    EmptyDenial,
    /// An element of `cidrs` or `deny_cidrs`, from 0, and what is wrong with it.
    InvalidCidr(usize, CidrError),
    /// An element of an array of names, from 0, that is not a name.
    InvalidElement(usize),
    /// An element of `scopes`, from 0, that is no scope.
    UnknownScope(usize),
    /// An element of `models`, from 0, that is another kind of pattern, by which no model would be meant.
    ForeignPattern(usize, Foreign),
    /// The entries at these two places, from 0, have the same `id`.
    DuplicateId([usize; 2]),
    /// Another entry has the same hash.
    DuplicateHash(EntryName),
    /// Another entry has the same certificate.
    DuplicateCert(EntryName),
    /// The tier is not among those that are declared.
    UndeclaredTier(String),
    /// More than a set can hold: about a billion.
    TooManyKeys,
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(entry) = &self.entry {
            write!(f, "{entry}: ")?;
        }
        match &self.field {
            Some(field) if is_printable_field(field) => write!(f, "field \"{field}\" ")?,
            Some(_) => f.write_str("a field whose name is not shown ")?,
            None if self.entry.is_none() => f.write_str("the keys file ")?,
            None => {}
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for KeysError {}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => {
                const SHOWN: usize = 64;
                f.write_str("key \"")?;
                for c in id.chars().take(SHOWN) {
                    write!(f, "{}", c.escape_debug())?;
                }
                f.write_str(if id.chars().nth(SHOWN).is_some() { "...\"" } else { "\"" })
            }
            Self::Position(position) => write!(f, "keys[{position}]"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => {
                f.write_str("begins with a byte order mark: save it as utf-8 without one")
            }
            Self::Syntax(message) => write!(f, "is not one json object: {message}"),
            Self::NotAnObject => f.write_str("is not a json object"),
            Self::UnknownField => write!(
                f,
                "is unknown: use version and keys in the file, and {} in an entry",
                super::field::FIELDS.join(", ")
            ),
            Self::DuplicateField => f.write_str("occurs twice: remove one of them"),
            Self::MissingField => f.write_str("is missing"),
            Self::WrongType(expected) => {
                write!(f, "must be {expected}: to leave it unset, leave it out")
            }
            Self::UnknownVersion => {
                f.write_str("must be 1, the only version of the format that this release knows")
            }
            Self::InvalidName => write!(
                f,
                "must be 1 to {MAX_NAME_LEN} bytes, without control characters, and without \
                 space at either end"
            ),
            Self::InvalidHash => f.write_str(
                "must be \"sha256:\" and the 64 lower-case hexadecimal digits of the key's sha-256",
            ),
            Self::HashOfNothing => f.write_str(
                "is the sha-256 of the empty string: hash the key itself, without a line end",
            ),
            Self::NoCredential => f.write_str(
                "is missing, and so is \"cert\": give the hash of an api key, or the name in a client \
                 certificate, or both",
            ),
            Self::InvalidCert(error) => error.fmt(f),
            Self::NameIsAKey => f.write_str(
                "holds a key itself, and would be logged: choose another name, and replace the \
                 key if others could read the file",
            ),
            Self::InvalidDate => f.write_str(
                "must be a date and time as in rfc 3339, such as \"2027-01-01T00:00:00Z\" or \
                 \"2027-01-01T00:00:00+02:00\"",
            ),
            Self::NeverValid => f.write_str(
                "is not after \"not_before\", so that the key is never valid: move one of them, \
                 or set \"disabled\" to true",
            ),
            Self::EmptyRestriction => f.write_str(
                "is an empty array, which permits nothing: leave it out to permit everything, or \
                 set \"disabled\" to true",
            ),
            Self::InvalidMetadata => write!(
                f,
                "must be an object of 1 to {MAX_METADATA} members and at most {MAX_METADATA_LEN} bytes: names \
                 of 1 to {MAX_METADATA_KEY_LEN} ASCII letters, digits, \"_\", \"-\" and \".\", each once; values \
                 that are numbers, true, false, or strings of 1 to {MAX_NAME_LEN} bytes without control \
                 characters and without space at either end"
            ),
            Self::EmptyDenial => {
                f.write_str("is an empty array, which denies nothing: leave it out")
            }
            Self::InvalidCidr(position, error) => {
                write!(f, "has an element [{position}] that {error}")
            }
            Self::InvalidElement(position) => write!(
                f,
                "has an element [{position}] that is not a string of 1 to {MAX_NAME_LEN} bytes, \
                 without control characters, and without space at either end"
            ),
            Self::UnknownScope(position) => write!(
                f,
                "has an element [{position}] that is no scope: use some of {}",
                Scope::names()
            ),
            Self::ForeignPattern(position, foreign) => {
                write!(f, "has an element [{position}] that is no pattern of models: {foreign}")
            }
            Self::DuplicateId([first, second]) => write!(
                f,
                "is that of both keys[{first}] and keys[{second}]: give each entry its own"
            ),
            Self::UndeclaredTier(name) => {
                let name = name.escape_debug();
                write!(
                    f,
                    "names the tier \"{name}\", which is not declared: add \"tollgate_tier {name} \
                     {{ ... }}\" to the http block"
                )
            }
            Self::TooManyKeys => f.write_str("is one too many: split the file"),
            Self::DuplicateCert(other) => write!(
                f,
                "is that of {other}, too: a certificate belongs to one client, remove one of the entries"
            ),
            Self::DuplicateHash(other) => write!(
                f,
                "is that of {other}, too: a key belongs to one client, remove one of the entries"
            ),
        }
    }
}

/// A name that the format might have, now or later; not a key that ended up in the place of one.
fn is_printable_field(field: &str) -> bool {
    field.len() <= 24 && field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}
