//! What engines tell of models, as a client may know it: those that it may use, under the names that it
//! knows them by, and without paths on the engine's disk.
//!
//! | member | what becomes of it |
//! |---|---|
//! | `root` (vLLM, SGLang) | the name of the model |
//! | `path`, `status.args`, `status.preset` (llama.cpp) | left out |
//! | `parent`, `parent_model` | empty, if that is a path, or a model that the client may not use |
//! | `modelfile`, `parameters` (Ollama) | without lines that say where the model came from |
//! | `first_id`, `last_id` (Anthropic) | of what is left |
//! | other texts that are an absolute path, or a URL of a file | left out, but for the name of the model itself |
//!
//! Who may use some models only, sees of each what is [known](known) not to name others.

mod known;
mod node;
mod paths;

use std::borrow::Cow;

use serde_json::Value;

use node::Node;
use paths::{is_path, source};

use super::engines::Page;

/// The longest page that is read, in bytes.
pub const MAX_PAGE: usize = 4 << 20;

/// The name by which the client knows a model that the engine calls so: the first, or a further one. `None`: it
/// knows it by none, or no more.
pub type Shown<'s> = &'s dyn for<'n> Fn(&'n str, usize) -> Option<Cow<'n, str>>;

/// A page, while it comes from the engine: all of it has to be there before any is shown.
#[derive(Debug)]
pub struct Held {
    page: Page,
    bytes: Vec<u8>,
    is_unreadable: bool,
}

impl Held {
    /// A page of `len` bytes, if that is known. What is not `readable` (compressed, or a part) is never shown.
    #[must_use]
    pub fn new(page: Page, len: Option<u64>, readable: bool) -> Self {
        let len = len.and_then(|len| usize::try_from(len).ok());
        let len = len.filter(|len| readable && *len <= MAX_PAGE).unwrap_or(0);
        Self { page, bytes: Vec::with_capacity(len), is_unreadable: !readable }
    }

    /// The next bytes of it.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.bytes.len().saturating_add(bytes.len()) > MAX_PAGE {
            (self.is_unreadable, self.bytes) = (true, Vec::new());
        }
        if !self.is_unreadable {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether it is no page, but an error, which is shown as it is if it isn't [about a missing
    /// model](Self::is_about_missing).
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.page == Page::Missing
    }

    /// Whether it is an error which says that there is no such model, in the words of engines.
    #[must_use]
    pub fn is_about_missing(&self, model: &str) -> bool {
        if self.page != Page::Missing || self.is_unreadable {
            return false;
        }
        let text = String::from_utf8_lossy(&self.bytes);
        let escaped = serde_json::Value::from(model).to_string();
        let is_named = text.contains(model) || text.contains(escaped.trim_matches('"'));
        is_named && ["does not exist", "not found"].iter().any(|words| text.contains(words))
    }

    /// All of it, as it came; `None` if that isn't there.
    #[must_use]
    pub fn whole(&self) -> Option<&[u8]> {
        (!self.is_unreadable).then_some(&self.bytes)
    }

    /// What a client gets of it, which is whole; as [`mend`].
    ///
    /// # Errors
    /// As [`mend`], and where it is longer than [`MAX_PAGE`] or can't be read.
    pub fn mend(&self, restricted: bool, shown: Shown<'_>) -> Result<Cow<'_, [u8]>, Unreadable> {
        if self.is_unreadable {
            return Err(Unreadable);
        }
        let mended = mend(self.page, &self.bytes, restricted, shown)?;
        Ok(mended.map_or(Cow::Borrowed(&self.bytes), Cow::Owned))
    }
}

/// A page that can't be shown: it is no JSON, has a member twice, or no form that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Makes a page one for a client. `None`: it is one as it is.
///
/// # Errors
/// Where it is meant to be JSON, and can't be read as one. For a client that is `restricted` to some models,
/// whatever isn't known not to name others.
pub fn mend(
    page: Page,
    body: &[u8],
    restricted: bool,
    shown: Shown<'_>,
) -> Result<Option<Vec<u8>>, Unreadable> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let begins_as_json = || matches!(text.trim_ascii_start(), [b'{' | b'[', ..]);
    let mut node: Node = match serde_json::from_slice(text) {
        Ok(node) => node,
        Err(_) if restricted || (page != Page::Missing && begins_as_json()) => {
            return Err(Unreadable);
        }
        // A web page, or nothing.
        Err(_) => return Ok(None),
    };
    let mut mender = Mender { restricted, shown, has_changed: false };
    match page {
        Page::Models => mender.list(&mut node)?,
        Page::Model => mender.model(&mut node)?,
        Page::Show => mender.shown(&mut node),
        Page::About => mender.without_paths(&mut node, None),
        Page::Missing => {}
    }
    match mender.has_changed {
        true => serde_json::to_vec(&node).map(Some).map_err(|_| Unreadable),
        false => Ok(None),
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The most names of one model that a list has.
const MAX_NAMES: usize = 64;
/// By what a list calls a model.
const NAMES: [&str; 3] = ["id", "name", "model"];
/// What a list has besides, and tells of no model.
const AROUND: [&str; 6] = ["data", "models", "object", "has_more", "first_id", "last_id"];
/// What is left out wherever it stands.
const HIDDEN: [&str; 3] = ["path", "args", "preset"];

struct Mender<'s> {
    restricted: bool,
    shown: Shown<'s>,
    has_changed: bool,
}

