//! The way through a document, to what it has of interest.

use std::borrow::Cow;

use tollgate_guard::stream::Quoting;

use super::form::Form;
use super::names;
use super::quoted::decoded;
use super::spots::{End, Of, Spot, Spots, Telling, TextId, Varying};
use super::tree::{is_key, key, Children, Kind, Node, Span, Tree};

/// What a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Choice,
    /// What comes piece by piece.
    Delta,
    /// What is said as a whole.
    Said,
    Response,
    Echo,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    place: Place,
    way: u64,
    within: [u64; 2],
    telling: Telling,
}

/// The reader of one document.
pub(super) struct Walk<'a> {
    pub(super) tree: &'a Tree,
    pub(super) text: &'a str,
    pub(super) form: Form,
    pub(super) is_stream: bool,
    pub(super) spots: &'a mut Spots,
}

impl Way {
    fn said(telling: Telling) -> Self {
        Self { place: Place::Said, way: 0, within: [0; 2], telling }
    }

    fn delta(way: u64, within: [u64; 2]) -> Self {
        Self { place: Place::Delta, way, within, telling: Telling::Pieces }
    }
}

impl Walk<'_> {
    /// Reads a document, of which `root` is the outermost value.
    pub(super) fn read(&mut self, root: &Node) {
        let all = self.tree.all();
        match root.kind {
            Kind::Object => self.root(all, 0),
            Kind::Array => {
                for (node, within) in all {
                    match node.kind {
                        Kind::Object => self.root(within, u64::from(node.position)),
                        _ => self.value(&node, within, "", Way::said(Telling::Pieces)),
                    }
                }
            }
            _ => self.value(root, all, "", Way::said(Telling::Pieces)),
        }
    }

    fn member(&self, within: Children<'_>, name: &str) -> Option<Node> {
        self.tree.member(self.text, within, name)
    }

    fn string(&self, node: &Node) -> Cow<'_, str> {
        decoded(self.text.get(node.value.range()).unwrap_or_default())
    }

    fn number(&self, node: &Node) -> Option<u64> {
        (node.kind == Kind::Number).then(|| self.text.get(node.value.range())?.parse().ok())?
    }

    /// The number or name that tells apart what is otherwise alike.
    fn mark(&self, within: Children<'_>, name: &str) -> Option<u64> {
        let node = self.member(within, name)?;
        match node.kind {
            Kind::Number => self.number(&node),
            Kind::String => Some(mix(1, self.string(&node).as_bytes())),
            _ => None,
        }
    }

    fn root(&mut self, members: Children<'_>, position: u64) {
        let kind = self.member(members, "type").filter(|node| node.kind == Kind::String);
        let kind = kind.map(|node| self.string(&node).into_owned()).unwrap_or_default();
        if self.member(members, "object").is_some_and(|node| self.string(&node) == "response") {
            let way = Way { place: Place::Response, ..Way::said(Telling::Pieces) };
            return self.object(members, way);
        }
        let index = match self.form {
            Form::Messages => self.mark(members, "index"),
            form if form.has_index_at_root() => self.mark(members, "index"),
            _ => None,
        };
        let item = self
            .mark(members, "output_index")
            .or_else(|| self.mark(members, "item_id"))
            .or_else(|| self.id_of_item(members))
            .or(index);
        let item = number(number(0, position), item.unwrap_or(0));
        let part = self.mark(members, "content_index").or(self.mark(members, "summary_index"));
        let within = [item, part.map_or(item, |part| number(item, part + 1))];
        self.end_of_kind(&kind, within);
        let telling = telling(&kind);
        for (node, inner) in members {
            let key = key(self.text, &node);
            let is_string = node.kind == Kind::String;
            let stem = |stem: &str| mix(mix(within[1], stem.as_bytes()), key.as_bytes());
            let way = match (self.form, &*key) {
                (_, "choices") if node.kind == Kind::Array => {
                    self.choices(inner, item);
                    continue;
                }
                (Form::Messages, "delta" | "content_block") if !is_string => {
                    let is_start = key == "content_block";
                    let way = Way::delta(mix(item, b"block"), within);
                    self.block(inner, way, is_start);
                    continue;
                }
                (_, "delta") if is_string => {
                    // Sound, and not what is said in it.
                    if kind.contains("audio") && !kind.contains("transcript") {
                        self.spots.sealed.push((node.value, b"\"\""));
                    } else {
                        let stem = kind.strip_suffix(".delta").unwrap_or(&kind);
                        let way = mix(within[1], stem.as_bytes());
                        self.text(node.value, Of::Piece(TextId { way, within }), quoting(stem));
                    }
                    continue;
                }
                (_, "delta") => {
                    let stem = kind.strip_suffix(".delta").unwrap_or(&kind);
                    Way::delta(mix(within[1], stem.as_bytes()), within)
                }
                (Form::Ollama, "message") => Way::delta(stem("message"), within),
                (Form::Ollama, "response" | "thinking") | (Form::Llama, "content") if is_string => {
                    let id = TextId { way: stem("root"), within };
                    self.text(node.value, Of::Piece(id), Quoting::Plain);
                    continue;
                }
                // The tokens of the prompt and the answer.
                (Form::Ollama, "context") if node.kind == Kind::Array => {
                    self.seal(&node);
                    continue;
                }
                (Form::Tgi, "token") => {
                    self.token(inner, Way::delta(stem("token"), within));
                    continue;
                }
                (Form::Tgi, "generated_text") => {
                    if is_string && self.is_stream {
                        self.spots.ends.push(End::All);
                    }
                    Way::said(Telling::Text)
                }
                (Form::Sglang, "text") if is_string => {
                    let id = TextId { way: stem("so far"), within };
                    self.text(node.value, Of::SoFar(id), Quoting::Plain);
                    continue;
                }
                (Form::Sglang, "meta_info") => {
                    self.end_of_member(inner, "finish_reason", End::Within(item));
                    Way::said(telling)
                }
                (Form::Ollama, "done") if node.kind == Kind::True => {
                    self.spots.ends.push(End::All);
                    continue;
                }
                (Form::Llama, "stop") if node.kind == Kind::True => {
                    self.spots.ends.push(End::Within(item));
                    continue;
                }
                (_, "error") => {
                    if node.kind != Kind::Null {
                        self.spots.ends.push(End::All);
                    }
                    Way::said(telling)
                }
                (_, "response") if node.kind == Kind::Object => {
                    self.object(inner, Way { place: Place::Response, ..Way::said(telling) });
                    continue;
                }
                (_, "sequence_number") if node.kind == Kind::Number => {
                    self.spots.varying.push((node.value, Varying::Sequence));
                    continue;
                }
                (_, name) if names::is_echo(name) => {
                    Way { place: Place::Echo, ..Way::said(telling) }
                }
                _ => Way::said(telling),
            };
            self.value(&node, inner, &key, way);
        }
    }

    fn id_of_item(&self, members: Children<'_>) -> Option<u64> {
        let (_, within) = { members }
            .find(|(node, _)| node.kind == Kind::Object && is_key(self.text, node, "item"))?;
        self.mark(within, "id")
    }

    /// What ends with an event of such a type.
    fn end_of_kind(&mut self, kind: &str, within: [u64; 2]) {
        let [item, part] = within;
        let end = match kind {
            "content_block_stop" => End::Within(item),
            "message_delta" | "message_stop" | "error" => End::All,
            "response.output_item.done" => End::Within(item),
            "response.content_part.done" | "response.reasoning_summary_part.done" => {
                End::Within(part)
            }
            _ => match (kind.strip_suffix(".done"), kind.strip_prefix("response.")) {
                (Some(stem), _) => End::Text(mix(part, stem.as_bytes())),
                (_, Some("completed" | "failed" | "incomplete" | "cancelled")) => End::All,
                _ => return,
            },
        };
        self.spots.ends.push(end);
    }

    /// A member says that something has ended, if it says anything.
    fn end_of_member(&mut self, members: Children<'_>, name: &str, end: End) {
        let says = |node: &Node| match node.kind {
            Kind::Null => false,
            Kind::String => !self.string(node).is_empty(),
            _ => true,
        };
        if self.member(members, name).as_ref().is_some_and(says) {
            self.spots.ends.push(end);
        }
    }

    fn choices(&mut self, elements: Children<'_>, root: u64) {
        for (choice, members) in elements {
            let index = self.mark(members, "index").unwrap_or(u64::from(choice.position));
            let way = number(mix(root, b"choices"), index);
            self.end_of_member(members, "finish_reason", End::Within(way));
            let within = [way; 2];
            let way = Way { place: Place::Choice, way, within, telling: Telling::Pieces };
            self.value(&choice, members, "", way);
        }
    }

    /// A block of Messages, or more of it.
    fn block(&mut self, members: Children<'_>, way: Way, is_start: bool) {
        if !is_start {
            return self.object(members, way);
        }
        // It begins with nothing, or with all of it but for its text.
        for (node, inner) in members {
            let key = key(self.text, &node);
            let is_text = node.kind == Kind::String && matches!(&*key, "text" | "thinking");
            let way = if is_text { way } else { Way::said(Telling::Pieces) };
            self.value(&node, inner, &key, way);
        }
    }

    /// A token of TGI.
    fn token(&mut self, members: Children<'_>, way: Way) {
        for (node, inner) in members {
            let key = key(self.text, &node);
            if key == "id" && node.kind == Kind::Number {
                self.spots.sealed.push((node.value, b"0"));
            } else {
                self.value(&node, inner, &key, way);
            }
        }
    }

    fn object(&mut self, members: Children<'_>, way: Way) {
        for (node, inner) in members {
            let key = key(self.text, &node);
            self.value(&node, inner, &key, way);
        }
    }

    /// A value under this name, where `way` has led.
    fn value(&mut self, node: &Node, inner: Children<'_>, name: &str, way: Way) {
        match node.kind {
            Kind::String => self.named_string(node, name, way),
            // What a tool is called with: all of it is the model's, as where it comes as a string.
            Kind::Object | Kind::Array if names::is_arguments(name) && !is_echo(way, name) => {
                self.text(node.value, Of::Unquoted(way.telling), Quoting::Json);
            }
            Kind::Object | Kind::Array => {
                let way = inside(node, name, way);
                match node.kind {
                    Kind::Object => self.object(inner, way),
                    _ => inner.for_each(|(node, inner)| {
                        let index = self.mark(inner, "index").unwrap_or(u64::from(node.position));
                        let way = Way { way: number(way.way, index), ..way };
                        self.value(&node, inner, name, way);
                    }),
                }
            }
            Kind::Sealed => self.seal(node),
            Kind::Number if node.key != Span::default() && !name.ends_with("index") => {
                let is_fixed = name == "created";
                if !is_fixed {
                    self.spots.varying.push((node.value, Varying::Number));
                }
            }
            Kind::Number | Kind::Null | Kind::True | Kind::Other => {}
        }
    }

    fn named_string(&mut self, node: &Node, name: &str, way: Way) {
        if names::is_no_text(name) {
            if names::varies(name) {
                self.spots.varying.push((node.value, Varying::String));
            }
            return;
        }
        let id = TextId { way: mix(way.way, name.as_bytes()), within: way.within };
        let of = match way.place {
            Place::Echo => Of::Echo,
            Place::Response if names::is_echo_of_response(name) && name != "text" => Of::Echo,
            Place::Delta if name == "data" => {
                // Sound, and not what is said in it.
                self.spots.sealed.push((node.value, b"\"\""));
                return;
            }
            Place::Delta if names::comes_in_pieces(name) => Of::Piece(id),
            // Clients put the strings of a delta together, whatever they are called. What is but a word may be a kind,
            // which is of no use in parts.
            Place::Delta if !names::comes_whole(name) && !is_word(&self.string(node)) => {
                Of::Piece(id)
            }
            Place::Choice if name == "text" => Of::Piece(id),
            _ => Of::Whole(way.telling),
        };
        self.text(
            node.value,
            of,
            if names::is_json(name) { Quoting::Json } else { Quoting::Plain },
        );
    }

    fn text(&mut self, span: Span, of: Of, quoting: Quoting) {
        let of = match of {
            Of::Piece(_) | Of::SoFar(_) if !self.is_stream => Of::Whole(Telling::Pieces),
            _ => of,
        };
        self.spots.texts.push(Spot { span, of, quoting });
    }

    /// Takes out what shows a text another way, if there is anything in it.
    fn seal(&mut self, node: &Node) {
        let written = self.text.get(node.value.range()).unwrap_or_default();
        let is_array = written.starts_with('[');
        let inner = written.get(1..written.len().saturating_sub(1)).unwrap_or_default();
        if !inner.trim().is_empty() {
            self.spots.sealed.push((node.value, if is_array { b"[]" } else { b"null" }));
        }
    }
}

