//! The line of a table that a request is for.

use std::sync::LazyLock;

use super::{Engine, Kind, Row};
use crate::llm::endpoint::{Dialect, Endpoint};
use crate::path::up_to_query;
use crate::permissions::scopes::Scope;

/// Whom a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Clients with this scope. `is_harmless`: it takes no tokens.
    Clients {
        /// What a credential must be for.
        scope: Scope,
        /// See [`Kind::is_harmless`].
        is_harmless: bool,
    },
    /// Operators: it tells of all clients, or changes the engine for all of them.
    Operators,
    /// Nobody, unless the operator opens it: it reaches into the requests of others.
    Others,
    /// Nobody knows: the table has no such line.
    Unknown,
}

impl Engine {
    /// The line of those that are read which `path` belongs to: nginx's normalised URI, unescaped,
    /// without a query.
    ///
    /// Only the end of the path counts, so that it may stand below a prefix of the operator's, and the
    /// version at its beginning may be missing. ASCII case and trailing slashes are ignored, and an encoded `?` or `#` with what follows it: some
    /// servers accept such spellings, and a request must not escape its metering by one. What fits best
    /// is taken: the whole path, then its longest end. TGI's `/` is known where a path that is nothing else ends in it.
    #[must_use]
    pub fn read(self, path: &[u8]) -> Option<&'static Row> {
        self.read_at(path).map(|(row, _)| row)
    }

    /// The same, and where in the path it begins.
    fn read_at(self, path: &[u8]) -> Option<(&'static Row, usize)> {
        self.read_exactly(path).or_else(|| self.read_exactly(up_to_query(path)?))
    }

    fn read_exactly(self, path: &[u8]) -> Option<(&'static Row, usize)> {
        let whole = path;
        let path = without_slashes_at_end(path);
        let mut best: Option<(Fit, &Row)> = None;
        // In each table they come first.
        for row in self.table().rows.iter().take_while(|row| row.form.is_some()) {
            let Some(fit) = fit(path, row.path.as_bytes()) else { continue };
            if best.is_none_or(|(other, _)| fit > other) {
                best = Some((fit, row));
            }
        }
        let found = best.map(|(fit, row)| (row, path.len().saturating_sub(fit.len)));
        match found {
            None if path.len() < whole.len() => self.root_below(path),
            found => found,
        }
    }

    /// The root that is read, where the engine's paths are below `prefix`, which is no other line.
    fn root_below(self, prefix: &[u8]) -> Option<(&'static Row, usize)> {
        let rows = &self.table().rows;
        let root = rows.iter().find(|row| row.path == "/" && row.form.is_some())?;
        let is_other = rows.iter().any(|row| row.path != "/" && fits(prefix, row.path));
        (!is_other).then_some((root, prefix.len()))
    }

    /// Whom a request for `path` is for; `own` bytes at its beginning may be the operator's.
    ///
    /// A line for operators counts in any spelling, below any prefix: it comes before all others, behind
    /// `openai` those of all engines. A line for clients begins where the path does, or behind a segment that
    /// the configuration itself names, so that nobody chooses a prefix of his own (vLLM serves all of
    /// `/metrics/...`). What is read is known in any case, with slashes at its end, and without its
    /// version; all else to the letter.
    #[must_use]
    pub fn standing(self, method: &[u8], path: &[u8], own: usize) -> Standing {
        let operators = LazyLock::force(&FOR_OPERATORS).iter();
        // Behind `openai` there may be any engine.
        let mut here = operators.filter(|(engine, _)| *engine == self || self == Self::OpenAi);
        let is_it = |row: &Row| row.methods.contain(method) && fits(path, row.path);
        if let Some((_, row)) = here.find(|(_, row)| is_it(row)) {
            return match row.kind {
                Kind::Others => Standing::Others,
                _ => Standing::Operators,
            };
        }
        match self.for_clients(method, path, own) {
            Some(row) => {
                Standing::Clients { scope: row.scope, is_harmless: row.kind.is_harmless() }
            }
            None => Standing::Unknown,
        }
    }

    /// The line by which a request for `path` is counted.
    #[must_use]
    pub fn line(self, method: &[u8], path: &[u8], own: usize) -> Option<&'static Row> {
        self.for_clients(method, path, own).or_else(|| self.read(path))
    }

    /// The line that is for clients; of several the one that begins first, takes tokens, and names most.
    fn for_clients(self, method: &[u8], path: &[u8], own: usize) -> Option<&'static Row> {
        let read = self.read_at(path).filter(|(row, start)| {
            *start <= own && row.methods.contain(method) && row.is_for_clients()
        });
        if let Some((row, _)) = read {
            return Some(row);
        }
        let slashes = memchr::memchr_iter(b'/', path).take_while(|start| *start <= own);
        for start in slashes {
            let here = path.get(start..).unwrap_or_default();
            let rows = self.table().rows.iter().filter(|row| {
                row.is_for_clients() && row.methods.contain(method) && is_exactly(here, row.path)
            });
            let first = rows.min_by_key(|row| {
                (row.kind.is_harmless(), row.path.bytes().filter(|byte| *byte == b'{').count())
            });
            if first.is_some() {
                return first;
            }
        }
        None
    }
}

/// The lines that are not for clients.
static FOR_OPERATORS: LazyLock<Vec<(Engine, &'static Row)>> = LazyLock::new(|| {
    let all = Engine::ALL.into_iter();
    let all = all.flat_map(|engine| engine.table().rows.iter().map(move |row| (engine, row)));
    all.filter(|(_, row)| !row.is_for_clients()).collect()
});

