//! From the values of credential headers to the one credential of a request.
//!
//! A request may repeat its credential (in `Authorization` and in `X-API-Key`, say), but two
//! different ones are refused: which of them the backend, or a proxy in between, would go by is
//! anybody's guess.

use std::fmt;

use crate::detail::Cause;
use crate::websocket_key::{self, Element};

/// What kind of header a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// `Authorization`: `Bearer`, one or more spaces, the credential (RFC 6750 section 2.1).
    Bearer,
    /// A header whose whole value is the credential, such as `X-API-Key`.
    Raw,
    /// `Sec-WebSocket-Protocol`, one of whose subprotocols carries it (see [`websocket_key`]).
    Subprotocol,
    /// `X-Forwarded-Client-Cert`, in which a proxy says which certificate the client has.
    Forwarded,
}

/// What proxies said of the client's certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded<'a> {
    /// Nothing.
    #[default]
    None,
    /// This, in one header line.
    One(&'a [u8]),
    /// There are several lines, by whomever.
    Several,
}

/// One credential, as the client sent it. `Debug` shows its length only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The credential, untouched. Empty when the client presented something that can not be one
    /// (`Authorization: Bearer` with nothing after it, `Authorization: KEY` without a scheme): an
    /// empty credential is always wrong, and never the same as none.
    pub bytes: &'a [u8],
    /// Whether it came as a Bearer credential (perhaps in another header too), and so may be a JWT.
    pub bearer: bool,
    /// Whether it came as the whole value of a header (perhaps in `Authorization` too).
    pub raw: bool,
}

/// What a request presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation<'a> {
    /// No credential.
    None,
    /// One credential, once or repeated.
    One(Credential<'a>),
    /// Two or more different credentials.
    Conflict,
}

/// Collects the credential headers of one request, in any order, without allocating.
///
/// ```
/// use tollgate_core::credential::{Presentation, Presented, Source};
///
/// let mut presented = Presented::default();
/// presented.add(Source::Bearer, b"bearer  tg_example");
/// presented.add(Source::Raw, b"tg_example");
/// let Presentation::One(credential) = presented.finish() else { panic!() };
/// assert_eq!(credential.bytes, b"tg_example");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Presented<'a> {
    first: Option<Credential<'a>>,
    conflict: bool,
    /// Both kinds of headers were among those that differ.
    both_kinds: bool,
    other_scheme: bool,
    forwarded: Forwarded<'a>,
    odd_subprotocol: bool,
}

impl<'a> Presented<'a> {
    /// Takes the value of one header.
    ///
    /// An empty value is no credential. Nor is an `Authorization` of another scheme (`Basic`,
    /// `Digest`): that is between the client and somebody else.
    pub fn add(&mut self, source: Source, value: &'a [u8]) {
        let found = match source {
            Source::Forwarded => {
                self.forwarded = match self.forwarded {
                    Forwarded::None => Forwarded::One(value),
                    Forwarded::One(_) | Forwarded::Several => Forwarded::Several,
                };
                return;
            }
            Source::Bearer => from_authorization(value),
            Source::Raw if value.is_empty() => None,
            Source::Raw => Some(Credential { bytes: value, bearer: false, raw: true }),
            Source::Subprotocol => return self.add_subprotocols(value),
        };
        let Some(found) = found else {
            self.other_scheme |= !value.is_empty();
            return;
        };
        self.take(found);
    }

    #[cold]
    fn add_subprotocols(&mut self, value: &'a [u8]) {
        for element in websocket_key::elements(value) {
            match element {
                Element::Protocol(_) => {}
                Element::Key(bytes) => self.take(Credential { bytes, bearer: false, raw: true }),
                Element::Odd => self.odd_subprotocol = true,
            }
        }
    }

