//! What a method and a path do to objects, and which ones they name.
//!
//! A path is read by its segments, wherever they stand, in any case: so a prefix of the operator's, a missing
//! version or a trailing slash make no difference. Behind the name of a collection stands an id, whatever
//! follows that. What isn't clear is judged as if it were meant: all ids that any reading finds must be the
//! client's.

use std::borrow::Cow;
use std::convert::Infallible;

use smallvec::SmallVec;

use super::kind::Kind;
use super::query::decoded;
use super::sightings::Takes;
use crate::llm::engines::{is_operation, Engine};
use crate::llm::Endpoint;
use crate::path::up_to_query;

/// What a request does to objects, as far as its method and path tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Its path names one (see [`named()`]).
    pub names: bool,
    /// It asks for all that there are, of all clients.
    pub lists: bool,
    /// What its answer tells of new ones. Whether a chat or a response is one, is for its body to say (see
    /// [`Access::kept`]).
    pub takes: Takes,
    /// Its body is JSON in which objects may be named.
    pub refers: bool,
    /// It may be a form instead, by which files are uploaded. That isn't read.
    pub may_be_form: bool,
    /// It is for streams that go on without their client.
    pub streams: Streams,
    /// Its query may name a call (speech), which is nobody's: see [`query::names_call`](super::query::names_call).
    pub joins_calls: bool,
}

/// How a request names streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Not at all, or by a header.
    #[default]
    None,
    /// One, by its query.
    Query,
    /// Any number, by its body.
    Body,
}

/// Ids in a path, each with the kind of what it names.
type Named<'p> = SmallVec<[(Kind, &'p [u8]); 4]>;

type Segments<'p> = SmallVec<[&'p [u8]; 8]>;

/// The collections, by the segments of their names.
const COLLECTIONS: [(&[&str], Kind); 8] = [
    (&["responses"], Kind::Response),
    (&["chat", "completions"], Kind::Chat),
    (&["files"], Kind::File),
    (&["batches"], Kind::Batch),
    (&["conversations"], Kind::Conversation),
    (&["videos"], Kind::Video),
    (&["vector_stores"], Kind::VectorStore),
    (&["containers"], Kind::Container),
];

/// Collections of what isn't kept by client, whose requests may name what is.
const REFERRING: [&str; 7] =
    ["responses", "messages", "images", "fine_tuning", "threads", "assistants", "evals"];

impl Access {
    /// That of what asks for all that there are, and does nothing else.
    pub const LISTS: Self = Self {
        names: false,
        lists: true,
        takes: Takes { id: None, files: false, items: false },
        refers: false,
        may_be_form: false,
        streams: Streams::None,
        joins_calls: false,
    };

    /// What a request by `method` for `path` does, which is read as `form`.
    #[must_use]
    pub fn of(engine: Engine, form: Option<Endpoint>, method: &[u8], path: &[u8]) -> Self {
        if let Some(form) = form {
            // No object has a path that ends like that.
            return Self::of_form(engine, form);
        }
        if method == b"OPTIONS" {
            // It tells of the path alone.
            return Self::default();
        }
        let mut access = Self::default();
        each_reading(path, |path| {
            access = access.or(Self::of_path(engine, method, &segments(path)));
        });
        access
    }

    /// Whether there is anything to judge.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Whether an internal redirect to it, from what did this `before`, has to be judged.
    #[must_use]
    pub fn is_elsewhere(self, before: Self) -> bool {
        self != before || self.reaches() || self.streams != Streams::None
    }

    /// Whether it reaches what clients keep, by its path.
    #[must_use]
    pub fn reaches(self) -> bool {
        self.names || self.lists
    }

    /// What the answer tells, given what the body says of `store`: chats are kept where that is said,
    /// responses unless it is denied.
    #[must_use]
    pub fn kept(self, store: Option<bool>) -> Takes {
        let is_kept = match self.takes.id {
            Some(Kind::Chat) => store == Some(true),
            Some(Kind::Response) => store != Some(false),
            _ => true,
        };
        Takes { id: self.takes.id.filter(|_| is_kept), ..self.takes }
    }

    fn of_form(engine: Engine, form: Endpoint) -> Self {
        let keeps_files = matches!(engine, Engine::OpenAi | Engine::Anthropic);
        let id = match (form, engine) {
            (Endpoint::Responses, Engine::OpenAi | Engine::Vllm | Engine::Sglang) => {
                Some(Kind::Response)
            }
            (Endpoint::Chat, Engine::OpenAi) => Some(Kind::Chat),
            _ => None,
        };
        let items = match form {
            Endpoint::Responses => engine == Engine::OpenAi,
            Endpoint::Messages => keeps_files,
            _ => false,
        };
        let refers = match form {
            Endpoint::Responses => true,
            Endpoint::Chat | Endpoint::Messages => keeps_files,
            _ => false,
        };
        Self { takes: Takes { id, files: false, items }, refers, ..Self::default() }
    }

