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
        let nodes = match store.client.nodes(Connected::deadline()) {
            Ok(nodes) => nodes,
            Err(failure) => {
                tell(&format!(
                    "tollgate: nobody knows which nodes have heard: {}",
                    store.told(&failure)
                ));
                return;
            }
        };
        let heard = Heard::of(&nodes, number);
        if heard.deaf.is_empty() || begun.elapsed() >= PATIENCE {
            tell(&heard.told(&store.config.name));
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The nodes by what they know of a word.
struct Heard<'n> {
    /// How many speak to the store.
    alive: usize,
    /// Those of them that haven't heard it.
    deaf: Vec<&'n str>,
    /// Those that have spoken within the last minute, don't now, and haven't heard it. They may serve requests.
    silent: Vec<&'n str>,
}

impl<'n> Heard<'n> {
    fn of(nodes: &'n [Node], number: u64) -> Self {
        let (alive, gone): (Vec<&Node>, Vec<&Node>) = nodes.iter().partition(|node| is_alive(node));
        let is_deaf = |node: &&Node| node.row.revocations < number;
        let deaf =
            alive.iter().copied().filter(is_deaf).map(|node| node.row.name.as_str()).collect();
        // One that was started anew speaks under the same name.
        let is_back = |node: &&Node| alive.iter().any(|other| other.row.name == node.row.name);
        let mut silent: Vec<&str> = gone
            .iter()
            .copied()
            .filter(|node| is_deaf(node) && !is_back(node))
            .map(|node| node.row.name.as_str())
            .collect();
        silent.sort_unstable();
        silent.dedup();
        Self { alive: alive.len(), deaf, silent }
    }

    fn told(&self, cluster: &str) -> String {
        let all = self.alive;
        let mut text = format!("on the list of the cluster \"{cluster}\"");
        match (all, self.deaf.as_slice()) {
            (0, _) => text.push_str("; no node speaks to the store now"),
            (_, []) => text.push_str(&format!(", of which all {all} nodes have heard")),
            (_, deaf) => text.push_str(&format!(
                "; of {all} nodes, these have not heard yet: {}",
                deaf.join(", ")
            )),
        }
        if !self.silent.is_empty() {
            text.push_str(&format!(
                "; silent, so they go by their own files until they hear of it: {}",
                self.silent.join(", ")
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use store_client::NodeRow;

    use super::*;

    fn node(name: &str, silent_us: u64, revocations: u64) -> Node {
        let row = NodeRow {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            leases: 0,
            lag_us: 0,
            exchange_ms: 50,
            revocations,
        };
        Node { incarnation: 1, silent_us, row }
    }

    /// Its name, for how long it has been silent, and up to which word it has heard.
    type Said = (&'static str, u64, u64);

    fn told(nodes: &[Said]) -> String {
        let nodes: Vec<Node> =
            nodes.iter().map(|&(name, silent, number)| node(name, silent, number)).collect();
        Heard::of(&nodes, 7).told("prod")
    }

    #[test]
    fn who_has_heard_is_said_and_who_is_silent() {
        let long = 10_000_000;
        let silent = "; silent, so they go by their own files until they hear of it: b";
        let cases: [(&[Said], String); 7] = [
            (&[("a", 0, 7), ("b", 0, 9)], ", of which all 2 nodes have heard".to_owned()),
            (&[("a", 0, 7), ("b", 0, 6)], "; of 2 nodes, these have not heard yet: b".to_owned()),
            (&[], "; no node speaks to the store now".to_owned()),
            (&[("b", long, 6)], format!("; no node speaks to the store now{silent}")),
            (
                &[("a", 0, 7), ("b", long, 6), ("b", long, 5)],
                format!(", of which all 1 nodes have heard{silent}"),
            ),
            // It heard before it fell silent.
            (&[("a", 0, 7), ("b", long, 7)], ", of which all 1 nodes have heard".to_owned()),
            // It was started anew.
            (&[("a", long, 6), ("a", 0, 7)], ", of which all 1 nodes have heard".to_owned()),
        ];
        for (nodes, wanted) in cases {
            assert_eq!(told(nodes), format!("on the list of the cluster \"prod\"{wanted}"));
        }
    }
}
