//! The text of the configuration. What it has in common with the demo stands in `nginx-conf/quickstart.conf`, once.

use std::process::{Command, Stdio};

use tollgate_core::llm::Engine;

use super::values::{BackendUrl, Listen};
use super::{KEYS_FILE, STATE_FOLDER};

/// The tier of the first key.
pub(super) const FIRST_TIER: &str = "pro";

/// The configuration of the demo.
const QUICKSTART: &str = include_str!("../../../../nginx-conf/quickstart.conf");
/// Where the parts that both have begin and end there. `http` has the limits, the server what engines need.
const LIMITS: (&str, &str) = ("    # The memory that all workers share", "    upstream engine {");
const STREAMS: (&str, &str) =
    ("        # Clients reach what docs/engines.md has", "        location / {");

/// What is written.
pub(super) struct Site {
    pub(super) engine: Engine,
    /// At least one.
    pub(super) backends: Vec<BackendUrl>,
    pub(super) audit_log: &'static str,
    pub(super) domain: Option<String>,
    pub(super) listen: Listen,
    pub(super) certificate: Option<Certificate>,
    /// From nginx 1.25.1 on HTTP/2 has a directive of its own.
    pub(super) has_http2_directive: bool,
    pub(super) has_ipv6: bool,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    pub(super) chain: String,
    pub(super) key: String,
}

