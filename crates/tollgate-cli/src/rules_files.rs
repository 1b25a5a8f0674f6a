//! Files of rules of guards: one, or those of a folder, as nginx reads them.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use tollgate_core::guards::files::{is_of_folder, pack, MAX_RULES, MOST_FILES};

/// What is at the path, as one row of bytes.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !path.is_dir() {
        return read_file(path);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| is_of_folder(name)));
    }
    names.sort_unstable();
    if names.len() > MOST_FILES {
        return Err(io::Error::other(format!("it has more than {MOST_FILES} files of rules")));
    }
    let files = names.into_iter().map(|name| {
        let content = read_file(&path.join(&name))?;
        Ok((name, content))
    });
    Ok(pack(&files.collect::<io::Result<Vec<_>>>()?))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_RULES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_RULES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_RULES >> 20)));
    }
    Ok(bytes)
}