    fn of_path(engine: Engine, method: &[u8], path: &[&[u8]]) -> Self {
        let (is_post, is_get) = (method == b"POST", matches!(method, b"GET" | b"HEAD"));
        let writes = matches!(method, b"POST" | b"PUT" | b"PATCH");
        let ends_in = |end: &[&str]| {
            path.len() >= end.len()
                && path.iter().rev().zip(end.iter().rev()).all(|(a, b)| is(a, b))
        };
        if matches!(engine, Engine::OpenAi | Engine::LlamaCpp) {
            if ends_in(&["stream"]) && (is_get || method == b"DELETE") {
                return Self { streams: Streams::Query, ..Self::default() };
            }
            if ends_in(&["streams", "lookup"]) && is_post {
                return Self { streams: Streams::Body, refers: true, ..Self::default() };
            }
        }
        let ids = ids(path);
        if !ids.is_empty() {
            let takes = Takes {
                id: (is_post && ends_in(&["remix"])).then_some(Kind::Video),
                files: ids.iter().any(|(kind, _)| *kind == Kind::Batch),
                items: engine == Engine::OpenAi
                    && ids
                        .iter()
                        .any(|(kind, _)| matches!(kind, Kind::Response | Kind::Conversation)),
            };
            return Self { names: true, refers: writes, takes, ..Self::default() };
        }
        if ends_in(&["realtime"]) || ends_in(&["realtime", "calls"]) {
            return Self { joins_calls: true, ..Self::default() };
        }
        let last = COLLECTIONS.iter().find(|(name, _)| ends_in(name)).map(|(_, kind)| *kind);
        match last {
            // The upload of a file is no JSON, and that of a video needn't be.
            Some(kind) if is_post => Self {
                takes: Takes { id: Some(kind), ..Takes::default() },
                refers: kind != Kind::File,
                may_be_form: kind == Kind::Video,
                ..Self::default()
            },
            Some(_) => Self { lists: true, ..Self::default() },
            None => {
                // A new video is made of another one.
                let is_video = ["edits", "extensions"].iter().any(|end| ends_in(&["videos", end]));
                // Of all in which a file or a response may be named.
                let names = |name: &&str| path.iter().any(|segment| is(segment, name));
                let id = (is_post && is_video).then_some(Kind::Video);
                Self {
                    takes: Takes { id, ..Takes::default() },
                    refers: writes && (is_video || REFERRING.iter().any(&names)),
                    may_be_form: writes && (is_video || names(&"images")),
                    ..Self::default()
                }
            }
        }
    }

    fn is_json(self) -> bool {
        self.refers && !self.may_be_form
    }

    fn or(self, other: Self) -> Self {
        Self {
            names: self.names || other.names,
            lists: self.lists || other.lists,
            takes: self.takes.or(other.takes),
            refers: self.refers || other.refers,
            // Where one reading says that it is JSON, it has to be.
            may_be_form: self.may_be_form && !other.is_json()
                || other.may_be_form && !self.is_json(),
            streams: if self.streams == Streams::None { other.streams } else { self.streams },
            joins_calls: self.joins_calls || other.joins_calls,
        }
    }
}

/// Tells of each object that `path` names, in any reading, until one is refused.
///
/// # Errors
///
/// That of the refusal.
pub fn named<E>(path: &[u8], mut judge: impl FnMut(Kind, &[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut outcome = Ok(());
    each_reading(path, |path| {
        if outcome.is_ok() {
            outcome = ids(&segments(path)).iter().try_for_each(|(kind, id)| judge(*kind, id));
        }
    });
    outcome
}

/// Whether two paths name the same objects, in the same order.
#[must_use]
pub fn are_named_alike(one: &[u8], other: &[u8]) -> bool {
    let all = |path: &[u8]| {
        let mut all: Vec<(Kind, Vec<u8>)> = Vec::new();
        let outcome: Result<(), Infallible> = named(path, |kind, id| {
            all.push((kind, id.to_vec()));
            Ok(())
        });
        outcome.map(|()| all)
    };
    one == other || all(one) == all(other)
}

/// What servers make of a path that nginx has decoded: where it goes on like that, it is decoded again, and
/// cut off at what was an encoded `?` or `#`.
fn each_reading(path: &[u8], mut read: impl FnMut(&[u8])) {
    let mut read_both = |path: &[u8]| {
        read(path);
        if let Some(short) = up_to_query(path) {
            read(short);
        }
    };
    read_both(path);
    let mut path = Cow::Borrowed(path);
    for _ in 0..MAX_DECODINGS {
        let again = match memchr::memchr(b'%', &path) {
            Some(_) => decoded(&path),
            None => return,
        };
        if again == *path {
            return;
        }
        read_both(&again);
        path = Cow::Owned(again);
    }
}

/// No chain of servers decodes a path more often.
const MAX_DECODINGS: usize = 4;

/// The object that a DELETE of `path` removes: the one that its end names.
#[must_use]
pub fn removed<'p>(method: &[u8], path: &'p [u8]) -> Option<(Kind, &'p [u8])> {
    let segments = segments(path);
    let last = ids(&segments).pop()?;
    (method == b"DELETE" && segments.last() == Some(&last.1)).then_some(last)
}

fn segments(path: &[u8]) -> Segments<'_> {
    path.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty()).collect()
}

fn ids<'p>(path: &[&'p [u8]]) -> Named<'p> {
    let mut found = Named::new();
    let mut rest = path;
    // Whether the files of something come, which are its own.
    let mut is_within = false;
    while let [_, behind @ ..] = rest {
        let collection = COLLECTIONS.iter().find(|(name, _)| {
            rest.len() >= name.len() && rest.iter().zip(*name).all(|(a, b)| is(a, b))
        });
        rest = behind;
        let Some((name, kind)) = collection else { continue };
        let behind = behind.get(name.len() - 1..).unwrap_or_default();
        let [id, after @ ..] = behind else { break };
        let is_operation = after.is_empty() && is_operation(id);
        if is_version(id) || is_operation || (is_within && *kind == Kind::File) {
            continue;
        }
        found.push((*kind, *id));
        is_within = matches!(kind, Kind::VectorStore | Kind::Container);
        rest = after;
    }
    found
}

/// Whether a segment is `name`, in any case.
fn is(segment: &[u8], name: &str) -> bool {
    segment.eq_ignore_ascii_case(name.as_bytes())
}

/// `v1` and the like: the collection is a prefix of somebody else's.
fn is_version(segment: &[u8]) -> bool {
    matches!(segment, [b'v' | b'V', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests;
