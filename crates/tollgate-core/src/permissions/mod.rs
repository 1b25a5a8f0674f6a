//! What a principal may do: what its tier, its key and its token allow. All of them that say something must
//! allow it.

pub mod endpoints;
pub mod scopes;
