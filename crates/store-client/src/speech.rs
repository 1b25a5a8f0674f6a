//! What a node says to the store: an exchange of leases, and now and then its greeting in the same call. One message, with
//! all its calls in one pipeline for each server.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use tollgate_core::cluster::message::{self, Answer, Message};
use tollgate_core::cluster::store::SCRIPT;

use crate::call::Call;
use crate::client::Client;
use crate::failure::Failure;
use crate::greeting::{self, Greeted, Greeting};
use crate::resp::{Bounds, Value};
use crate::script::Script;

/// Both in one script, so that both are one call.
static SPEECH: LazyLock<Arc<Script>> = LazyLock::new(|| {
    let function = |name, body| format!("local function {name}(KEYS, ARGV)\n{body}\nend\n");
    let greet = function("greet", include_str!("greeting.lua"));
    let exchange = function("exchange", SCRIPT);
    Arc::new(Script::new(&format!("{greet}{exchange}{}", include_str!("speech.lua"))))
});

/// The shard with which all lies that nodes share beside limits.
const COMMON: u8 = 0;

const NO_EXCHANGE: Failure = Failure::Garbled("with what isn't the answer of the script");

/// What became of one call of a message.
pub type Exchanged<'m> = (message::Call<'m>, Result<Answer, Failure>);

/// What became of a message, and of the greeting that was said with it.
#[derive(Debug)]
pub struct Spoken<'m> {
    /// What the greeting was answered; `None`: none was said.
    pub greeted: Option<Result<Greeted, Failure>>,
    /// What each call of the message was answered.
    pub exchanged: Vec<Exchanged<'m>>,
}

impl Client {
    /// Tells the store a message, all by `deadline`. `greeting` takes no call of its own, unless the store is a Redis
    /// Cluster, and the message has nothing for the part of it where nodes are greeted. A call that has failed may have
    /// been executed nevertheless.
    pub fn speak<'m>(
        &mut self,
        greeting: Option<&Greeting>,
        message: &'m Message,
        deadline: Instant,
    ) -> Spoken<'m> {
        let parts = message::Call::all(message, self.shards());
        let with = parts.iter().position(|part| part.shard() == COMMON);
        let greeting_of = |at| greeting.filter(|_| with == Some(at));
        let mut calls: Vec<Call> =
            parts.iter().enumerate().map(|(at, part)| self.call(greeting_of(at), part)).collect();
        if let Some(greeting) = greeting.filter(|_| with.is_none()) {
            let arguments = greeting.arguments(message.incarnation);
            let Bounds { bytes, values } = Bounds::SHORT;
            calls.push(Call::script(&SPEECH, self.greeting_keys(), arguments, bytes, values));
        }
        let mut answers = self.run(&calls, deadline).into_iter();
        let mut greeted = None;
        let mut exchanged = Vec::with_capacity(parts.len());
        for (at, part) in parts.into_iter().enumerate() {
            let answer = answers.next().unwrap_or(Err(Failure::NoPlace));
            let answer = match greeting_of(at) {
                None => answer.and_then(|value| read(&part, &value)),
                Some(_) => {
                    let (heard, answer) = split(&part, answer);
                    greeted = Some(heard);
                    answer
                }
            };
            if let Ok(answer) = &answer {
                self.set_life(part.shard(), answer.life);
            }
            exchanged.push((part, answer));
        }
        if let Some(answer) = answers.next() {
            greeted = Some(answer.and_then(|value| greeting::read(&value)));
        }
        Spoken { greeted, exchanged }
    }

    fn call(&self, greeting: Option<&Greeting>, part: &message::Call<'_>) -> Call {
        let (mut keys, mut arguments) = match greeting {
            None => (Vec::new(), Vec::new()),
            Some(greeting) => {
                (self.greeting_keys(), greeting.arguments(part.message().incarnation))
            }
        };
        keys.extend(part.keys(self.cluster()));
        arguments.push(part.argument(self.life(part.shard())));
        // What stands around the bytes, and an error in their place.
        let max_bytes = part.max_answer().saturating_add(4096);
        Call::script(&SPEECH, keys, arguments, max_bytes, 64)
    }
}

/// The answer to a call with a greeting, as that to the greeting and that to the rest.
fn split(
    part: &message::Call<'_>,
    answer: Result<Value, Failure>,
) -> (Result<Greeted, Failure>, Result<Answer, Failure>) {
    match answer {
        Err(failure) => (Err(failure.clone()), Err(failure)),
        Ok(value) => {
            let last = value.list().and_then(<[Value]>::last);
            let exchanged = last.ok_or(NO_EXCHANGE).and_then(|value| read(part, value));
            (greeting::read(&value), exchanged)
        }
    }
}

fn read(part: &message::Call<'_>, value: &Value) -> Result<Answer, Failure> {
    let bytes = value.bytes().ok_or(message::Void);
    bytes.and_then(|bytes| part.read(bytes)).map_err(|_| NO_EXCHANGE)
}
