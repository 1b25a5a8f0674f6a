//! The strings of a body, one after the other. It is known to be JSON.

use std::borrow::Cow;
use std::ops::Range;

use super::spot::{self, Spot};
use super::{written, Notation, Place, Role, Text};
use crate::json::split_at_special;
use crate::llm::Endpoint;

/// A string that is longer than this and in the alphabet of base64 is taken for a picture, sound or file, where one
/// may stand.
const SHORT: usize = 256;

/// Numbers with fewer characters say nothing about anybody.
const SHORT_NUMBER: usize = 4;

/// An object or an array that is being read.
#[derive(Debug)]
struct Frame {
    is_object: bool,
    /// What its members or elements are.
    spot: Spot,
    /// How many texts there were before it.
    texts: usize,
    /// Who says them, as far as the object says.
    said: Option<Role>,
    /// Who says them, by its `type`.
    kind: Option<Role>,
    /// Whether it is what messages, prompts and the like are elements of.
    is_list: bool,
    /// Whether it says that it is text.
    is_text: bool,
    /// Its members that look like a file, or say where one is.
    files: Vec<Range<usize>>,
}

/// A string as it is written.
struct Quoted {
    /// What stands between its quotes.
    range: Range<usize>,
    /// It has no escapes.
    is_plain: bool,
}

struct Walk<'b> {
    body: &'b str,
    form: Endpoint,
    at: usize,
    frames: Vec<Frame>,
    texts: Vec<Text>,
    /// Of those: who says them is known.
    is_said: Vec<bool>,
    unseen: Option<&'static str>,
    /// The member of the body that is being read.
    member: Cow<'b, str>,
    place: Place,
}

/// The texts of a body, and what of it nobody can look into.
pub(super) fn texts(body: &str, form: Endpoint) -> Option<(Vec<Text>, Option<&'static str>)> {
    let at = if body.starts_with('\u{feff}') { 3 } else { 0 };
    let mut walk = Walk {
        body,
        form,
        at,
        frames: Vec::new(),
        texts: Vec::new(),
        is_said: Vec::new(),
        unseen: None,
        member: Cow::Borrowed(""),
        place: Place { member: "body", element: None },
    };
    walk.read()?;
    Some((walk.texts, walk.unseen))
}

impl<'b> Walk<'b> {
    fn read(&mut self) -> Option<()> {
        let mut spot = Spot::Body;
        loop {
            // A value comes.
            match self.next()? {
                b'{' => {
                    self.open(true, spot);
                    if self.next()? != b'}' {
                        self.at -= 1;
                        spot = self.key()?;
                        continue;
                    }
                    self.close()?;
                }
                b'[' => {
                    self.open(false, spot);
                    if self.next()? != b']' {
                        self.at -= 1;
                        spot = self.element();
                        continue;
                    }
                    self.close()?;
                }
                b'"' => {
                    let string = self.string()?;
                    self.value(spot, string)?;
                }
                first => self.scalar(spot, first),
            }
            // It has ended.
            loop {
                let Some(frame) = self.frames.last() else { return Some(()) };
                let is_object = frame.is_object;
                match self.next()? {
                    b',' if is_object => {
                        spot = self.key()?;
                        break;
                    }
                    b',' => {
                        spot = self.element();
                        break;
                    }
                    b'}' | b']' => self.close()?,
                    _ => return None,
                }
            }
        }
    }

