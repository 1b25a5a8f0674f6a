//! How the module is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
