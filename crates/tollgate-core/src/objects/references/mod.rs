//! The objects that the body of a request names.
//!
//! Each value of each member that could name one counts, however often the member comes, in whatever case and
//! how deep: it doesn't matter then which of them the engine reads. What clients and models write in forms of
//! their own (metadata, schemas, arguments) is left out.

mod form;

use super::kind::Kind;
use super::{query, MAX_ID_LEN};
use crate::json::{Container, Fault, JsonString, Reader, Scalar, Scanner, Stop};
use crate::llm::engines::Engine;
use crate::llm::request::{names::equals_folded, MAX_DEPTH};

/// No honest request names more objects.
const MAX_FOUND: usize = 512;

/// Why a body isn't read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// No JSON object in UTF-8, or nested too deeply.
    NotJson,
    /// It names more objects than anybody would.
    TooMany,
    /// A form says of an object what is no id.
    NoId,
}

/// What a body says of objects.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// What it names. An id that is none is empty: it is nobody's.
    pub named: Vec<(Kind, Box<[u8]>)>,
    /// `store`, if it is true or false.
    pub store: Option<bool>,
    /// It chooses the id of what it makes (`request_id` of a response).
    pub chooses_id: bool,
}

/// Reads a body in the slices that it comes in.
#[derive(Debug)]
pub struct References {
    scanner: Scanner<At, { MAX_DEPTH as usize }>,
    found: Found,
    /// How many bytes of a byte order mark have come; `None` once something else has.
    mark: Option<usize>,
    fault: Option<Unread>,
    is_empty: bool,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Root,
    /// Where objects may be named.
    Walk,
    /// Where none is.
    Skip,
    /// An id.
    Id(Kind),
    /// An array of ids, or one.
    Ids(Kind),
    /// An id, or an object that has one.
    IdOrObject(Kind),
    /// The array of what a response or a conversation is made of.
    Items,
    /// One of these.
    Item,
    ItemId,
    /// What it is, in OpenAI's spelling of the key, or in another one.
    ItemType {
        is_exact: bool,
    },
    /// A prompt that is kept at the engine.
    Prompt,
    /// What is put into it, by names that are the operator's own.
    Variables,
    Store,
    ChosenId,
}

#[derive(Debug)]
struct Found {
    /// Whether the engine keeps more than responses and conversations.
    keeps_files: bool,
    mentions: Mentions,
    /// The id that is being read, where it comes in parts.
    text: Vec<u8>,
    item: Item,
    is_too_many: bool,
}

/// The item that is being read.
#[derive(Debug, Default)]
struct Item {
    ids: Vec<Box<[u8]>>,
    /// It is of a type that needs nothing of what the engine keeps.
    is_whole: bool,
    /// Some reading makes it another one.
    is_doubtful: bool,
}

/// Items that have in them all that they are. The engine looks up the others by their id, if they have one.
const WHOLE: [&[u8]; 5] = [
    b"message",
    b"function_call",
    b"function_call_output",
    b"custom_tool_call",
    b"custom_tool_call_output",
];

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Members in which nothing is named: what clients and models write there is theirs.
const THEIRS: [&[u8]; 8] = [
    b"metadata",
    b"parameters",
    b"input_schema",
    b"schema",
    b"json_schema",
    b"arguments",
    b"attributes",
    b"properties",
];

