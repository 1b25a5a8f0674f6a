//! The configuration read once more, as a text. Of directives that aren't ours, nginx doesn't tell a module
//! what they say, while `limit_req_zone $tollgate_client` is accepted, and limits nothing.

use std::fs;

use nginx::conf::ConfContext;
use tollgate_core::nginx_text::text::{read, Directive, Files};

/// The largest text that is read, in bytes, with all that is included.
const MAX_TEXT: usize = 64 << 20;

struct Included<'c, 'x> {
    cx: &'c ConfContext<'x>,
    left: usize,
}

impl Included<'_, '_> {
    /// A file that can't be read, or has changed meanwhile, is at worst one about which nothing is told.
    fn text(&mut self, path: &str) -> Option<String> {
        // To open a pipe would be to wait for its other end.
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let size = usize::try_from(found.len()).ok()?;
        self.left = self.left.checked_sub(size)?;
        Some(String::from_utf8_lossy(&fs::read(path).ok()?).into_owned())
    }
}

impl Files for Included<'_, '_> {
    fn include(&mut self, pattern: &str) -> Vec<(String, String)> {
        let Ok(path) = self.cx.full_path(pattern) else { return Vec::new() };
        let paths = match path.contains(['*', '?', '[']) {
            true => self.cx.glob(&path),
            false => vec![path],
        };
        let texts = paths.into_iter().filter_map(|path| {
            let text = self.text(&path)?;
            Some((path, text))
        });
        texts.collect()
    }
}

/// All of it, as far as it can be read.
pub(super) fn read_all(cx: &ConfContext<'_>) -> Vec<Directive> {
    let file = cx.main_file();
    let mut files = Included { cx, left: MAX_TEXT };
    let text = files.text(&file);
    text.map(|text| read(&text, &file, &mut files)).unwrap_or_default()
}
