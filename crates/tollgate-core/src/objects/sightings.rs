//! The ids of new objects, in an answer that goes by.
//!
//! An id counts only where the engine itself writes it: what the model wrote, which may look like anything,
//! and what it was given to read, stand elsewhere.

use super::kind::Kind;
use super::MAX_ID_LEN;
use crate::json::{Container, JsonString, Reader, Scalar, Scanner, Stop};
use crate::llm::meter::sse::{Piece, Sse};
use crate::llm::meter::Beginning;

/// Ids of one answer that are told.
const MAX_SEEN: usize = 256;

/// What of an answer is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// Its own id is that of a new object of this kind.
    pub id: Option<Kind>,
    /// It tells of files that a batch has made.
    pub files: bool,
    /// It tells of items, and of files and containers in them.
    pub items: bool,
}

impl Takes {
    /// These and those.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            id: self.id.or(other.id),
            files: self.files || other.files,
            items: self.items || other.items,
        }
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// Reads an answer, JSON or a stream of events, in the buffers that it comes in.
#[derive(Debug)]
pub struct Sightings {
    format: Format,
    scanner: Scanner<At, 12>,
    finder: Finder,
}

#[derive(Debug)]
enum Format {
    /// Nothing has come but blanks, or byte order marks.
    New(Beginning),
    Json,
    Events(Sse),
    /// All that was looked for was found, or it is no JSON.
    Done,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The answer, or an event of it.
    Root,
    /// An object of which the id is told.
    Object(Kind),
    /// Items, or one of them.
    Items,
    /// In an item, where the engine writes.
    InItem,
    Id(Kind),
}

#[derive(Debug)]
struct Finder {
    takes: Takes,
    text: Vec<u8>,
    seen: Vec<(Kind, Box<[u8]>)>,
    told: usize,
    /// The answer's own id was found.
    has_id: bool,
}

impl Sightings {
    /// A reader that looks for this.
    #[must_use]
    pub fn new(takes: Takes) -> Self {
        let (text, seen) = (Vec::new(), Vec::new());
        let finder = Finder { takes, text, seen, told: 0, has_id: false };
        let format = Format::New(Beginning::default());
        Self { format, scanner: Scanner::new(At::Root), finder }
    }

    /// Reads the next bytes, and tells of what they show.
    pub fn read(&mut self, mut bytes: &[u8], mut seen: impl FnMut(Kind, &[u8])) {
        if let Format::New(beginning) = &mut self.format {
            let Some((start, first)) = beginning.end(bytes) else { return };
            self.format = match first {
                b'{' => {
                    bytes = bytes.get(start..).unwrap_or_default();
                    Format::Json
                }
                _ => Format::Events(beginning.sse()),
            };
        }
        match &mut self.format {
            Format::New(_) | Format::Done => return,
            Format::Json => {
                let _ = self.scanner.read(bytes, &mut self.finder);
            }
            Format::Events(sse) => {
                let mut at = 0;
                while let Some(piece) = sse.next_piece(bytes, &mut at) {
                    match piece {
                        Piece::Event { .. } => self.scanner.restart(),
                        Piece::Data(range) => {
                            let data = bytes.get(range).unwrap_or_default();
                            let _ = self.scanner.read(data, &mut self.finder);
                        }
                        Piece::LineFeed => {
                            let _ = self.scanner.read(b"\n", &mut self.finder);
                        }
                        Piece::Blank { .. } | Piece::LateLineFeed { .. } => {}
                    }
                }
            }
        }
        for (kind, id) in self.finder.seen.drain(..) {
            seen(kind, &id);
        }
        let is_json = matches!(self.format, Format::Json);
        if self.finder.is_done()
            || (is_json && (self.scanner.is_done() || self.scanner.is_broken()))
        {
            self.format = Format::Done;
        }
    }
}

impl Finder {
    /// Whether nothing more can come.
    fn is_done(&self) -> bool {
        self.told >= MAX_SEEN
            || (!self.takes.files && !self.takes.items && (self.has_id || self.takes.id.is_none()))
    }