impl Mender<'_> {
    fn list(&mut self, page: &mut Node) -> Result<(), Unreadable> {
        let Node::Object(members) = page else { return self.unknown(page) };
        let is_list = |(name, value): &(String, Node)| {
            matches!(name.as_str(), "data" | "models") && matches!(value, Node::Array(_))
        };
        if !members.iter().any(is_list) {
            return self.unknown(page);
        }
        if self.restricted {
            self.retain(members, |(name, value)| {
                let is_one = matches!(name.as_str(), "data" | "models");
                AROUND.contains(&name.as_str()) && (!is_one || matches!(value, Node::Array(_)))
            });
        }
        let mut ends = None;
        for (name, value) in members.iter_mut() {
            if !matches!(name.as_str(), "data" | "models") {
                continue;
            }
            let Node::Array(models) = value else {
                self.without_paths(value, None);
                continue;
            };
            self.entries(models);
            if name == "data" {
                let ids = [models.first(), models.last()];
                ends = Some(ids.map(|model| model?.text("id").map(str::to_owned)));
            }
        }
        let [first, last] = ends.unwrap_or_default();
        for (name, value) in members.iter_mut() {
            let id = match name.as_str() {
                "first_id" => &first,
                "last_id" => &last,
                "data" | "models" => continue,
                _ => {
                    self.without_paths(value, None);
                    continue;
                }
            };
            let id = id.clone().map_or(Node::Other(Value::Null), Node::Text);
            self.set(value, id);
        }
        Ok(())
    }

    fn unknown(&mut self, page: &mut Node) -> Result<(), Unreadable> {
        match self.restricted {
            true => Err(Unreadable),
            false => {
                self.without_paths(page, None);
                Ok(())
            }
        }
    }

    /// The models of a list, each by all the names that the client knows it by.
    fn entries(&mut self, entries: &mut Vec<Node>) {
        let before = entries.len();
        let mut shown = Vec::with_capacity(before);
        for entry in entries.drain(..) {
            let names =
                |index| entry.name().is_some_and(|name| (self.shown)(name, index).is_some());
            let further: Vec<Node> =
                (1..MAX_NAMES).take_while(|index| names(*index)).map(|_| entry.clone()).collect();
            for (index, mut entry) in std::iter::once(entry).chain(further).enumerate() {
                if self.entry(&mut entry, index) {
                    shown.push(entry);
                }
            }
        }
        self.has_changed |= shown.len() != before;
        *entries = shown;
    }

    /// A model in a list, by one of its names: whether it stays.
    fn entry(&mut self, entry: &mut Node, index: usize) -> bool {
        match entry {
            Node::Object(_) => self.named(entry, index),
            Node::Text(name) => match (self.shown)(name, index) {
                None => false,
                Some(shown) if shown == *name => true,
                Some(shown) => {
                    *name = shown.into_owned();
                    self.has_changed = true;
                    true
                }
            },
            Node::Array(_) | Node::Other(_) => {
                self.without_paths(entry, None);
                !self.restricted
            }
        }
    }

    /// The page of one model, which the client has asked for by a name that it may use.
    fn model(&mut self, page: &mut Node) -> Result<(), Unreadable> {
        let Node::Object(members) = &mut *page else { return self.unknown(page) };
        let mut own = None;
        for (name, value) in members.iter_mut() {
            if !NAMES.contains(&name.as_str()) {
                continue;
            }
            let Node::Text(text) = value else {
                if self.restricted {
                    return Err(Unreadable);
                }
                continue;
            };
            match (self.shown)(text, 0) {
                // Not the one that was asked for.
                None if self.restricted => return Err(Unreadable),
                Some(shown) if shown != *text => {
                    *text = shown.into_owned();
                    self.has_changed = true;
                }
                _ => {}
            }
            own.get_or_insert_with(|| text.clone());
        }
        self.known_only(page);
        self.without_paths(page, own.as_deref());
        Ok(())
    }

    /// What Ollama shows of a model, which the client has asked for.
    fn shown(&mut self, page: &mut Node) {
        if let Node::Object(members) = &mut *page {
            for (name, value) in members.iter_mut() {
                let Node::Text(text) = value else { continue };
                let is_other = |shown: &Cow<'_, str>| *shown != *text;
                let shown = NAMES.contains(&name.as_str()).then(|| (self.shown)(text, 0)).flatten();
                if let Some(shown) = shown.filter(is_other) {
                    *text = shown.into_owned();
                    self.has_changed = true;
                }
            }
        }
        self.without_paths(page, None);
    }

    /// Leaves of what tells of a model what is known not to name others, where there are such.
    fn known_only(&mut self, model: &mut Node) {
        if let (true, Node::Object(members)) = (self.restricted, model) {
            self.has_changed |= known::retain(members);
        }
    }

    /// An object that tells of a model: whether it stays.
    fn named(&mut self, model: &mut Node, index: usize) -> bool {
        let Node::Object(members) = &mut *model else { return false };
        let mut own = None;
        for (name, value) in members.iter_mut() {
            if !NAMES.contains(&name.as_str()) {
                continue;
            }
            let Node::Text(text) = value else {
                if self.restricted {
                    return false;
                }
                continue;
            };
            match (self.shown)(text, index) {
                None => return false,
                Some(shown) if shown == *text => {}
                Some(shown) => {
                    *text = shown.into_owned();
                    self.has_changed = true;
                }
            }
            own.get_or_insert_with(|| text.clone());
        }
        if own.is_none() && self.restricted {
            return false;
        }
        self.known_only(model);
        self.without_paths(model, own.as_deref());
        true
    }

    /// Takes paths on the engine's disk out of what is told of the model `own`.
    fn without_paths(&mut self, node: &mut Node, own: Option<&str>) {
        match node {
            Node::Object(members) => {
                self.retain(members, |(name, value)| match value {
                    _ if HIDDEN.contains(&name.as_str()) => false,
                    Node::Text(text) => {
                        is_kept(name) || !is_path(text) || Some(text.as_str()) == own
                    }
                    _ => true,
                });
                for (name, value) in members.iter_mut() {
                    self.member(name, value, own);
                }
            }
            Node::Array(elements) => {
                let before = elements.len();
                elements.retain(|element| !matches!(element, Node::Text(text) if is_path(text)));
                self.has_changed |= elements.len() != before;
                for element in elements {
                    self.without_paths(element, own);
                }
            }
            Node::Text(_) | Node::Other(_) => {}
        }
    }

    fn member(&mut self, name: &str, value: &mut Node, own: Option<&str>) {
        match (name, &mut *value) {
            ("root", Node::Text(text)) => match own {
                Some(own) => self.set(value, Node::Text(own.to_owned())),
                None if is_path(text) => self.set(value, Node::Other(Value::Null)),
                None => {}
            },
            ("parent" | "parent_model", Node::Text(text)) => {
                let empty = match name {
                    "parent" => Node::Other(Value::Null),
                    _ => Node::Text(String::new()),
                };
                let shown = match text.as_str() {
                    "" => return,
                    text if is_path(text) => empty,
                    text => {
                        (self.shown)(text, 0).map_or(empty, |shown| Node::Text(shown.into_owned()))
                    }
                };
                self.set(value, shown);
            }
            ("modelfile" | "parameters", Node::Text(text)) => {
                let is_kept = |line: &&str| match source(line) {
                    None => true,
                    Some(source) => {
                        !is_path(source) && (!self.restricted || (self.shown)(source, 0).is_some())
                    }
                };
                let kept: String = text.split_inclusive('\n').filter(is_kept).collect();
                self.set(value, Node::Text(kept));
            }
            ("aliases", Node::Array(aliases)) => {
                self.entries(aliases);
            }
            _ => self.without_paths(value, own),
        }
    }

    fn set(&mut self, value: &mut Node, new: Node) {
        self.has_changed |= *value != new;
        *value = new;
    }

    fn retain(
        &mut self,
        members: &mut Vec<(String, Node)>,
        is_kept: impl FnMut(&(String, Node)) -> bool,
    ) {
        let before = members.len();
        members.retain(is_kept);
        self.has_changed |= members.len() != before;
    }
}

/// Whether a member may be a path: the names of models, by which clients ask for them, and what is looked at
/// by itself.
fn is_kept(name: &str) -> bool {
    NAMES.contains(&name) || matches!(name, "root" | "parent" | "parent_model")
}

#[cfg(test)]
mod tests;
