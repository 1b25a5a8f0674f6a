//! What the thread that speaks with the store does about keys that are revoked in all nodes.

use std::sync::Arc;
use std::time::Instant;

use store_client::{Client, Failure, Greeted};
use tollgate_core::cluster::revocations::{InFiles, KeyHash, ListFull};

use crate::keys::live::{self, Watched};
use crate::zone::revocations::MappedRevocations;
use nginx::log::{cycle_error, cycle_notice};

/// How much of the list is heard in one turn, in pages: the rest comes with the next turns.
const PAGES: usize = 12;

/// The list, and the files that have the last word.
#[derive(Clone)]
pub(super) struct Hearing {
    pub(super) list: MappedRevocations,
    pub(super) files: Arc<[Arc<dyn Watched>]>,
}

/// What was looked at last.
#[derive(Default)]
pub(super) struct Looked {
    /// What files held then, and what was revoked.
    grounds: Option<(u64, u64)>,
    /// It was said that there is no room.
    is_full: bool,
}

impl Hearing {
    /// Hears what is new in the list, and tells a store that has lost it what is known here.
    pub(super) fn hear(
        &self,
        client: &mut Client,
        greeted: &Greeted,
        looked: &mut Looked,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let list = self.list.get();
        if greeted.has_lost {
            client.restore_revocations(&list.words(), deadline)?;
        }
        for _ in 0..PAGES {
            if list.number() >= greeted.revocations {
                break;
            }
            let words = client.revocations(list.number(), deadline)?;
            let Some(last) = words.last().map(|word| word.number) else {
                // The last ones were replaced by later words, which were heard.
                list.set_number(greeted.revocations);
                break;
            };
            let count = words.iter().filter(|word| word.is_revoked).count();
            let lost = words.into_iter().filter(|word| list.hear(*word) == Err(ListFull)).count();
            list.set_number(last);
            if count > 0 {
                cycle_notice(format_args!(
                    "tollgate: {count} keys are revoked in all nodes, by number {last} of the list of the cluster"
                ));
            }
            if lost > 0 && !std::mem::replace(&mut looked.is_full, true) {
                cycle_error(format_args!(
                    "tollgate: there is no room for {lost} of the keys that are revoked in all nodes, which are not \
                     refused here; take them out of the files of this node"
                ));
            }
        }
        Ok(())
    }

    /// Has the files of this node say what they know of the keys that are revoked, if either has changed.
    pub(super) fn settle(&self, looked: &mut Looked) {
        let list = self.list.get();
        let grounds = (live::epoch(), list.turns());
        if looked.grounds == Some(grounds) || list.in_force() == 0 {
            return;
        }
        let mut keys: Vec<KeyHash> = list.words().into_iter().map(|word| word.key).collect();
        keys.sort_unstable();
        let mut said = vec![InFiles::Missing; keys.len()];
        for file in self.files.iter() {
            if file.look_up(&keys, &mut said).is_err() {
                // What can't be read says nothing, and is asked again.
                return;
            }
        }
        let settled = list.settle(|key| {
            let place = keys.binary_search(key).ok();
            // One that came since is looked at the next time; until then, it is as if it were there.
            place.and_then(|at| said.get(at)).copied().unwrap_or(InFiles::Enabled)
        });
        if settled > 0 {
            cycle_notice(format_args!(
                "tollgate: {settled} keys that were revoked in all nodes are so by the files of this node now"
            ));
        }
        looked.grounds = Some((grounds.0, list.turns()));
    }
}
