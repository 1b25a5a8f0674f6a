//! Directives and blocks, with the files that they include in the place of `include`.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::dump::Dump;
use super::token::{tokens, Token};

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: Arc<str>,
    /// Its line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A directive, or a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its first word; in a `map`, the first word of the entry.
    pub name: String,
    /// The other words.
    pub args: Vec<String>,
    /// Where its first word stands.
    pub place: Place,
    /// What is between its braces, if it has some.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// A word behind the name, counted from 0.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).map(String::as_str)
    }

    /// What stands between its braces.
    #[must_use]
    pub fn body(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// The last directive of this name in its block, which is the one that holds.
    #[must_use]
    pub fn own(&self, name: &str) -> Option<&Directive> {
        self.body().iter().rfind(|directive| directive.name == name)
    }
}

/// Why a configuration can't be read: a lower-case sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// Why.
    pub message: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Where files are read.
pub trait Files {
    /// The text of a file.
    fn read(&self, path: &str) -> Option<String>;
    /// The names of the files that fit a pattern, sorted.
    fn matching(&self, pattern: &glob::Pattern) -> Vec<String>;
}

/// How deep files may include each other.
const MAX_DEPTH: usize = 32;

/// The configuration in what `nginx -T` has printed, or in a file by itself, called `name`.
///
/// # Errors
///
/// What can't be understood, and where.
pub fn parse(text: &str, name: &str) -> Result<Vec<Directive>, ParseError> {
    let mut dump = Dump::of(text, name);
    loop {
        let (parsed, included) = {
            let files = dump.by_name();
            let main = dump.main().unwrap_or(name);
            let mut reader = Reader::new(&files, main);
            let parsed = reader.file(main, MAX_DEPTH);
            (parsed, reader.included)
        };
        match dump.without_orphans(|name| included.contains(name)) {
            Some(other) => dump = other,
            None => return parsed,
        }
    }
}

/// The configuration in a file, with what it includes.
///
/// # Errors
///
/// What can't be understood, and where.
pub fn read(files: &dyn Files, main: &str) -> Result<Vec<Directive>, ParseError> {
    Reader::new(files, main).file(main, MAX_DEPTH)
}

struct Reader<'f> {
    files: &'f dyn Files,
    /// The folder of the first file, from which relative paths are taken.
    folder: String,
    included: HashSet<String>,
}

/// A block that is being read: its name, its arguments and its place, and what is in it so far.
type Open = (Option<(String, Vec<String>, Place)>, Vec<Directive>);

impl<'f> Reader<'f> {
    fn new(files: &'f dyn Files, main: &str) -> Self {
        let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder);
        Self { files, folder: folder.to_owned(), included: HashSet::new() }
    }

    fn file(&mut self, path: &str, depth: usize) -> Result<Vec<Directive>, ParseError> {
        self.included.insert(path.to_owned());
        let file: Arc<str> = path.into();
        let at = |line| Place { file: Arc::clone(&file), line };
        let fail =
            |line, message: &str| ParseError { place: at(line), message: message.to_owned() };
        let Some(text) = self.files.read(path) else {
            return Err(fail(1, "the file can't be read"));
        };
        let tokens = tokens(&text).map_err(|line| fail(line, "a quote or a block doesn't end"))?;
        let mut open: Vec<Open> = vec![(None, Vec::new())];
        let mut words: Vec<(usize, String)> = Vec::new();
        for (line, token) in tokens {
            match token {
                Token::Word(word) => words.push((line, word)),
                Token::End | Token::Open if words.is_empty() => {
                    return Err(fail(line, "a \";\" or \"{\" without a directive"));
                }
                Token::End => {
                    let directive = directive(&mut words, &at);
                    let made = match directive.arg(0) {
                        Some(pattern)
                            if directive.name == "include" && directive.args.len() == 1 =>
                        {
                            self.include(pattern, &directive.place, depth)?
                        }
                        _ => vec![directive],
                    };
                    if let Some((_, body)) = open.last_mut() {
                        body.extend(made);
                    }
                }
                Token::Open => {
                    let Directive { name, args, place, .. } = directive(&mut words, &at);
                    open.push((Some((name, args, place)), Vec::new()));
                }
                Token::Close => {
                    if !words.is_empty() {
                        return Err(fail(line, "a directive without a \";\" behind it"));
                    }
                    match (open.pop(), open.last_mut()) {
                        (Some((Some((name, args, place)), body)), Some((_, outer))) => {
                            outer.push(Directive { name, args, place, block: Some(body) });
                        }
                        _ => return Err(fail(line, "a \"}\" that closes nothing")),
                    }
                }
            }
        }
        if let Some((line, _)) = words.first() {
            return Err(fail(*line, "a directive without a \";\" behind it"));
        }
        match (open.pop(), open.is_empty()) {
            (Some((None, body)), true) => Ok(body),
            (Some((Some((_, _, place)), _)), _) => {
                Err(ParseError { place, message: "a block doesn't end".to_owned() })
            }
            _ => Err(fail(1, "a block doesn't end")),
        }
    }

    fn include(
        &mut self,
        name: &str,
        at: &Place,
        depth: usize,
    ) -> Result<Vec<Directive>, ParseError> {
        let fail = |message: String| ParseError { place: at.clone(), message };
        let Some(depth) = depth.checked_sub(1) else {
            return Err(fail("files include each other without end".to_owned()));
        };
        let path = match name.starts_with('/') {
            false if !self.folder.is_empty() => format!("{}/{name}", self.folder),
            _ => name.to_owned(),
        };
        // A path with none of the shell's signs must be there.
        let found = match path.contains(['*', '?', '[']) {
            true => {
                let pattern = glob::Pattern::new(&path);
                self.files.matching(&pattern.map_err(|error| fail(error.to_string()))?)
            }
            false => vec![path],
        };
        let mut all = Vec::new();
        for path in found {
            all.extend(self.file(&path, depth)?);
        }
        Ok(all)
    }
}

