//! The header of a part.

use memchr::memmem;

use super::content_type::{is_utf8, split, token_len, Parameters};
use super::Fault;

/// The longest header of a part, in bytes.
pub(super) const MAX_HEADER: usize = 8 << 10;

/// The longest name of a part, in bytes.
const MAX_NAME: usize = 128;

/// What is known of a part before its contents come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PartHeader {
    pub(super) name: Box<str>,
    pub(super) is_file: bool,
    /// How long it says that the contents are. Some servers read by that, and look for no delimiter.
    pub(super) len: Option<usize>,
}

impl PartHeader {
    /// Of the lines of a header, without the one that ends it.
    pub(super) fn parse(header: &[u8]) -> Result<Self, Fault> {
        let (mut disposition, mut kind, mut len) = (None, None, None);
        for line in Lines(Some(header)) {
            let (name, value) = field(line).ok_or(Fault::Header)?;
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            let once = |field: &mut Option<_>| match field.replace(value) {
                None => Ok(()),
                Some(_) => Err(Fault::Header),
            };
            if is(b"content-disposition") {
                once(&mut disposition)?;
            } else if is(b"content-type") {
                once(&mut kind)?;
            } else if is(b"content-length") {
                once(&mut len)?;
            } else if is(b"content-encoding") || is(b"content-transfer-encoding") {
                let plain = [&b"binary"[..], b"8bit", b"7bit", b"identity"];
                if !plain.iter().any(|plain| value.eq_ignore_ascii_case(plain)) {
                    return Err(Fault::Type);
                }
            }
        }
        let disposition = disposition.ok_or(Fault::Disposition)?;
        let (name, is_file) = name_of(disposition)?;
        if !is_type_plain(kind, is_file) {
            return Err(Fault::Type);
        }
        let len = match len {
            None => None,
            Some(text) => Some(number(text).ok_or(Fault::Length)?),
        };
        Ok(Self { name, is_file, len })
    }
}

/// The lines of a text. None of them has a CR or LF of its own that is let through by [`field`].
struct Lines<'h>(Option<&'h [u8]>);

impl<'h> Iterator for Lines<'h> {
    type Item = &'h [u8];

    fn next(&mut self) -> Option<&'h [u8]> {
        let text = self.0?;
        let end = memmem::find(text, b"\r\n");
        self.0 = end.and_then(|end| text.get(end + 2..));
        text.get(..end.unwrap_or(text.len()))
    }
}

/// The name and the value of a line. `None`: it goes on with the line before, say.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at_checked(token_len(line))?;
    let value = value.strip_prefix(b":").filter(|_| !name.is_empty())?;
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    value.iter().all(is_text).then_some((name, value.trim_ascii()))
}

/// The name that a `Content-Disposition` says, and whether it is that of a file.
fn name_of(disposition: &[u8]) -> Result<(Box<str>, bool), Fault> {
    let (kind, parameters) = split(disposition);
    if !kind.eq_ignore_ascii_case(b"form-data") {
        return Err(Fault::Disposition);
    }
    let (mut name, mut file, mut extended) = (None, None, None);
    for parameter in Parameters(parameters) {
        let (key, value) = parameter.ok_or(Fault::Disposition)?;
        let field = match key {
            key if key.eq_ignore_ascii_case(b"name") => &mut name,
            key if key.eq_ignore_ascii_case(b"filename") => &mut file,
            key if key.eq_ignore_ascii_case(b"filename*") => &mut extended,
            _ => return Err(Fault::Disposition),
        };
        if field.replace(value).is_some() {
            return Err(Fault::Disposition);
        }
    }
    // To some servers an empty one is none, and one that is encoded as well.
    let is_doubtful = file.is_some_and(<[u8]>::is_empty) || (file.is_none() && extended.is_some());
    let name = name.filter(|_| !is_doubtful).ok_or(Fault::Disposition)?;
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.[]".contains(byte);
    let is_name = (1..=MAX_NAME).contains(&name.len()) && name.iter().all(is_plain);
    // It would say the charset of the others.
    let is_name = is_name && !name.eq_ignore_ascii_case(b"_charset_");
    let name = std::str::from_utf8(name).ok().filter(|_| is_name).ok_or(Fault::Name)?;
    Ok((name.into(), file.is_some()))
}

/// Whether a part of this `Content-Type` is read by all as what it is.
fn is_type_plain(kind: Option<&[u8]>, is_file: bool) -> bool {
    let Some(value) = kind else { return true };
    let (kind, parameters) = split(value);
    if is_file {
        let begins = |with: &[u8]| {
            kind.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
        };
        return !begins(b"multipart/") && !begins(b"message/");
    }
    let is_same = |name: &[u8], value: &[u8]| {
        is_utf8(name, value)
            || (name.eq_ignore_ascii_case(b"charset") && value.eq_ignore_ascii_case(b"us-ascii"))
    };
    kind.eq_ignore_ascii_case(b"text/plain")
        && Parameters(parameters).all(|one| one.is_some_and(|(name, value)| is_same(name, value)))
}

fn number(text: &[u8]) -> Option<usize> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}
