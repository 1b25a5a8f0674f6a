//! What a directive is, to a module.

use ngx::ffi::{ngx_uint_t, NGX_HTTP_MAIN_CONF};

use super::context::{ConfContext, ConfError};
use crate::types::Types;

/// How many arguments a directive takes; nginx checks it.
#[derive(Clone, Copy)]
pub enum Args {
    /// Any number, also none.
    Any,
    /// One.
    One,
    /// One or two.
    OneOrTwo,
    /// Two.
    Two,
    /// Any number but none.
    OneOrMore,
    /// Any number above one.
    TwoOrMore,
    /// A name, and a block.
    Block,
}

/// Where a directive may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// In `http`.
    Main,
    /// In a block of the module's own, by the number of its kind: 0 to 31.
    Block(u8),
}

impl Level {
    /// The bit of its directives' types. nginx has bits for its own blocks up to 2^31, and compares
    /// whole words.
    pub(crate) const fn bit(self) -> ngx_uint_t {
        match self {
            Self::Main => NGX_HTTP_MAIN_CONF as ngx_uint_t,
            Self::Block(kind) => 1 << (32 + (kind & 31)),
        }
    }
}

/// One directive.
pub struct Command<T: Types> {
    /// With a NUL at its end, by which nginx compares.
    pub name: &'static str,
    /// How many words follow.
    pub args: Args,
    /// What it does.
    pub directive: Directive<T>,
}

/// A directive's function; found through the `post` field of its command.
pub enum Directive<T: Types> {
    /// In `http`, about all of it.
    Main(Set<T::Main>),
    /// In `http`, in a server or in a location.
    Loc(Set<T::Loc>),
    /// In a location, whose requests the module answers itself: with [`Module::page`](crate::Module::page).
    Page(Set<T::Loc>),
    /// In blocks of the module's own.
    Inside(&'static [Level], Set<T::Main>),
    /// A block with a name, read between two calls.
    Block {
        /// Where it stands.
        level: Level,
        /// What the directives in it say that they stand in.
        inside: Level,
        /// Before they are read.
        open: Set<T::Main>,
        /// When they have been read.
        close: Close<T::Main>,
    },
}

/// What a directive does, which gets its words, its name first.
pub type Set<C> = fn(&mut ConfContext<'_>, &[String], &mut C) -> Result<(), ConfError>;
/// What the end of a block does.
pub type Close<C> = fn(&mut C) -> Result<(), ConfError>;
