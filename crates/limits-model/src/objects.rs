//! Who made what, with the atomics of the model checker of the module that includes this file.

#[path = "../../tollgate-core/src/objects/kind.rs"]
pub mod kind;
#[path = "../../tollgate-core/src/objects/memory/mod.rs"]
pub mod memory;
