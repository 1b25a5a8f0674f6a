//! Why a form isn't read.

use std::fmt;

/// Why a form isn't read: servers could differ in what they make of it, or it is none. The text is fit for the
/// client and for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The `Content-Type` of the request.
    ContentType,
    /// Something before the first part.
    Preamble,
    /// Something behind the last one.
    Rest,
    /// It ends before its last delimiter.
    Unfinished,
    /// A delimiter where none may be, or with something behind it.
    Delimiter,
    /// The header of a part is too long.
    LongHeader,
    /// The header of a part can be read in two ways.
    Header,
    /// The `Content-Disposition` of a part, likewise.
    Disposition,
    /// The name of a part isn't a plain word.
    Name,
    /// A part is encoded, or holds parts of its own, or a text is no plain one.
    Type,
    /// A part isn't as long as its header says.
    Length,
    /// There are too many parts.
    TooManyParts,
}

impl Fault {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::ContentType,
        Self::Preamble,
        Self::Rest,
        Self::Unfinished,
        Self::Delimiter,
        Self::LongHeader,
        Self::Header,
        Self::Disposition,
        Self::Name,
        Self::Type,
        Self::Length,
        Self::TooManyParts,
    ];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentType => "its Content-Type must have one boundary of at most 70 letters, digits and marks, and no charset but utf-8",
            Self::Preamble => "it must begin with its boundary",
            Self::Rest => "there must be nothing behind its last boundary",
            Self::Unfinished => "its last boundary is missing",
            Self::Delimiter => "its boundary must stand between parts, in lines of its own, and nowhere else",
            Self::LongHeader => "the header of a part must be at most 8 KB long",
            Self::Header => "the header of a part must have lines that end in CRLF, and each field once",
            Self::Disposition => "each part must have one Content-Disposition of form-data, with one name and at most one filename, in plain quotes",
            Self::Name => "the name of a part must be made of letters, digits, and _-.[]",
            Self::Type => "a part must not be encoded or have parts of its own, and what has no filename must be text in UTF-8",
            Self::Length => "a part is not as long as its Content-Length says",
            Self::TooManyParts => "it must have at most 256 parts",
        })
    }
}

impl std::error::Error for Fault {}
