//! One thing that a store is asked to do.

use std::sync::Arc;

use crate::resp::{Bounds, Command};
use crate::script::Script;
use crate::slots::slot;

/// A command or a script, on keys of one place.
#[derive(Clone, Debug)]
pub struct Call {
    /// The place of its keys.
    pub(crate) slot: u16,
    pub(crate) script: Option<Arc<Script>>,
    /// Of a script: how many keys there are, the keys, the arguments. Else all words.
    words: Vec<Vec<u8>>,
    pub(crate) bounds: Bounds,
}

impl Call {
    /// A command. The store finds its key behind the first word.
    pub(crate) fn command(words: &[&[u8]], bounds: Bounds) -> Self {
        let key = words.get(1).copied().unwrap_or_default();
        let words = words.iter().map(|word| word.to_vec()).collect();
        Self { slot: slot(key), script: None, words, bounds }
    }

    /// A command without a key, with a short answer, at the server that has `beside`.
    pub(crate) fn keyless(words: &[&[u8]], beside: &[u8]) -> Self {
        Self { slot: slot(beside), ..Self::command(words, Bounds::SHORT) }
    }

    /// A script on `keys`, which are of one place: the answer has at most `max_bytes` and `max_values`.
    pub fn script(
        script: &Arc<Script>,
        keys: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
        max_bytes: usize,
        max_values: usize,
    ) -> Self {
        let slot = slot(keys.first().map_or(&[], Vec::as_slice));
        let mut words = vec![keys.len().to_string().into_bytes()];
        words.extend(keys);
        words.extend(arguments);
        let bounds = Bounds { bytes: max_bytes, values: max_values };
        Self { slot, script: Some(Arc::clone(script)), words, bounds }
    }

    /// Adds it to what is sent.
    pub(crate) fn write(&self, commands: &mut Command) {
        let words = self.words.iter().map(Vec::as_slice);
        match &self.script {
            None => commands.add(self.words.len(), words),
            Some(script) => {
                let name = [b"EVALSHA".as_slice(), script.sha1().as_bytes()];
                commands.add(self.words.len() + 2, name.into_iter().chain(words));
            }
        }
    }
}
