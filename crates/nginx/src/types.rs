//! The types of a module that nginx keeps values of.

use crate::registration::Registered;
use crate::request::kept::Kept;
use crate::shm::shared::Shared;

/// What nginx keeps for a module.
pub trait Types: Registered + Sized + 'static {
    /// Its name in messages. The names of its variables begin with it, and `_`.
    const NAME: &'static str;

    /// What `http` declares.
    type Main: Default + 'static;

    /// What a level of the configuration says: `http`, a server, a location.
    type Loc: Default + 'static;

    /// What is known about one request. It outlives internal redirects.
    type State: 'static;

    /// What lies in its shared memory.
    type Zone: Shared;

    /// What the error log calls the request of this state.
    fn log_id(state: &Self::State) -> Kept;
}
