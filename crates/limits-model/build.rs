//! Sets `cfg(tollgate_model)`, by which the limits take the atomics of a model checker.

fn main() {
    println!("cargo::rustc-cfg=tollgate_model");
    println!("cargo::rerun-if-changed=build.rs");
}
