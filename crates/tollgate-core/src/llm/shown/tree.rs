//! One JSON document, all of which is there: where its members stand, so that some of them can be written
//! anew while all other bytes stay as they are.

use std::borrow::Cow;

use super::names;
use super::quoted::decoded;
use crate::json::split_at_special;

/// How deep containers may lie in each other.
const MAX_DEPTH: usize = 128;

/// How many values a document may have. What is said of the tokens of an answer, and arrays of numbers,
/// don't count.
const MAX_NODES: usize = 1 << 18;

/// A part of a document, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        let short = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: short(start), end: short(end) }
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        let long = |at| usize::try_from(at).unwrap_or(usize::MAX);
        long(self.start)..long(self.end)
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    /// One whose members are not told.
    Sealed,
    String,
    /// Digits, and nothing else.
    Number,
    Null,
    True,
    /// Any other scalar.
    Other,
}

/// A value. Of the elements of arrays, scalars but strings have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The key with its quotes; of an element, nothing.
    pub(super) key: Span,
    /// Whether the key is written as it is read, without escapes.
    is_plain: bool,
    /// The value, with its quotes or brackets.
    pub(super) value: Span,
    /// The index behind the values in it.
    end: u32,
    /// The number of an element in its array.
    pub(super) position: u32,
}

/// It is no JSON, or has too much in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// The values of a document in their order. The outermost is the first.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    open: Vec<u32>,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A value; or the end, where the array has just begun.
    Value { is_first: bool },
    /// A key; or the end, where the object has just begun.
    Key { is_first: bool },
    /// A comma, or the end of what is open.
    Rest,
}

impl Tree {
    /// Reads the document that `text` begins with. Returns its length.
    ///
    /// # Errors
    ///
    /// It isn't whole, or is no JSON. Numbers and literals are not looked at closely.
    pub(super) fn read(&mut self, text: &str) -> Result<usize, Unreadable> {
        self.nodes.clear();
        self.open.clear();
        let bytes = text.as_bytes();
        let (mut at, mut next) = (0, Next::Value { is_first: false });
        let (mut key, mut is_plain) = (Span::default(), true);
        // Of the elements of the array at hand, the number of the next one.
        let mut positions: smallvec::SmallVec<[u32; 16]> = smallvec::SmallVec::new();
        // How many containers deep the arguments of a tool begin, where everything is text.
        let mut arguments = None;
        loop {
            while bytes.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
                at += 1;
            }
            let byte = *bytes.get(at).ok_or(Unreadable)?;
            let parent = self.open.last().copied();
            match (next, byte) {
                (Next::Key { .. }, b'"') => {
                    let end;
                    (end, is_plain) = string_end(bytes, at + 1)?;
                    key = Span::new(at, end);
                    at = end;
                    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
                        at += 1;
                    }
                    if bytes.get(at) != Some(&b':') {
                        return Err(Unreadable);
                    }
                    at += 1;
                    next = Next::Value { is_first: false };
                    continue;
                }
                (Next::Value { is_first: true }, b']')
                | (Next::Key { is_first: true }, b'}')
                | (Next::Rest, b']' | b'}') => {
                    let parent = parent.ok_or(Unreadable)?;
                    at += 1;
                    self.close(parent, byte, at)?;
                    positions.pop();
                    self.open.pop();
                    if arguments.is_some_and(|depth| depth >= self.open.len()) {
                        arguments = None;
                    }
                }
                (Next::Rest, b',') => {
                    at += 1;
                    next = match parent.and_then(|parent| self.node(parent)).map(|node| node.kind) {
                        Some(Kind::Object) => Next::Key { is_first: false },
                        Some(_) => Next::Value { is_first: false },
                        None => return Err(Unreadable),
                    };
                    continue;
                }
                (Next::Value { .. }, _) => {
                    let start = at;
                    let kind = match byte {
                        b'"' => {
                            (at, _) = string_end(bytes, at + 1)?;
                            Kind::String
                        }
                        b'{' | b'[' if arguments.is_none() && is_sealed(text, key, is_plain) => {
                            at = container_end(bytes, at)?;
                            Kind::Sealed
                        }
                        b'{' => Kind::Object,
                        b'[' => Kind::Array,
                        _ => {
                            at += scalar_len(bytes.get(at..).unwrap_or_default())?;
                            scalar_kind(bytes.get(start..at).unwrap_or_default())?
                        }
                    };
                    let position = positions.last_mut().map_or(0, |next| {
                        *next = next.saturating_add(1);
                        *next - 1
                    });
                    let is_element = key == Span::default();
                    let is_told = !is_element
                        || matches!(kind, Kind::Object | Kind::Array | Kind::String)
                        || parent.is_none();
                    if is_told {
                        if self.nodes.len() >= MAX_NODES {
                            return Err(Unreadable);
                        }
                        let value = Span::new(start, at);
                        let end = u32::try_from(self.nodes.len() + 1).map_err(|_| Unreadable)?;
                        self.nodes.push(Node { kind, key, is_plain, value, end, position });
                    }
                    if matches!(kind, Kind::Object | Kind::Array) {
                        if self.open.len() >= MAX_DEPTH {
                            return Err(Unreadable);
                        }
                        if arguments.is_none() && names::is_arguments(&name(text, key, is_plain)) {
                            arguments = Some(self.open.len());
                        }
                        self.open.push(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX));
                        positions.push(0);
                        at += 1;
                        key = Span::default();
                        next = match kind {
                            Kind::Object => Next::Key { is_first: true },
                            _ => Next::Value { is_first: true },
                        };
                        continue;
                    }
                }
                _ => return Err(Unreadable),
            }
            key = Span::default();
            next = Next::Rest;
            if self.open.is_empty() {
                return Ok(at);
            }
        }
    }

    fn close(&mut self, index: u32, byte: u8, at: usize) -> Result<(), Unreadable> {
        let end = u32::try_from(self.nodes.len()).map_err(|_| Unreadable)?;
        let index = usize::try_from(index).map_err(|_| Unreadable)?;
        let node = self.nodes.get_mut(index).ok_or(Unreadable)?;
        if (node.kind == Kind::Object) != (byte == b'}') {
            return Err(Unreadable);
        }
        node.value.end = u32::try_from(at).map_err(|_| Unreadable)?;
        node.end = end;
        Ok(())
    }

    pub(super) fn root(&self) -> Option<Node> {
        self.nodes.first().copied()
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    /// The members or elements of the outermost value.
    pub(super) fn all(&self) -> Children<'_> {
        let end = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        Children { tree: self, next: 1.min(end), end }
    }

    /// The member `name` among these.
    pub(super) fn member(&self, text: &str, within: Children<'_>, name: &str) -> Option<Node> {
        within.map(|(node, _)| node).find(|node| is_key(text, node, name))
    }
}

