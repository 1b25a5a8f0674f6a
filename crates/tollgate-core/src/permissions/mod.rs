//! What a principal may do: what its tier, its key and its token allow. All of them that say something must
//! allow it.
//!
//! * [`features`]: what requests may ask for.

pub mod features;

pub use features::{FeatureRefusal, FeatureRules};
