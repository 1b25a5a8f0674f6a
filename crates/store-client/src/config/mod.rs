//! What `tollgate_cluster` says.

mod address;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tollgate_core::cluster::times;

pub(crate) use address::is_host;
pub use address::{Address, Place};

/// The cluster, where `name=` gives none.
const NAME: &str = "default";
const EXCHANGE: Duration = Duration::from_millis(50);
const EXCHANGES: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_nanos(times::LONGEST_EXCHANGE);
const MAX_NODES: u16 = 1000;
/// Of names that stand in keys of the store, in logs and on pages.
const MAX_NAME: usize = 64;
/// Of servers that are named.
const MAX_ADDRESSES: usize = 32;

/// What is wrong with the words: a lower-case sentence without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    fn new(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// How the servers that are named belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server, which has everything.
    Single,
    /// Sentinels, which know the server that is master now by this name.
    Sentinel(String),
    /// Some servers of a Redis Cluster, which know the others.
    Cluster,
}

/// What requests do while the store can't be reached, and their lease doesn't suffice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLoss {
    /// Each node has its part of each limit.
    #[default]
    Share,
    /// Each node has the whole of each limit.
    Local,
    /// They are refused.
    Deny,
}

/// The files that TLS needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Who may sign for the store; `None`: whoever the machine trusts.
    pub ca: Option<PathBuf>,
    /// What this node shows of itself, and the key for it.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that certificates of stores must have, where it isn't the host of their address.
    pub name: Option<String>,
}

/// What `tollgate_cluster` says. Paths are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The servers that are named; at least one.
    pub addresses: Vec<Address>,
    /// How they belong together.
    pub topology: Topology,
    /// Where the password is, alone.
    pub password_file: Option<PathBuf>,
    /// Where that for sentinels is.
    pub sentinel_password_file: Option<PathBuf>,
    /// What TLS needs.
    pub tls: TlsFiles,
    /// The cluster: nodes with the same one share limits.
    pub name: String,
    /// This node, for people.
    pub node: String,
    /// Between the beginnings of two exchanges.
    pub exchange: Duration,
    /// What to do without a store.
    pub on_loss: OnLoss,
    /// How many nodes share, where `on_loss` is [`OnLoss::Share`].
    pub expected_nodes: Option<u16>,
}

impl Config {
    /// Reads the words after `tollgate_cluster`. `hostname` is the node's name where `node=` gives none, and what
    /// `$hostname` stands for.
    ///
    /// # Errors
    /// Names the parameter, and the way out. Never a password.
    pub fn parse<'w>(
        words: impl IntoIterator<Item = &'w str>,
        hostname: &str,
    ) -> Result<Self, ConfigError> {
        let mut found = Words::default();
        for word in words {
            found.take(word)?;
        }
        found.finish(hostname)
    }

    /// Whether anybody between this machine and a store could read along.
    pub fn is_exposed(&self) -> bool {
        self.addresses.iter().any(|address| !address.tls && !address.place.is_local())
    }

    /// Whether TLS is spoken with any of them.
    pub fn has_tls(&self) -> bool {
        self.addresses.iter().any(|address| address.tls)
    }
}

#[derive(Default)]
struct Words {
    addresses: Vec<Address>,
    is_cluster: Option<()>,
    sentinel: Option<String>,
    password_file: Option<PathBuf>,
    sentinel_password_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    certificate_key: Option<PathBuf>,
    tls_name: Option<String>,
    name: Option<String>,
    node: Option<String>,
    exchange: Option<Duration>,
    on_loss: Option<OnLoss>,
    expected_nodes: Option<u16>,
}

impl Words {
    fn take(&mut self, word: &str) -> Result<(), ConfigError> {
        if word == "cluster" {
            return set(&mut self.is_cluster, word, ());
        }
        // A URL may have a "=" as well.
        if word.contains("://") || word.starts_with("unix:") {
            if self.addresses.len() == MAX_ADDRESSES {
                return Err(ConfigError::new(format!(
                    "at most {MAX_ADDRESSES} servers can be named"
                )));
            }
            self.addresses.push(Address::parse(word)?);
            return Ok(());
        }
        let Some((name, value)) = word.split_once('=') else { return Err(unknown(word)) };
        match name {
            "sentinel" => set(&mut self.sentinel, name, named(name, value)?),
            "password_file" => set(&mut self.password_file, name, path(name, value)?),
            "sentinel_password_file" => set(&mut self.sentinel_password_file, name, path(name, value)?),
            "ca" => set(&mut self.ca, name, path(name, value)?),
            "certificate" => set(&mut self.certificate, name, path(name, value)?),
            "certificate_key" => set(&mut self.certificate_key, name, path(name, value)?),
            "tls_name" => set(&mut self.tls_name, name, named(name, value)?),
            "name" => set(&mut self.name, name, named(name, value)?),
            "node" if value == "$hostname" => Ok(()),
            "node" => set(&mut self.node, name, named(name, value)?),
            "exchange" => set(&mut self.exchange, name, exchange(value)?),
            "on_loss" => set(&mut self.on_loss, name, on_loss(value)?),
            "expected_nodes" => set(&mut self.expected_nodes, name, expected_nodes(value)?),
            // Its value isn't shown.
            "password" => Err(ConfigError::new(
                "\"password=\" would be printed by \"nginx -T\": write it into a file, and name that in \"password_file=\""
                    .to_owned(),
            )),
            _ => Err(unknown(name)),
        }
    }

