//! How the module is linked. Which nginx it is built for is found out by crates/nginx.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    // nginx unloads a module with the last configuration that has it, also when a worker ends. Our threads
    // may run still, and the handler of a signal is in the module: its code stays where it is.
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
