//! The configurations that come with Tollgate have none of the mistakes that are looked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

use std::path::{Path, PathBuf};

use tollgate_doctor::conf::tree::parse;
use tollgate_doctor::conf::Conf;
use tollgate_doctor::named::Folders;
use tollgate_doctor::{examine, Facts};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What is found in a configuration: the check and the line.
fn found(text: &str) -> Vec<String> {
    let conf = Conf::new(parse(text, "x").unwrap());
    let facts = Facts { cpus: Some(4), nginx: Some((1, 22, 1)), ..Facts::default() };
    let findings = examine(&conf, &facts, &Folders::default(), &[]);
    findings
        .iter()
        .map(|finding| {
            format!(
                "{} {} {}",
                finding.check,
                finding.place.as_ref().map_or(0, |p| p.line),
                finding.what
            )
        })
        .collect()
}

#[test]
fn nothing_is_found_in_them() {
    let mut wrong: Vec<String> = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(root().join("nginx-conf")).unwrap() {
        let path = entry.unwrap().path();
        // A secret, in a file that isn't here.
        let text = std::fs::read_to_string(&path).unwrap().replace("include ", "# include ");
        let found = found(&text);
        match path.file_name().unwrap().to_str().unwrap() {
            // It shows what is to be replaced: keys in a map, and a server that goes by them.
            "migrate-from-map.conf" => {
                let names: Vec<&str> =
                    found.iter().map(|one| one.split(' ').next().unwrap()).collect();
                assert_eq!(names, ["unguarded", "left-over-keys"], "{found:#?}");
            }
            name => wrong.extend(found.iter().map(|one| format!("{name} {one}"))),
        }
        count += 1;
    }
    assert_eq!(wrong, [""; 0]);
    assert!(count >= 7, "{count} configurations");
}

#[test]
fn in_a_container_nothing_is_found_but_that_tls_ends_before_it() {
    for path in
        ["packaging/container/conf.d/tollgate.conf", "packaging/kubernetes/base/tollgate.conf"]
    {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        let text = format!("worker_processes auto;\nhttp {{\n{text}\n}}\n");
        let found = found(&text);
        let names: Vec<&str> = found.iter().map(|one| one.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["tls"], "{path}: {found:#?}");
    }
}
