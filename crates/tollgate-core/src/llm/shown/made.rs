//! Events that are made for what was held back of a text when it ended: the last event of that text once
//! more, with the rest of the text in it, and without all that had been said by it.

use super::form::Form;
use super::names;
use super::quoted::quote;
use super::spots::{Of, Spot, Spots};
use super::texts::Event;
use super::tree::{key, Children, Kind, Node, Span, Tree};

/// Makes such events.
#[derive(Debug, Default)]
pub(super) struct Maker {
    tree: Tree,
    spots: Spots,
}

/// A document, and what is said in it.
struct Document<'a> {
    json: &'a str,
    at: Span,
    text: &'a str,
    sequence: Option<u64>,
    form: Form,
}

impl Maker {
    /// The event that brings `text` in the place where `event` has the text that came by `way`. Its number is
    /// `sequence`, if events have one. `None` if there is no such place.
    pub(super) fn make(
        &mut self,
        event: &Event,
        way: u64,
        text: &str,
        form: Form,
        sequence: Option<u64>,
    ) -> Option<Event> {
        let before = event.bytes.get(..event.data.start)?;
        let json = std::str::from_utf8(event.bytes.get(event.data.clone())?).ok()?;
        self.tree.read(json).ok()?;
        self.spots.find(&self.tree, json, form, true);
        let is_it = |spot: &&Spot| match spot.of {
            Of::Piece(id) | Of::SoFar(id) => id.way == way,
            Of::Whole(_) | Of::Unquoted(_) | Of::Echo => false,
        };
        let at = self.spots.texts.iter().find(is_it)?.span;
        let mut out = Vec::with_capacity(event.bytes.len() + text.len());
        let all = self.tree.all();
        let kind = self.tree.member(json, all, "type");
        let kind = kind.and_then(|kind| json.get(kind.value.range()));
        if kind == Some("\"content_block_start\"") {
            out.extend_from_slice(b"event: content_block_delta\ndata: ");
            let start = out.len();
            self.write_block_delta(json, at, text, &mut out)?;
            let data = start..out.len();
            out.extend_from_slice(b"\n\n");
            return Some(Event { bytes: out, data });
        }
        out.extend_from_slice(before);
        let document = Document { json, at, text, sequence, form };
        document.write(&self.tree.root()?, all, 0, &mut out);
        let data = event.data.start..out.len();
        out.extend_from_slice(event.bytes.get(event.data.end..)?);
        if out.ends_with(b"\n\r") {
            // The line feed came in another buffer.
            out.push(b'\n');
        }
        Some(Event { bytes: out, data })
    }

    /// More of a block of Messages, of which nothing but its start has come.
    fn write_block_delta(&self, json: &str, at: Span, text: &str, out: &mut Vec<u8>) -> Option<()> {
        let index = self.tree.member(json, self.tree.all(), "index")?;
        let (_, block) = self.tree.all().find(|(node, _)| node.value.contains(at))?;
        let (text_node, _) = { block }.find(|(node, _)| node.value == at)?;
        let name = key(json, &text_node);
        let index = json.get(index.value.range())?;
        let start = format!(
            "{{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"{name}_delta\",\"{name}\":"
        );
        out.extend_from_slice(start.as_bytes());
        quote(text, out);
        out.extend_from_slice(b"}}");
        Some(())
    }
}

impl Document<'_> {
    fn write(&self, node: &Node, within: Children<'_>, depth: usize, out: &mut Vec<u8>) {
        if node.value == self.at {
            return quote(self.text, out);
        }
        let is_object = node.kind == Kind::Object;
        out.push(if is_object { b'{' } else { b'[' });
        let is_function = { within }.any(|(node, _)| {
            node.value.contains(self.at) && matches!(&*key(self.json, &node), "function" | "custom")
        });
        let mut is_first = true;
        for (node, inner) in within {
            let is_on_the_way = node.value.contains(self.at);
            let value = match is_on_the_way {
                true => "",
                false if !is_object => continue,
                false => match self.kept(&node, depth, is_function) {
                    Some(value) => value,
                    None => continue,
                },
            };
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            if is_object {
                let key = self.json.get(node.key.range()).unwrap_or_default();
                out.extend_from_slice(key.as_bytes());
                out.push(b':');
            }
            let is_number = depth == 0 && key(self.json, &node) == "sequence_number";
            match self.sequence.filter(|_| is_number) {
                Some(sequence) => out.extend_from_slice(sequence.to_string().as_bytes()),
                None if is_on_the_way => self.write(&node, inner, depth + 1, out),
                None => out.extend_from_slice(value.as_bytes()),
            }
        }
        out.push(if is_object { b'}' } else { b']' });
    }

    /// What a member beside the way to the text is in the event that is made, if it is there at all: what clients
    /// know the answer and the text by, and what some of them don't do without.
    fn kept(&self, node: &Node, depth: usize, is_function: bool) -> Option<&str> {
        let name = key(self.json, node);
        let value = self.json.get(node.value.range())?;
        let is_kept = match node.kind {
            Kind::String if depth == 0 => names::is_no_text(&name),
            Kind::String if name == "role" => self.form == Form::Ollama,
            Kind::String => name == "type" && !is_function,
            Kind::Number | Kind::Null | Kind::True | Kind::Other => true,
            Kind::Sealed => return Some(if value.starts_with('[') { "[]" } else { "null" }),
            Kind::Object | Kind::Array => {
                value.get(1..value.len().saturating_sub(1))?.trim().is_empty()
            }
        };
        is_kept.then_some(value)
    }
}