impl References {
    /// A reader of a request to `engine`.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self {
            scanner: Scanner::new(At::Root),
            found: Found::new(engine),
            mark: Some(0),
            fault: None,
            is_empty: true,
        }
    }

    /// Reads the next bytes.
    pub fn read(&mut self, slice: &[u8]) {
        self.is_empty &= slice.is_empty();
        let slice = match self.mark {
            Some(len) => self.after_mark(slice, len),
            None => slice,
        };
        if self.fault.is_some() {
            return;
        }
        if let Err(fault) = self.scanner.read(slice, &mut self.found) {
            self.fault = Some(self.unread(fault));
        }
    }

    /// What the body says, which has ended. An empty one says nothing.
    ///
    /// # Errors
    ///
    /// See [`Unread`].
    pub fn finish(mut self) -> Result<Mentions, Unread> {
        if self.is_empty {
            return Ok(Mentions::default());
        }
        match self.fault {
            Some(fault) => Err(fault),
            None => match self.scanner.finish(&mut self.found) {
                Ok(()) => Ok(self.found.mentions),
                Err(fault) => Err(self.unread(fault)),
            },
        }
    }

    fn unread(&self, fault: Fault) -> Unread {
        match fault {
            Fault::Stopped if self.found.is_too_many => Unread::TooMany,
            Fault::Stopped | Fault::Syntax => Unread::NotJson,
        }
    }

    /// What follows a byte order mark, of which `len` bytes have come.
    fn after_mark<'a>(&mut self, slice: &'a [u8], len: usize) -> &'a [u8] {
        let expected = BYTE_ORDER_MARK.get(len..).unwrap_or_default();
        let same = expected.iter().zip(slice).take_while(|(a, b)| a == b).count();
        let rest = slice.get(same..).unwrap_or_default();
        let len = len + same;
        self.mark = (len < BYTE_ORDER_MARK.len() && rest.is_empty()).then_some(len);
        if self.mark.is_none() && (1..BYTE_ORDER_MARK.len()).contains(&len) {
            self.fault = Some(Unread::NotJson);
        }
        rest
    }
}

impl Found {
    /// Where the value of a member stands that is not in [`THEIRS`].
    fn place(&self, object: At, key: &[u8], has_half: bool) -> At {
        let is = |name: &str| equals_folded(key, name);
        match object {
            At::IdOrObject(kind) if is("id") => return At::Id(kind),
            At::Item if is("id") => return At::ItemId,
            At::Item if is("type") => {
                return At::ItemType { is_exact: key == b"type" && !has_half };
            }
            At::Root if is("video") => return At::IdOrObject(Kind::Video),
            At::Root if is("prompt") => return At::Prompt,
            At::Prompt if is("variables") => return At::Variables,
            At::Root if is("store") => return At::Store,
            At::Root if is("request_id") => return At::ChosenId,
            At::Root if is("input") || is("items") => return At::Items,
            At::Root if is("conversation_ids") => return At::Ids(Kind::Stream),
            _ => {}
        }
        if is("previous_response_id") {
            At::Id(Kind::Response)
        } else if is("conversation") {
            At::IdOrObject(Kind::Conversation)
        } else if is("input_file_id") {
            At::Id(Kind::File)
        } else if !self.keeps_files {
            At::Walk
        } else if is("file_id") || is("training_file") || is("validation_file") {
            At::Id(Kind::File)
        } else if is("file_ids") {
            At::Ids(Kind::File)
        } else if is("vector_store_ids") {
            At::Ids(Kind::VectorStore)
        } else if is("container") {
            At::IdOrObject(Kind::Container)
        } else if is("container_id") {
            At::Id(Kind::Container)
        } else if key == b"input" {
            // That of a tool, as the model wrote it.
            At::Skip
        } else {
            At::Walk
        }
    }

    fn name(&mut self, kind: Kind, id: Box<[u8]>) -> Result<(), Stop> {
        if self.mentions.named.len() >= MAX_FOUND {
            self.is_too_many = true;
            return Err(Stop);
        }
        self.mentions.named.push((kind, id));
        Ok(())
    }

    /// The id that was read; an empty one, if it is none.
    fn id(&mut self, string: JsonString<'_>) -> Box<[u8]> {
        let text = std::mem::take(&mut self.text);
        let id = string.plain.unwrap_or(&text);
        if string.has_half || id.len() > MAX_ID_LEN {
            Box::default()
        } else {
            id.into()
        }
    }
}

impl Reader for Found {
    type Place = At;
    const STRICT: bool = true;

    fn member(&mut self, object: At, key: JsonString<'_>) -> Result<Option<At>, Stop> {
        match object {
            At::Skip => return Ok(Some(At::Skip)),
            At::Variables => return Ok(Some(At::Walk)),
            _ => {}
        }
        // No name is as long as what is kept of a key. Without halves of pairs, which engines may drop.
        let Some(name) = key.short() else { return Ok(Some(At::Walk)) };
        Ok(Some(match THEIRS.contains(&name) && !key.has_half {
            true => At::Skip,
            false => self.place(object, name, key.has_half),
        }))
    }

