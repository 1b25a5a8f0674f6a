//! What can be found out about the machine.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tollgate_core::limits::client_slots;
use tollgate_doctor::conf::backend::{addresses, Address};
use tollgate_doctor::conf::value::size;
use tollgate_doctor::conf::{Backend, Conf};
use tollgate_doctor::facts::{Chain, Refused, Rights, Store};
use tollgate_doctor::named::{named, Folders, Use};
use tollgate_doctor::Facts;

use super::{callers, kernel};
use crate::cluster;
use crate::keys_file;
use crate::nginx::user_of;
use crate::status::source::Source;

/// Adds to the facts what the machine tells, and to `unknown` what it doesn't.
pub(super) fn look(
    conf: &Conf,
    folders: &Folders,
    pid_path: &str,
    facts: &mut Facts,
    unknown: &mut Vec<String>,
) {
    let files = named(conf, folders);
    for file in &files {
        match chain(&file.path) {
            Some(chain) => {
                facts.files.insert(file.path.clone(), chain);
            }
            None => unknown.push(format!("{}, to which this user can't get", file.path)),
        }
    }
    if facts.workers.is_none() {
        facts.workers = user_of(conf, Path::new("/")).map(|account| account.user);
    }
    if facts.workers.is_none() && !files.is_empty() {
        unknown.push("who may read which file, as the user of the workers isn't known".to_owned());
    }
    facts.listening = kernel::listening();
    facts.own = hosts(conf).into_iter().filter(|ip| is_own(*ip)).collect();
    facts.is_clock_kept = is_clock_kept();
    if facts.is_clock_kept.is_none() {
        unknown.push("the clock: neither timedatectl nor chronyc tells".to_owned());
    }
    facts.cpus = std::thread::available_parallelism().ok().map(usize::from);
    let keys =
        files.iter().filter(|file| file.used_as == Use::ApiKeys).map(|file| file.path.as_str());
    facts.clients = clients(keys);
    facts.room = room(conf);
    facts.refused = refused(conf, folders, pid_path);
    facts.replaced_module = kernel::replaced_module(&modules(conf, folders));
    let logs =
        files.iter().filter(|file| file.used_as == Use::AuditLog).map(|file| file.path.as_str());
    facts.callers = callers::of(logs);
    facts.store = cluster::look(conf, Path::new(&folders.conf));
    if let Some(Ok(Store { server: None, .. })) = &facts.store {
        unknown.push("the store of the cluster: its user has no right to \"INFO\"".to_owned());
    }
}

fn rights(path: &Path) -> Option<Rights> {
    let found = fs::metadata(path).ok()?;
    let path = path.display().to_string();
    Some(Rights { path, mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() })
}

/// A file and its folders. Behind a link, those of the file that it leads to. `None`: whoever asks may not look.
fn chain(path: &str) -> Option<Chain> {
    let is_closed = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let resolved = match fs::canonicalize(path) {
        Ok(resolved) => resolved,
        Err(error) if is_closed(&error) => return None,
        Err(_) => path.into(),
    };
    let mut folders: Vec<Rights> = resolved.ancestors().skip(1).filter_map(rights).collect();
    folders.reverse();
    // The name in the configuration is the one to speak of.
    let file = rights(&resolved).map(|file| Rights { path: path.to_owned(), ..file });
    Some(Chain { folders, file })
}

/// The modules that are loaded, as the kernel knows them.
fn modules(conf: &Conf, folders: &Folders) -> Vec<PathBuf> {
    let lines = conf.main().iter().filter(|line| line.name == "load_module");
    let paths = lines.filter_map(|line| {
        let path = Path::new(&folders.prefix).join(line.arg(0)?);
        // The file may be gone.
        let folder = fs::canonicalize(path.parent()?).ok()?;
        Some(folder.join(path.file_name()?))
    });
    paths.collect()
}

