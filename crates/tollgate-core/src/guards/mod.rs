//! Guards: what is looked for in the texts of requests and answers, and what is done about it.
//!
//! What a text holds is for the crate `tollgate-guard` to say. Here is which texts it looks at, and what becomes of
//! a request.
//!
//! * [`words`]: the lines of a `tollgate_guard` block;
//! * [`files`]: what files of rules and terms hold;
//! * [`looking`]: going through the texts of a request, a part of them at a time; [`clean`]: those in which nothing was
//!   found before; [`digest`]: what stands for a text there; [`outcome`]: what comes of it;
//! * [`classifier`]: models that judge them beside that.

pub mod classifier;
pub mod clean;
pub mod digest;
pub mod files;
pub mod looking;
pub mod outcome;
pub mod words;

use std::fmt;

pub use tollgate_guard::finding::{Action, Rule};
pub use tollgate_guard::guard::Guard;

use crate::llm::texts::Role;

/// Whose texts are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Roles(u8);

impl Roles {
    /// Everybody's.
    pub const ALL: Self = Self(0b1111);

    /// Nobody's.
    pub const NONE: Self = Self(0);

    /// These and those of one more. Of [`Role::Any`], everybody's.
    #[must_use]
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | Self::bits(role))
    }

    /// Whether a text of this role is looked at. One whose role isn't known always is.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        self.0 & Self::bits(role) != 0
    }

    fn bits(role: Role) -> u8 {
        match role {
            Role::System => 1,
            Role::User => 2,
            Role::Assistant => 4,
            Role::Tool => 8,
            Role::Any => 0b1111,
        }
    }
}

/// What looks at requests.
#[derive(Debug)]
pub struct InputGuard {
    /// What is looked for.
    pub guard: Guard,
    /// In whose texts.
    pub roles: Roles,
}

/// The name of a rule in logs, metrics and errors: `pii.email`, `injection`.
#[derive(Clone, Copy, Debug)]
pub struct RuleName<'r>(pub &'r Rule);

impl fmt::Display for RuleName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { family, name, .. } = self.0;
        f.write_str(family.name())?;
        if **name != *family.name() && !name.is_empty() {
            write!(f, ".{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
