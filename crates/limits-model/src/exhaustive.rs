//! The limits under loom.

pub mod atomics {
    //! Atomics of loom, whose user can be killed.
    mortal_atomics!(loom);
}

#[allow(dead_code, reason = "what only the other parts of tollgate-core use")]
#[allow(clippy::modulo_one, reason = "a set has one slot here")]
#[path = "../../tollgate-core/src/limits/mod.rs"]
pub mod limits;

#[allow(dead_code, reason = "what only the other parts of tollgate-core use")]
#[path = "objects.rs"]
pub mod objects;

#[allow(dead_code, reason = "what only the other parts of tollgate-core use")]
#[allow(clippy::modulo_one, reason = "a set has one record here")]
#[path = "../../tollgate-core/src/whereabouts/mod.rs"]
pub mod whereabouts;

#[allow(dead_code, reason = "what only the other parts of tollgate-core use")]
#[allow(clippy::modulo_one, reason = "a set has one entry here")]
#[path = "cluster.rs"]
pub mod cluster;
