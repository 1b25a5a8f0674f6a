//! Passes what nginx-sys found out about the nginx that the module is built for on to the source as
//! `cfg` flags.

/// Flags, and the first version of nginx that has what they stand for.
const SINCE: [(&str, u32); 4] = [
    // A connection knows when it began.
    ("connection_start", 1_019_010),
    // Blanks and control characters in the name of a header are refused.
    ("checked_header_names", 1_021_001),
    // Header lines of one name are linked with each other, and `cookies` and `x_forwarded_for` are such chains
    // instead of arrays.
    ("linked_headers", 1_023_000),
    // The bit fields of a request come after its port.
    (BITS_BEHIND_PORT, 1_029_003),
];
const BITS_BEHIND_PORT: &str = "bits_behind_port";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");

    // The features of that nginx (`http_v2`, `debug`, ...), as in nginx-sys itself.
    println!("cargo::rerun-if-env-changed=DEP_NGINX_FEATURES");
    if let Ok(known) = std::env::var("DEP_NGINX_FEATURES_CHECK") {
        println!("cargo::rustc-check-cfg=cfg(ngx_feature, values({known}))");
    }
    let features = std::env::var("DEP_NGINX_FEATURES").unwrap_or_default();
    for feature in features.split(',').filter(|feature| !feature.is_empty()) {
        println!("cargo::rustc-cfg=ngx_feature=\"{}\"", feature.trim());
    }

    if !features.split(',').any(|feature| feature.trim() == "pcre") {
        println!(
            "cargo::error=nginx was configured without PCRE, which this needs: leave out --without-pcre and \
             --without-http_rewrite_module"
        );
    }

    // What structures hold since a version.
    println!("cargo::rerun-if-env-changed=DEP_NGINX_VERSION_NUMBER");
    let version = std::env::var("DEP_NGINX_VERSION_NUMBER").ok();
    let version = version.and_then(|v| v.parse::<u32>().ok()).unwrap_or_default();
    for (flag, first) in SINCE {
        println!("cargo::rustc-check-cfg=cfg({flag})");
        if version >= first {
            println!("cargo::rustc-cfg={flag}");
        }
        if flag == BITS_BEHIND_PORT && version >= first {
            compile_flags();
        }
    }

    // Whether nginx counts its connections (stub_status).
    println!("cargo::rustc-check-cfg=cfg(stat_stub)");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_BUILD_DIR");
    let objects = std::env::var("DEP_NGINX_BUILD_DIR").unwrap_or_default();
    let options = std::path::Path::new(&objects).join("ngx_auto_config.h");
    println!("cargo::rerun-if-changed={}", options.display());
    if std::fs::read_to_string(options).is_ok_and(|text| text.contains("NGX_STAT_STUB")) {
        println!("cargo::rustc-cfg=stat_stub");
    }
}

/// Compiles flags.c with the headers and macros of nginx.
fn compile_flags() {
    const SOURCE: &str = "src/request/flags.c";
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_INCLUDE");
    println!("cargo::rerun-if-env-changed=DEP_NGINX_CFLAGS");
    let mut compiler = cc::Build::new();
    compiler.file(SOURCE).flag("-fvisibility=hidden");
    let folders = std::env::var_os("DEP_NGINX_INCLUDE").unwrap_or_default();
    compiler.includes(std::env::split_paths(&folders));
    let macros = std::env::var("DEP_NGINX_CFLAGS").unwrap_or_default();
    for word in macros.split_whitespace() {
        compiler.flag(word);
    }
    compiler.compile("request_flags");
}
