//! Where `proxy_pass` leads.

use super::scope::{Conf, Scope};
use super::tree::Directive;

/// What stands behind a `proxy_pass`.
#[derive(Clone, Debug)]
pub enum Backend<'c> {
    /// An `upstream`.
    Upstream(&'c Directive),
    /// A host and a port, as they are written there.
    Address(Address),
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an address; of one of IPv6 without brackets. Empty: a socket of this machine.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether the way there is encrypted.
    pub is_tls: bool,
}

impl Address {
    /// The address of a text such as `10.0.0.1:8000` or `unix:/run/engine`.
    #[must_use]
    pub fn parse(text: &str, is_tls: bool) -> Option<Self> {
        let default = if is_tls { 443 } else { 80 };
        if text.starts_with("unix:") {
            return Some(Self { host: String::new(), port: 0, is_tls });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None => default,
        };
        (!host.is_empty()).then(|| Self { host: host.to_owned(), port, is_tls })
    }
}

impl<'c> Scope<'c> {
    /// Where requests go from here. What only a request tells is left out.
    #[must_use]
    pub fn backends(&self, conf: &'c Conf) -> Vec<Backend<'c>> {
        let Some(url) = self.block.own("proxy_pass").and_then(|pass| pass.arg(0)) else {
            return Vec::new();
        };
        let (is_tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => (false, url),
        };
        let host = match rest.starts_with("unix:") {
            true => rest,
            false => rest.split('/').next().unwrap_or_default(),
        };
        let names = match host.strip_prefix('$') {
            Some(variable) => self.values(conf, variable.trim_matches(['{', '}'])),
            None => vec![host.to_owned()],
        };
        let backend = |name: &String| match conf.upstream(name) {
            Some(upstream) => Some(Backend::Upstream(upstream)),
            None if name.contains('$') => None,
            None => Address::parse(name, is_tls).map(Backend::Address),
        };
        names.iter().filter_map(backend).collect()
    }

    /// What a variable may be, as far as a `map` or a `set` says.
    fn values(&self, conf: &Conf, variable: &str) -> Vec<String> {
        let name = format!("${variable}");
        let maps = conf.in_http("map").filter(|map| map.arg(1) == Some(&name));
        let of_maps = maps.flat_map(|map| map.body()).filter_map(|entry| entry.arg(0));
        let sets = self.block.body().iter().chain(self.server.body());
        let sets = sets.filter(|set| set.name == "set" && set.arg(0) == Some(&name));
        let mut values: Vec<String> =
            of_maps.chain(sets.filter_map(|set| set.arg(1))).map(str::to_owned).collect();
        values.sort();
        values.dedup();
        values
    }
}

/// The addresses of the servers of an upstream.
#[must_use]
pub fn addresses(upstream: &Directive, is_tls: bool) -> Vec<Address> {
    let servers = upstream.body().iter().filter(|line| line.name == "server");
    servers.filter_map(|server| Address::parse(server.arg(0)?, is_tls)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse;
    use super::*;

    #[test]
    fn backends_are_found_by_name_map_and_set() {
        let conf = Conf::new(
            parse(
                "http { upstream a { server 10.0.0.1:8000; server [::1]; server unix:/x; }
                   map $tollgate_model $e { x a; default b.example:9; }
                   server { set $s a;
                     location /1 { proxy_pass http://a/v1; } location /2 { proxy_pass http://$e; }
                     location /3 { proxy_pass https://h; } location /4 { proxy_pass http://$s; }
                     location /5 { proxy_pass http://$http_host; } location /6 { proxy_pass http://unix:/run/x:/; } } }",
                "x",
            )
            .unwrap(),
        );
        let shown = |scope: &Scope<'_>| -> Vec<String> {
            let show = |backend: Backend<'_>| match backend {
                Backend::Upstream(upstream) => format!("upstream {}", upstream.args.join(" ")),
                Backend::Address(Address { host, port, is_tls }) => {
                    format!("{host} {port} {is_tls}")
                }
            };
            scope.backends(&conf).into_iter().map(show).collect()
        };
        let found: Vec<Vec<String>> = conf.locations().iter().map(shown).collect();
        let expected: [&[&str]; 6] = [
            &["upstream a"],
            &["upstream a", "b.example 9 false"],
            &["h 443 true"],
            &["upstream a"],
            &[],
            &[" 0 false"],
        ];
        assert_eq!(found, expected);
        let of_upstream = addresses(conf.upstream("a").unwrap(), false);
        let hosts: Vec<(&str, u16)> =
            of_upstream.iter().map(|a| (a.host.as_str(), a.port)).collect();
        assert_eq!(hosts, [("10.0.0.1", 8000), ("::1", 80), ("", 0)]);
    }
}