    /// The next byte that is no blank.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.body.as_bytes().get(self.at)?;
            self.at += 1;
            if !b" \t\r\n".contains(&byte) {
                return Some(byte);
            }
        }
    }

    /// A string, of which the opening quote has been taken.
    fn string(&mut self) -> Option<Quoted> {
        let start = self.at;
        let mut is_plain = true;
        loop {
            let rest = self.body.as_bytes().get(self.at..)?;
            let (_, special, after) = split_at_special(rest)?;
            let len = rest.len() - after.len();
            if special == b'"' {
                self.at += len;
                return Some(Quoted { range: start..self.at - 1, is_plain });
            }
            // Behind a backslash, one byte belongs to it in any case.
            self.at += len + 1;
            is_plain = false;
        }
    }

    /// What a string says.
    fn said(&self, Quoted { range, is_plain }: &Quoted) -> Option<Cow<'b, str>> {
        let written = self.body.get(range.clone())?;
        if *is_plain {
            Some(Cow::Borrowed(written))
        } else {
            written::text(written)
        }
    }

    fn scalar(&mut self, spot: Spot, first: u8) {
        let rest = self.body.as_bytes().get(self.at..).unwrap_or_default();
        let start = self.at.saturating_sub(1);
        self.at += rest.iter().take_while(|byte| !b",]} \t\r\n".contains(byte)).count();
        let is_number = first == b'-' || first.is_ascii_digit();
        match spot {
            // Those of the body itself are settings.
            Spot::Free | Spot::Arguments | Spot::Talk | Spot::Document
                if is_number && self.frames.len() > 1 && self.at - start >= SHORT_NUMBER =>
            {
                self.number(start..self.at);
            }
            Spot::Prompt if is_number => self.unseen = Some(self.place.member),
            Spot::Unseen(name) if is_number => self.unseen = Some(name),
            _ => {}
        }
    }

    fn open(&mut self, is_object: bool, spot: Spot) {
        let is_outer = self.frames.len() == 1;
        if is_outer && !is_object {
            self.place.element = None;
        }
        let spot = match (spot, is_object) {
            // An object in a prompt: a text with pictures.
            (Spot::Messages | Spot::Prompt, true) => Spot::Talk,
            (Spot::Arguments, _) => Spot::Free,
            (spot, _) => spot,
        };
        self.frames.push(Frame {
            is_object,
            spot,
            texts: self.texts.len(),
            said: None,
            kind: None,
            is_list: is_outer && !is_object,
            is_text: false,
            files: Vec::new(),
        });
    }

    /// The innermost object or array has ended: who says what it holds, is known if it says so.
    fn close(&mut self) -> Option<()> {
        let mut frame = self.frames.pop()?;
        if frame.is_text {
            for range in std::mem::take(&mut frame.files) {
                self.no_file(range, frame.texts)?;
            }
        }
        let said = match (frame.said, frame.kind) {
            // A part within a message outranks who sent that.
            (_, Some(Role::Tool)) => Some(Role::Tool),
            (said, kind) => said.or(kind),
        };
        if let Some(role) = said {
            let texts = self.texts.iter_mut().zip(&mut self.is_said).skip(frame.texts);
            for (text, is_said) in texts.filter(|(_, is_said)| !**is_said) {
                text.role = role;
                *is_said = true;
            }
        }
        Some(())
    }

    fn element(&mut self) -> Spot {
        let Some(frame) = self.frames.last() else { return Spot::Free };
        if frame.is_list {
            self.place.element =
                Some(self.place.element.map_or(0, |element| element.saturating_add(1)));
        }
        frame.spot
    }

    fn key(&mut self) -> Option<Spot> {
        if self.next()? != b'"' {
            return None;
        }
        let string = self.string()?;
        if self.next()? != b':' {
            return None;
        }
        let name = self.said(&string)?;
        let range = string.range;
        let folded = folded(&name);
        let spot = match self.frames.last()?.spot {
            Spot::Body => {
                let spot = Spot::of_body(self.form, folded.as_bytes());
                self.place = Place { member: spot::shown(folded.as_bytes()), element: None };
                self.member = folded.into_owned().into();
                if self.place.member == "body" && spot != Spot::Hidden {
                    self.text(range, name, false);
                }
                return Some(spot);
            }
            Spot::Talk => Spot::of_talk(folded.as_bytes()),
            Spot::Document => Spot::Document,
            // What stands for the whole may be in one of several.
            Spot::Media => Spot::Media,
            Spot::Free if folded == "arguments" => Spot::Arguments,
            Spot::Free => Spot::Free,
            spot @ (Spot::Hidden | Spot::Unseen(_)) => spot,
            Spot::Messages | Spot::Prompt | Spot::Arguments | Spot::Role | Spot::Kind => Spot::Free,
        };
        let is_shown = matches!(spot, Spot::Free | Spot::Arguments | Spot::Document);
        if is_shown && self.frames.last()?.spot != Spot::Talk {
            self.text(range, name, false);
        }
        Some(spot)
    }

    fn value(&mut self, spot: Spot, string: Quoted) -> Option<()> {
        let range = string.range.clone();
        let is_content = match spot {
            Spot::Hidden => return Some(()),
            // An encoded tensor.
            Spot::Unseen(name) => {
                self.unseen = self.unseen.or((!range.is_empty()).then_some(name));
                return Some(());
            }
            Spot::Media if is_file(self.body.as_bytes().get(range.clone())?) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.files.push(range);
                }
                return Some(());
            }
            Spot::Role | Spot::Kind => {
                let said = self.said(&string)?;
                self.speaker(spot, &said);
                // Templates write a role that they don't know into the prompt.
                let is_known = spot == Spot::Kind || spot::role(&said) != Role::Any;
                if is_known && said.len() <= 64 {
                    return Some(());
                }
                false
            }
            Spot::Talk | Spot::Document | Spot::Messages => true,
            Spot::Body | Spot::Free | Spot::Arguments | Spot::Prompt | Spot::Media => false,
        };
        let text = self.said(&string)?;
        self.text(range, text, is_content);
        if spot == Spot::Arguments {
            if let Some(text) = self.texts.last_mut() {
                text.notation = Notation::Json;
            }
        }
        Some(())
    }

    /// A whole number, which a model is shown as it is written.
    fn number(&mut self, range: Range<usize>) {
        let digits = self.body.get(range.clone()).unwrap_or_default();
        if digits.contains(['.', 'e', 'E']) {
            return;
        }
        self.text(range, Cow::Borrowed(digits), false);
        if let Some(text) = self.texts.last_mut() {
            text.notation = Notation::Number;
        }
    }

    fn speaker(&mut self, spot: Spot, said: &str) {
        let Some(frame) = self.frames.last_mut() else { return };
        if spot == Spot::Role {
            let role = spot::role(said);
            // Whoever reads the other one of two.
            frame.said = Some(if frame.said.is_some_and(|before| before != role) {
                Role::Any
            } else {
                role
            });
        } else {
            frame.is_text |= said == "text";
            let kind = spot::role_of_kind(said);
            frame.kind = if frame.kind == Some(Role::Tool) { frame.kind } else { kind };
        }
    }

    /// What looks like a file is text, as the object says in which it stands, of which the texts begin at `first`.
    fn no_file(&mut self, range: Range<usize>, first: usize) -> Option<()> {
        let text = written::text(self.body.get(range.clone())?)?;
        let before = self.texts.get(first..)?.partition_point(|text| text.range.end < range.start);
        self.text(range, text, false);
        // Texts are in the order in which they stand.
        self.texts.get_mut(first + before..)?.rotate_right(1);
        self.is_said.get_mut(first + before..)?.rotate_right(1);
        Some(())
    }

    fn text(&mut self, range: Range<usize>, text: Cow<'b, str>, is_content: bool) {
        if text.is_empty() {
            return;
        }
        let role = match &*self.member {
            // A chat of one text has no other role.
            "input" | "messages" if self.frames.len() == 1 => Role::User,
            name => spot::default_role(name.as_bytes()),
        };
        let decoded = match text {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.into_boxed_str()),
        };
        let notation = Notation::String;
        self.texts.push(Text { role, place: self.place, is_content, range, decoded, notation });
        self.is_said.push(false);
    }
}

/// A name in lower case, as servers read it that fold case.
fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let fold = |character: char| match character {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    name.chars().map(fold).collect()
}

/// Whether a string is a picture, sound or file, or says where one is: nothing that is shown as text.
fn is_file(written: &[u8]) -> bool {
    let data = match written.strip_prefix(b"data:") {
        Some(rest) => {
            let comma = memchr::memchr(b',', rest.get(..rest.len().min(SHORT)).unwrap_or_default());
            let Some((kind, data)) = comma.and_then(|at| rest.split_at_checked(at)) else {
                return false;
            };
            if !kind.ends_with(b"base64") || kind.starts_with(b"text/") {
                return false;
            }
            data.get(1..).unwrap_or_default()
        }
        None if written.starts_with(b"http://") || written.starts_with(b"https://") => {
            return !written.contains(&b' ');
        }
        None if written.len() <= SHORT => return false,
        None => written,
    };
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
    data.iter().all(is_base64)
}
