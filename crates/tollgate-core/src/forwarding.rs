//! The path that an engine gets, by what `proxy_pass` says: the one that is judged.
//!
//! | `proxy_pass`                  | what is forwarded                                                     |
//! |-------------------------------|-----------------------------------------------------------------------|
//! | `http://engine`               | what the client sent; nginx's path, if a rewrite or a redirect made it |
//! | `http://engine/path/`         | nginx's path, with that in place of the location's name               |
//! | `http://$engine/...`          | what the variables say, which is known only when all else is decided  |

use std::borrow::Cow;

/// What a `proxy_pass` says of the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Nothing.
    AsSent,
    /// It takes the place of the location's name.
    Replaced {
        /// How long that name is.
        location: usize,
        /// The path, as it is written.
        uri: Box<str>,
    },
    /// Variables say it.
    Evaluated {
        /// The path as far as it has none of them.
        literal: Box<str>,
    },
}

/// What nginx knows of a request when it makes the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// The path by which it chose the location: decoded, normalised.
    pub uri: &'a [u8],
    /// What the client sent, without query string and fragment.
    pub sent: &'a [u8],
    /// What the client sent is forwarded, unless `proxy_pass` has a path.
    pub is_as_sent: bool,
    /// `uri` still begins with the location's name.
    pub is_in_location: bool,
    /// `uri` is escaped anew.
    pub is_escaped: bool,
}

impl Upstream {
    /// What `url` says in a location whose name is so long.
    #[must_use]
    pub fn of(url: &str, location: usize) -> Self {
        if url.contains('$') {
            let literal = uri_of(url.as_bytes());
            let end = literal.iter().position(|byte| *byte == b'$').unwrap_or(literal.len());
            let literal = String::from_utf8_lossy(literal.get(..end).unwrap_or_default());
            return Self::Evaluated { literal: literal.into() };
        }
        match uri_of(url.as_bytes()) {
            [] => Self::AsSent,
            uri => Self::Replaced { location, uri: String::from_utf8_lossy(uri).into() },
        }
    }

    /// The path that the engine gets, decoded as it decodes it. Where variables say it, that is what would
    /// come of a `proxy_pass` without a path: see [`evaluated`].
    #[must_use]
    #[inline]
    pub fn path<'a>(&self, known: &Known<'a>) -> Cow<'a, [u8]> {
        match self {
            Self::Replaced { location, uri } => replaced(known, *location, uri),
            Self::AsSent | Self::Evaluated { .. } => as_sent(known),
        }
    }

    /// What of [`Self::path`] the configuration says, which is in a location of this name.
    #[must_use]
    pub fn literal<'l>(&'l self, name: &'l [u8]) -> &'l [u8] {
        match self {
            Self::AsSent | Self::Evaluated { .. } => name,
            Self::Replaced { uri, .. } => uri.as_bytes(),
        }
    }

    /// What of the path that `url`, which the variables said, has by [`evaluated`] the configuration says.
    #[must_use]
    pub fn evaluated_literal<'l>(&'l self, url: &[u8], name: &'l [u8]) -> &'l [u8] {
        match self {
            Self::Evaluated { literal } if !uri_of(url).is_empty() => literal.as_bytes(),
            _ => self.literal(name),
        }
    }
}

/// The path where the one of `proxy_pass` takes the place of the location's name, which is so long.
fn replaced<'a>(known: &Known<'a>, location: usize, uri: &str) -> Cow<'a, [u8]> {
    if !known.is_in_location {
        return rest(known, known.uri);
    }
    let tail = known.uri.get(location..).unwrap_or_default();
    let mut path = decoded(uri.as_bytes()).into_owned();
    // A query string in the configuration takes all that follows.
    if !uri.contains(['?', '#']) {
        path.extend_from_slice(&rest(known, tail));
    }
    Cow::Owned(path)
}

/// The path that the engine gets where `url` is what the variables of a `proxy_pass` said.
#[must_use]
pub fn evaluated<'a>(url: &'a [u8], known: &Known<'a>) -> Cow<'a, [u8]> {
    match uri_of(url) {
        [] => as_sent(known),
        uri => decoded(uri),
    }
}

