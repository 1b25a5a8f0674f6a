//! What a worker counts beside its requests: a closed list, in cells of its row.

use super::part::Part;
use crate::decision::Reason;
use crate::principal::AuthMethod;

/// What a credential came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthResult {
    /// It was accepted.
    Accepted,
    /// It was not.
    Refused(Reason),
}

impl AuthResult {
    /// That of a request without a principal which was refused for `reason`; `None`: its credential was not looked
    /// at.
    #[must_use]
    pub fn of(reason: Reason) -> Option<Self> {
        let is_judged = reason.is_auth_failure()
            || matches!(
                reason,
                Reason::MissingCredential
                    | Reason::ConflictingCredentials
                    | Reason::AddressDenied
                    | Reason::KeysUnavailable
                    | Reason::IntrospectionUnavailable
            );
        is_judged.then_some(Self::Refused(reason))
    }
}

/// What a worker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A credential was judged; `None`: none was presented.
    Auth(Option<AuthMethod>, AuthResult),
    /// There was no room for somebody.
    ZoneFull(Part),
    /// A line of the audit log was written.
    AuditWritten,
    /// A line of the audit log could not be written.
    AuditLost,
    /// The state was written.
    StateWritten,
    /// The state could not be written.
    StateFailed,
    /// A callback of the module panicked.
    Panic,
    /// A request could not be counted: no room for a further flow.
    Uncounted,
}

const METHODS: [Option<AuthMethod>; 5] = [
    Some(AuthMethod::ApiKey),
    Some(AuthMethod::Jwt),
    Some(AuthMethod::ClientCert),
    Some(AuthMethod::Introspection),
    None,
];
const RESULTS: usize = 1 + Reason::ALL.len();
const ZONE_FULL: usize = METHODS.len() * RESULTS;
const OTHERS: usize = ZONE_FULL + Part::ALL.len();

impl Counter {
    /// How many there are.
    pub const COUNT: usize = OTHERS + 6;

    /// All of them, in the order of their cells.
    pub fn all() -> impl Iterator<Item = Self> {
        let results = || {
            let refused = Reason::ALL.into_iter().map(AuthResult::Refused);
            std::iter::once(AuthResult::Accepted).chain(refused)
        };
        let auth = METHODS.into_iter();
        let auth = auth.flat_map(move |method| results().map(move |r| Self::Auth(method, r)));
        auth.chain(Part::ALL.into_iter().map(Self::ZoneFull)).chain([
            Self::AuditWritten,
            Self::AuditLost,
            Self::StateWritten,
            Self::StateFailed,
            Self::Panic,
            Self::Uncounted,
        ])
    }

    /// Which cell it is.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Auth(method, result) => {
                let method = match method {
                    Some(AuthMethod::ApiKey) => 0,
                    Some(AuthMethod::Jwt) => 1,
                    Some(AuthMethod::ClientCert) => 2,
                    Some(AuthMethod::Introspection) => 3,
                    None => 4,
                };
                let result = match result {
                    AuthResult::Accepted => 0,
                    AuthResult::Refused(reason) => 1 + reason as usize,
                };
                method * RESULTS + result
            }
            Self::ZoneFull(part) => ZONE_FULL + part.index(),
            Self::AuditWritten => OTHERS,
            Self::AuditLost => OTHERS + 1,
            Self::StateWritten => OTHERS + 2,
            Self::StateFailed => OTHERS + 3,
            Self::Panic => OTHERS + 4,
            Self::Uncounted => OTHERS + 5,
        }
    }
}
