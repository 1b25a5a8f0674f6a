//! `tollgate doctor`, of configurations that were printed elsewhere. What it looks for has its tests in the crate
//! `tollgate-doctor`; scripts/check-init has it look at a running nginx.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod command;

use std::fs;

use command::{tollgate, tollgate_with, Run};
use serde_json::Value;

const GOOD: &str = "worker_processes auto;
events { }
http {
    client_max_body_size 16m;
    client_body_buffer_size 1m;
    tollgate_zone zone=tollgate:10m;
    upstream engine { server 127.0.0.1:8000; keepalive 8; }
    server {
        listen 127.0.0.1:8080;
        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log audit.log;
        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        proxy_buffering off;
        proxy_read_timeout 10m;
        location / { proxy_pass http://engine; }
    }
}
";

fn judge(text: &str, arguments: &[&str]) -> Run {
    tollgate_with(["doctor", "--dump", "-"].iter().chain(arguments), text.as_bytes())
}

#[test]
fn the_status_tells_how_bad_it_is() {
    let run = judge(GOOD, &[]);
    assert_eq!(
        (run.status, run.out.contains("0 errors, 0 warnings, 0 notes")),
        (0, true),
        "{}",
        run.out
    );
    let note = GOOD.replace("tollgate_audit_log audit.log;", "");
    assert_eq!(judge(&note, &[]).status, 0);
    let warning = GOOD.replace("proxy_buffering off;", "");
    assert_eq!(judge(&warning, &[]).status, 1);
    let error = warning.replace("127.0.0.1:8080", "8080");
    assert_eq!(judge(&error, &[]).status, 2);
    assert_eq!(judge("http {", &[]).status, 3);
    assert_eq!(judge("", &[]).status, 3);
}

#[test]
fn a_finding_has_its_place_and_the_line_that_mends_it() {
    let text = format!(
        "# configuration file /etc/nginx/nginx.conf:\n{}",
        GOOD.replace("10m;\n        location", "30s;\n        location")
    );
    let run = judge(&text, &[]);
    assert!(run.out.contains("at    /etc/nginx/nginx.conf:16\n"), "{}", run.out);
    assert!(run.out.contains("mend  proxy_read_timeout 10m;\n"), "{}", run.out);
    let report: Value = serde_json::from_str(&judge(&text, &["--json"]).out).unwrap();
    assert_eq!(report["warnings"], 1);
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["check"], &finding["severity"]),
        (&"read-timeout".into(), &"warning".into())
    );
    assert_eq!((&finding["file"], &finding["line"]), (&"/etc/nginx/nginx.conf".into(), &16.into()));
    assert_eq!(finding["mend"][0], "proxy_read_timeout 10m;");
}

#[test]
fn what_is_ignored_is_left_out() {
    let text = GOOD.replace("proxy_buffering off;", "");
    assert_eq!(judge(&text, &["--ignore", "buffering"]).status, 0);
    let run = judge(&text, &["--ignore", "nonsense"]);
    assert_eq!(run.status, 2, "{}", run.err);
    assert!(run.out.is_empty());
    let list = tollgate(["doctor", "--list"]);
    assert!(list.status == 0 && list.out.contains("buffering"), "{}", list.out);
}

#[test]
fn a_file_is_judged_where_there_is_no_nginx() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nginx.conf");
    fs::write(&path, GOOD.replace("upstream engine", "include engines/*.conf; upstream unused"))
        .unwrap();
    fs::create_dir(folder.path().join("engines")).unwrap();
    let engines = "upstream engine { server 127.0.0.1:8000; }";
    fs::write(folder.path().join("engines/1.conf"), engines).unwrap();
    fs::write(folder.path().join("engines/.hidden.conf"), "}").unwrap();
    let path = path.to_str().unwrap();
    let run = tollgate(["doctor", "--config", path, "--nginx", "/nowhere/nginx"]);
    assert_eq!(run.status, 3, "{}", run.err);

    // A program that is no nginx, but says that it is one, and refuses everything.
    let fake = folder.path().join("nginx");
    let script = "#!/bin/sh\n[ $1 = -V ] && echo 'nginx version: nginx/1.22.1' >&2 && exit\n\
                  echo 'nginx: [emerg] unknown directive \"tollgate_zone\" in /etc/nginx/nginx.conf:6' >&2; exit 1\n";
    fs::write(&fake, script).unwrap();
    let mut rights = fs::metadata(&fake).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut rights, 0o755);
    fs::set_permissions(&fake, rights).unwrap();
    let run = tollgate(["doctor", "--config", path, "--nginx", fake.to_str().unwrap(), "--json"]);
    assert_eq!(run.status, 2, "{} {}", run.out, run.err);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let of = |check: &str| findings.iter().find(|finding| finding["check"] == check);
    assert!(
        of("module").unwrap()["mend"][0].as_str().unwrap().starts_with("load_module "),
        "{}",
        run.out
    );
    // And the rest is looked at all the same.
    let keepalive = of("keepalive").unwrap();
    assert!(keepalive["file"].as_str().unwrap().ends_with("/engines/1.conf"), "{}", run.out);
    assert_eq!(report["nginx"], "1.22.1");
}

#[test]
fn names_of_a_configuration_do_nothing_to_a_terminal() {
    let text = GOOD
        .replace("location / {", "location \"/\u{1b}[2J\" {")
        .replace("proxy_buffering off;", "");
    let run = judge(&text, &[]);
    assert!(run.out.contains("\\u{1b}[2J") && !run.out.contains('\u{1b}'), "{}", run.out);
    assert!(!judge(&text, &["--json"]).out.contains('\u{1b}'));
}
