//! How the texts of a request are cut for a classifier: each of what it is shown is a window.

use std::borrow::Cow;

use super::Classifier;
use crate::guards::Roles;
use crate::llm::texts::{Place, Role, Text, Texts};

/// What a classifier is shown at once.
#[derive(Clone, PartialEq, Eq)]
pub struct Window {
    /// Where the text stands.
    pub place: Place,
    /// It.
    pub text: Box<str>,
}

/// Not the text.
impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("place", &self.place).finish_non_exhaustive()
    }
}

/// There are more than the classifier may be asked about: where the text stands that is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany(pub Place);

/// The windows of all texts of these roles. What one message says is one text, and so is what stands beside the
/// messages: all tools, say. A text that is longer than a window has several, of which an eighth is shown twice.
///
/// # Errors
///
/// There are too many.
pub fn windows(
    classifier: &Classifier,
    roles: Roles,
    texts: &Texts,
) -> Result<Vec<Window>, TooMany> {
    let mut windows: Vec<Window> = Vec::new();
    let most = classifier.window.saturating_mul(classifier.max_windows);
    let mut judged = texts.iter().filter(|text| roles.has(text.role)).peekable();
    while let Some(first) = judged.next() {
        let mut said = Cow::Borrowed(texts.said(first));
        while let Some(next) = judged.next_if(|next| belongs_to(next, first)) {
            if said.len() > most {
                break;
            }
            let said = said.to_mut();
            said.push('\n');
            said.push_str(texts.said(next));
        }
        for text in cut(&said, classifier.window) {
            // Some servers take an empty text for an error.
            if text.trim().is_empty() {
                continue;
            }
            if windows.len() >= classifier.max_windows {
                return Err(TooMany(first.place));
            }
            windows.push(Window { place: first.place, text: text.into() });
        }
    }
    Ok(windows)
}

/// Whether a text is judged together with the one before.
fn belongs_to(next: &Text, first: &Text) -> bool {
    let is_aside = |text: &Text| text.role == Role::System && !text.is_content;
    let is_beside = next.place.member == first.place.member && is_aside(next) && is_aside(first);
    next.role == first.role && (next.place == first.place || is_beside)
}

/// The windows of one text.
fn cut(said: &str, size: usize) -> impl Iterator<Item = &str> {
    let boundary = |mut at: usize| {
        while !said.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let mut at = Some(0);
    std::iter::from_fn(move || {
        let start: usize = at?;
        let end = boundary(said.len().min(start.saturating_add(size)));
        at = (end < said.len()).then(|| boundary(end - size / 8));
        said.get(start..end)
    })
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