/// The query string that the engine gets where `url` is what the variables said: its own if it has a path, or else
/// that of the request.
#[must_use]
pub fn evaluated_query<'a>(url: &'a [u8], sent: &'a [u8]) -> &'a [u8] {
    match uri_of(url) {
        [] => sent,
        uri => {
            let end = uri.iter().position(|byte| matches!(byte, b'?' | b'#'));
            end.and_then(|end| uri.get(end.saturating_add(1)..)).unwrap_or_default()
        }
    }
}

#[inline]
fn as_sent<'a>(known: &Known<'a>) -> Cow<'a, [u8]> {
    match known.is_as_sent {
        true if is_same(known.sent, known.uri)
            && !(known.is_escaped && known.sent.contains(&b'%')) =>
        {
            Cow::Borrowed(known.uri)
        }
        true => decoded(known.sent),
        false => rest(known, known.uri),
    }
}

/// Most often it is one text in one place.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    std::ptr::eq(a, b) || a == b
}

/// What comes of a part of nginx's path.
fn rest<'a>(known: &Known<'_>, uri: &'a [u8]) -> Cow<'a, [u8]> {
    match known.is_escaped {
        true => Cow::Borrowed(uri),
        false => decoded(uri),
    }
}

/// What a server sees in this path: up to a query or a fragment, decoded once.
#[must_use]
pub fn decoded(path: &[u8]) -> Cow<'_, [u8]> {
    let path = path.split(|byte| matches!(byte, b'?' | b'#')).next().unwrap_or(path);
    if !path.contains(&b'%') {
        return Cow::Borrowed(path);
    }
    let mut plain = Vec::with_capacity(path.len());
    let mut left = path;
    while let [byte, others @ ..] = left {
        left = others;
        let escaped = match others {
            [high, low, others @ ..] if *byte == b'%' => byte_of(*high, *low).zip(Some(others)),
            _ => None,
        };
        match escaped {
            Some((byte, others)) => {
                plain.push(byte);
                left = others;
            }
            None => plain.push(*byte),
        }
    }
    Cow::Owned(plain)
}

