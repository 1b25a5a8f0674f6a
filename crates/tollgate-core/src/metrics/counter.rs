//! What a worker counts beside its requests: a closed list, in cells of its row.

use super::bounds::EXCHANGE;
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
    /// Exchanges with the store of a cluster: a cell of the histogram of how long they took, [`EXCHANGE`].
    Exchange(ExchangeResult, usize),
    /// Requests that have waited for the store.
    StoreWaits,
    /// For how many microseconds in all.
    StoreWaitMicros,
    /// Limits that requests were judged by without the store, as it was lost.
    Alone,
    /// For how many milliseconds the store was lost.
    StoreLostMillis,
}

/// What became of an exchange with the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeResult {
    /// The store has executed it.
    Done,
    /// It came too late to the store.
    Stale,
    /// The store's answer was none.
    Garbled,
    /// There was no answer.
    Failed,
}

impl ExchangeResult {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Done, Self::Stale, Self::Garbled, Self::Failed];

    /// Its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stale => "stale",
            Self::Garbled => "garbled",
            Self::Failed => "failed",
        }
    }
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
const EXCHANGES: usize = OTHERS + 10;

impl Counter {
    /// How many there are.
    pub const COUNT: usize = EXCHANGES + ExchangeResult::ALL.len() * EXCHANGE.cells();

    /// All of them, in the order of their cells.
    pub fn all() -> impl Iterator<Item = Self> {
        let results = || {
            let refused = Reason::ALL.into_iter().map(AuthResult::Refused);
            std::iter::once(AuthResult::Accepted).chain(refused)
        };
        let auth = METHODS.into_iter();
        let auth = auth.flat_map(move |method| results().map(move |r| Self::Auth(method, r)));
        auth.chain(Part::ALL.into_iter().map(Self::ZoneFull))
            .chain([
                Self::AuditWritten,
                Self::AuditLost,
                Self::StateWritten,
                Self::StateFailed,
                Self::Panic,
                Self::Uncounted,
                Self::StoreWaits,
                Self::StoreWaitMicros,
                Self::Alone,
                Self::StoreLostMillis,
            ])
            .chain(ExchangeResult::ALL.into_iter().flat_map(Self::exchanges))
    }

    /// The cells of the histogram of exchanges of which this became.
    pub fn exchanges(result: ExchangeResult) -> impl Iterator<Item = Self> {
        (0..EXCHANGE.cells()).map(move |cell| Self::Exchange(result, cell))
    }

    /// What counts an exchange that took so many microseconds: each with how much of it.
    #[must_use]
    pub fn of_exchange(result: ExchangeResult, micros: u64) -> [(Self, u64); 2] {
        let cell = |cell| Self::Exchange(result, cell);
        [(cell(EXCHANGE.bucket(micros)), 1), (cell(EXCHANGE.sum()), micros)]
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
            Self::StoreWaits => OTHERS + 6,
            Self::StoreWaitMicros => OTHERS + 7,
            Self::Alone => OTHERS + 8,
            Self::StoreLostMillis => OTHERS + 9,
            Self::Exchange(result, cell) => {
                EXCHANGES + result as usize * EXCHANGE.cells() + cell.min(EXCHANGE.sum())
            }
        }
    }
}