/// What stands between two lines of the demo, without the first of their indents.
fn part((start, end): (&str, &str)) -> String {
    let after = QUICKSTART.find(start).and_then(|at| QUICKSTART.get(at..)).unwrap_or_default();
    let part = after.find(end).and_then(|end| after.get(..end)).unwrap_or_default();
    let lines = part.trim_end().lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

impl Site {
    /// The file.
    pub(super) fn text(&self) -> String {
        let state = format!("tollgate_zone zone=tollgate:10m state={STATE_FOLDER}/state;");
        let limits = part(LIMITS).replace("tollgate_zone zone=tollgate:10m;", &state);
        let mut text = format!(
            "# Tollgate in front of {}. Written by \"tollgate init\"; from here on it is yours to change.\n\
             # \"nginx -t && systemctl reload nginx\" puts a change into force, \"tollgate doctor\" looks for mistakes.\n\n\
             {limits}\n\n\
             # By address: wrong keys. Whoever guesses is refused before anything is looked up.\n\
             tollgate_limit per_address key=$binary_remote_addr auth_failures=30r/m;\n\n",
            self.engine.as_str(),
        );
        text.push_str(&self.upstream());
        if self.certificate.is_some() {
            text.push_str(&self.plain_server());
        }
        text.push_str(&self.server());
        text
    }

    fn upstream(&self) -> String {
        let mut text = "upstream tollgate_engine {\n    zone tollgate_engine 64k; # all workers know which server has \
                        failed\n"
            .to_owned();
        if self.backends.len() > 1 {
            text.push_str("    least_conn;\n");
        }
        for backend in &self.backends {
            text.push_str(&format!("    server {};\n", backend.authority()));
        }
        text.push_str("    keepalive 32;             # connections that are used again\n}\n\n");
        text
    }

    /// The server on port 80: for certbot, and for nobody else.
    fn plain_server(&self) -> String {
        let name = self.server_name();
        let ipv6 = if self.has_ipv6 { "    listen [::]:80;\n" } else { "" };
        format!(
            "server {{\n    listen 80;\n{ipv6}{name}\n    # For certbot.\n    location /.well-known/acme-challenge/ {{\n\
             \x20       root /var/www/html;\n    }}\n\n    # A client that was set up with http:// has sent its key in the \
             clear by now. Better that it fails than\n    # that it is redirected, and nobody notices.\n    location / \
             {{\n        return 403;\n    }}\n}}\n\n"
        )
    }

    fn server_name(&self) -> String {
        match &self.domain {
            Some(domain) => format!("    server_name {domain};\n"),
            None => String::new(),
        }
    }

    fn server(&self) -> String {
        let streams = part(STREAMS);
        let mut text = "server {\n".to_owned();
        text.push_str(&self.listens());
        text.push_str(&self.server_name());
        if let Some(Certificate { chain, key }) = &self.certificate {
            text.push_str(&format!(
                "\n    ssl_certificate     {chain};\n    ssl_certificate_key {key};\n    ssl_protocols       TLSv1.2 \
                 TLSv1.3;\n"
            ));
        }
        text.push_str(&format!(
            "\n    # What is said here holds in every location, so a location that is added later is\n    # protected too, \
             until it says \"tollgate off\".\n    tollgate              on;\n    tollgate_api_keys     {KEYS_FILE};\n    \
             tollgate_default_tier free;         # For a key that names no tier.\n    tollgate_apply        \
             per_address;\n    tollgate_audit_log    {}; # Under load: buffer=64k flush=1s\n    tollgate_engine       \
             {};\n\n{streams}\n",
            self.audit_log,
            self.engine.as_str(),
        ));
        text.push_str(&self.way_to_engine());
        text.push_str(&format!(
            "\n    location / {{\n        proxy_pass {}://tollgate_engine;\n    }}\n}}\n",
            if self.is_tls_to_engine() { "https" } else { "http" },
        ));
        text
    }

    fn is_tls_to_engine(&self) -> bool {
        self.backends.iter().any(|backend| backend.is_tls)
    }

    fn listens(&self) -> String {
        let parameters = match (&self.certificate, self.has_http2_directive) {
            (None, _) => "",
            (Some(_), true) => " ssl",
            (Some(_), false) => " ssl http2",
        };
        let mut text = format!("    listen {}{parameters};\n", self.listen.word());
        if self.listen.address.is_none() && self.has_ipv6 {
            text.push_str(&format!("    listen [::]:{}{parameters};\n", self.listen.port));
        }
        if self.certificate.is_some() && self.has_http2_directive {
            text.push_str("    http2  on;\n");
        }
        text
    }

    /// What the engine is told, and how it is known, beside what the demo has.
    fn way_to_engine(&self) -> String {
        let host = self.backends.first().map(BackendUrl::host_header).unwrap_or_default();
        let mut text = format!(
            "    proxy_set_header   Host {host}; # Some engines, as Ollama, answer to their own name only.\n"
        );
        if let Some(first) = self.backends.first().filter(|_| self.is_tls_to_engine()) {
            text.push_str(&format!(
                "\n    # Nobody else may pass for the engine.\n    proxy_ssl_server_name         on;\n    proxy_ssl_name               \
                 \x20{};\n    proxy_ssl_verify              on;\n    proxy_ssl_verify_depth        3;\n    \
                 proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;\n",
                first.host
            ));
        }
        text
    }

    /// Where clients come.
    pub(super) fn url(&self) -> String {
        let is_usual = self.certificate.is_some() && self.listen.port == 443;
        let port = if is_usual { String::new() } else { format!(":{}", self.listen.port) };
        match (&self.certificate, &self.domain, self.listen.address) {
            (Some(_), Some(domain), _) => format!("https://{domain}{port}"),
            (certificate, _, address) => {
                let scheme = if certificate.is_some() { "https" } else { "http" };
                let host = match address {
                    Some(std::net::IpAddr::V6(v6)) => format!("[{v6}]"),
                    Some(v4) => v4.to_string(),
                    None => "127.0.0.1".to_owned(),
                };
                format!("{scheme}://{host}{port}")
            }
        }
    }

    /// A model that the engine has, if it is there and says so.
    pub(super) fn model(&self) -> Option<String> {
        let url = format!("{}/v1/models", self.backends.first()?.url());
        let mut command = Command::new("curl");
        command.args([
            "--disable",
            "--silent",
            "--fail",
            "--globoff",
            "--max-time",
            "3",
            "--max-filesize",
            "1000000",
        ]);
        let output = command.args(["--", &url]).stdin(Stdio::null()).output().ok()?;
        model_in(&output.stdout)
    }
}

/// The first model of a list, if its name can stand in a line of a shell as it is.
fn model_in(json: &[u8]) -> Option<String> {
    let list: serde_json::Value = serde_json::from_slice(json).ok()?;
    let name = list.get("data")?.get(0)?.get("id")?.as_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/@+-".contains(c);
    (!name.is_empty() && name.len() <= 200 && name.chars().all(is_plain)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_doctor::conf::tree::parse;
    use tollgate_doctor::conf::Conf;
    use tollgate_doctor::named::Folders;
    use tollgate_doctor::{examine, Facts};

    fn site(certificate: bool, domain: Option<&str>, backends: &[&str]) -> Site {
        let backends: Vec<BackendUrl> =
            backends.iter().map(|url| super::super::values::backend(url).unwrap()).collect();
        Site {
            engine: Engine::Vllm,
            backends,
            audit_log: "/var/log/nginx/tollgate.log",
            domain: domain.map(str::to_owned),
            listen: if certificate { Listen::everywhere(443) } else { Listen::local(8080) },
            certificate: certificate
                .then(|| Certificate { chain: "/c.pem".to_owned(), key: "/k.pem".to_owned() }),
            has_http2_directive: false,
            has_ipv6: true,
        }
    }

    #[test]
    fn the_parts_of_the_demo_are_there() {
        let (limits, streams) = (part(LIMITS), part(STREAMS));
        assert!(
            limits.starts_with("# The memory") && limits.contains("tollgate_tier pro {"),
            "{limits}"
        );
        assert!(limits.contains("\ntollgate_zone zone=tollgate:10m;\n"), "{limits}");
        assert!(streams.starts_with("    # Clients reach"), "{streams}");
        assert!(streams.contains("\n    proxy_buffering    off;"), "{streams}");
        assert!(streams.ends_with("not of the answer."), "{streams}");
    }

    #[test]
    fn the_doctor_finds_nothing_in_what_is_written() {
        for engine in Engine::ALL {
            for certificate in [false, true] {
                for domain in [None, Some("api.example.com")] {
                    for backends in [
                        &["http://127.0.0.1:8000"][..],
                        &["https://a.example", "https://b.example:8443"],
                    ] {
                        for has_http2_directive in [false, true] {
                            let site = Site {
                                engine,
                                has_http2_directive,
                                ..site(certificate, domain, backends)
                            };
                            let text =
                                format!("worker_processes auto; http {{\n{}\n}}", site.text());
                            let conf = Conf::new(parse(&text, "x").unwrap());
                            let facts = Facts {
                                nginx: Some((1, 22, 1)),
                                cpus: Some(4),
                                ..Facts::default()
                            };
                            let found = examine(&conf, &facts, &Folders::default(), &[]);
                            assert_eq!(found, [], "{text}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn clients_come_where_the_server_listens() {
        let engine = &["http://127.0.0.1:8000"];
        assert_eq!(site(false, None, engine).url(), "http://127.0.0.1:8080");
        assert_eq!(site(true, Some("api.example.com"), engine).url(), "https://api.example.com");
        let other = Site {
            listen: super::super::values::listen("[::1]:81").unwrap(),
            ..site(false, None, engine)
        };
        assert_eq!(other.url(), "http://[::1]:81");
    }

    #[test]
    fn a_model_is_named_only_if_it_is_harmless_in_a_shell() {
        assert_eq!(
            model_in(br#"{"data":[{"id":"meta/llama-3.1:8b"}]}"#).as_deref(),
            Some("meta/llama-3.1:8b")
        );
        for wrong in [
            &br#"{"data":[{"id":"a'b"}]}"#[..],
            br#"{"data":[{"id":"$(x)"}]}"#,
            br#"{"data":[]}"#,
            b"x",
        ] {
            assert_eq!(model_in(wrong), None);
        }
    }
}
