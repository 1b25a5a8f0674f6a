//! `tollgate init`, in the tree of another system.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::fs;
use std::os::unix::fs::{symlink, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use command::{tollgate, Run};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The tree of a system, as nginx's packages make it.
struct System {
    folder: tempfile::TempDir,
}

const DEBIAN: &str =
    "user www-data;\nworker_processes auto;\ninclude /etc/nginx/modules-enabled/*.conf;\n\
    events { worker_connections 768; }\nhttp {\n  gzip on;\n  include /etc/nginx/conf.d/*.conf;\n  \
    include /etc/nginx/sites-enabled/*;\n}\n";
const NGINX_ORG: &str = "user nginx;\nload_module modules/libtollgate.so;\nevents { }\nhttp { include conf.d/*.conf; }\n";

impl System {
    fn new(conf: &str, folders: &[&str]) -> Self {
        let system = Self { folder: tempfile::tempdir().unwrap() };
        for folder in
            folders.iter().chain(&["etc/nginx/conf.d", "usr/lib/nginx/modules", "var/log/nginx"])
        {
            fs::create_dir_all(system.path(folder)).unwrap();
        }
        system.write("etc/nginx/nginx.conf", conf);
        system.write("usr/lib/nginx/modules/libtollgate.so", "");
        let gid = rustix_gid();
        system.write(
            "etc/passwd",
            &format!("root:x:0:0::/:/\nwww-data:x:33:{gid}::/:/\nnginx:x:101:{gid}::/:/\n"),
        );
        system.write("etc/group", &format!("root:x:0:\nworkers:x:{gid}:\n"));
        system
    }

    fn debian() -> Self {
        let folders =
            ["etc/nginx/sites-available", "etc/nginx/sites-enabled", "etc/nginx/modules-enabled"];
        Self::new(DEBIAN, &folders)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn init(&self, arguments: &[&str]) -> Run {
        let root = ["init", "--root", self.folder.path().to_str().unwrap()];
        tollgate(root.iter().chain(arguments))
    }

    /// All files and links of it, with what is in them.
    fn contents(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        add(self.folder.path(), &mut found);
        found.sort();
        found
    }
}

/// The group of this process, which need not be root's.
fn rustix_gid() -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    tempfile::tempfile().unwrap().metadata().unwrap().gid()
}

fn add(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            kind if kind.is_dir() => {
                found.push((path.clone(), String::new()));
                add(&path, found);
            }
            kind if kind.is_symlink() => {
                found.push((path.clone(), fs::read_link(&path).unwrap().display().to_string()));
            }
            _ => found.push((path.clone(), fs::read_to_string(&path).unwrap())),
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const SITE: &str = "etc/nginx/sites-available/tollgate";
const KEYS: &str = "etc/nginx/tollgate/keys.json";

#[test]
fn a_fresh_debian_gets_a_server_a_key_and_lines_to_try() {
    let system = System::debian();
    let run =
        system.init(&["--engine", "vllm", "--backend", "http://127.0.0.1:9", "--client", "acme"]);
    assert_eq!(run.status, 0, "{}", run.err);

    let site = system.read(SITE);
    assert!(
        site.contains("    server 127.0.0.1:9;\n") && site.contains("tollgate_engine       vllm;"),
        "{site}"
    );
    assert!(site.contains("    listen 127.0.0.1:8080;\n"), "{site}");
    assert_eq!(system.read("etc/nginx/sites-enabled/tollgate"), site);
    assert_eq!(
        system.read("etc/nginx/modules-enabled/50-tollgate.conf"),
        "load_module /usr/lib/nginx/modules/libtollgate.so;\n"
    );
    assert_eq!(mode(&system.path("etc/nginx/tollgate")), 0o2750);
    assert_eq!(mode(&system.path(KEYS)), 0o640);
    assert_eq!(mode(&system.path("var/log/nginx/tollgate.log")), 0o640);
    assert_eq!(mode(&system.path(SITE)), 0o644);

    // The key is on stdout, and nowhere else.
    let key = run.out.split_whitespace().find(|word| word.starts_with("tg_")).unwrap();
    assert_eq!(key.len(), 46);
    let keys: Value = serde_json::from_str(&system.read(KEYS)).unwrap();
    let hash: String =
        Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(keys["keys"][0]["hash"], format!("sha256:{hash}"));
    assert_eq!(
        (&keys["keys"][0]["client"], &keys["keys"][0]["tier"]),
        (&"acme".into(), &"pro".into())
    );
    assert!(!run.err.contains(key));
    assert!(system.contents().iter().all(|(_, content)| !content.contains(key)));
    assert!(run.out.contains(&format!(
        "curl -s http://127.0.0.1:8080/v1/models -H 'Authorization: Bearer {key}'"
    )));
    assert!(run.out.contains("certbot"), "{}", run.out);
    assert!(run.err.contains("write /etc/nginx/sites-available/tollgate"), "{}", run.err);
}

#[test]
fn a_key_that_nobody_got_is_none() {
    let system = System::debian();
    let before = system.contents();
    let full = fs::File::create("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["init", "--backend", "http://127.0.0.1:9", "--root"])
        .arg(system.folder.path())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("could not be printed") && said.contains("all is as it was before"),
        "{said}"
    );
    assert_eq!(system.contents(), before);
}

#[test]
fn folders_of_the_package_are_used() {
    let system = System::debian();
    for folder in ["etc/tollgate", "var/log/tollgate"] {
        fs::create_dir(system.path(folder)).unwrap();
    }
    symlink("../tollgate", system.path("etc/nginx/tollgate")).unwrap();
    system.write("var/log/tollgate/audit.log", "");
    let run = system.init(&["--backend", "http://127.0.0.1:9"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(system.read("etc/tollgate/keys.json").contains("\"first\""));
    assert!(system.read(SITE).contains("tollgate_audit_log    /var/log/tollgate/audit.log;"));
    assert!(run.out.contains("tail -n 1 /var/log/tollgate/audit.log"), "{}", run.out);
    assert!(!system.path("var/log/nginx/tollgate.log").exists());
}

#[test]
fn quiet_prints_the_key_alone() {
    let system = System::debian();
    let run = system.init(&["--quiet", "--backend", "http://127.0.0.1:9"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert_eq!(run.out.trim_end().len(), 46, "{}", run.out);
    assert!(!run.err.contains("write"), "{}", run.err);
}

#[test]
fn a_dry_run_changes_nothing_and_makes_no_key() {
    let system = System::debian();
    let before = system.contents();
    let run = system.init(&["--dry-run", "--domain", "api.example.com"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(
        run.out.contains("cat >/etc/nginx/sites-available/tollgate")
            && run.out.contains("nginx -t"),
        "{}",
        run.out
    );
    assert!(!run.out.contains("tg_"));
    assert_eq!(system.contents(), before);
}

#[test]
fn what_is_there_stays_unless_it_is_told_otherwise() {
    let system = System::debian();
    assert_eq!(system.init(&["--backend", "http://127.0.0.1:9"]).status, 0);
    let before = system.contents();
    let run = system.init(&["--backend", "http://127.0.0.1:7"]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("--force"), "{}", run.err);
    assert_eq!(system.contents(), before);

    let (old, keys) = (system.read(SITE), system.read(KEYS));
    let run = system.init(&["--backend", "http://127.0.0.1:7", "--force"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(system.read(SITE).contains("server 127.0.0.1:7;"));
    assert_eq!(system.read(&format!("{SITE}.before-init")), old);
    assert_eq!(system.read(KEYS), keys, "keys are never replaced");
    assert!(!run.out.contains("tg_") && run.out.contains("Bearer KEY"), "{}", run.out);
}

#[test]
fn nginx_org_has_one_folder() {
    let system = System::new(NGINX_ORG, &[]);
    let run = system.init(&["--backend", "http://127.0.0.1:9"]);
    assert_eq!(run.status, 0, "{}", run.err);
    assert!(system.read("etc/nginx/conf.d/tollgate.conf").contains("tollgate_zone"));
    assert!(!system.path("etc/nginx/modules-enabled").exists());

    let unloaded =
        System::new(&NGINX_ORG.replace("load_module modules/libtollgate.so;\n", ""), &[]);
    let before = unloaded.contents();
    let run = unloaded.init(&[]);
    assert_eq!(run.status, 3);
    assert!(
        run.err.contains("put \"load_module /usr/lib/nginx/modules/libtollgate.so;\" at the top"),
        "{}",
        run.err
    );
    assert_eq!(unloaded.contents(), before);
}

#[test]
fn a_certificate_of_certbot_is_used() {
    let system = System::debian();
    for name in ["fullchain.pem", "privkey.pem"] {
        system.write(&format!("etc/letsencrypt/live/api.example.com/{name}"), "");
    }
    let run = system.init(&["--domain", "api.example.com", "--backend", "http://127.0.0.1:9"]);
    assert_eq!(run.status, 0, "{}", run.err);
    let site = system.read(SITE);
    assert!(site.contains("    listen 443 ssl http2;\n"), "{site}");
    assert!(
        site.contains("ssl_certificate_key /etc/letsencrypt/live/api.example.com/privkey.pem;"),
        "{site}"
    );
    assert!(run.out.contains("curl -s https://api.example.com/v1/models"), "{}", run.out);
    assert!(!run.out.contains("certbot"), "{}", run.out);
}

#[test]
fn a_system_that_is_not_ready_is_told_what_is_missing() {
    let system = System::debian();
    fs::remove_file(system.path("usr/lib/nginx/modules/libtollgate.so")).unwrap();
    let run = system.init(&[]);
    assert!(run.status == 3 && run.err.contains("libnginx-mod-http-tollgate"), "{}", run.err);

    let system = System::debian();
    system.write("etc/nginx/conf.d/own.conf", "tollgate_zone zone=mine:1m;\n");
    let run = system.init(&["--force"]);
    assert!(run.status == 3 && run.err.contains("/etc/nginx/conf.d/own.conf:1"), "{}", run.err);

    let system = System::new("user www-data;\nhttp { }\n", &[]);
    let run = system.init(&[]);
    assert!(
        run.status == 3 && run.err.contains("include /etc/nginx/conf.d/*.conf;"),
        "{}",
        run.err
    );

    let system = System::new(&NGINX_ORG.replace("user nginx;", "user nobody;"), &[]);
    let run = system.init(&[]);
    assert!(run.status == 3 && run.err.contains("\"nobody\""), "{}", run.err);

    let empty = tempfile::tempdir().unwrap();
    let run = tollgate(["init", "--root", empty.path().to_str().unwrap()]);
    assert!(run.status == 3 && run.err.contains("is nginx installed?"), "{}", run.err);
}

#[test]
fn nothing_is_written_outside_of_the_root() {
    let system = System::debian();
    let outside = tempfile::tempdir().unwrap();
    fs::remove_dir(system.path("etc/nginx/modules-enabled")).unwrap();
    symlink(outside.path(), system.path("etc/nginx/modules-enabled")).unwrap();
    let before = system.contents();
    let run = system.init(&["--backend", "http://127.0.0.1:9"]);
    assert_eq!(run.status, 3);
    assert!(run.err.contains("leads out of"), "{}", run.err);
    assert!(run.err.contains("all is as it was before"), "{}", run.err);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert_eq!(system.contents(), before);
}

#[test]
fn what_could_end_a_word_of_the_configuration_is_no_value() {
    let system = System::debian();
    let before = system.contents();
    for arguments in [
        ["--domain", "a;b"],
        ["--domain", "a b"],
        ["--domain", "*"],
        ["--backend", "http://a/v1"],
        ["--backend", "http://a;evil"],
        ["--backend", "127.0.0.1:8000"],
        ["--listen", "80;"],
        ["--engine", "gpt"],
        ["--client", " "],
    ] {
        let run = system.init(&arguments);
        assert_eq!(run.status, 2, "{arguments:?} {}", run.err);
    }
    let run = system.init(&["--certificate", "/a b", "--certificate-key", "/k"]);
    assert_eq!(run.status, 2, "{}", run.err);
    let run = system.init(&["--listen", "127.0.0.1:9", "--backend", "http://127.0.0.1:9"]);
    assert_eq!(run.status, 2, "{}", run.err);
    assert_eq!(system.contents(), before);
}
