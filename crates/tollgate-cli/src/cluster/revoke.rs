//! `tollgate key revoke --cluster`: the change of the file goes to all nodes, whatever their own files say yet.

use std::time::{Duration, Instant};

use clap::Args;
use store_client::Node;
use tollgate_core::cluster::revocations::KeyHash;

use super::nodes::is_alive;
use super::store::{Connected, Store};
use crate::exit::{tell, Failure};
use crate::keys_file::Entry;

/// How long nodes are given to hear of it, until the command says who hasn't.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// Whether it is done in all nodes.
#[derive(Args)]
pub(crate) struct Everywhere {
    /// Tell all nodes of the cluster as well, through its store: within a second, whatever their own files say yet.
    #[arg(long)]
    cluster: bool,
    #[command(flatten)]
    store: Store,
}

impl Everywhere {
    /// Tells the store that these keys are refused, or that they aren't any more.
    pub(crate) fn tell(&self, keys: &[Entry], is_refused: bool) -> Result<(), Failure> {
        if !self.cluster {
            return Ok(());
        }
        let in_file = |failure: Failure| {
            Failure::failed(format!(
                "the file is changed, and the cluster may not know: {failure}; run this again when it answers"
            ))
        };
        let mut store = self.store.connect().map_err(in_file)?;
        let mut last = 0;
        for key in keys {
            let id = key.id.escape_debug();
            let Some(hash) = key.hash.as_deref().and_then(KeyHash::parse) else {
                tell(&format!(
                    "tollgate: {id} has no hash, so nodes take it from their files alone; its certificate can be revoked \
                     by whoever signed it"
                ));
                continue;
            };
            let told = store.client.revoke(hash, is_refused, Connected::deadline());
            last = told.map_err(|failure| in_file(store.told(&failure)))?;
        }
        if last > 0 {
            say(&mut store, last);
        }
        Ok(())
    }
}

/// Says which nodes have heard.
fn say(store: &mut Connected, number: u64) {
    let begun = Instant::now();
    loop {
        let nodes: Vec<Node> = match store.client.nodes(Connected::deadline()) {
            Ok(nodes) => nodes.into_iter().filter(is_alive).collect(),
            Err(failure) => {
                tell(&format!(
                    "tollgate: nobody knows which nodes have heard: {}",
                    store.told(&failure)
                ));
                return;
            }
        };
        let deaf: Vec<&str> = nodes
            .iter()
            .filter(|node| node.row.revocations < number)
            .map(|node| node.row.name.as_str())
            .collect();
        let (all, name) = (nodes.len(), &store.config.name);
        if deaf.is_empty() {
            tell(&format!(
                "on the list of the cluster \"{name}\", of which all {all} nodes have heard"
            ));
            return;
        }
        if begun.elapsed() >= PATIENCE {
            tell(&format!(
                "on the list of the cluster \"{name}\"; of {all} nodes, these have not heard yet: {}",
                deaf.join(", ")
            ));
            return;
        }
        std::thread::sleep(PAUSE);
    }
}