fn directive(words: &mut Vec<(usize, String)>, at: &impl Fn(usize) -> Place) -> Directive {
    let line = words.first().map_or(1, |(line, _)| *line);
    let mut words = words.drain(..).map(|(_, word)| word);
    let name = words.next().unwrap_or_default();
    Directive { name, args: words.collect(), place: at(line), block: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(tree: &[Directive]) -> Vec<String> {
        tree.iter().map(|d| format!("{} {}", d.name, d.place)).collect()
    }

    #[test]
    fn what_is_included_stands_in_its_place() {
        let text = "nginx: the configuration file /e/nginx.conf syntax is ok\n\
            # configuration file /e/nginx.conf:\nuser a;\nhttp {\n  include sites/*.conf;\n  last b;\n}\n\n\
            # configuration file /e/sites/1.conf:\n\nserver { listen 1; }\n\n\
            # configuration file /e/sites/2.conf:\nserver { include ../e/other; }\n";
        let error = parse(text, "x").unwrap_err();
        assert_eq!(error.to_string(), "/e/../e/other:1: the file can't be read");
        let text = text.replace("include ../e/other;", "");
        let tree = parse(&text, "x").unwrap();
        assert_eq!(names(&tree), ["user /e/nginx.conf:1", "http /e/nginx.conf:2"]);
        assert_eq!(
            names(tree[1].body()),
            ["server /e/sites/1.conf:2", "server /e/sites/2.conf:1", "last /e/nginx.conf:4"]
        );
    }

    #[test]
    fn a_comment_that_looks_like_the_name_of_a_file_is_a_comment() {
        let text = "# configuration file /e/nginx.conf:\na;\ninclude b.conf;\n# configuration file /e/old.conf:\nc;\n\
            # configuration file /e/b.conf:\n# configuration file /e/c.conf:\nd;\n";
        let tree = parse(text, "x").unwrap();
        assert_eq!(names(&tree), ["a /e/nginx.conf:1", "d /e/b.conf:2", "c /e/nginx.conf:4"]);
    }

    #[test]
    fn a_file_by_itself_is_read() {
        assert_eq!(names(&parse("a;\nb { c; }", "x").unwrap()), ["a x:1", "b x:2"]);
    }

    #[test]
    fn what_is_broken_is_named_with_its_line() {
        for (text, error) in [
            ("a;\nb", "x:2: a directive without a \";\" behind it"),
            ("a {\n b }", "x:2: a directive without a \";\" behind it"),
            ("a {\n b;\n", "x:1: a block doesn't end"),
            ("a; }", "x:1: a \"}\" that closes nothing"),
            (";", "x:1: a \";\" or \"{\" without a directive"),
            ("{", "x:1: a \";\" or \"{\" without a directive"),
            ("a 'b;", "x:1: a quote or a block doesn't end"),
            ("include x;", "x:1: files include each other without end"),
        ] {
            assert_eq!(parse(text, "x").unwrap_err().to_string(), error);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z;{}\"'\\\\$#\n ]{0,80}") {
            let _ = parse(&text, "x");
        }
    }
}
