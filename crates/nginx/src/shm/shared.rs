//! What a module has in shared memory.

use std::sync::atomic::AtomicU64;

use crate::process::Workers;

/// What a module has in shared memory.
pub trait Shared: 'static {
    /// The directive that asks for it.
    const DIRECTIVE: &'static str;

    /// What tells it from other memory of the module's: memory of one kind is never taken for that of another,
    /// whatever its name.
    const NUMBER: u8;

    /// What the kernel's names of such memory begin with.
    const MEMORY: &'static str;

    /// What requests see of it. It is of no use without the memory, which lives for as long as `'m`.
    type View<'m>: Copy;

    /// A view may be used for less long than it could be.
    fn shorten<'s, 'm: 's>(view: &'s Self::View<'m>) -> &'s Self::View<'s>;

    /// Whether what is in it is in a file as well.
    fn is_filed(&self) -> bool;

    /// Looks at memory that is in use: a configuration that comes to nothing must not have touched it.
    ///
    /// # Errors
    ///
    /// When it isn't what it should be.
    fn attach(words: &[AtomicU64]) -> Result<Self::View<'_>, String>;

    /// Makes something of new memory, all zeros.
    ///
    /// # Errors
    ///
    /// When that can't be done.
    fn format<'m>(
        &self,
        zone: &str,
        words: &'m [AtomicU64],
        workers: Option<&Workers>,
    ) -> Result<Self::View<'m>, String>;

    /// The memory is there, and so is all of the configuration.
    fn ready(&self, workers: Option<&Workers>);
}
