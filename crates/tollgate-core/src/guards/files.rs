//! What the files of guards hold: rules, in one file or in those of a folder, and the terms of a list.
//!
//! What a folder holds is put into one row of bytes ([`pack`]), so that it is read, compared and shared between
//! workers as a file is.

use std::fmt::Write as _;
use std::sync::Arc;

use tollgate_guard::injection::{Rules, SHIPPED};
use tollgate_guard::matcher::terms::{self, Terms};
use tollgate_guard::rules::{Book, File};

/// The largest file of rules, in bytes.
pub const MAX_RULES: u64 = 1 << 20;

/// The largest file of terms, in bytes.
pub const MAX_TERMS: u64 = 16 << 20;

/// The most files of a folder.
pub const MOST_FILES: usize = 64;

/// What stands in front of the files of a folder. No TOML begins with it.
const FOLDER: &[u8] = b"\0tollgate folder\0";

/// Whether a file of this name in a folder of rules is one of them: editors and mounts leave others.
#[must_use]
pub fn is_of_folder(name: &str) -> bool {
    name.ends_with(".toml") && !name.starts_with('.')
}

/// The files of a folder as one, each with its name.
#[must_use]
pub fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut packed = FOLDER.to_vec();
    for (name, content) in files {
        for part in [name.as_bytes(), content] {
            packed.extend_from_slice(&(part.len() as u64).to_le_bytes());
            packed.extend_from_slice(part);
        }
    }
    packed
}

/// The files that bytes hold that were read at a path, each with its own path. `None`: they are damaged.
fn unpack<'f>(path: &str, bytes: &'f [u8]) -> Option<Vec<(String, &'f [u8])>> {
    let Some(mut rest) = bytes.strip_prefix(FOLDER) else {
        return Some(vec![(path.to_owned(), bytes)]);
    };
    let mut next = || {
        let (len, behind) = rest.split_first_chunk()?;
        let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
        let (part, behind) = behind.split_at_checked(len)?;
        rest = behind;
        Some(part)
    };
    let mut files = Vec::new();
    while let Some(name) = next() {
        let name = std::str::from_utf8(name).ok()?;
        files.push((format!("{}/{name}", path.trim_end_matches('/')), next()?));
    }
    rest.is_empty().then_some(files)
}

/// Rules, ready to be used.
#[derive(Debug)]
pub struct ReadRules {
    /// All of them.
    pub rules: Arc<Rules>,
    /// What in the files has no effect, in words for an operator.
    pub remarks: Vec<String>,
}

/// Reads the rules that were read at a path, puts them together with the shipped ones unless they are to be used
/// `alone`, and tries their test cases.
///
/// # Errors
///
/// What is wrong, with the file and the rule.
pub fn rules(path: &str, bytes: &[u8], alone: bool) -> Result<ReadRules, String> {
    let of_path = |why: &dyn std::fmt::Display| format!("\"{}\": {why}", path.escape_debug());
    let files = unpack(path, bytes).ok_or_else(|| of_path(&"it is damaged"))?;
    if files.is_empty() {
        return Err(of_path(&"the folder has no file of rules; their names end in \".toml\""));
    }
    let mut own = Vec::new();
    for (path, bytes) in &files {
        let of_file = |why: &dyn std::fmt::Display| format!("\"{}\": {why}", path.escape_debug());
        let text =
            std::str::from_utf8(bytes).map_err(|_| of_file(&"it is not in UTF-8; save it so"))?;
        let file = File::read(text).map_err(|error| of_file(&error))?;
        // By itself, so that the file is known where something is wrong.
        let book = Book::of(file);
        let alone = Rules::new(&book).map_err(|error| of_file(&error))?;
        alone.test(&book).map_err(|error| of_file(&error))?;
        own.extend(book.into_files());
    }
    let shipped = match alone {
        true => None,
        false => Some(File::read(SHIPPED).map_err(|error| error.to_string())?),
    };
    let book = Book::put_together(own, shipped).map_err(|error| of_path(&error))?;
    let rules = Rules::new(&book).map_err(|error| of_path(&error))?;
    let remarks = book.remarks().iter().map(|remark| of_path(remark)).collect();
    Ok(ReadRules { rules: Arc::new(rules), remarks })
}