    #[inline]
    fn element(&mut self, array: At) -> Option<At> {
        Some(match array {
            At::Items => At::Item,
            At::Ids(kind) => At::Id(kind),
            other => other,
        })
    }

    fn begin(&mut self, place: At, container: Container, _at: usize) -> Result<At, Stop> {
        Ok(match (place, container) {
            (At::Root, Container::Object) => At::Root,
            (At::Root, Container::Array) => return Err(Stop),
            (At::Skip, _) => At::Skip,
            (At::Items | At::Item, Container::Array) => At::Items,
            (At::Prompt, Container::Object) => At::Prompt,
            (At::Variables, Container::Object) => At::Variables,
            (At::ItemType { .. }, _) => {
                self.item.is_doubtful = true;
                At::Walk
            }
            (At::Items | At::Item, Container::Object) => {
                self.item = Item::default();
                At::Item
            }
            (At::Ids(kind), Container::Array) => At::Ids(kind),
            (At::IdOrObject(kind), Container::Object) => At::IdOrObject(kind),
            _ => At::Walk,
        })
    }

    fn end(&mut self, place: At) -> Result<(), Stop> {
        if place != At::Item {
            return Ok(());
        }
        let item = std::mem::take(&mut self.item);
        if (item.is_whole && !item.is_doubtful) || !self.keeps_files {
            return Ok(());
        }
        item.ids.into_iter().try_for_each(|id| self.name(Kind::Item, id))
    }

    fn string(&mut self, place: At, string: JsonString<'_>) -> Result<(), Stop> {
        match place {
            At::Id(Kind::Stream) => {
                let id = self.id(string);
                let stem = if query::is_stream_id(&id) { query::stem(&id) } else { &[] };
                self.name(Kind::Stream, stem.into())
            }
            At::Id(kind) | At::Ids(kind) | At::IdOrObject(kind) => {
                let id = self.id(string);
                // Anthropic and OpenAI have names for what is made when it is needed.
                match kind == Kind::Container && (&*id == b"auto" || id.is_empty()) {
                    true => Ok(()),
                    false => self.name(kind, id),
                }
            }
            At::ItemId => {
                let id = self.id(string);
                if self.item.ids.len() >= MAX_FOUND {
                    self.is_too_many = true;
                    return Err(Stop);
                }
                self.item.ids.push(id);
                Ok(())
            }
            At::ItemType { is_exact } => {
                let kind = self.id(string);
                let is_whole = WHOLE.contains(&&*kind);
                self.item.is_whole |= is_whole && is_exact;
                self.item.is_doubtful |= !is_whole;
                Ok(())
            }
            At::Root => Err(Stop),
            At::ChosenId => {
                self.text.clear();
                self.mentions.chooses_id = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, place: At, scalar: Scalar, _at: usize) -> Result<(), Stop> {
        match (place, scalar) {
            (_, Scalar::Other) | (At::Root, _) => return Err(Stop),
            (At::ItemType { .. }, _) => self.item.is_doubtful = true,
            (At::Store, Scalar::Bool(store)) => self.mentions.store = Some(store),
            (At::ChosenId, scalar) => self.mentions.chooses_id |= scalar != Scalar::Null,
            _ => {}
        }
        Ok(())
    }

    #[inline]
    fn text(&mut self, place: At, part: &[u8]) {
        if matches!(
            place,
            At::Id(_) | At::Ids(_) | At::IdOrObject(_) | At::ItemId | At::ItemType { .. }
        ) {
            // One byte more shows that it is too long.
            let room = (MAX_ID_LEN + 1).saturating_sub(self.text.len());
            self.text.extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }

    #[inline]
    fn passes(&self, place: At) -> usize {
        match place {
            At::Walk | At::Skip | At::Root | At::Item | At::Items | At::Prompt | At::Variables => {
                usize::MAX
            }
            _ => 0,
        }
    }

    #[inline]
    fn wants_head(&self, _place: At) -> bool {
        false
    }

    #[inline]
    fn only_counts(&self, place: At) -> bool {
        matches!(place, At::Walk | At::Skip)
    }
}

#[cfg(test)]
mod tests;