    fn root_member(&self, name: &[u8]) -> Option<At> {
        let Takes { id, files, items } = self.takes;
        match name {
            b"id" => id.filter(|_| !self.has_id).map(At::Id),
            b"response" if id == Some(Kind::Response) || items => Some(At::Root),
            // The start of a stream of Anthropic's.
            b"message" if items => Some(At::Root),
            b"output_file_id" | b"error_file_id" if files => Some(At::Id(Kind::File)),
            b"output" | b"data" | b"item" if items => Some(At::Items),
            b"content" | b"content_block" | b"part" | b"annotation" if items => Some(At::InItem),
            b"container" if items => Some(At::Object(Kind::Container)),
            _ => None,
        }
    }
}

impl Reader for Finder {
    type Place = At;
    const STRICT: bool = false;

    fn member(&mut self, object: At, key: JsonString<'_>) -> Result<Option<At>, Stop> {
        let Some(name) = key.whole() else { return Ok(None) };
        Ok(match (object, name) {
            (At::Root, name) => self.root_member(name),
            (At::Object(kind), b"id") => Some(At::Id(kind)),
            (At::Items, b"id") => Some(At::Id(Kind::Item)),
            (At::Items | At::InItem, b"file_id") => Some(At::Id(Kind::File)),
            (At::Items | At::InItem, b"container_id") => Some(At::Id(Kind::Container)),
            (At::Items | At::InItem, b"content" | b"annotations" | b"results" | b"outputs") => {
                Some(At::InItem)
            }
            _ => None,
        })
    }

    fn element(&mut self, array: At) -> Option<At> {
        matches!(array, At::Items | At::InItem).then_some(array)
    }

    fn begin(&mut self, place: At, _container: Container, _at: usize) -> Result<At, Stop> {
        Ok(place)
    }

    fn end(&mut self, _place: At) -> Result<(), Stop> {
        Ok(())
    }

    fn string(&mut self, place: At, string: JsonString<'_>) -> Result<(), Stop> {
        let text = std::mem::take(&mut self.text);
        let At::Id(kind) = place else { return Ok(()) };
        let id = string.plain.unwrap_or(&text);
        if string.has_half || !(1..=MAX_ID_LEN).contains(&id.len()) || self.told >= MAX_SEEN {
            return Ok(());
        }
        self.told += 1;
        self.has_id |= Some(kind) == self.takes.id;
        self.seen.push((kind, id.into()));
        Ok(())
    }

    fn scalar(&mut self, _place: At, _scalar: Scalar, _at: usize) -> Result<(), Stop> {
        Ok(())
    }