/// What a container under this name is.
fn inside(node: &Node, name: &str, way: Way) -> Way {
    let is_member = node.key != Span::default();
    let place = match way.place {
        // The name is that of the array around it.
        place if !is_member => place,
        _ if is_echo(way, name) => Place::Echo,
        Place::Choice if matches!(name, "delta" | "message") => Place::Delta,
        Place::Choice | Place::Response => Place::Said,
        Place::Delta if name == "annotations" || name == "citation" => Place::Said,
        place @ (Place::Delta | Place::Said | Place::Echo) => place,
    };
    let step = if is_member { mix(way.way, name.as_bytes()) } else { way.way };
    Way { place, way: step, ..way }
}

/// Whether a container under this name is a part of the request.
fn is_echo(way: Way, name: &str) -> bool {
    match way.place {
        Place::Echo => true,
        Place::Response => names::is_echo_of_response(name),
        Place::Choice | Place::Delta | Place::Said => false,
    }
}

fn telling(kind: &str) -> Telling {
    match kind {
        "response.content_part.done" | "response.reasoning_summary_part.done" => Telling::Part,
        "response.output_item.done" => Telling::Item,
        _ if kind.ends_with(".done") => Telling::Text,
        _ if kind.ends_with(".added") => Telling::Begun,
        "response.created" | "response.queued" | "response.in_progress" => Telling::Begun,
        _ if kind.starts_with("response.") => Telling::Response,
        _ => Telling::Pieces,
    }
}

/// How the text is written that events of Responses with such a type bring.
fn quoting(stem: &str) -> Quoting {
    if stem.ends_with("arguments") {
        Quoting::Json
    } else {
        Quoting::Plain
    }
}

/// Whether it is but a word, as kinds and states are.
fn is_word(text: &str) -> bool {
    text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}

/// One step further on a way: under this name.
fn mix(way: u64, name: &[u8]) -> u64 {
    let start = way ^ 0xcbf2_9ce4_8422_2325;
    let hash = name
        .iter()
        .fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Unlike FNV, names of which one begins with the other don't cancel out.
    (hash ^ hash >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The same: to this number.
fn number(way: u64, number: u64) -> u64 {
    mix(way, &number.to_le_bytes())
}
