//! As what a page is wanted.

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For whoever looks at it in a browser.
    Html,
}

impl Form {
    /// The form that these values of `Accept` ask for (RFC 9110 section 12.5.1): JSON, unless HTML is liked better.
    pub fn of<'a>(accept: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut html, mut json) = (Liking::default(), Liking::default());
        for range in accept.into_iter().flat_map(|value| value.split(|byte| *byte == b',')) {
            let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let kind = parts.next().unwrap_or_default();
            let quality = parts.find_map(quality).unwrap_or(1000);
            html.hear(kind, b"text", b"html", quality);
            json.hear(kind, b"application", b"json", quality);
        }
        match html.quality > json.quality {
            true => Self::Html,
            false => Self::Json,
        }
    }
}

/// How much a type is liked, by the most specific range that has it.
#[derive(Clone, Copy, Debug, Default)]
struct Liking {
    /// 0: no range has it.
    specificity: u8,
    /// In thousandths.
    quality: u16,
}

impl Liking {
    fn hear(&mut self, range: &[u8], kind: &[u8], subtype: &[u8], quality: u16) {
        let mut parts = range.splitn(2, |byte| *byte == b'/');
        let (left, right) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let specificity = match (left, right) {
            (b"*", b"*") => 1,
            (left, b"*") if left.eq_ignore_ascii_case(kind) => 2,
            _ if left.eq_ignore_ascii_case(kind) && right.eq_ignore_ascii_case(subtype) => 3,
            _ => return,
        };
        if specificity > self.specificity {
            *self = Self { specificity, quality };
        }
    }
}

/// The weight of a range in thousandths, if this parameter is it. One that can't be read is none.
fn quality(parameter: &[u8]) -> Option<u16> {
    let (b"q=" | b"Q=", value) = parameter.split_at_checked(2)? else { return None };
    let digits = match value {
        [b'1'] => return Some(1000),
        [b'1', b'.', zeros @ ..] if zeros.iter().all(|byte| *byte == b'0') => return Some(1000),
        [b'0'] => &[][..],
        [b'0', b'.', digits @ ..] => digits,
        _ => return Some(0),
    };
    let digits = digits.iter().copied().chain(std::iter::repeat(b'0')).take(3);
    Some(digits.fold(0, |sum, digit| match digit {
        b'0'..=b'9' => sum * 10 + u16::from(digit - b'0'),
        _ => sum * 10,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(accept: &str) -> Form {
        Form::of([accept.as_bytes()])
    }

    #[test]
    fn browsers_get_html_and_programs_get_json() {
        let chromium =
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
        let safari = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for accept in [
            chromium,
            safari,
            "text/html",
            "TEXT/HTML ; q=0.2",
            "text/*",
            "text/html;q=1.000, */*;q=0.999",
        ] {
            assert_eq!(form(accept), Form::Html, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/html, application/json",
            "application/*, text/html;q=0.9",
            "text/html;q=0",
            "text/html;q=0.3, */*;q=0.4",
            "image/png",
            "text/htmlx",
            "text",
            "text/html;q=2",
            "text/html;q=0, text/*",
        ] {
            assert_eq!(form(accept), Form::Json, "{accept}");
        }
        assert_eq!(Form::of([]), Form::Json);
        assert_eq!(Form::of([&b"*/*;q=0.1"[..], b"text/html"]), Form::Html);
    }

    proptest! {
        #[test]
        fn no_header_panics(values: Vec<Vec<u8>>) {
            let _ = Form::of(values.iter().map(Vec::as_slice));
        }
    }
}
