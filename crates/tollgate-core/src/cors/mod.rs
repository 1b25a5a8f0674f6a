//! Which pages may read our answers: the CORS protocol of the Fetch standard, for `tollgate_cors`.
//!
//! CORS tells browsers what a page may read. It lets nobody in: that is for credentials. Its preflight has
//! none, so it is answered before anybody is asked who he is.

mod names;
pub mod origin;

use std::fmt;

use origin::Pattern;

/// A value of `Access-Control-Max-Age`, unless one is given: in seconds.
pub const DEFAULT_MAX_AGE_SECS: u32 = 600;

/// The methods that pages may use. Whether a request may, is judged when it comes, and the page can read
/// why not: a preflight that failed would tell it nothing.
const METHODS: &[u8] = b"GET, HEAD, POST, PUT, PATCH, DELETE";
/// What an answer to a preflight depends on.
const PREFLIGHT_VARY: &[u8] =
    b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
Access-Control-Request-Private-Network";

/// Which pages may read answers, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Vec<Pattern>,
    /// Pages may send cookies and client certificates.
    credentials: bool,
    max_age_secs: u32,
}

/// Why origins can't stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorsError {
    /// `*` beside others.
    AnyBesideOthers,
    /// `*` with `credentials`.
    AnyWithCredentials,
    /// One is there twice.
    Twice,
}

impl fmt::Display for CorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnyBesideOthers => "\"*\" is every origin; leave out the others, or the \"*\"",
            Self::AnyWithCredentials => {
                "\"*\" with \"credentials\" would let the pages of everybody act for whoever visits them, and \
                 browsers refuse it; name the origins, or leave \"credentials\" out: keys and tokens in headers \
                 don't need it"
            }
            Self::Twice => "an origin is named twice; once is enough",
        })
    }
}

impl std::error::Error for CorsError {}

impl Cors {
    /// # Errors
    ///
    /// Why these can't stand together.
    pub fn new(
        origins: Vec<Pattern>,
        credentials: bool,
        max_age_secs: Option<u32>,
    ) -> Result<Self, CorsError> {
        let is_twice = origins
            .iter()
            .enumerate()
            .any(|(at, origin)| origins.iter().skip(at + 1).any(|other| other == origin));
        let has_any = origins.contains(&Pattern::Any);
        match () {
            () if is_twice => Err(CorsError::Twice),
            () if has_any && origins.len() > 1 => Err(CorsError::AnyBesideOthers),
            () if has_any && credentials => Err(CorsError::AnyWithCredentials),
            () => {
                let max_age_secs = max_age_secs.unwrap_or(DEFAULT_MAX_AGE_SECS);
                Ok(Self { origins, credentials, max_age_secs })
            }
        }
    }

    /// Whether a page of this origin may read answers.
    #[must_use]
    pub fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|pattern| pattern.contains(origin))
    }

    fn is_for_all(&self) -> bool {
        self.origins == [Pattern::Any]
    }

    fn write_origin(&self, origin: &[u8], emit: &mut impl FnMut(&'static str, &[u8])) {
        let shown = if self.is_for_all() { b"*" } else { origin };
        emit("Access-Control-Allow-Origin", shown);
        if self.credentials {
            emit("Access-Control-Allow-Credentials", b"true");
        }
    }

    /// The header lines, beside `Vary: Origin`, of an answer that a page of `origin`, which
    /// [is allowed](Self::allows), may read.
    pub fn write(&self, origin: &[u8], mut emit: impl FnMut(&'static str, &[u8])) {
        self.write_origin(origin, &mut emit);
        emit("Access-Control-Expose-Headers", names::EXPOSED.as_bytes());
    }

    /// The header lines of the answer to a preflight of `origin`, which is allowed. `key_headers`: those for
    /// credentials here.
    pub fn write_preflight<'k>(
        &self,
        origin: &[u8],
        asked: &Asked<'_>,
        key_headers: impl Iterator<Item = &'k [u8]>,
        mut emit: impl FnMut(&'static str, &[u8]),
    ) {
        self.write_origin(origin, &mut emit);
        emit("Access-Control-Allow-Methods", METHODS);
        emit("Access-Control-Allow-Headers", &names::allowed(key_headers, asked.headers()));
        emit("Access-Control-Max-Age", itoa::Buffer::new().format(self.max_age_secs).as_bytes());
        // A page from the internet that reaches into a private network is no matter for "everybody".
        if asked.private_network && !self.is_for_all() {
            emit("Access-Control-Allow-Private-Network", b"true");
        }
    }
}

/// Whether a request of this method may be a preflight.
#[must_use]
pub fn may_be_preflight(method: &[u8]) -> bool {
    method == b"OPTIONS"
}

/// `Vary` of an answer to a preflight.
#[must_use]
pub fn preflight_vary() -> &'static [u8] {
    PREFLIGHT_VARY
}

