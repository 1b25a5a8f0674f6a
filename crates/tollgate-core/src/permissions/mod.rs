//! What a principal may do: what its tier, its key and its token allow. All of them that say something must
//! allow it.
//!
//! * [`features`]: what requests may ask for;
//! * [`models`]: for which models it may ask;
//! * [`networks`]: from where a key, or the clients of a tier, may come.

pub mod features;
pub mod models;
pub mod networks;

pub use features::{FeatureRefusal, FeatureRules};
