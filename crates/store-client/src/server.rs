//! What a server of the store says of itself.

use std::time::Instant;

use crate::call::Call;
use crate::client::Client;
use crate::failure::Failure;
use crate::node::now;
use crate::resp::{Bounds, Value};

/// All that a server says of itself.
const ALL: Bounds = Bounds { bytes: 256 * 1024, values: 64 };

/// A server of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its time, in microseconds since 1970.
    pub now_us: u64,
    /// What it says of itself; `None`: this user has no right to ask.
    pub said: Option<ServerInfo>,
}

/// What it says of itself. What it doesn't say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// "Redis" or "Valkey", and its version.
    pub version: Option<(&'static str, String)>,
    /// What it does when its memory is full: `maxmemory-policy`.
    pub policy: Option<String>,
    /// Whether it writes down each change (`appendonly`).
    pub is_append_only: Option<bool>,
}

impl Client {
    /// What a server says of itself; of several ones, that with the table of nodes.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub fn server(&mut self, deadline: Instant) -> Result<Server, Failure> {
        let beside = self.key("nodes");
        let time = Call::keyless(&[b"TIME"], &beside);
        let mut info = Call::keyless(&[b"INFO"], &beside);
        info.bounds = ALL;
        let mut answers = self.run(&[time, info], deadline).into_iter();
        let mut next = || answers.next().unwrap_or(Err(Failure::NoPlace));
        let now_us = now(&next()?).ok_or(Failure::Garbled("with what isn't the time"))?;
        let said = match next() {
            Ok(info) => Some(read(&info)),
            Err(Failure::Refused(error)) if error.code == "NOPERM" => None,
            Err(failure) => return Err(failure),
        };
        Ok(Server { now_us, said })
    }
}

fn read(info: &Value) -> ServerInfo {
    let text = info.text().unwrap_or_default();
    let said = |name: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
        let is_plain = value.len() <= 64 && value.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| value.to_owned())
    };
    // Valkey says for which version of Redis it can be taken, too.
    let version = said("valkey_version")
        .map(|version| ("Valkey", version))
        .or_else(|| Some(("Redis", said("redis_version")?)));
    let is_append_only = said("aof_enabled").map(|value| value == "1");
    ServerInfo { version, policy: said("maxmemory_policy"), is_append_only }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> ServerInfo {
        read(&Value::Bytes(text.as_bytes().to_vec()))
    }

    #[test]
    fn what_a_server_says_is_found_among_the_rest() {
        let redis = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:0\r\n";
        let said = info(redis);
        assert_eq!(said.version, Some(("Redis", "7.0.15".to_owned())));
        assert_eq!(
            (said.policy.as_deref(), said.is_append_only),
            (Some("allkeys-lru"), Some(false))
        );
        let valkey = "redis_version:7.2.4\r\nvalkey_version:8.0.1\r\naof_enabled:1\r\n";
        assert_eq!(info(valkey).version, Some(("Valkey", "8.0.1".to_owned())));
        assert_eq!(info(valkey).is_append_only, Some(true));
    }

    #[test]
    fn what_is_not_said_or_is_odd_is_nothing() {
        assert_eq!(info(""), ServerInfo::default());
        assert_eq!(read(&Value::Nil), ServerInfo::default());
        assert_eq!(info("xredis_version:7.0\nredis_version:7.0\u{1b}[2J\n"), ServerInfo::default());
        assert_eq!(info(&format!("maxmemory_policy:{}", "x".repeat(65))), ServerInfo::default());
    }
}
