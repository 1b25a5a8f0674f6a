//! A good machine, for tests.

use crate::facts::{Callers, Chain, Facts, Probe, Rights, Store, StoreServer, User};

fn rights(path: &str, mode: u32, uid: u32, gid: u32) -> Rights {
    Rights { path: path.to_owned(), mode, uid, gid }
}

fn chain(folder: Rights, file: Option<Rights>) -> Chain {
    Chain { folders: vec![rights("/", 0o755, 0, 0), folder], file }
}

pub(super) fn good_facts() -> Facts {
    let mut facts = Facts {
        nginx: Some((1, 22, 1)),
        workers: Some(User { name: "www-data".to_owned(), uid: 33, gids: vec![33] }),
        listening: vec!["127.0.0.1:8000".parse().unwrap(), "0.0.0.0:443".parse().unwrap()],
        is_clock_kept: Some(true),
        cpus: Some(4),
        clients: Some(1000),
        room: Some(20_000),
        callers: Some(Callers {
            requests: 1000,
            clients: 9,
            addresses: 7,
            address: "10.0.0.9".parse().unwrap(),
        }),
        probes: vec![Probe { url: "https://x/v1/models".to_owned(), outcome: Ok(401) }],
        store: Some(Ok(Store {
            alive: 4,
            expected: Some(4),
            server: Some(StoreServer {
                version: Some(("Valkey".to_owned(), "8.0.1".to_owned())),
                policy: Some("noeviction".to_owned()),
                is_append_only: Some(true),
            }),
            ..Store::default()
        })),
        ..Facts::default()
    };
    let keys = || rights("/etc/nginx/tollgate", 0o2750, 0, 33);
    for (path, chain) in [
        ("/etc/nginx/tollgate/keys.json", chain(keys(), Some(rights("k", 0o640, 0, 33)))),
        ("/etc/nginx/tollgate/jwks.json", chain(keys(), Some(rights("j", 0o644, 0, 0)))),
        (
            "/var/log/nginx/tollgate.log",
            chain(rights("/var/log/nginx", 0o755, 0, 0), Some(rights("l", 0o640, 33, 4))),
        ),
        (
            "/var/lib/tollgate/state",
            chain(rights("/var/lib/tollgate", 0o750, 33, 33), Some(rights("s", 0o600, 33, 33))),
        ),
        (
            "/etc/tls/key.pem",
            chain(rights("/etc/tls", 0o755, 0, 0), Some(rights("t", 0o600, 0, 0))),
        ),
    ] {
        facts.files.insert(path.to_owned(), chain);
    }
    facts
}