    fn finish(self, hostname: &str) -> Result<Config, ConfigError> {
        let fail = |text: &str| Err(ConfigError::new(text.to_owned()));
        let topology = match (self.sentinel, self.is_cluster.is_some()) {
            (Some(_), true) => return fail("\"sentinel=\" and \"cluster\" exclude each other"),
            (Some(name), false) => Topology::Sentinel(name),
            (None, true) => Topology::Cluster,
            (None, false) => Topology::Single,
        };
        let Some(first) = self.addresses.first() else {
            return fail("the address of a store is missing, such as \"redis://127.0.0.1:6379\"");
        };
        if topology == Topology::Single && self.addresses.len() > 1 {
            return fail(
                "several servers need \"cluster\", or \"sentinel=NAME\" where they are sentinels: two stores that don't \
                 know of each other would each sell the whole of a limit",
            );
        }
        if topology != Topology::Single {
            if self.addresses.iter().any(|other| {
                (other.tls, &other.user, other.database) != (first.tls, &first.user, first.database)
            }) {
                return fail("all servers must be named with the same scheme, user and database");
            }
            if self.addresses.iter().any(|other| matches!(other.place, Place::Socket(_))) {
                return fail("\"unix:\" names one server, and goes with neither \"cluster\" nor \"sentinel=\"");
            }
        }
        if topology == Topology::Cluster && first.database != 0 {
            return fail("a Redis Cluster has only the database 0");
        }
        if self.sentinel_password_file.is_some() && !matches!(topology, Topology::Sentinel(_)) {
            return fail("\"sentinel_password_file=\" needs \"sentinel=\"");
        }
        let certificate = match (self.certificate, self.certificate_key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return fail("\"certificate=\" and \"certificate_key=\" need each other"),
        };
        let tls = TlsFiles { ca: self.ca, certificate, name: self.tls_name };
        if tls != TlsFiles::default() && !self.addresses.iter().any(|address| address.tls) {
            return fail("\"ca=\", \"certificate=\" and \"tls_name=\" need an address that begins with \"rediss://\"");
        }
        if first.user.is_some() && self.password_file.is_none() {
            return fail("a user in the URL of the store needs \"password_file=\"");
        }
        let on_loss = self.on_loss.unwrap_or_default();
        if on_loss == OnLoss::Share && self.expected_nodes.is_none() {
            return fail(
                "\"on_loss=share\", the default, needs \"expected_nodes=\": the number of nodes that share the limits \
                 while the store can't be reached",
            );
        }
        let node = match self.node {
            Some(node) => node,
            None if is_name(hostname) => hostname.to_owned(),
            None => {
                return fail("the name of this machine can't be a node's: give it one by \"node=\"")
            }
        };
        Ok(Config {
            addresses: self.addresses,
            topology,
            password_file: self.password_file,
            sentinel_password_file: self.sentinel_password_file,
            tls,
            name: self.name.unwrap_or_else(|| NAME.to_owned()),
            node,
            exchange: self.exchange.unwrap_or(EXCHANGE),
            on_loss,
            expected_nodes: self.expected_nodes,
        })
    }
}

fn unknown(word: &str) -> ConfigError {
    if word.contains('@') {
        // A URL with a mistake in its scheme, maybe, and a password.
        return ConfigError::new(
            "unknown parameter; the address of a store begins with \"redis://\", \"rediss://\" (TLS) or \"unix:\""
                .to_owned(),
        );
    }
    ConfigError::new(format!("unknown parameter \"{}\"", word.escape_debug()))
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), ConfigError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ConfigError::new(format!("\"{name}\" stands there twice"))),
    }
}

/// Whether it can stand in keys of the store, in logs and on pages, as it is.
pub(crate) fn is_name(text: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_known)
}

fn named(name: &str, value: &str) -> Result<String, ConfigError> {
    if is_name(value) {
        return Ok(value.to_owned());
    }
    Err(ConfigError::new(format!(
        "\"{name}={}\" must have 1 to {MAX_NAME} letters, digits and \"._-\"",
        value.escape_debug()
    )))
}

fn path(name: &str, value: &str) -> Result<PathBuf, ConfigError> {
    if value.is_empty() {
        return Err(ConfigError::new(format!("\"{name}=\" must name a file")));
    }
    Ok(PathBuf::from(value))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn exchange(value: &str) -> Result<Duration, ConfigError> {
    let time = match (value.strip_suffix("ms"), value.strip_suffix('s')) {
        (Some(ms), _) => number(ms).map(Duration::from_millis),
        (_, Some(s)) => number(s).map(Duration::from_secs),
        _ => None,
    };
    time.filter(|time| EXCHANGES.contains(time)).ok_or_else(|| {
        ConfigError::new(format!(
            "\"exchange={}\" must be a time from 10ms to 250ms",
            value.escape_debug()
        ))
    })
}

fn on_loss(value: &str) -> Result<OnLoss, ConfigError> {
    match value {
        "share" => Ok(OnLoss::Share),
        "local" => Ok(OnLoss::Local),
        "deny" => Ok(OnLoss::Deny),
        _ => Err(ConfigError::new(format!(
            "\"on_loss={}\" must be \"share\", \"local\" or \"deny\"",
            value.escape_debug()
        ))),
    }
}

fn expected_nodes(value: &str) -> Result<u16, ConfigError> {
    let nodes = number(value).and_then(|number| u16::try_from(number).ok());
    nodes.filter(|nodes| (1..=MAX_NODES).contains(nodes)).ok_or_else(|| {
        ConfigError::new(format!(
            "\"expected_nodes={}\" must be a number from 1 to {MAX_NODES}",
            value.escape_debug()
        ))
    })
}
