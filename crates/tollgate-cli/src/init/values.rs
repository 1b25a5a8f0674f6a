//! What the command line takes. All of it is written into a configuration, so nothing is taken that could end a word
//! there.

use std::net::{IpAddr, Ipv6Addr};

use tollgate_core::llm::Engine;

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackendUrl {
    pub(super) is_tls: bool,
    /// A name or an address; of one of IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// `None`: everywhere.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl BackendUrl {
    /// Where an engine of this kind is, unless it is told otherwise.
    pub(super) fn usual(engine: Engine) -> Self {
        let port = match engine {
            Engine::Sglang => 30000,
            Engine::Tgi => 3000,
            Engine::LlamaCpp => 8080,
            Engine::Ollama => 11434,
            Engine::OpenAi | Engine::Vllm | Engine::Anthropic => 8000,
        };
        Self { is_tls: false, host: "127.0.0.1".to_owned(), port }
    }

    pub(super) fn is_on_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// As `server` has it.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The same as the header `Host` has it: without the port that the scheme has anyway.
    pub(super) fn host_header(&self) -> String {
        let usual = if self.is_tls { ":443" } else { ":80" };
        let authority = self.authority();
        authority.strip_suffix(usual).map(str::to_owned).unwrap_or(authority)
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.is_tls { "https" } else { "http" }, self.authority())
    }
}

impl Listen {
    pub(super) fn local(port: u16) -> Self {
        Self { address: Some(IpAddr::from([127, 0, 0, 1])), port }
    }

    pub(super) fn everywhere(port: u16) -> Self {
        Self { address: None, port }
    }

    pub(super) fn is_local(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }

    /// As `listen` has it.
    pub(super) fn word(&self) -> String {
        match self.address {
            None => self.port.to_string(),
            Some(address) => std::net::SocketAddr::new(address, self.port).to_string(),
        }
    }
}

pub(super) fn engine(text: &str) -> Result<Engine, String> {
    Engine::from_name(text.as_bytes()).ok_or_else(|| {
        let names: Vec<&str> = Engine::ALL.iter().map(|engine| engine.as_str()).collect();
        format!("there are {}", names.join(", "))
    })
}

pub(super) fn backend(text: &str) -> Result<BackendUrl, String> {
    let wrong = || "write it as http://host:port, without a path".to_owned();
    let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(wrong()),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
            host.parse::<Ipv6Addr>().map_err(|_| wrong())?;
            (host, port.strip_prefix(':'))
        }
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    if !host.contains(':') {
        domain(host).map_err(|_| wrong())?;
    }
    let port = match port {
        Some(port) => port_of(port).ok_or_else(wrong)?,
        None => {
            if is_tls {
                443
            } else {
                80
            }
        }
    };
    Ok(BackendUrl { is_tls, host: host.to_owned(), port })
}

fn port_of(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

/// A name of a host, or an address of IPv4.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    match text.len() <= 253 && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err("it is no name of a host, write it as api.example.com".to_owned()),
    }
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let wrong = || "write it as 8080, 127.0.0.1:8080 or [::1]:8080".to_owned();
    if let Some(port) = port_of(text) {
        return Ok(Listen { address: None, port });
    }
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let address = match address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
        Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| wrong())?,
        None => address.parse::<std::net::Ipv4Addr>().map(IpAddr::from).map_err(|_| wrong())?,
    };
    let address = Some(address).filter(|address| *address != IpAddr::from([0, 0, 0, 0]));
    Ok(Listen { address, port: port_of(port).ok_or_else(wrong)? })
}

pub(super) fn client(text: &str) -> Result<String, String> {
    crate::key::name(text)
}

/// A path that is one word of a configuration.
pub(super) fn path(text: &str) -> Result<(), String> {
    let is_good = |c: char| !c.is_control() && !c.is_whitespace() && !"\"'\\;{}$#".contains(c);
    match text.starts_with('/') && text.chars().all(is_good) {
        true => Ok(()),
        false => {
            Err(format!("\"{}\" is no path that can stand in a configuration", text.escape_debug()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_hosts_with_ports() {
        let of = |text| backend(text).map(|backend| backend.url());
        assert_eq!(of("http://127.0.0.1:8000").unwrap(), "http://127.0.0.1:8000");
        assert_eq!(of("http://gpu-1.example/").unwrap(), "http://gpu-1.example:80");
        assert_eq!(of("https://[::1]").unwrap(), "https://[::1]:443");
        assert_eq!(backend("https://a.example").unwrap().host_header(), "a.example");
        assert_eq!(backend("https://a.example:8443").unwrap().host_header(), "a.example:8443");
        assert_eq!(backend("http://[::1]:80").unwrap().host_header(), "[::1]");
        for wrong in [
            "127.0.0.1:8000",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:+1",
            "http://a/v1",
            "http://u@a",
            "http://a;b",
            "http://a b",
            "http://$host",
            "http://a\n:1",
            "http://[x]:1",
            "ftp://a",
            "http://a:",
            "http://-a",
            "http://é",
        ] {
            assert!(backend(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_domain_is_a_name_and_no_piece_of_a_configuration() {
        assert!(domain("api.example.com").is_ok());
        for wrong in [
            "",
            "a..b",
            "a b",
            "a;b",
            "*.a",
            "a{",
            "a\n",
            "a\"",
            &"a".repeat(64),
            &"a.".repeat(130),
        ] {
            assert!(domain(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn listen_takes_a_port_or_an_address() {
        let of = |text| listen(text).map(|listen| listen.word());
        assert_eq!(of("8080").unwrap(), "8080");
        assert_eq!(of("0.0.0.0:8080").unwrap(), "8080");
        assert_eq!(of("10.0.0.1:8080").unwrap(), "10.0.0.1:8080");
        assert_eq!(of("[::1]:8080").unwrap(), "[::1]:8080");
        for wrong in ["", "0", "99999", "localhost:1", "::1:8080", "1.2.3.4", "80;", "unix:/x"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_path_is_one_word() {
        assert!(path("/etc/ssl/a-b_c.pem").is_ok());
        for wrong in ["a", "", "/a b", "/a;b", "/a\"", "/a$b", "/a\n", "/a{", "/a#"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }
}