    fn take(&mut self, found: Credential<'a>) {
        match &mut self.first {
            None => self.first = Some(found),
            // A plain comparison: both sides are the client's own, there is no secret to time.
            Some(first) if first.bytes == found.bytes => {
                first.bearer |= found.bearer;
                first.raw |= found.raw;
            }
            Some(first) => {
                self.conflict = true;
                self.both_kinds |= first.bearer || found.bearer;
            }
        }
    }

    /// Why a request with nothing, or with too much, is refused; `None` where it presented one
    /// credential.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        match self.first {
            _ if self.odd_subprotocol => Some(Cause::OddSubprotocol),
            _ if self.conflict && self.both_kinds => Some(Cause::KeyHeaderAndAuthorization),
            _ if self.conflict => Some(Cause::KeyHeaders),
            Some(_) => None,
            None if self.other_scheme => Some(Cause::OtherScheme),
            None => Some(Cause::NoCredential),
        }
    }

    /// What proxies said of the client's certificate. That is beside the credential: it may well be there
    /// with one.
    #[must_use]
    pub fn forwarded(&self) -> Forwarded<'a> {
        self.forwarded
    }

    /// What all the headers together presented.
    #[must_use]
    pub fn finish(self) -> Presentation<'a> {
        match self.first {
            _ if self.conflict => Presentation::Conflict,
            Some(credential) => Presentation::One(credential),
            None => Presentation::None,
        }
    }
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("len", &self.bytes.len())
            .field("bearer", &self.bearer)
            .field("raw", &self.raw)
            .finish()
    }
}

/// The credential of an `Authorization` value; `None` where it is empty or of another scheme.
fn from_authorization(value: &[u8]) -> Option<Credential<'_>> {
    if value.is_empty() {
        return None;
    }
    // Only a space ends the scheme (RFC 9110 section 11.4), a tab does not.
    let (scheme, rest) = match value.iter().position(|&b| b == b' ') {
        Some(space) => value.split_at(space),
        None => (&[][..], &[][..]),
    };
    if scheme.eq_ignore_ascii_case(b"bearer") {
        let start = rest.iter().position(|&b| b != b' ').unwrap_or(rest.len());
        return Some(Credential {
            bytes: rest.get(start..).unwrap_or_default(),
            bearer: true,
            raw: false,
        });
    }
    if is_token(scheme) {
        return None;
    }
    // No scheme at all, or no possible one: presented, and wrong.
    Some(Credential { bytes: &[], bearer: true, raw: false })
}

/// `token` of RFC 9110 section 5.6.2.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

#[cfg(test)]
mod tests {
    use super::Source::{Bearer, Raw, Subprotocol};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_in_a_subprotocol_is_one_like_any_other() {
        let offered: &[u8] = b"realtime, openai-insecure-api-key.k, openai-beta.realtime-v1";
        assert_eq!(present(&[(Subprotocol, offered)]), one(b"k", false));
        assert_eq!(present(&[(Subprotocol, offered), (Bearer, b"Bearer k")]), both(b"k"));
        assert_eq!(present(&[(Subprotocol, b"realtime"), (Raw, b"j")]), one(b"j", false));
        assert_eq!(present(&[(Subprotocol, b"realtime")]), Presentation::None);
        for values in [
            &[(Subprotocol, offered), (Bearer, &b"Bearer j"[..])][..],
            &[(Raw, b"j"), (Subprotocol, offered)],
            &[(Subprotocol, offered), (Subprotocol, b"openai-insecure-api-key.j")],
            &[(Subprotocol, b"openai-insecure-api-key.j,openai-insecure-api-key.k")],
        ] {
            assert_eq!(present(values), Presentation::Conflict, "{values:?}");
        }
    }