/// What the nginx that runs has not taken of its files with keys. Empty, if none tells.
fn refused(conf: &Conf, folders: &Folders, pid_path: &str) -> Vec<Refused> {
    let said = conf.in_http("tollgate_status_file").last().and_then(|line| line.arg(0));
    let pid = conf.top("pid").and_then(|line| line.arg(0)).unwrap_or(pid_path);
    let path = match said {
        Some("off") => return Vec::new(),
        Some(path) => path.to_owned(),
        // Beside the file with the pid.
        None => format!("{}tollgate-status", pid.strip_suffix("pid").unwrap_or(pid)),
    };
    let Ok(running) = Source::at(Path::new(&folders.prefix).join(path)).read() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for status in running.iter().map(|one| &one.status) {
        for (set, state) in status.description.sets.iter().zip(&status.sets) {
            let Some(state) = state else { continue };
            let paths = set.paths.clone();
            if let Some(failure) = &state.failure {
                found.push(Refused { paths, why: failure.error.clone(), keys: None });
            } else if state.refused_count > 0 {
                let why = state.refused.first().cloned().unwrap_or_default();
                found.push(Refused { paths, why, keys: Some(state.refused_count) });
            }
        }
    }
    found
}

/// The addresses of engines.
fn hosts(conf: &Conf) -> HashSet<IpAddr> {
    let mut found: Vec<Address> = Vec::new();
    for location in conf.locations() {
        for backend in location.backends(conf) {
            match backend {
                Backend::Upstream(upstream) => found.extend(addresses(upstream, false)),
                Backend::Address(address) => found.push(address),
            }
        }
    }
    found.iter().filter_map(|address| address.host.parse().ok()).collect()
}

/// Whether an address is one of this machine: only those can be bound to.
fn is_own(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// Whether something keeps the clock right; `None`: nobody tells.
fn is_clock_kept() -> Option<bool> {
    let says = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let by_systemd = says("timedatectl", &["show", "--property=NTPSynchronized", "--value"]);
    match by_systemd.as_deref() {
        Some("yes") => return Some(true),
        Some("no") => return Some(false),
        _ => {}
    }
    // The last field tells how the leap second is known: not at all, where nothing keeps the clock.
    let by_chrony = says("chronyc", &["-c", "tracking"])?;
    Some(by_chrony.rsplit(',').next() != Some("Not synchronised"))
}

/// How many clients the keys files have; `None`: one of them can't be read.
fn clients<'p>(paths: impl Iterator<Item = &'p str>) -> Option<usize> {
    let mut clients = HashSet::new();
    let mut is_any = false;
    for path in paths {
        let entries = keys_file::parsed(&fs::read(path).ok()?).ok()?;
        clients.extend(
            entries.into_iter().filter(|entry| entry.revoked.is_none()).map(|entry| entry.client),
        );
        is_any = true;
    }
    is_any.then_some(clients.len())
}

/// For how many clients the zone has room: it can be filled to about three quarters.
fn room(conf: &Conf) -> Option<usize> {
    let zone = conf.in_http("tollgate_zone").last()?;
    let bytes =
        zone.args.iter().find_map(|word| size(word.strip_prefix("zone=")?.rsplit_once(':')?.1))?;
    let words = usize::try_from(bytes / 8).ok()?;
    Some(client_slots(words) / 4 * 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_doctor::conf::tree::parse;

    #[test]
    fn the_room_is_that_of_the_documentation() {
        let of = |size: &str| {
            room(&Conf::new(
                parse(&format!("http {{ tollgate_zone zone=t:{size}; }}"), "x").unwrap(),
            ))
            .unwrap()
        };
        assert!((1_900..2_200).contains(&of("1m")), "{}", of("1m"));
        assert!((19_000..22_000).contains(&of("10m")), "{}", of("10m"));
    }

    #[test]
    fn only_addresses_of_this_machine_are_its_own() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn the_folders_of_a_file_are_those_that_lead_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        fs::write(&path, "{}").unwrap();
        let found = chain(path.to_str().unwrap()).unwrap();
        assert_eq!(found.folders.first().unwrap().path, "/");
        assert_eq!(found.file.unwrap().uid, fs::metadata(&path).unwrap().uid());
        let found = chain(folder.path().join("missing/keys.json").to_str().unwrap()).unwrap();
        assert!(found.file.is_none() && !found.folders.is_empty());
    }
}
