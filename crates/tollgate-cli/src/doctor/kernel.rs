//! What the kernel tells: who listens where, and what nginx has loaded.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Where programs of this machine listen (TCP). None, where the kernel doesn't tell.
pub(crate) fn listening() -> Vec<SocketAddr> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let mut found: Vec<SocketAddr> = tables
        .iter()
        .flat_map(|table| listeners(&fs::read_to_string(table).unwrap_or_default()))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The addresses in a table of the kernel's whose state is that of listening.
fn listeners(table: &str) -> Vec<SocketAddr> {
    const LISTENING: &str = "0A";
    let of = |line: &str| {
        let mut fields = line.split_whitespace();
        let local = fields.nth(1)?;
        let state = fields.nth(1)?;
        let (address, port) = local.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (state == LISTENING).then(|| Some(SocketAddr::new(address_of(address)?, port))).flatten()
    };
    table.lines().skip(1).filter_map(of).collect()
}

/// An address as the kernel writes it: words of four bytes, each in the order of the machine.
fn address_of(digits: &str) -> Option<IpAddr> {
    let mut bytes = Vec::new();
    for at in (0..digits.len()).step_by(8) {
        let word = u32::from_str_radix(digits.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    if let Ok(v4) = <[u8; 4]>::try_from(bytes.as_slice()) {
        return Some(Ipv4Addr::from(v4).into());
    }
    <[u8; 16]>::try_from(bytes.as_slice()).ok().map(|v6| Ipv6Addr::from(v6).into())
}

/// One of these modules that an nginx has loaded, and that was replaced on the disk since.
pub(super) fn replaced_module(modules: &[PathBuf]) -> Option<String> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut found = processes.filter_map(|process| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        let is_nginx = name.trim_end() == "nginx";
        let maps = is_nginx.then(|| fs::read_to_string(process.path().join("maps")))?.ok()?;
        replaced(&maps, modules)
    });
    found.next()
}

fn replaced(maps: &str, modules: &[PathBuf]) -> Option<String> {
    let gone = maps.lines().filter_map(|line| line.strip_suffix(" (deleted)"));
    let mut paths = gone.filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    // On a machine there may be other programs of nginx, with modules of their own.
    paths.find(|path| modules.iter().any(|module| module == Path::new(path))).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_from_the_tables_of_the_kernel() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
               0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n\
               1: 0100007F:1F40 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 2 1\n\
               2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 3\n\
               3: 00000000000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 3\n\
               4: nonsense\n";
        let found: Vec<String> = listeners(table).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.1:8000", "[::]:80", "[::1]:81"]);
    }

    #[test]
    fn one_who_listens_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(listening().contains(&listener.local_addr().unwrap()));
    }

    #[test]
    fn a_module_that_was_replaced_is_marked_by_the_kernel() {
        let module = "/usr/lib/nginx/modules/libtollgate.so";
        let maps = format!("7f00-7f01 r-xp 00000000 08:01 1 {module} (deleted)\n");
        let of = |maps: &str, modules: &[&str]| {
            replaced(maps, &modules.iter().map(PathBuf::from).collect::<Vec<_>>())
        };
        assert_eq!(of(&maps, &[module]).as_deref(), Some(module));
        assert_eq!(of(&maps.replace(" (deleted)", ""), &[module]), None);
        assert_eq!(of(&maps, &["/elsewhere/libtollgate.so"]), None);
    }
}
