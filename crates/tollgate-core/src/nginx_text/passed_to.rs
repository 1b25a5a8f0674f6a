//! The servers of the same nginx that a location passes requests on to: a question that comes back to where it is asked
//! would be followed by another one.

use std::rc::Rc;

use super::text::Directive;

/// Where a block stands: its file, and the line that it begins in.
pub type Spot = (Rc<str>, usize);

/// Where something listens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Address<'t> {
    /// A socket of the machine's.
    Unix(&'t str),
    /// A host, as it is written, and a port.
    Net(&'t str, u16),
}

/// Where a location passes a request on to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// The servers that may get it.
    pub servers: Vec<Spot>,
    /// The path that it has there.
    pub path: String,
}

/// Where the location of just this path passes requests on to, in the server that stands at `file` and `line`. Of an
/// address with variables, or one of another machine, nothing is known.
#[must_use]
pub fn find(configuration: &[Directive], file: &str, line: usize, path: &str) -> Passed {
    let https = configuration.iter().filter(|directive| directive.name() == "http");
    let mut found = Passed::default();
    for http in https {
        let servers = || http.block.iter().filter(|directive| directive.name() == "server");
        let asker = servers().find(|server| &*server.file == file && server.line == line);
        let target = asker.and_then(|server| proxied(&server.block, path));
        let Some(target) = target else { continue };
        let addresses = addresses_of(target, &http.block);
        let is_behind = |server: &&Directive| {
            listening(server).iter().any(|here| addresses.iter().any(|there| leads(there, here)))
        };
        let behind =
            servers().filter(is_behind).map(|server| (Rc::clone(&server.file), server.line));
        found.servers.extend(behind);
        found.path = path_of(target).unwrap_or(path).to_owned();
    }
    found
}

/// The `proxy_pass` of the location of just this path.
fn proxied<'t>(block: &'t [Directive], path: &str) -> Option<&'t str> {
    let locations = || block.iter().filter(|directive| directive.name() == "location");
    let is_it = |location: &&Directive| location.args().last().is_some_and(|name| name == path);
    let exact = |location: &&Directive| location.args().first().is_some_and(|word| word == "=");
    let location = locations().filter(is_it).find(exact).or_else(|| locations().find(is_it));
    match location {
        Some(location) => {
            let mut passes = location.block.iter().filter(|one| one.name() == "proxy_pass");
            passes.next()?.args().first().map(String::as_str)
        }
        None => locations().find_map(|location| proxied(&location.block, path)),
    }
}

/// The path in a URL, if it has one.
fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let rest = match rest.strip_prefix("unix:") {
        Some(rest) => rest.split_once(':')?.1,
        None => rest,
    };
    let path = rest.get(rest.find('/')?..)?;
    path.split('?').next()
}

/// The addresses behind a URL.
fn addresses_of<'t>(url: &'t str, http: &'t [Directive]) -> Vec<Address<'t>> {
    let (rest, port) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (rest, 80),
        (None, Some(rest)) => (rest, 443),
        (None, None) => return Vec::new(),
    };
    if let Some(socket) = rest.strip_prefix("unix:") {
        return vec![Address::Unix(socket.split(':').next().unwrap_or_default())];
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let is_named = |upstream: &&Directive| {
        upstream.name() == "upstream"
            && upstream.args().first().is_some_and(|name| name == authority)
    };
    match http.iter().find(is_named) {
        Some(upstream) => {
            let servers = upstream.block.iter().filter(|directive| directive.name() == "server");
            servers.filter_map(|server| address(server.args().first()?, port)).collect()
        }
        None => address(authority, port).into_iter().collect(),
    }
}

/// The addresses that a server has.
fn listening(server: &Directive) -> Vec<Address<'_>> {
    let listens = server.block.iter().filter(|directive| directive.name() == "listen");
    let mut addresses: Vec<_> =
        listens.filter_map(|listen| address(listen.args().first()?, 80)).collect();
    if addresses.is_empty() {
        addresses.push(Address::Net("*", 80));
    }
    addresses
}

/// `host:port`, `host`, `port` or `unix:path`. `None`: it has variables.
fn address(text: &str, default_port: u16) -> Option<Address<'_>> {
    if text.contains('$') {
        return None;
    }
    if let Some(socket) = text.strip_prefix("unix:") {
        return Some(Address::Unix(socket));
    }
    if let Ok(port) = text.parse() {
        return Some(Address::Net("*", port));
    }
    // The colons of an IPv6 address stand in brackets.
    let port_of = |text: &str| text.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let after = text.rfind(']').map_or(0, |end| end + 1);
    let port = text.get(after..).and_then(port_of);
    let host = match port {
        Some(_) => text.rsplit_once(':').map_or(text, |(host, _)| host),
        None => text,
    };
    Some(Address::Net(host, port.unwrap_or(default_port)))
}

