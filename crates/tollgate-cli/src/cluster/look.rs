//! What the doctor asks of a store.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use store_client::{Access, Client};
use tollgate_doctor::conf::Conf;
use tollgate_doctor::facts::{Store, StoreServer};

use super::nodes::is_alive;
use super::store::{parse, Connected};

/// What the store of the cluster in a configuration says; `None`: there is none, or nginx refuses the directive. `base` is
/// where relative paths begin.
pub(crate) fn look(conf: &Conf, base: &Path) -> Option<Result<Store, String>> {
    let directive = conf.in_http("tollgate_cluster").last()?;
    let config = parse(directive.args.clone()).ok()?;
    let access = match Access::read(&config, base) {
        Ok(access) => access,
        Err(error) => return Some(Err(error.to_string())),
    };
    let asked = Client::new(&config, &access).and_then(|mut client| {
        client.prepare()?;
        let begun = now_us();
        let server = client.server(Connected::deadline())?;
        let ended = now_us();
        let nodes = client.nodes(Connected::deadline())?;
        let apart = [begun, ended].map(|here| server.now_us.abs_diff(here)).into_iter().min();
        let is_between = (begun..=ended).contains(&server.now_us);
        let seconds_apart = if is_between { 0 } else { apart.unwrap_or(0) / 1_000_000 };
        let said = server.said.map(|said| StoreServer {
            version: said.version.map(|(name, version)| (name.to_owned(), version)),
            policy: said.policy,
            is_append_only: said.is_append_only,
        });
        let alive = nodes.iter().filter(|node| is_alive(node)).count();
        Ok(Store { seconds_apart, alive, expected: config.expected_nodes, server: said })
    });
    Some(asked.map_err(|failure| failure.to_string()))
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
