//! Where media come from: whether the engine would have to fetch them.

/// What may stand in the place of a picture, a sound or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A URL: all but `data:` are fetched.
    Url,
    /// Bytes in base64, maybe in a `data:` URL.
    Data,
    /// The same, or a path on the engine's disk (SGLang).
    Path,
    /// The id of something that the engine keeps.
    Id,
}

/// The longest path that a kernel opens, in bytes.
const MAX_PATH: u64 = 4096;

/// Whether the engine would fetch what a text says that begins so, and is so long.
pub(super) fn is_remote(kind: Kind, head: &[u8], len: u64) -> bool {
    if head.starts_with(b"data:") {
        return false;
    }
    match kind {
        Kind::Url => true,
        // No base64 has a colon, and no path of that length can be opened.
        Kind::Data => head.contains(&b':'),
        Kind::Path => head.contains(&b':') || len <= MAX_PATH,
        Kind::Id => false,
    }
}

/// How a picture stands in a text that TGI fetches.
const MARKDOWN: &[u8; 8] = b"![](http";

/// Looks for such pictures in texts. TGI joins some of them and leaves others out; so any may follow any that
/// came before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Markdown {
    /// A bit for each number of bytes of it that may have come.
    come: u16,
    /// The same at the ends of texts.
    at_ends: u16,
    is_in_text: bool,
    pub(super) is_found: bool,
}

impl Markdown {
    /// The next part of a text.
    pub(super) fn read(&mut self, part: &[u8]) {
        if !self.is_in_text {
            self.is_in_text = true;
            self.come = self.at_ends | 1;
        }
        for byte in part {
            let fit = MARKDOWN.iter().rev().fold(0_u16, |fit, at| fit << 1 | u16::from(at == byte));
            self.come = (self.come & fit) << 1 | 1;
            self.is_found |= self.come & 1 << MARKDOWN.len() != 0;
        }
    }

    /// The text has ended.
    pub(super) fn end(&mut self) {
        if self.is_in_text {
            self.at_ends |= self.come;
            self.is_in_text = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_urls_need_no_fetching() {
        for url in [
            "http://x/",
            "https://x/",
            "file:///etc/passwd",
            "ftp://x",
            "HTTP://X",
            "//x",
            "/x",
            "DATA:,",
            "",
        ] {
            assert!(is_remote(Kind::Url, url.as_bytes(), 20), "{url}");
        }
        for kind in [Kind::Url, Kind::Data, Kind::Path, Kind::Id] {
            assert!(!is_remote(kind, b"data:image/png;base64,iVBO", 26));
        }
    }

    #[test]
    fn bytes_are_told_from_urls_and_paths() {
        assert!(!is_remote(Kind::Data, b"/9j/4AAQSkZJRg", 14));
        assert!(is_remote(Kind::Data, b"http://169.254.169.254/", 23));
        assert!(is_remote(Kind::Path, b"/etc/passwd.png", 15));
        assert!(is_remote(Kind::Path, b"https://x/a.png", 5000));
        assert!(!is_remote(Kind::Path, b"/9j/4AAQSkZJRg", 4097));
    }

    #[test]
    fn pictures_are_found_wherever_the_text_is_cut_and_whatever_stands_between() {
        let text = b"a ! ![ ![](data:x) !![](https://x)";
        for cut in 0..text.len() {
            let (before, after) = text.split_at(cut);
            for between in [None, Some(""), Some("something else")] {
                let mut markdown = Markdown::default();
                markdown.read(before);
                if let Some(between) = between {
                    markdown.end();
                    markdown.read(between.as_bytes());
                    markdown.end();
                }
                markdown.read(after);
                assert!(markdown.is_found, "{cut} {between:?}");
            }
        }
        for harmless in
            ["![](data:image/png;base64,AA)", "![alt](http://x)", "[](http://x)", "![](HTTP://x)"]
        {
            let mut markdown = Markdown::default();
            markdown.read(b"Yes.");
            markdown.end();
            markdown.read(harmless.as_bytes());
            assert!(!markdown.is_found, "{harmless}");
        }
    }
}