fn byte_of(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The path of a URL, with the query string; empty: it has none. Of a UNIX-domain socket it is behind the
/// second colon.
fn uri_of(url: &[u8]) -> &[u8] {
    let Some(at) = memchr::memmem::find(url, b"://") else { return &[] };
    let rest = url.get(at.saturating_add(3)..).unwrap_or_default();
    let is_unix = rest.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"unix:"));
    let start = match is_unix {
        true => memchr::memchr_iter(b':', rest).nth(1).map(|colon| colon.saturating_add(1)),
        false => memchr::memchr2(b'/', b'?', rest),
    };
    start.and_then(|start| rest.get(start..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that nothing has changed.
    fn sent<'a>(target: &'a str, uri: &'a str) -> Known<'a> {
        Known {
            uri: uri.as_bytes(),
            sent: target.as_bytes(),
            is_as_sent: true,
            is_in_location: true,
            is_escaped: target.contains('%'),
        }
    }

    fn path(url: &str, location: &str, known: &Known<'_>) -> String {
        String::from_utf8(Upstream::of(url, location.len()).path(known).into_owned()).unwrap()
    }

    #[test]
    fn path_of_a_url_is_found() {
        for (url, uri) in [
            ("http://a", ""),
            ("http://a:8000", ""),
            ("http://a/", "/"),
            ("HTTP://a:1/x/y", "/x/y"),
            ("https://[::1]:8000/x", "/x"),
            ("http://unix:/tmp/engine.sock", ""),
            ("http://unix:/tmp/engine.sock:/x/", "/x/"),
            ("http://a?x=/y", "?x=/y"),
            ("a", ""),
        ] {
            assert_eq!(uri_of(url.as_bytes()), uri.as_bytes(), "{url}");
        }
    }

    #[test]
    fn what_the_client_sent_is_decoded_once_and_not_normalised() {
        for (target, uri, expected) in [
            ("/v1/models", "/v1/models", "/v1/models"),
            ("//v1/./models", "/v1/models", "//v1/./models"),
            ("/v1/%6dodels", "/v1/models", "/v1/models"),
            ("/v1/%256dodels", "/v1/%6dodels", "/v1/%6dodels"),
            ("/v1%2Fmodels", "/v1/models", "/v1/models"),
            ("/v1/models%3fx", "/v1/models?x", "/v1/models?x"),
            ("/x/%2e%2e/v1", "/v1", "/x/../v1"),
            ("/a%", "/a%", "/a%"),
            ("/a%zz", "/a%zz", "/a%zz"),
        ] {
            assert_eq!(path("http://a", "/", &sent(target, uri)), expected, "{target}");
        }
    }

    #[test]
    fn location_is_replaced_in_what_nginx_has_made_of_the_path() {
        for (url, location, target, uri, expected) in [
            ("http://a/", "/llm/", "/llm/v1/models", "/llm/v1/models", "/v1/models"),
            ("http://a/", "/llm/", "/llm//v1/./models", "/llm/v1/models", "/v1/models"),
            ("http://a/", "/llm", "/llmetrics", "/llmetrics", "/etrics"),
            ("http://a/m", "/x/", "/x/etrics", "/x/etrics", "/metrics"),
            ("http://a/v1/chat/completions", "/chat", "/chat", "/chat", "/v1/chat/completions"),
            ("http://a/x%20y/", "/", "/z", "/z", "/x y/z"),
            ("http://a/x?q=", "/", "/z", "/z", "/x"),
            ("http://a/", "/llm/", "/llm/%2525", "/llm/%25", "/%25"),
        ] {
            assert_eq!(path(url, location, &sent(target, uri)), expected, "{url} {target}");
        }
    }

    #[test]
    fn rewritten_path_is_forwarded_as_it_is() {
        let rewritten = |uri, is_escaped| Known {
            is_as_sent: false,
            is_in_location: false,
            is_escaped,
            ..sent("/old", uri)
        };
        for url in ["http://a", "http://a/x/", "http://$a/x/$b"] {
            assert_eq!(path(url, "/old", &rewritten("/v1/models", false)), "/v1/models");
            // Not escaped anew: what was in an argument, say, is decoded by the engine.
            assert_eq!(path(url, "/old", &rewritten("/%6detrics", false)), "/metrics");
            assert_eq!(path(url, "/old", &rewritten("/%6detrics", true)), "/%6detrics");
            assert_eq!(path(url, "/old", &rewritten("/metrics?x", false)), "/metrics");
        }
    }

    #[test]
    fn variables_say_the_whole_path_or_nothing_of_it() {
        let known = sent("/v1/%6dodels", "/v1/models");
        let of = |url: &str| {
            let path = evaluated(url.as_bytes(), &known).into_owned();
            String::from_utf8(path).unwrap()
        };
        assert_eq!(of("http://10.0.0.1:8000"), "/v1/models");
        assert_eq!(of("http://10.0.0.1:8000/metrics"), "/metrics");
        assert_eq!(of("http://10.0.0.1:8000/v1/%6dodels?x=/y"), "/v1/models");
        let literal = |says: &'static str, url: &str| {
            let upstream = Upstream::of(says, 3);
            assert_eq!(upstream.literal(b"/k/"), b"/k/", "{says}");
            String::from_utf8(upstream.evaluated_literal(url.as_bytes(), b"/k/").to_vec()).unwrap()
        };
        assert_eq!(literal("http://$a/llm$uri", "http://a/llm/x"), "/llm");
        assert_eq!(literal("http://$a$uri", "http://a/k/x"), "");
        assert_eq!(literal("http://$a", "http://a"), "/k/");
        assert_eq!(literal("http://$a", "http://a/x"), "");
    }

    #[test]
    fn query_is_that_of_the_url_if_it_has_a_path() {
        let query = |url: &str| {
            String::from_utf8(evaluated_query(url.as_bytes(), b"x=1").to_vec()).unwrap()
        };
        assert_eq!(query("http://a"), "x=1");
        assert_eq!(query("http://unix:/tmp/a?b.sock"), "x=1");
        assert_eq!(query("http://a/x"), "");
        assert_eq!(query("http://a/x?y=2?z"), "y=2?z");
        assert_eq!(query("http://a?y=2"), "y=2");
        assert_eq!(query("http://a/x#y?z"), "y?z");
    }
}