/// Whether what is sent there arrives here.
fn leads(there: &Address<'_>, here: &Address<'_>) -> bool {
    let is_loopback =
        |host: &str| host.starts_with("127.") || matches!(host, "localhost" | "[::1]");
    let is_any = |host: &str| matches!(host, "*" | "0.0.0.0" | "[::]");
    match (there, here) {
        (Address::Unix(there), Address::Unix(here)) => there == here,
        (Address::Net(there, to), Address::Net(here, at)) => {
            let is_same = there == here;
            let is_local = is_loopback(there) && (is_any(here) || is_loopback(here));
            to == at && (is_same || is_local)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::{read, Files};
    use super::*;

    struct None;

    impl Files for None {
        fn include(&mut self, _: &str) -> Vec<(String, String)> {
            Vec::new()
        }
    }

    /// The lines of the servers that `/_c` of the server in line 2 leads to.
    fn lines(pass: &str, listen: &str) -> Vec<usize> {
        let text = format!(
            "http {{\nserver {{ listen 8001; location / {{ proxy_pass http://x; location = /_c {{ internal; \
             proxy_pass {pass}; }} }} }}\nserver {{ {listen} }}\nupstream up {{ server 10.0.0.1:8000; \
             server 127.0.0.1:8000; keepalive 4; }}\n}}"
        );
        let text = read(&text, "nginx.conf", &mut None);
        let found = find(&text, "nginx.conf", 2, "/_c");
        found.servers.into_iter().map(|(_, line)| line).collect()
    }

    #[test]
    fn what_is_passed_to_another_server_of_the_same_nginx_is_found() {
        for (pass, listen) in [
            ("http://127.0.0.1:8000", "listen 8000;"),
            ("http://127.0.0.1:8000/v1/x?y", "listen 443 ssl; listen *:8000 http2;"),
            ("http://localhost:8000/", "listen 127.0.0.1:8000;"),
            ("http://[::1]:8000/", "listen [::]:8000;"),
            ("http://127.0.0.1", ""),
            ("https://127.0.0.1/x", "listen 0.0.0.0:443 ssl;"),
            ("http://10.0.0.1:8000", "listen 10.0.0.1:8000;"),
            ("http://up", "listen 8000;"),
            ("http://up/v1", "listen 10.0.0.1:8000;"),
            ("http://unix:/run/x.sock:/v1", "listen unix:/run/x.sock;"),
        ] {
            assert_eq!(lines(pass, listen), [3], "{pass} {listen}");
        }
        assert_eq!(lines("http://127.0.0.1:8001", "listen 8000;"), [2]);
    }

    #[test]
    fn what_goes_elsewhere_is_not() {
        for (pass, listen) in [
            ("http://127.0.0.1:8002", "listen 8000;"),
            ("http://10.0.0.2:8000", "listen 8000;"),
            ("http://10.0.0.2:8000", "listen 10.0.0.1:8000;"),
            ("http://127.0.0.1:8000", "listen 10.0.0.1:8000;"),
            ("http://$there", "listen 8000;"),
            ("http://127.0.0.1:$port", "listen 8000;"),
            ("http://unix:/run/y.sock:", "listen unix:/run/x.sock;"),
            ("grpc://127.0.0.1:8000", "listen 8000;"),
            ("http://other:8000", "listen 8000;"),
        ] {
            assert!(lines(pass, listen).is_empty(), "{pass} {listen}");
        }
        let text = read("http { server { listen 80; } }", "nginx.conf", &mut None);
        assert_eq!(find(&text, "nginx.conf", 1, "/_c"), Passed::default());
    }

    #[test]
    fn path_is_that_of_the_url_or_its_own() {
        for (pass, path) in [
            ("http://127.0.0.1:8000/v1/x?y", "/v1/x"),
            ("http://127.0.0.1:8000/", "/"),
            ("http://127.0.0.1:8000", "/_c"),
            ("http://unix:/run/x.sock:/v1", "/v1"),
            ("http://unix:/run/x.sock", "/_c"),
        ] {
            let text = format!("http {{ server {{ location = /_c {{ proxy_pass {pass}; }} }} }}");
            let text = read(&text, "nginx.conf", &mut None);
            assert_eq!(find(&text, "nginx.conf", 1, "/_c").path, path, "{pass}");
        }
    }
}
