//! What a worker counts beside its requests: a closed list, in cells of its row.

use crate::decision::Reason;
use crate::limits::Area;
use crate::principal::AuthMethod;

/// What a credential came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthResult {
    /// It was accepted.
    Accepted,
    /// It was not.
    Refused(Reason),
}

/// What a worker counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// A credential was judged; `None`: none was presented.
    Auth(Option<AuthMethod>, AuthResult),
    /// No room in this area of the zone.
    ZoneFull(Area),
    /// No room for a further worker process in the zone.
    WorkersFull,
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
const OTHERS: usize = ZONE_FULL + Area::ALL.len();

impl Counter {
    /// How many there are.
    pub const COUNT: usize = OTHERS + 7;

    /// All of them, in the order of their cells.
    pub fn all() -> impl Iterator<Item = Self> {
        let results = || {
            let refused = Reason::ALL.into_iter().map(AuthResult::Refused);
            std::iter::once(AuthResult::Accepted).chain(refused)
        };
        let auth = METHODS.into_iter();
        let auth = auth.flat_map(move |method| results().map(move |r| Self::Auth(method, r)));
        auth.chain(Area::ALL.into_iter().map(Self::ZoneFull)).chain([
            Self::WorkersFull,
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
            Self::ZoneFull(area) => ZONE_FULL + area as usize,
            Self::WorkersFull => OTHERS,
            Self::AuditWritten => OTHERS + 1,
            Self::AuditLost => OTHERS + 2,
            Self::StateWritten => OTHERS + 3,
            Self::StateFailed => OTHERS + 4,
            Self::Panic => OTHERS + 5,
            Self::Uncounted => OTHERS + 6,
        }
    }
}
