//! An engine's table, and its lines.

use std::fmt;

use crate::llm::endpoint::Endpoint;
use crate::permissions::scopes::Scope;

/// What an engine serves.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// What it was taken from.
    pub version: &'static str,
    /// What it serves.
    pub rows: &'static [Row],
}

/// What an engine does at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// How it has to be asked.
    pub methods: Methods,
    /// The path as the engine's router has it. A segment `{...}` stands for any one, and `{...:path}` at
    /// the end for any number but none.
    pub path: &'static str,
    /// What that takes, or does.
    pub kind: Kind,
    /// What a credential must be for.
    pub scope: Scope,
    /// The form in which requests and answers are read; `None`: they are not.
    pub form: Option<Endpoint>,
    /// What it is, for the documentation.
    pub what: &'static str,
}

impl Row {
    /// Whether it is for clients, and not for operators alone: those are lines that no other scope opens, such as
    /// one that is another endpoint with each shape of the body.
    #[must_use]
    pub fn is_for_clients(&self) -> bool {
        self.kind.is_for_clients() && self.scope != Scope::Admin
    }
}

/// What a request takes of the engine, or does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The model writes.
    Generates,
    /// The model reads, and writes nothing.
    Prefill,
    /// Work of the CPU alone: counting tokens, filling in templates.
    Counts,
    /// Says what anybody may know: models, health.
    Reads,
    /// Keeps, reads or removes what clients keep at the engine, by ids that only its owner knows.
    Stores,
    /// Tells about the machine, or about all of its clients together.
    Info,
    /// Reaches into the requests of other clients.
    Others,
    /// Changes the engine for all of its clients.
    Admin,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Generates,
        Self::Prefill,
        Self::Counts,
        Self::Reads,
        Self::Stores,
        Self::Info,
        Self::Others,
        Self::Admin,
    ];

    /// The name in docs/engines.md.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generates => "generates",
            Self::Prefill => "prefill",
            Self::Counts => "counts",
            Self::Reads => "reads",
            Self::Stores => "stores",
            Self::Info => "info",
            Self::Others => "others",
            Self::Admin => "admin",
        }
    }

    /// Whether it is for clients, and not for operators alone.
    #[must_use]
    pub fn is_for_clients(self) -> bool {
        match self {
            Self::Generates | Self::Prefill | Self::Counts | Self::Reads | Self::Stores => true,
            Self::Info | Self::Others | Self::Admin => false,
        }
    }

    /// Whether it takes no tokens, and does nothing to others.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        match self {
            Self::Counts | Self::Reads | Self::Stores => true,
            Self::Generates | Self::Prefill | Self::Info | Self::Others | Self::Admin => false,
        }
    }
}

/// The methods of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(u8);

/// The methods that tables name, and what they are called. What answers to GET, answers to HEAD.
const NAMES: [(Methods, &str); 5] = [
    (Methods::GET, "GET"),
    (Methods::POST, "POST"),
    (Methods::PUT, "PUT"),
    (Methods::PATCH, "PATCH"),
    (Methods::DELETE, "DELETE"),
];

impl Methods {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// GET, and HEAD
    pub const GET: Self = Self(1);
    /// POST
    pub const POST: Self = Self(1 << 1);
    /// PUT
    pub const PUT: Self = Self(1 << 2);
    /// PATCH
    pub const PATCH: Self = Self(1 << 3);
    /// DELETE
    pub const DELETE: Self = Self(1 << 4);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The one that stands in a request; none where tables don't name it.
    #[must_use]
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"GET" | b"HEAD" => Self::GET,
            b"POST" => Self::POST,
            b"PUT" => Self::PUT,
            b"PATCH" => Self::PATCH,
            b"DELETE" => Self::DELETE,
            _ => Self::NONE,
        }
    }

    /// Whether `method`, as it stands in the request, is one of them.
    #[must_use]
    pub fn contain(self, method: &[u8]) -> bool {
        self.0 & Self::of(method).0 != 0
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        let is_set = move |(method, _): &&(Self, &str)| self.0 & method.0 != 0;
        NAMES.iter().filter(is_set).map(|(_, name)| *name)
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// The lines of a table: methods, path, kind, scope if it is for clients, the form if it is read, and what
/// it is.
macro_rules! rows {
    ($($($method:ident)+ $path:literal $kind:ident $(($scope:ident))? $(as $form:ident)?: $what:literal;)*) => {
        &[$($crate::llm::engines::Row {
            methods: $crate::llm::engines::Methods::NONE$(.and($crate::llm::engines::Methods::$method))+,
            path: $path,
            kind: $crate::llm::engines::Kind::$kind,
            scope: $crate::llm::engines::row::rows!(@scope $($scope)?),
            form: $crate::llm::engines::row::rows!(@form $($form)?),
            what: $what,
        }),*]
    };
    (@scope) => { $crate::permissions::scopes::Scope::Admin };
    (@scope $scope:ident) => { $crate::permissions::scopes::Scope::$scope };
    (@form) => { None };
    (@form $form:ident) => { Some($crate::llm::Endpoint::$form) };
}
pub(super) use rows;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_exact_and_head_is_a_get() {
        let methods = Methods::GET.and(Methods::PUT);
        assert!(methods.contain(b"GET") && methods.contain(b"HEAD") && methods.contain(b"PUT"));
        for other in [&b"POST"[..], b"get", b"OPTIONS", b"", b"GETS"] {
            assert!(!methods.contain(other));
        }
        assert_eq!(methods.to_string(), "GET, PUT");
    }

    #[test]
    fn what_is_harmless_is_for_clients() {
        for kind in Kind::ALL {
            assert!(kind.is_for_clients() || !kind.is_harmless(), "{kind:?}");
        }
    }
}
