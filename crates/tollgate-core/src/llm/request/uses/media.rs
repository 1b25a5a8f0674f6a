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

/// All of them.
const WHOLE: u16 = 1 << MARKDOWN.len();

/// Looks for such pictures in texts. Templates join texts, in an order of their own: so any may follow any. A
/// number of bytes that have come of a picture is a bit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Markdown {
    /// What has come in this text.
    come: u16,
    /// With what texts end.
    ends: u16,
    /// How far texts that are a part of a picture lead, from each number of bytes.
    leads: [u16; MARKDOWN.len()],
    /// From which numbers of bytes this text may go on, and how long it is by now.
    goes_on: u16,
    len: usize,
    is_in_text: bool,
}

impl Markdown {
    /// The next part of a text.
    pub(super) fn read(&mut self, part: &[u8]) {
        if !self.is_in_text {
            self.is_in_text = true;
            (self.come, self.len) = (1, 0);
            self.goes_on = WHOLE - 2;
        }
        for byte in part {
            let fit = MARKDOWN.iter().rev().fold(0_u16, |fit, at| fit << 1 | u16::from(at == byte));
            self.come = (self.come & fit) << 1 | 1;
            self.ends |= self.come & WHOLE;
            if self.goes_on != 0 {
                self.go_on(fit);
            }
        }
    }

    /// A byte has come that stands at these places.
    fn go_on(&mut self, fit: u16) {
        self.goes_on &= fit >> self.len;
        self.len += 1;
        // Of these, nothing is left to come.
        let is_whole = (WHOLE >> self.len) & self.goes_on;
        for (from, leads) in self.leads.iter_mut().enumerate() {
            *leads |= if is_whole >> from & 1 == 1 { WHOLE } else { 0 };
        }
        self.goes_on &= !is_whole;
    }

    /// The text has ended.
    pub(super) fn end(&mut self) {
        if self.is_in_text {
            self.ends |= self.come;
            for (from, leads) in self.leads.iter_mut().enumerate() {
                *leads |= (self.goes_on >> from & 1) << (from + self.len).min(MARKDOWN.len());
            }
            self.is_in_text = false;
        }
    }

    /// Whether there may be one.
    pub(super) fn is_found(&self) -> bool {
        let mut come = self.ends;
        // Each text leads further.
        for (from, leads) in self.leads.iter().enumerate() {
            come |= if come >> from & 1 == 1 { *leads } else { 0 };
        }
        come & WHOLE != 0
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
                markdown.end();
                assert!(markdown.is_found(), "{cut} {between:?}");
            }
        }
        for harmless in
            ["![](data:image/png;base64,AA)", "![alt](http://x)", "[](http://x)", "![](HTTP://x)"]
        {
            let mut markdown = Markdown::default();
            markdown.read(b"Yes.");
            markdown.end();
            markdown.read(harmless.as_bytes());
            markdown.end();
            assert!(!markdown.is_found(), "{harmless}");
        }
    }

    #[test]
    fn parts_are_found_in_any_order() {
        let found = |texts: &[&str]| {
            let mut markdown = Markdown::default();
            for text in texts {
                let (one, two) = text.split_at(text.len() / 2);
                markdown.read(one.as_bytes());
                markdown.read(two.as_bytes());
                markdown.end();
            }
            markdown.is_found()
        };
        assert!(found(&["tp://x)", "![](ht"]));
        assert!(found(&["(h", "ttp://x)", "]", "a ![", "b"]));
        assert!(found(&["p", "t", "t", "h", "(", "]", "[", "!"]));
        assert!(found(&["http", "![]("]) && found(&["![](", "http"]));
        assert!(!found(&["tp://x)", "![](h", "x"]));
        assert!(!found(&["http://x", "Hi!", "", "[1](http://x)", "![](data:x)"]));
        assert!(!found(&["t", "h", "(", "]", "[", "!", "p"].map(|part| if part == "h" {
            "H"
        } else {
            part
        })));
        assert!(!found(&[]) && !found(&["tpx", "![](ht tp"]));
    }
}