    fn text(&mut self, place: At, part: &[u8]) {
        if let At::Id(_) = place {
            let room = (MAX_ID_LEN + 1).saturating_sub(self.text.len());
            self.text.extend_from_slice(part.get(..room).unwrap_or(part));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RESPONSE: Takes = Takes { id: Some(Kind::Response), files: false, items: false };
    const ITEMS: Takes = Takes { items: true, ..RESPONSE };

    fn cut(takes: Takes, answer: &str, size: usize) -> Vec<(Kind, String)> {
        let (mut sightings, mut found) = (Sightings::new(takes), Vec::new());
        for part in answer.as_bytes().chunks(size) {
            sightings.read(part, |kind, id| {
                found.push((kind, String::from_utf8(id.to_vec()).unwrap()));
            });
        }
        found
    }

    fn seen(takes: Takes, answer: &str) -> Vec<(Kind, String)> {
        let whole = cut(takes, answer, usize::MAX);
        for size in 1..8 {
            assert_eq!(cut(takes, answer, size), whole, "{size} {answer}");
        }
        whole
    }

    fn all(found: &[(Kind, &str)]) -> Vec<(Kind, String)> {
        found.iter().map(|(kind, id)| (*kind, (*id).to_owned())).collect()
    }

    #[test]
    fn what_comes_before_an_answer_hides_no_id() {
        let one = all(&[(Kind::Response, "resp_1")]);
        let response = r#"{"id":"resp_1","object":"response"}"#;
        for lead in ["\u{feff}", " \n", "\n\u{feff}\r\n "] {
            assert_eq!(seen(RESPONSE, &format!("{lead}{response}")), one, "{lead:?}");
        }
        let event = r#"data: {"response":{"id":"resp_1","object":"response"}}"#;
        for lead in ["\u{feff}", "\n", "\u{feff}\n", "\t\n"] {
            assert_eq!(seen(RESPONSE, &format!("{lead}{event}\n\n")), one, "{lead:?}");
        }
        // The client sees no data behind a blank.
        assert_eq!(seen(RESPONSE, &format!("\t{event}\n\n")), []);
    }

    #[test]
    fn the_id_of_an_answer_is_seen() {
        for answer in [
            r#"{"id":"resp_1","object":"response","output":[{"id":"msg_1"}]}"#,
            r#" {"output":[{"id":"msg_1"}],"metadata":{"id":"x"},"id":"resp_1"}"#,
            r#"{"\u0069d":"resp\u005f1"}"#,
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n\
             data: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_1\",\"delta\":\"\\\"id\\\":\\\"x\\\"\"}\n\n\
             data: {\"response\":{\"id\":\"resp_1\"}}\n\n",
            "data: {\"id\":\"resp_1\"}\n\ndata: {\"id\":\"resp_2\"}\n\n",
        ] {
            assert_eq!(seen(RESPONSE, answer), all(&[(Kind::Response, "resp_1")]), "{answer}");
        }
    }

    #[test]
    fn what_a_model_writes_is_not_seen() {
        for answer in [
            r#"{"x":{"id":"resp_1"}}"#,
            r#"{"text":"{\"id\":\"resp_1\"}"}"#,
            r#"{"id":["resp_1"]}"#,
            r#"{"id":{"id":"resp_1"}}"#,
            r#"{"Id":"resp_1"}"#,
            "data: x {\"id\":\"resp_1\"}\n\n",
            "",
            "   ",
        ] {
            assert_eq!(seen(RESPONSE, answer), [], "{answer}");
        }
        for answer in [
            r#"{"output":[{"type":"function_call","arguments":{"file_id":"a"}}]}"#,
            r#"{"content":[{"type":"tool_use","input":{"file_id":"a"}}]}"#,
            r#"{"output":[{"results":[{"attributes":{"file_id":"a"}}]}]}"#,
            r#"{"metadata":{"file_id":"a"}}"#,
        ] {
            assert_eq!(seen(ITEMS, answer), [], "{answer}");
        }
    }

    #[test]
    fn items_files_and_containers_are_seen() {
        let answer = r#"{"id":"resp_1","output":[{"id":"msg_1","content":[{"annotations":[{"file_id":"f"}]}]},
            {"type":"code_interpreter_call","id":"ci_1","container_id":"c"}]}"#;
        let expected = [
            (Kind::Response, "resp_1"),
            (Kind::Item, "msg_1"),
            (Kind::File, "f"),
            (Kind::Item, "ci_1"),
            (Kind::Container, "c"),
        ];
        assert_eq!(seen(ITEMS, answer), all(&expected));
        let stream = "data: {\"response\":{\"id\":\"resp_1\",\"output\":[]}}\n\n\
                      data: {\"type\":\"response.output_item.added\",\"item\":{\"id\":\"msg_1\"}}\n\n";
        assert_eq!(seen(ITEMS, stream), all(expected.get(..2).unwrap()));
        let batch = Takes { id: Some(Kind::Batch), files: true, items: false };
        let answer = r#"{"id":"b","input_file_id":"i","output_file_id":"o","error_file_id":null}"#;
        assert_eq!(seen(batch, answer), all(&[(Kind::Batch, "b"), (Kind::File, "o")]));
        let message = Takes { id: None, files: false, items: true };
        let answer = r#"{"id":"msg_1","container":{"id":"c"},"content":[{"content":{"content":[{"file_id":"f"}]}}]}"#;
        assert_eq!(seen(message, answer), all(&[(Kind::Container, "c"), (Kind::File, "f")]));
    }

    #[test]
    fn nothing_is_looked_for_for_ever() {
        let mut sightings = Sightings::new(RESPONSE);
        sightings.read(br#"{"id":"resp_1","#, |_, _| {});
        assert!(matches!(sightings.format, Format::Done));
        let items: String = (0..300).map(|n| format!(r#"{{"id":"i{n}"}},"#)).collect();
        assert_eq!(seen(ITEMS, &format!(r#"{{"data":[{items}{{}}]}}"#)).len(), MAX_SEEN);
    }

    proptest! {
        #[test]
        fn no_answer_breaks_it(answer in "([{}\\[\\]:,\"\\\\\n]|data: |id|response|output|a){0,40}", size in 1_usize..9) {
            prop_assert_eq!(cut(ITEMS, &answer, size), cut(ITEMS, &answer, usize::MAX));
        }
    }
}
