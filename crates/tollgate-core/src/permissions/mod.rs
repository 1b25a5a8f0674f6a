//! What a principal may do: what its tier, its key and its token allow. All of them that say something must
//! allow it.
//!
//! * [`endpoints`]: which of those that an engine has; [`scopes`]: by what a credential is for;
//! * [`features`]: what requests may ask for;
//! * [`models`]: for which models it may ask;
//! * [`networks`]: from where a key, or the clients of a tier, may come.

pub mod endpoints;
pub mod features;
pub mod models;
pub mod networks;
pub mod scopes;

pub use features::{FeatureRefusal, FeatureRules};
