//! What `nginx -T` prints: all files of a configuration, each behind a line with its name.

use tollgate_doctor::conf::dump::{is_said, name_in};

/// The files that a text is made of; none, if it is one file by itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    /// The line with the name, counted from 1, and the name.
    files: Vec<(usize, String)>,
}

impl Files {
    pub(super) fn of(text: &str) -> Self {
        let mut files = Vec::new();
        for (index, line) in text.lines().enumerate() {
            match name_in(line) {
                Some(name) => files.push((index + 1, name.to_owned())),
                // In a file by itself that is a comment.
                None if files.is_empty() && !line.is_empty() && !is_said(line) => break,
                None => {}
            }
        }
        Self { files }
    }

    pub(super) fn is_dump(&self) -> bool {
        !self.files.is_empty()
    }

    /// How a line of the whole is called.
    pub(super) fn line(&self, line: usize) -> String {
        match self.files.iter().rev().find(|(start, _)| *start < line) {
            Some((start, name)) => {
                format!("line {} of {}", line - start, crate::escape::shown(name))
            }
            None => format!("line {line}"),
        }
    }

    /// The lines, counted from 1, that stand for a file which `include` names: its first one, and the one
    /// after its last.
    pub(super) fn lines_of(&self, include: &str) -> Option<(usize, usize)> {
        // A relative path is taken from the directory of nginx.conf, which comes first.
        let (_, first) = self.files.first()?;
        let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
        let whole = format!("{folder}/{include}");
        let index = self.files.iter().position(|(_, name)| *name == include || *name == whole)?;
        let (start, _) = self.files.get(index)?;
        let end = self.files.get(index + 1).map_or(usize::MAX, |(next, _)| *next);
        Some((start + 1, end))
    }
}