/// Whether a header line of an answer (its name in any case) is one of CORS, which have one author.
#[inline]
#[must_use]
pub fn is_of_cors(name: &[u8]) -> bool {
    const PREFIX: &[u8] = b"access-control-";
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Whether a value of `Vary` has `Origin` in it, or everything.
#[must_use]
pub fn varies_by_origin(vary: &[u8]) -> bool {
    let mut names = vary.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

/// A header line of which there is one, or none, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Single<'a> {
    /// It isn't there.
    #[default]
    None,
    /// Its value.
    One(&'a [u8]),
    /// It is there more than once.
    Several,
}

impl<'a> Single<'a> {
    /// Another line of that name.
    pub fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::None => Self::One(value),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    /// The value, if there is one, and it isn't empty.
    #[must_use]
    pub fn one(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) if !value.is_empty() => Some(value),
            Self::One(_) | Self::None | Self::Several => None,
        }
    }
}

/// What the header of a request says of the page that it comes from.
#[derive(Clone, Debug, Default)]
pub struct Asked<'a> {
    origin: Single<'a>,
    host: Single<'a>,
    method: Single<'a>,
    headers: Vec<&'a [u8]>,
    private_network: bool,
}

impl<'a> Asked<'a> {
    /// Of the header lines of a request, with names in lower case.
    #[must_use]
    pub fn of(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut asked = Self::default();
        for (name, value) in lines {
            match name {
                b"origin" => asked.origin.add(value),
                b"host" => asked.host.add(value),
                b"access-control-request-method" => asked.method.add(value),
                b"access-control-request-headers" => asked.headers.push(value),
                b"access-control-request-private-network" => {
                    asked.private_network |= value == b"true"
                }
                _ => {}
            }
        }
        asked
    }

    /// The origin of the page; `None`: there is none, or there are several, and which of them the browser
    /// means is anybody's guess.
    #[must_use]
    pub fn origin(&self) -> Option<&'a [u8]> {
        self.origin.one()
    }

    /// Whether it is of a page that is not let in: neither by `cors`, nor as a page of this very host. The
    /// browser lets such a page open a WebSocket, and read what comes.
    #[must_use]
    pub fn is_of_stranger(&self, cors: &Cors) -> bool {
        match self.origin {
            Single::None => false,
            Single::Several => true,
            Single::One(origin) => !cors.allows(origin) && !self.is_of_host(origin),
        }
    }

    fn is_of_host(&self, origin: &[u8]) -> bool {
        let behind = |scheme: &[u8]| origin.strip_prefix(scheme);
        let authority = behind(b"https://").or_else(|| behind(b"http://"));
        matches!((authority, self.host.one()), (Some(page), Some(host)) if page.eq_ignore_ascii_case(host))
    }

    /// Whether a request that [may be](may_be_preflight) a preflight is one: with one origin, and one method that is
    /// asked for.
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        self.origin().is_some() && self.method.one().is_some_and(names::is_token)
    }

    fn headers(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        let names = self.headers.iter().flat_map(|line| line.split(|byte| *byte == b','));
        names.map(<[u8]>::trim_ascii)
    }
}

#[cfg(test)]
mod tests;
