//! An exchange of leases: one message, with all its calls in one pipeline for each server.

use std::sync::Arc;
use std::time::Instant;

use tollgate_core::cluster::message::{self, Answer, Message};

use crate::call::Call;
use crate::client::Client;
use crate::failure::Failure;
use crate::script::Script;

/// What became of one call of a message.
pub type Exchanged<'m> = (message::Call<'m>, Result<Answer, Failure>);

impl Client {
    /// Tells the store a message, and what it answered to each call of it, all by `deadline`. A call that has failed may
    /// have been executed nevertheless. `script` is [`SCRIPT`](tollgate_core::cluster::store::SCRIPT).
    pub fn exchange<'m>(
        &mut self,
        script: &Arc<Script>,
        message: &'m Message,
        deadline: Instant,
    ) -> Vec<Exchanged<'m>> {
        let parts = message::Call::all(message, self.shards());
        let calls: Vec<Call> = parts.iter().map(|part| self.call_of(script, part)).collect();
        let answers = self.run(&calls, deadline);
        let read = parts.into_iter().zip(answers).map(|(part, answer)| {
            let answer = answer.and_then(|value| {
                let bytes = value.bytes().ok_or(message::Void);
                bytes
                    .and_then(|bytes| part.read(bytes))
                    .map_err(|_| Failure::Garbled("with what isn't the answer of the script"))
            });
            if let Ok(answer) = &answer {
                self.set_life(part.shard(), answer.life);
            }
            (part, answer)
        });
        read.collect()
    }

    fn call_of(&self, script: &Arc<Script>, part: &message::Call<'_>) -> Call {
        let argument = part.argument(self.life(part.shard()));
        // What stands around the bytes, and an error in their place.
        let max_bytes = part.max_answer().saturating_add(4096);
        Call::script(script, part.keys(self.cluster()), vec![argument], max_bytes, 64)
    }
}