/// Whether a member has this key. Its length mostly says that it hasn't.
pub(super) fn is_key(text: &str, node: &Node, name: &str) -> bool {
    if !node.is_plain {
        return key(text, node) == name;
    }
    let range = node.key.range();
    range.len() == name.len() + 2
        && text.as_bytes().get(range.start + 1..range.end - 1) == Some(name.as_bytes())
}

/// The key of a member; of an element, nothing.
pub(super) fn key<'t>(text: &'t str, node: &Node) -> Cow<'t, str> {
    name(text, node.key, node.is_plain)
}

fn name(text: &str, key: Span, is_plain: bool) -> Cow<'_, str> {
    let quoted = text.get(key.range()).unwrap_or_default();
    match is_plain {
        true => Cow::Borrowed(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default()),
        false => decoded(quoted),
    }
}

fn is_sealed(text: &str, key: Span, is_plain: bool) -> bool {
    key != Span::default() && names::is_sealed(&name(text, key, is_plain))
}

/// The members of an object, or the elements of an array, each with what is in it.
#[derive(Clone, Copy)]
pub(super) struct Children<'t> {
    tree: &'t Tree,
    next: u32,
    end: u32,
}

impl<'t> Iterator for Children<'t> {
    type Item = (Node, Children<'t>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let node = *self.tree.node(self.next)?;
        let within = Children { tree: self.tree, next: self.next + 1, end: node.end };
        self.next = node.end;
        Some((node, within))
    }
}

/// Where the string ends that began before `start`: behind its closing quote. Whether it has no escapes.
fn string_end(bytes: &[u8], start: usize) -> Result<(usize, bool), Unreadable> {
    let (mut at, mut is_plain) = (start, true);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (run, special, _) = split_at_special(rest).ok_or(Unreadable)?;
        at += run.len() + 1;
        match special {
            b'"' => return Ok((at, is_plain)),
            _ => (at, is_plain) = (at + 1, false),
        }
    }
}

/// Where the container ends that begins at `start`.
fn container_end(bytes: &[u8], start: usize) -> Result<usize, Unreadable> {
    let (mut at, mut depth) = (start, 0_u32);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let found = crate::json::quote_or_bracket(rest).ok_or(Unreadable)?;
        at += found + 1;
        match rest.get(found) {
            Some(b'"') => (at, _) = string_end(bytes, at)?,
            Some(b'{' | b'[') => depth = depth.checked_add(1).ok_or(Unreadable)?,
            _ => depth = depth.checked_sub(1).ok_or(Unreadable)?,
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

fn scalar_len(bytes: &[u8]) -> Result<usize, Unreadable> {
    let is_scalar = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    match bytes.iter().take_while(is_scalar).count() {
        0 => Err(Unreadable),
        len => Ok(len),
    }
}

fn scalar_kind(bytes: &[u8]) -> Result<Kind, Unreadable> {
    Ok(match bytes {
        b"null" => Kind::Null,
        b"true" => Kind::True,
        // Python writes the last two.
        b"false" | b"NaN" | b"Infinity" => Kind::Other,
        _ if bytes.iter().all(u8::is_ascii_digit) => Kind::Number,
        [b'0'..=b'9' | b'-', ..] => Kind::Other,
        _ => return Err(Unreadable),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_by_its_key_as_it_is_read() {
        let text = r#"{"typ":1,"types":2,"tape":3,"t\u0079pe":4,"type":5,"":6,"gr\"n":7,"grün":8}"#;
        let mut tree = Tree::default();
        assert_eq!(tree.read(text), Ok(text.len()));
        let value = |name: &str| {
            let node = tree.member(text, tree.all(), name)?;
            text.get(node.value.range())
        };
        // The first one that reads so counts.
        for (name, wanted) in [
            ("typ", Some("1")),
            ("types", Some("2")),
            ("tape", Some("3")),
            ("type", Some("4")),
            ("", Some("6")),
            ("gr\"n", Some("7")),
            ("grün", Some("8")),
            ("t\\u0079pe", None),
            ("ty", None),
            ("pe", None),
        ] {
            assert_eq!(value(name), wanted, "{name}");
        }
    }

    #[test]
    fn an_element_has_no_key() {
        let text = r#"[{"a":1},"b"]"#;
        let mut tree = Tree::default();
        assert_eq!(tree.read(text), Ok(text.len()));
        assert!(tree.member(text, tree.all(), "a").is_none());
        let (first, within) = tree.all().next().unwrap();
        assert!(!is_key(text, &first, "a") && tree.member(text, within, "a").is_some());
        assert!(!is_key(text, &first, ""));
    }
}
