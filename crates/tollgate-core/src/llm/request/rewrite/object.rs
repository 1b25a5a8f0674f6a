//! An object in a body, and what becomes of its members.

use std::ops::Range;

use super::Edits;
use crate::json::{plain_string, quote_or_bracket, split_at_special};

#[derive(Debug)]
pub(super) struct Object {
    /// Where its first member may begin.
    open: usize,
    members: Vec<Member>,
    /// Members that are put in, as they are written.
    added: Vec<(Box<str>, Vec<u8>)>,
}

#[derive(Debug)]
struct Member {
    /// `None`: it is no text.
    name: Option<Box<str>>,
    /// From the quote of the name to the end of the value.
    range: Range<usize>,
    value: Range<usize>,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Stays,
    Goes,
    /// Another value takes the place of its own.
    Set(Vec<u8>),
    /// What becomes of its members.
    Inner(Box<Object>),
}

/// Reads from `at` on.
struct Cursor<'b> {
    body: &'b [u8],
    at: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        let is_blank = |byte: &&u8| b" \t\r\n".contains(byte);
        self.at += self.rest().iter().take_while(is_blank).count();
    }

    /// Takes the next byte that is no blank.
    fn take(&mut self) -> Option<u8> {
        self.skip_blanks();
        let byte = *self.rest().first()?;
        self.at += 1;
        Some(byte)
    }

    /// To behind the closing quote; the opening one has been taken.
    fn skip_string(&mut self) -> Option<()> {
        loop {
            let rest = self.rest();
            let (_, special, after) = split_at_special(rest)?;
            let len = rest.len() - after.len();
            // Behind a backslash, one byte belongs to it in any case.
            self.at += if special == b'"' { len } else { len + 1 };
            if special == b'"' {
                return Some(());
            }
        }
    }

    /// To behind the value that begins here.
    fn skip_value(&mut self) -> Option<()> {
        match *self.rest().first()? {
            b'"' => {
                self.at += 1;
                self.skip_string()
            }
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    self.at += quote_or_bracket(self.rest())?;
                    let byte = *self.rest().first()?;
                    self.at += 1;
                    match byte {
                        b'"' => match plain_string(self.rest()) {
                            Some((string, _)) => self.at += string.len() + 1,
                            None => self.skip_string()?,
                        },
                        b'{' | b'[' => depth += 1,
                        _ => depth -= 1,
                    }
                    if depth == 0 {
                        return Some(());
                    }
                }
            }
            _ => {
                let is_of_scalar = |byte: &&u8| !b",]} \t\r\n".contains(byte);
                self.at += self.rest().iter().take_while(is_of_scalar).count();
                Some(())
            }
        }
    }
}

/// The text of a name, which stands between these quotes.
fn name(written: &[u8]) -> Option<Box<str>> {
    serde_json::from_slice::<String>(written).ok().map(String::into_boxed_str)
}

impl Object {
    /// The object that stands in this part of the body; `None`: there is none.
    pub(super) fn read(body: &[u8], range: Range<usize>) -> Option<Self> {
        let body = body.get(..range.end)?;
        let mark = "\u{feff}".as_bytes();
        let has_mark = body.get(range.start..)?.starts_with(mark);
        let at = if has_mark { range.start + mark.len() } else { range.start };
        let mut cursor = Cursor { body, at };
        if cursor.take()? != b'{' {
            return None;
        }
        let open = cursor.at;
        let mut members = Vec::new();
        let mut next = cursor.take()?;
        while next != b'}' {
            if next != b'"' {
                return None;
            }
            let start = cursor.at - 1;
            cursor.skip_string()?;
            let name = name(body.get(start..cursor.at)?);
            if cursor.take()? != b':' {
                return None;
            }
            cursor.skip_blanks();
            let from = cursor.at;
            cursor.skip_value()?;
            let value = from..cursor.at;
            members.push(Member { name, range: start..cursor.at, value, fate: Fate::Stays });
            next = match cursor.take()? {
                b',' => cursor.take()?,
                byte => byte,
            };
        }
        Some(Self { open, members, added: Vec::new() })
    }

    /// Where the value of the member `name` stands.
    pub(super) fn value(&self, name: &str) -> Option<Range<usize>> {
        let member = self.members.iter().find(|member| member.name.as_deref() == Some(name))?;
        Some(member.value.clone())
    }

    pub(super) fn set(&mut self, name: &str, json: &[u8]) {
        let mut is_there = false;
        for member in self.members.iter_mut().filter(|one| one.name.as_deref() == Some(name)) {
            member.fate = Fate::Set(json.to_vec());
            is_there = true;
        }
        if !is_there {
            self.added.retain(|(other, _)| **other != *name);
            self.added.push((name.into(), json.to_vec()));
        }
    }

    pub(super) fn set_in(&mut self, body: &[u8], object: &str, name: &str, json: &[u8]) {
        match self.inner(body, object) {
            Some(inner) => inner.set(name, json),
            None => {
                let mut written = vec![b'{'];
                written.extend(member(name, json));
                written.push(b'}');
                self.set(object, &written);
            }
        }
    }

    /// The object that the member `name` is, to change it.
    pub(super) fn inner(&mut self, body: &[u8], name: &str) -> Option<&mut Self> {
        let mut members = self.members.iter_mut();
        let member = members.find(|member| member.name.as_deref() == Some(name))?;
        if matches!(member.fate, Fate::Stays) {
            member.fate = Fate::Inner(Box::new(Self::read(body, member.value.clone())?));
        }
        match &mut member.fate {
            Fate::Inner(inner) => Some(inner),
            Fate::Stays | Fate::Goes | Fate::Set(_) => None,
        }
    }

    pub(super) fn remove_if(&mut self, is_unwanted: impl Fn(Option<&str>) -> bool) {
        for member in &mut self.members {
            if is_unwanted(member.name.as_deref()) {
                member.fate = Fate::Goes;
            }
        }
    }

    pub(super) fn edits(&self, edits: &mut Edits) {
        let stays = |member: &Member| !matches!(member.fate, Fate::Goes);
        let added = self.added.iter().map(|(name, json)| member(name, json));
        let Some(last) = self.members.iter().rposition(stays) else {
            let start = self.members.first().map_or(self.open, |first| first.range.start);
            let end = self.members.last().map_or(start, |last| last.range.end);
            let added = added.collect::<Vec<_>>().join(&b',');
            if start < end || !added.is_empty() {
                edits.add(start..end, added);
            }
            return;
        };
        for mut text in added {
            text.push(b',');
            edits.add(self.open..self.open, text);
        }
        let following = self.members.iter().skip(1).map(|next| next.range.start);
        let following = following.chain(std::iter::once(usize::MAX));
        for ((index, member), next) in self.members.iter().enumerate().zip(following) {
            match &member.fate {
                Fate::Stays => {}
                Fate::Set(json) => edits.add(member.value.clone(), json.clone()),
                Fate::Inner(inner) => inner.edits(edits),
                // With the comma that follows it.
                Fate::Goes if index < last => edits.add(member.range.start..next, &b""[..]),
                Fate::Goes => {}
            }
            if index == last {
                // With the comma before them.
                let end = self.members.last().map_or(0, |last| last.range.end);
                if end > member.range.end {
                    edits.add(member.range.end..end, &b""[..]);
                }
            }
        }
    }
}

/// A member, as it is written.
fn member(name: &str, json: &[u8]) -> Vec<u8> {
    let mut written = serde_json::Value::from(name).to_string().into_bytes();
    written.push(b':');
    written.extend_from_slice(json);
    written
}
