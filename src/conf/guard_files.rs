//! The files of guards: rules, and lists of terms. Both are followed as those with keys are.
//!
//! What is made of a file takes too long to be made between requests: each worker makes it in its thread. What was made
//! before the workers were forked, they share.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::keys::live::files::{in_folder, read};
use crate::keys::live::{Content, Live, LoadError, Source};
use nginx::conf::{ConfContext, ConfError, Position};
use shared_block::Mapping;
use tollgate_core::guards::files::{
    in_force, is_of_folder, list, pack, rules, MAX_RULES, MAX_TERMS, MOST_FILES,
};
use tollgate_core::status::{digest, SetKind};
use tollgate_guard::injection::Rules;
use tollgate_guard::matcher::terms::Terms;

/// What was made last, and the digest of what it was made of.
#[derive(Debug)]
struct Last<T>(Mutex<Option<(String, Arc<T>)>>);

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Last<T> {
    fn keep(&self, digest: String, made: &Arc<T>) {
        // To take down the one before takes its time.
        let before = self.0.lock().replace((digest, Arc::clone(made)));
        drop(before);
    }

    /// What was made of content with this digest.
    fn get(&self, digest: &str) -> Option<Arc<T>> {
        self.0
            .lock()
            .as_ref()
            .filter(|(known, _)| known == digest)
            .map(|(_, made)| Arc::clone(made))
    }
}

/// `tollgate_guard_rules`
pub(crate) struct RulesFile {
    path: [String; 1],
    /// Those that are shipped are not used.
    is_alone: bool,
    last: Last<Rules>,
}

impl Source for RulesFile {
    type Loaded = Arc<Rules>;
    type Error = String;

    const KIND: SetKind = SetKind::GuardRules;

    fn paths(&self) -> &[String] {
        &self.path
    }

    fn looked_at(&self) -> Cow<'_, [String]> {
        let [path] = &self.path;
        match in_folder(path, is_of_folder) {
            Err(_) | Ok(None) => Cow::Borrowed(&self.path),
            Ok(Some(names)) => {
                // One too many is enough to be told of.
                let files = names.iter().take(MOST_FILES + 1).map(|name| in_it(path, name));
                Cow::Owned(std::iter::once(path.clone()).chain(files).collect())
            }
        }
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let Some(names) = in_folder(path, is_of_folder)? else { return read(path, MAX_RULES) };
        if names.len() > MOST_FILES {
            return Err(io::Error::other(format!("it has more than {MOST_FILES} files of rules")));
        }
        let read = |name: String| match read(in_it(path, &name), MAX_RULES) {
            Ok(content) => Ok((name, content)),
            Err(error) => {
                Err(io::Error::other(format!("\"{}\" in it: {error}", name.escape_debug())))
            }
        };
        let files = names.into_iter().map(read).collect::<io::Result<Vec<_>>>()?;
        Ok(pack(&files))
    }

    fn is_held(loaded: &Self::Loaded) -> bool {
        Arc::strong_count(loaded) > 1
    }

    fn build(&self, files: &[Vec<u8>]) -> Result<Content, String> {
        let [path] = &self.path;
        let bytes = files.first().map_or(&[][..], Vec::as_slice);
        let read = rules(path, bytes, self.is_alone)?;
        let digest = digest(bytes);
        let count = read.rules.ids().len();
        let version = read.rules.version().to_owned();
        let notice = in_force(path, &version, count, Self::KIND.unit(), &digest);
        self.last.keep(digest, &read.rules);
        let warnings = read.remarks;
        Ok(Content {
            block: bytes.to_vec(),
            keys: count,
            version,
            notice,
            warnings,
            ..Content::default()
        })
    }

    fn open(&self, block: Mapping) -> Option<Self::Loaded> {
        let [path] = &self.path;
        let bytes = block.as_ref();
        let digest = digest(bytes);
        if let Some(known) = self.last.get(&digest) {
            return Some(known);
        }
        let read = rules(path, bytes, self.is_alone).ok()?;
        self.last.keep(digest, &read.rules);
        Some(read.rules)
    }
}

fn in_it(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

/// The list of a guard.
pub(crate) struct TermsFile {
    path: [String; 1],
    last: Last<Terms>,
}

impl Source for TermsFile {
    type Loaded = Arc<Terms>;
    type Error = String;

    const KIND: SetKind = SetKind::GuardTerms;

    fn paths(&self) -> &[String] {
        &self.path
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        read(path, MAX_TERMS)
    }

    fn is_held(loaded: &Self::Loaded) -> bool {
        Arc::strong_count(loaded) > 1
    }

    fn build(&self, files: &[Vec<u8>]) -> Result<Content, String> {
        let [path] = &self.path;
        let bytes = files.first().map_or(&[][..], Vec::as_slice);
        let terms = list(path, bytes)?;
        let (digest, count) = (digest(bytes), terms.count());
        let notice = in_force(path, "", count, Self::KIND.unit(), &digest);
        self.last.keep(digest, &terms);
        Ok(Content { block: bytes.to_vec(), keys: count, notice, ..Content::default() })
    }

    fn open(&self, block: Mapping) -> Option<Self::Loaded> {
        let [path] = &self.path;
        let bytes = block.as_ref();
        let digest = digest(bytes);
        if let Some(known) = self.last.get(&digest) {
            return Some(known);
        }
        let terms = list(path, bytes).ok()?;
        self.last.keep(digest, &terms);
        Some(terms)
    }
}

/// A file of guards, as it is now.
pub(crate) struct GuardFile<S: Source> {
    pub(crate) live: Rc<Live<S>>,
    pub(crate) path: String,
    /// Of the line that named it first.
    pub(crate) place: Position,
}

impl<S: Source> Clone for GuardFile<S> {
    fn clone(&self) -> Self {
        let Self { live, path, place } = self;
        Self { live: Rc::clone(live), path: path.clone(), place: place.clone() }
    }
}

impl<S: Source> fmt::Debug for GuardFile<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<T, S: Source<Loaded = Arc<T>>> GuardFile<S> {
    /// What the file holds now. `None`: this worker can't have it.
    pub(crate) fn now(&self) -> Option<Arc<T>> {
        self.live.current().map(|generation| Arc::clone(&generation.loaded))
    }
}

impl GuardFile<RulesFile> {
    /// Reads the rules at a path.
    pub(crate) fn rules(
        cx: &ConfContext<'_>,
        path: String,
        is_alone: bool,
    ) -> Result<Self, ConfError> {
        let source = RulesFile { path: [path.clone()], is_alone, last: Last::default() };
        load(cx, source, path)
    }
}

impl GuardFile<TermsFile> {
    /// Reads the list at a path.
    pub(crate) fn terms(cx: &ConfContext<'_>, path: String) -> Result<Self, ConfError> {
        load(cx, TermsFile { path: [path.clone()], last: Last::default() }, path)
    }
}

fn load<S: Source<Error = String>>(
    cx: &ConfContext<'_>,
    source: S,
    path: String,
) -> Result<GuardFile<S>, ConfError> {
    let place = cx.position();
    let (live, _) = Live::load(source).map_err(|error| match error {
        LoadError::Unreadable { error, .. } => {
            ConfError::new(format!("can't read \"{}\": {error}", path.escape_debug()))
        }
        other => ConfError::new(other.to_string()),
    })?;
    for warning in &live.first().warnings {
        cx.log().warn(format_args!("{warning} {place}"));
    }
    Ok(GuardFile { live: Rc::new(live), path, place })
}
