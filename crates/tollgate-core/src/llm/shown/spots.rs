//! Where in a document the texts stand, and which text of the answer each of them is a piece of.
//!
//! What isn't known is text: see `names`.

use tollgate_guard::stream::Quoting;

use super::form::Form;
use super::tree::{Span, Tree};
use super::walk::Walk;

/// How often an answer is told in a stream: in pieces, and again as a whole, up to four times. What is found
/// in it counts once, so each of these is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    Pieces,
    /// A text that came in pieces.
    Text,
    Part,
    Item,
    Response,
    /// What has only begun.
    Begun,
}

impl Telling {
    pub(super) const COUNT: usize = 6;

    pub(super) fn index(self) -> usize {
        match self {
            Self::Pieces => 0,
            Self::Text => 1,
            Self::Part => 2,
            Self::Item => 3,
            Self::Response => 4,
            Self::Begun => 5,
        }
    }
}

/// What of the answer a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A piece of a text.
    Piece(TextId),
    /// All of a text that has come up to now.
    SoFar(TextId),
    /// All of a text.
    Whole(Telling),
    /// All of one that is JSON and stands there without quotes.
    Unquoted(Telling),
    /// A part of the request.
    Echo,
}

/// Which text of an answer it is: its way through the document, with the numbers of choices, tools and
/// parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextId {
    pub(super) way: u64,
    /// What it is a part of, from the outside: a choice, or an item and a part of it.
    pub(super) within: [u64; 2],
}

/// Where a text stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    /// The string, with its quotes; or what has none.
    pub(super) span: Span,
    pub(super) of: Of,
    pub(super) quoting: Quoting,
}

/// Which texts end with a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    All,
    Text(u64),
    Within(u64),
}

impl End {
    pub(super) fn includes(self, id: &TextId) -> bool {
        match self {
            Self::All => true,
            Self::Text(way) => id.way == way,
            Self::Within(within) => id.within.contains(&within),
        }
    }
}

/// What varies in a document and is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Varying {
    Number,
    /// The number of an event.
    Sequence,
    String,
}

/// What a document has of interest, in the order in which it stands there.
#[derive(Debug, Default)]
pub(super) struct Spots {
    pub(super) texts: Vec<Spot>,
    /// What shows a text another way, and what takes its place.
    pub(super) sealed: Vec<(Span, &'static [u8])>,
    pub(super) ends: Vec<End>,
    pub(super) varying: Vec<(Span, Varying)>,
}

impl Spots {
    /// Finds what is of interest in a document: of a stream, or one that is the answer.
    pub(super) fn find(&mut self, tree: &Tree, text: &str, form: Form, is_stream: bool) {
        self.texts.clear();
        self.sealed.clear();
        self.ends.clear();
        self.varying.clear();
        let Some(root) = tree.root() else { return };
        Walk { tree, text, form, is_stream, spots: self }.read(&root);
    }
}
