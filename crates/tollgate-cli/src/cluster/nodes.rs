//! `tollgate status --cluster`: the nodes, as their store knows them, and what clients use over all of them.

use clap::Args;
use serde_json::{json, Value};
use store_client::Node;
use tollgate_core::control::{Listed, Request};

use super::store::{Connected, Store};
use crate::audit::table::{grouped, Table};
use crate::client::{standings, List};
use crate::control::Socket;
use crate::escape::shown_json;
use crate::exit::Failure;

/// A node that is silent for longer is gone: its leases are the store's again.
const DEAD_US: u64 = tollgate_core::cluster::store::DEAD_US;
/// How many clients are shown.
const CLIENTS: usize = 20;

/// Whether nodes are asked for.
#[derive(Args)]
pub(crate) struct Nodes {
    /// Show the nodes of the cluster.
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    store: Store,
}

/// Whether it speaks.
pub(super) fn is_alive(node: &Node) -> bool {
    node.silent_us < DEAD_US
}

impl Nodes {
    pub(crate) fn is_asked(&self) -> bool {
        self.cluster
    }

    /// What there is to print, and whether all is well.
    pub(crate) fn look(&self, socket: &Socket, is_json: bool) -> Result<(String, bool), Failure> {
        let mut store = self.store.connect()?;
        let nodes =
            store.client.nodes(Connected::deadline()).map_err(|failure| store.told(&failure))?;
        let newest = nodes.iter().map(|node| node.row.revocations).max().unwrap_or(0);
        let is_good = !nodes.is_empty()
            && nodes.iter().all(|node| is_alive(node) && node.row.revocations == newest);
        let clients = clients(socket)?;
        let name = &store.config.name;
        let text = match is_json {
            true => {
                let all = json!({
                    "cluster": name,
                    "ok": is_good,
                    "revocations": newest,
                    "nodes": nodes.iter().map(as_json).collect::<Vec<_>>(),
                    "clients": clients.as_ref().map(|list| &list.clients),
                });
                format!("{}\n", shown_json(&all.to_string()))
            }
            false => {
                let mut text = format!("Cluster {name}\n\n{}", as_text(&nodes));
                match clients {
                    Some(list) if !list.clients.is_empty() => {
                        text.push_str("\nClients, and how much they have used of their limits over all nodes\n\n");
                        text.push_str(&standings(&list.clients));
                    }
                    _ => {}
                }
                text
            }
        };
        Ok((text, is_good))
    }
}

/// What the nginx of this machine knows of clients: its limits show what all nodes use. `None`: nobody said that there
/// is one, and there is none.
fn clients(socket: &Socket) -> Result<Option<List>, Failure> {
    let listed = Listed { limit: Some(CLIENTS), ..Listed::default() };
    match socket.ask(&Request::Clients(listed)) {
        Ok(list) => Ok(Some(list)),
        Err(silence) if socket.is_said() => Err(silence.into()),
        Err(_) => Ok(None),
    }
}

fn state(node: &Node) -> &'static str {
    match is_alive(node) {
        true => "alive",
        false => "gone",
    }
}

fn as_json(node: &Node) -> Value {
    let row = &node.row;
    json!({
        "node": row.name,
        // More than the numbers of JSON that every program reads.
        "incarnation": format!("{:x}", node.incarnation),
        "state": state(node),
        "version": row.version,
        "leases": row.leases,
        "silent_ms": node.silent_us / 1000,
        "lag_ms": tenths(row.lag_us),
        "exchange_ms": row.exchange_ms,
        "revocations": row.revocations,
    })
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of an exchange")]
fn tenths(micros: u64) -> f64 {
    (micros as f64 / 100.0).round() / 10.0
}

fn as_text(nodes: &[Node]) -> String {
    if nodes.is_empty() {
        return "no node has spoken within the last minute\n".to_owned();
    }
    let all = |of: &dyn Fn(&Node) -> String| nodes.iter().map(of).collect::<Vec<_>>();
    Table::new("node", nodes.iter().map(|node| Some(node.row.name.as_str())))
        .names("state", nodes.iter().map(|node| Some(state(node))))
        .names("version", nodes.iter().map(|node| Some(node.row.version.as_str())))
        .column("silent ms", all(&|node| grouped((node.silent_us / 1000).into())))
        .column("lag ms", all(&|node| format!("{:.1}", tenths(node.row.lag_us))))
        .column("exchange ms", all(&|node| grouped(node.row.exchange_ms.into())))
        .column("leases", all(&|node| grouped(node.row.leases.into())))
        .column("revocations", all(&|node| grouped(node.row.revocations.into())))
        .render()
}