    #[test]
    fn what_can_not_be_read_of_subprotocols_is_a_wrong_credential_whatever_else_there_is() {
        for value in [&b"\"openai-insecure-api-key.k\""[..], b"openai-insecure-api-key.", b"a b"] {
            let mut presented = Presented::default();
            presented.add(Subprotocol, value);
            assert_eq!(presented.cause(), Some(Cause::OddSubprotocol), "{value:?}");
            presented.add(Bearer, b"Bearer k");
            assert_eq!(presented.cause(), Some(Cause::OddSubprotocol), "{value:?}");
        }
    }

    fn present<'a>(values: &[(Source, &'a [u8])]) -> Presentation<'a> {
        let mut presented = Presented::default();
        for &(source, value) in values {
            presented.add(source, value);
        }
        presented.finish()
    }

    fn one(bytes: &[u8], bearer: bool) -> Presentation<'_> {
        Presentation::One(Credential { bytes, bearer, raw: !bearer })
    }

    fn both(bytes: &[u8]) -> Presentation<'_> {
        Presentation::One(Credential { bytes, bearer: true, raw: true })
    }

    #[test]
    fn the_scheme_is_case_insensitive_and_may_be_followed_by_several_spaces() {
        for value in [&b"Bearer k"[..], b"bearer k", b"BEARER k", b"bEaReR    k"] {
            assert_eq!(present(&[(Bearer, value)]), one(b"k", true));
        }
    }

    #[test]
    fn what_is_wrong_with_none_or_several_is_told() {
        let cause = |values: &[(Source, &'static [u8])]| {
            let mut presented = Presented::default();
            for &(source, value) in values {
                presented.add(source, value);
            }
            presented.cause()
        };
        assert_eq!(cause(&[]), Some(Cause::NoCredential));
        assert_eq!(cause(&[(Bearer, b""), (Raw, b"")]), Some(Cause::NoCredential));
        assert_eq!(cause(&[(Bearer, b"Basic eDp5")]), Some(Cause::OtherScheme));
        assert_eq!(cause(&[(Bearer, b"Basic eDp5"), (Raw, b"k")]), None);
        assert_eq!(cause(&[(Bearer, b"Bearer k"), (Raw, b"k")]), None);
        let both = Some(Cause::KeyHeaderAndAuthorization);
        assert_eq!(cause(&[(Bearer, b"Bearer k"), (Raw, b"j")]), both);
        assert_eq!(cause(&[(Raw, b"j"), (Bearer, b"Bearer k")]), both);
        assert_eq!(cause(&[(Raw, b"j"), (Raw, b"k")]), Some(Cause::KeyHeaders));
    }

    #[test]
    fn the_credential_itself_is_untouched() {
        assert_eq!(present(&[(Bearer, b"Bearer k ")]), one(b"k ", true));
        assert_eq!(present(&[(Bearer, b"Bearer \tk")]), one(b"\tk", true));
        assert_eq!(present(&[(Bearer, b"Bearer a, Bearer b")]), one(b"a, Bearer b", true));
        assert_eq!(present(&[(Bearer, b"Bearer \0\xff\"")]), one(b"\0\xff\"", true));
        assert_eq!(present(&[(Raw, b" k ")]), one(b" k ", false));
        assert_eq!(present(&[(Raw, b"Bearer k")]), one(b"Bearer k", false));
    }

    #[test]
    fn no_header_and_empty_headers_present_nothing() {
        assert_eq!(present(&[]), Presentation::None);
        assert_eq!(present(&[(Raw, b""), (Bearer, b"")]), Presentation::None);
    }

    #[test]
    fn other_schemes_are_not_our_credential() {
        for value in
            [&b"Basic dXNlcjpwYXNz"[..], b"Digest username=\"u\"", b"Bearers k", b"ApiKey k"]
        {
            assert_eq!(present(&[(Bearer, value)]), Presentation::None, "{value:?}");
            assert_eq!(present(&[(Bearer, value), (Raw, b"k")]), one(b"k", false));
        }
    }

    #[test]
    fn a_bearer_without_credential_is_presented_and_empty() {
        for value in [&b"Bearer"[..], b"bearer", b"Bearer ", b"Bearer    "] {
            assert_eq!(present(&[(Bearer, value)]), one(b"", true), "{value:?}");
        }
    }

    #[test]
    fn a_value_without_scheme_is_presented_and_never_a_key() {
        for value in [&b"k"[..], b"Bearer\tk", b" ", b" k", b" Bearer k", b"Bearer\t k", b"\"a\" k"]
        {
            assert_eq!(present(&[(Bearer, value)]), one(b"", true), "{value:?}");
        }
    }

    #[test]
    fn the_same_credential_twice_is_one() {
        assert_eq!(present(&[(Bearer, b"Bearer k"), (Bearer, b"bearer  k")]), one(b"k", true));
        assert_eq!(present(&[(Raw, b"k"), (Bearer, b"Bearer k")]), both(b"k"));
        assert_eq!(present(&[(Bearer, b"Bearer k"), (Raw, b"k"), (Raw, b"")]), both(b"k"));
    }

    #[test]
    fn two_different_credentials_conflict_whatever_else_comes() {
        for values in [
            &[(Bearer, &b"Bearer a"[..]), (Bearer, &b"Bearer b"[..])][..],
            &[(Bearer, b"Bearer a"), (Raw, b"b")],
            &[(Raw, b"a"), (Raw, b"a ")],
            &[(Raw, b"a"), (Raw, b"A")],
            &[(Bearer, b"Bearer "), (Raw, b"b")],
            &[(Bearer, b"a"), (Raw, b"a")],
            &[(Raw, b"a"), (Raw, b"b"), (Raw, b"a")],
        ] {
            assert_eq!(present(values), Presentation::Conflict, "{values:?}");
        }
    }

    #[test]
    fn a_forwarded_certificate_is_beside_the_credential_and_there_once() {
        let mut presented = Presented::default();
        assert_eq!(presented.forwarded(), Forwarded::None);
        presented.add(Source::Forwarded, b"URI=a");
        assert_eq!(presented.forwarded(), Forwarded::One(b"URI=a"));
        assert_eq!(
            (presented.finish(), presented.cause()),
            (Presentation::None, Some(Cause::NoCredential))
        );
        presented.add(Raw, b"k");
        assert_eq!((presented.finish(), presented.cause()), (one(b"k", false), None));
        presented.add(Source::Forwarded, b"URI=a");
        assert_eq!(presented.forwarded(), Forwarded::Several);
        presented.add(Source::Forwarded, b"URI=a");
        assert_eq!(presented.forwarded(), Forwarded::Several);
    }

    #[test]
    fn debug_does_not_show_the_credential() {
        let shown = format!("{:?}", present(&[(Raw, b"tg_secret")]));
        assert!(!shown.contains("tg_secret") && shown.contains("len: 9"), "{shown}");
    }

    proptest! {
        #[test]
        fn the_order_of_headers_does_not_matter(
            mut values in prop::collection::vec(
                (any::<bool>(), prop::sample::select(vec!["", "a", "b", "Bearer a", "Bearer b", "Bearer", "Basic a"])),
                0..5,
            )
        ) {
            let source = |bearer| if bearer { Bearer } else { Raw };
            let forward: Vec<_> = values.iter().map(|&(s, v)| (source(s), v.as_bytes())).collect();
            values.reverse();
            let backward: Vec<_> = values.iter().map(|&(s, v)| (source(s), v.as_bytes())).collect();
            prop_assert_eq!(present(&forward), present(&backward));
        }

        #[test]
        fn what_follows_the_scheme_is_the_credential(key: Vec<u8>, spaces in 1_usize..5) {
            prop_assume!(key.first() != Some(&b' '));
            let value = [b"Bearer".as_slice(), b" ".repeat(spaces).as_slice(), &key].concat();
            prop_assert_eq!(present(&[(Bearer, value.as_slice())]), one(&key, true));
        }
    }
}
