//! The limits under shuttle.

pub mod atomics {
    //! Atomics of shuttle, whose user can be killed.
    mortal_atomics!(shuttle);
}

#[allow(dead_code, reason = "what only the other parts of tollgate-core use")]
#[allow(clippy::modulo_one, reason = "a set has one slot here")]
#[path = "../../tollgate-core/src/limits/mod.rs"]
pub mod limits;

#[allow(dead_code, reason = "what only the other parts of tollgate-core use")]
#[allow(clippy::modulo_one, reason = "a set has one entry here")]
#[path = "cluster.rs"]
pub mod cluster;