/// Whether any reading of `path` ends with the path of a line, which may have lost its version.
fn fits(path: &[u8], row: &str) -> bool {
    let row = row.as_bytes();
    [Some(path), up_to_query(path)].into_iter().flatten().any(|path| {
        let path = without_slashes_at_end(path);
        ends_with(path, row) || without_version(row).is_some_and(|row| ends_with(path, row))
    })
}

/// Whether the last segments of `path` are those of `row`, in any case; `{...}` stands for any one.
fn ends_with(path: &[u8], row: &[u8]) -> bool {
    let mut segments = path.rsplit(|&byte| byte == b'/');
    let Some(row) = row.strip_prefix(b"/") else { return false };
    if row.is_empty() {
        return path.is_empty();
    }
    let is_same = row.rsplit(|&byte| byte == b'/').all(|expected| {
        segments.next().is_some_and(|segment| {
            expected.starts_with(b"{") || segment.eq_ignore_ascii_case(expected)
        })
    });
    // What is before the first slash, is no segment.
    is_same && segments.next().is_some()
}

fn without_slashes_at_end(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or_default()
}

/// How well a line fits: the larger, the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    is_whole: bool,
    /// Of the end of the path that it is.
    len: usize,
    has_version: bool,
}

/// How well the end of `path` is `row`, a path of a table: by the length of that end, which may lack the
/// version of the row. A row without one comes before a row that lost it, and the whole path before any
/// end.
fn fit(path: &[u8], row: &[u8]) -> Option<Fit> {
    let whole = Fit { is_whole: true, len: path.len(), has_version: true };
    // Of the root nothing is left.
    if row == b"/" {
        return path.is_empty().then_some(whole);
    }
    if is_end(path, row) {
        let end = Fit { is_whole: false, len: row.len(), has_version: true };
        return Some(if path.len() == row.len() { whole } else { end });
    }
    let short = without_version(row)?;
    let end = Fit { is_whole: false, len: short.len(), has_version: false };
    is_end(path, short).then_some(end)
}

/// `/v1/x` without its `/v1`; `None`: it has none.
fn without_version(path: &[u8]) -> Option<&[u8]> {
    match path {
        [b'/', b'v', digit, rest @ ..] if digit.is_ascii_digit() && rest.starts_with(b"/") => {
            Some(rest)
        }
        _ => None,
    }
}

/// Whether the end of `path` is `end`, in any case.
fn is_end(path: &[u8], end: &[u8]) -> bool {
    let Some(start) = path.len().checked_sub(end.len()) else { return false };
    // Nearly all that are another one, differ in their last byte.
    path.last().map(u8::to_ascii_lowercase) == end.last().map(u8::to_ascii_lowercase)
        && path.get(start..).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// Whether `path` is the one of a row, to the letter; `{...}` stands for any segment that can be a name,
/// `{...:path}` for all that are left.
fn is_exactly(path: &[u8], row: &str) -> bool {
    let mut segments = path.split(|&byte| byte == b'/');
    let mut expected = row.as_bytes().split(|&byte| byte == b'/');
    loop {
        match (segments.next(), expected.next()) {
            (None, None) => return true,
            (Some(segment), Some(expected)) => {
                let is_any = expected.starts_with(b"{") && is_name(segment);
                if is_any && expected.ends_with(b":path}") {
                    return segments.all(is_name);
                }
                // An engine that serves more than the table has, does something there.
                if is_any && is_operation(segment) {
                    return false;
                }
                if !is_any && segment != expected {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// Whether a segment can be anybody's id or name. What was an encoded `?` or `#` ends the path for whoever is
/// sent it decoded.
fn is_name(segment: &[u8]) -> bool {
    !segment.is_empty() && up_to_query(segment).is_none()
}

/// What stands behind the name of a collection, at the end, and is no id.
const OPERATIONS: [&str; 8] =
    ["compact", "input_tokens", "render", "derender", "batch", "control", "edits", "extensions"];

/// Whether a segment behind the name of a collection says what to do, and is no id of something in it.
#[must_use]
pub fn is_operation(segment: &[u8]) -> bool {
    OPERATIONS.iter().any(|name| segment.eq_ignore_ascii_case(name.as_bytes()))
}

/// The form in which a request by `method` for `path` is read (see [`Engine::read`]), and how a refusal
/// looks to a client that asked for it, which may be no endpoint that is known.
#[must_use]
pub fn classify(method: &[u8], path: &[u8], engine: Engine) -> (Option<Endpoint>, Dialect) {
    let row = engine.read(path);
    let dialect = match (row.and_then(|row| row.form), engine.dialect()) {
        // TGI answers in its own form wherever it isn't OpenAI's API.
        (Some(Endpoint::Invocations), dialect) => dialect,
        (Some(endpoint), _) => endpoint.dialect(),
        // Ollama has OpenAI's API beside its own.
        (None, Dialect::Ollama) if !is_below_api(path) => Dialect::OpenAi,
        (None, dialect) => dialect,
    };
    (row.filter(|row| row.methods.contain(method)).and_then(|row| row.form), dialect)
}

/// Whether a segment of the path, other than the last, is `api`.
fn is_below_api(path: &[u8]) -> bool {
    let mut segments = path.split(|&byte| byte == b'/');
    // What is before the first slash, is no segment.
    segments.next();
    segments.next_back();
    segments.any(|segment| segment.eq_ignore_ascii_case(b"api"))
}

#[cfg(test)]
mod tests;