/// Reads the terms of a list.
///
/// # Errors
///
/// What is wrong, with the file and the line.
pub fn list(path: &str, bytes: &[u8]) -> Result<Arc<Terms>, String> {
    let shown = path.escape_debug();
    let text = std::str::from_utf8(bytes)
        .map_err(|_| format!("\"{shown}\" is not in UTF-8; save it so"))?;
    let found = match terms::read(text) {
        Err(terms::Error::None) => {
            return Err(format!("\"{shown}\" holds no terms; write one on each line"))
        }
        found => found.map_err(|error| format!("\"{shown}\": {error}"))?,
    };
    Terms::new(&found).map(Arc::new).map_err(|error| format!("\"{shown}\": {error}"))
}

/// What is in force, in words for a log: what it is, how much of it, and how its content begins to be told by its digest.
#[must_use]
pub fn in_force(path: &str, version: &str, count: usize, what: &str, digest: &str) -> String {
    let mut said = format!("\"{}\" is in force: ", path.escape_debug());
    if !version.is_empty() {
        // A String takes all that is written.
        let _ = write!(said, "version {version}, ");
    }
    let _ = write!(said, "{count} {what}, SHA-256 {}", digest.get(..12).unwrap_or(digest));
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_guard::rules::Book;

    fn rule(id: &str) -> Vec<u8> {
        format!(
            "version = \"{id}\"\n[[rule]]\nid = \"{id}\"\ngroup = \"{id}\"\nlanguage = \"en\"\nweight = 60\nsource = \"s\"\n\
             anchors = [\"frob\"]\npatterns = [\"frob {id}\"]\nhits = [\"Frob {id}\"]\nmisses = [\"frob\"]\n"
        )
        .into_bytes()
    }

    #[test]
    fn rules_come_from_a_file_or_from_a_folder() {
        let shipped = Book::of(File::read(SHIPPED).unwrap()).rules().count();
        let one = rules("/r.toml", &rule("one"), false).unwrap();
        assert_eq!(one.rules.ids().len(), shipped + 1);
        assert!(one.rules.version().ends_with("+one"));
        let files = [("a.toml".to_owned(), rule("a")), ("b.toml".to_owned(), rule("b"))];
        let both = rules("/r/", &pack(&files), true).unwrap();
        assert_eq!((both.rules.ids().len(), both.rules.version()), (2, "a+b"));
        assert!(both.remarks.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_of_its_file() {
        let wrong = |bytes: &[u8]| rules("/r", bytes, true).unwrap_err();
        let folder = |name: &str, bytes: &[u8]| {
            let good = ("a.toml".to_owned(), rule("a"));
            wrong(&pack(&[good, (name.to_owned(), bytes.to_vec())]))
        };
        assert!(wrong(&pack(&[])).starts_with("\"/r\": the folder has no file"));
        assert!(wrong(b"\xff").starts_with("\"/r\": it is not in UTF-8"));
        assert!(wrong(b"").starts_with("\"/r\": line 1: missing field"));
        assert!(wrong(&pack(&[("a.toml".to_owned(), rule("a"))])[..30]).contains("damaged"));
        assert!(folder("b\n.toml", b"x").starts_with("\"/r/b\\n.toml\": line 1: "));
        assert!(folder("b.toml", &rule("a")).starts_with("\"/r\": rule \"a\": two files have it"));
        let untrue = String::from_utf8(rule("b")).unwrap().replace("Frob b", "Frob c");
        let said = folder("b.toml", untrue.as_bytes());
        assert_eq!(said, "\"/r/b.toml\": rule \"b\": it is not found in text 1 of its hits");
    }

    #[test]
    fn a_list_says_what_is_wrong_with_it() {
        assert_eq!(list("/l", b"# x\nproject falcon\n\nsky\n").unwrap().count(), 2);
        for (bytes, why) in [
            (&b"\xff"[..], "\"/l\" is not in UTF-8"),
            (b"# only\n", "\"/l\" holds no terms"),
            (b"good\n\n!\n", "\"/l\": the term in line 3 has neither"),
        ] {
            let said = list("/l", bytes).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }

    #[test]
    fn only_rules_are_taken_of_a_folder() {
        assert!(is_of_folder("a.toml") && !is_of_folder(".a.toml"));
        assert!(!is_of_folder("a.toml~") && !is_of_folder("README"));
    }

    #[test]
    fn what_is_in_force_is_said_in_one_line() {
        let said = in_force("/r\n", "a+b", 3, "rules", "0123456789abcdef");
        assert_eq!(said, "\"/r\\n\" is in force: version a+b, 3 rules, SHA-256 0123456789ab");
        assert!(in_force("/l", "", 3, "terms", "01").ends_with("force: 3 terms, SHA-256 01"));
    }
}
