//! From where the latest requests came, as the audit log has them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::IpAddr;

use serde::Deserialize;
use tollgate_doctor::facts::Callers;

/// So much of the end of a log is read, in bytes.
const TAIL: u64 = 512 * 1024;

#[derive(Deserialize)]
struct Line {
    remote_addr: Option<IpAddr>,
    client: Option<String>,
}

/// Of these logs; `None`: nothing is in them.
pub(super) fn of<'p>(paths: impl Iterator<Item = &'p str>) -> Option<Callers> {
    counted(paths.filter_map(tail).flat_map(|tail| {
        let lines = tail.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.collect::<Vec<Line>>()
    }))
}

fn tail(path: &str) -> Option<String> {
    let mut file =
        File::open(path).ok().filter(|file| file.metadata().is_ok_and(|found| found.is_file()))?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn counted(lines: impl Iterator<Item = Line>) -> Option<Callers> {
    let (mut requests, mut clients, mut addresses) = (0, HashSet::new(), HashSet::new());
    for line in lines {
        if let Some(address) = line.remote_addr {
            requests += 1;
            addresses.insert(address);
            clients.extend(line.client);
        }
    }
    let address = addresses.iter().next().copied()?;
    Some(Callers { requests, clients: clients.len(), addresses: addresses.len(), address })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn requests_clients_and_addresses_are_counted() {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        for (address, client) in [("10.0.0.1", "a"), ("10.0.0.1", "b"), ("10.0.0.1", "a")] {
            writeln!(log, "{{\"remote_addr\":\"{address}\",\"client\":\"{client}\",\"x\":1}}")
                .unwrap();
        }
        writeln!(log, "no JSON\n{{\"client\":\"c\"}}").unwrap();
        let found = of([log.path().to_str().unwrap(), "/nowhere"].into_iter()).unwrap();
        let address = "10.0.0.1".parse().unwrap();
        assert_eq!(found, Callers { requests: 3, clients: 2, addresses: 1, address });
        assert_eq!(of(["/nowhere", "/dev/null"].into_iter()), None);
    }
}
