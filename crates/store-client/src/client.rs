//! The client: whoever wants something of the store asks here.

use std::time::{Duration, Instant};

use tollgate_core::cluster::message::Shards;

use crate::access::Access;
use crate::call::Call;
use crate::config::{Config, Place, Topology};
use crate::failure::Failure;
use crate::links::Links;
use crate::resp::{Command, Value};
use crate::route::Route;
use crate::slots::redirection;

/// How long finding and connecting to servers may take in all.
pub const CONNECT: Duration = Duration::from_secs(1);
/// How often a call is sent again, elsewhere or with its script. Each time it was not done before.
const MAX_ROUNDS: usize = 4;

/// A client of one store, whatever it is made of. It blocks: it is for a thread that may wait.
pub struct Client {
    links: Links,
    route: Route,
    cluster: String,
    shards: Shards,
    /// Of each shard, the life of its data that was heard of; 0: none yet.
    lives: Vec<u64>,
}

/// A call that has no answer yet.
struct Open {
    index: usize,
    place: Place,
    /// The server is about to get the place of its key from another one.
    asking: bool,
}

type Answers = Vec<Option<Result<Value, Failure>>>;

impl Client {
    /// A client, which has no connection yet.
    ///
    /// # Errors
    /// `config` names no server.
    pub fn new(config: &Config, access: &Access) -> Result<Self, Failure> {
        let links = Links::to_stores(config, access);
        let route = Route::new(config, Links::to_sentinels(config, access))?;
        let shards = match config.topology {
            Topology::Cluster => Shards::MANY,
            Topology::Single | Topology::Sentinel(_) => Shards::ONE,
        };
        let lives = vec![0; usize::from(shards.count())];
        Ok(Self { links, route, cluster: config.name.clone(), shards, lives })
    }

    /// The name of the cluster.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Into how many parts the limits are divided.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    pub(crate) fn life(&self, shard: u8) -> u64 {
        self.lives.get(usize::from(shard)).copied().unwrap_or(0)
    }

    pub(crate) fn set_life(&mut self, shard: u8, life: u64) {
        if let Some(known) = self.lives.get_mut(usize::from(shard)) {
            *known = life;
        }
    }

    /// Finds the servers and connects to them, where that isn't done already. It takes [`CONNECT`] at most, and nearly
    /// nothing in the ordinary case; so call it before a message with a short deadline is made.
    ///
    /// # Errors
    /// There is nobody to speak with. After an error the next attempt is a while away, up to a second, and until then
    /// this fails at once with [`Failure::Pausing`].
    pub fn prepare(&mut self) -> Result<(), Failure> {
        let prepared = self.route.prepare(&mut self.links, Instant::now() + CONNECT);
        if prepared.is_err() {
            self.route.suspect();
        }
        prepared
    }

    /// Makes calls, in one pipeline for each server, and returns the answer to each. All is done by `deadline`. A call
    /// that has failed may have been done nevertheless.
    pub fn run(&mut self, calls: &[Call], deadline: Instant) -> Vec<Result<Value, Failure>> {
        let mut answers: Answers = Vec::new();
        answers.resize_with(calls.len(), || None);
        let mut open = Vec::with_capacity(calls.len());
        for (index, call) in calls.iter().enumerate() {
            match self.route.place(call.slot) {
                Ok(place) => open.push(Open { index, place, asking: false }),
                Err(failure) => note(&mut answers, index, Err(failure)),
            }
        }
        for _ in 0..MAX_ROUNDS {
            if open.is_empty() {
                break;
            }
            open = self.round(calls, open, &mut answers, deadline);
        }
        // What is still open has been sent elsewhere too often.
        answers.into_iter().map(|answer| answer.unwrap_or(Err(Failure::Restless))).collect()
    }

    /// Makes one call.
    pub(crate) fn one(&mut self, call: Call, deadline: Instant) -> Result<Value, Failure> {
        self.run(&[call], deadline).pop().unwrap_or(Err(Failure::NoPlace))
    }

    /// Sends all, and receives all; returns what is to be sent again.
    fn round(
        &mut self,
        calls: &[Call],
        open: Vec<Open>,
        answers: &mut Answers,
        deadline: Instant,
    ) -> Vec<Open> {
        let mut groups: Vec<(Place, Vec<Open>)> = Vec::new();
        for call in open {
            match groups.iter_mut().find(|(place, _)| *place == call.place) {
                Some((_, group)) => group.push(call),
                None => groups.push((call.place.clone(), vec![call])),
            }
        }
        groups.retain(|(place, group)| match self.send(calls, place, group, deadline) {
            Ok(()) => true,
            Err(failure) => {
                self.give_up(place, group, &failure, answers);
                false
            }
        });
        let mut again = Vec::new();
        for (place, group) in groups {
            self.receive(calls, &place, group, answers, &mut again, deadline);
        }
        again
    }

    fn send(
        &mut self,
        calls: &[Call],
        place: &Place,
        group: &[Open],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut commands = Command::default();
        for open in group {
            if open.asking {
                commands.add(1, [b"ASKING".as_slice()].into_iter());
            }
            if let Some(call) = calls.get(open.index) {
                call.write(&mut commands);
            }
        }
        self.links.open(place, deadline)?.send(&commands, deadline)
    }

    fn receive(
        &mut self,
        calls: &[Call],
        place: &Place,
        group: Vec<Open>,
        answers: &mut Answers,
        again: &mut Vec<Open>,
        deadline: Instant,
    ) {
        let mut without_script = Vec::new();
        let mut group = group.into_iter();
        while let Some(open) = group.next() {
            let Some(call) = calls.get(open.index) else { continue };
            let answer = self.answer_of(call, place, open.asking, deadline);
            match answer {
                Ok(value) => {
                    self.sort(call, place, open, value, answers, again, &mut without_script)
                }
                Err(failure) => {
                    let rest: Vec<Open> =
                        [open].into_iter().chain(group).chain(without_script).collect();
                    return self.give_up(place, &rest, &failure, answers);
                }
            }
        }
        self.links.worked(place);
        match self.load(calls, place, &without_script, deadline) {
            Ok(()) => again.append(&mut without_script),
            Err(failure) => self.give_up(place, &without_script, &failure, answers),
        }
    }

    fn answer_of(
        &mut self,
        call: &Call,
        place: &Place,
        asking: bool,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let connection = self.links.open(place, deadline)?;
        if asking {
            connection.receive(&mut { crate::resp::Bounds::SHORT }, deadline)?;
        }
        connection.receive(&mut { call.bounds }, deadline)
    }

    /// What comes of an answer.
    #[allow(clippy::too_many_arguments)]
    fn sort(
        &mut self,
        call: &Call,
        place: &Place,
        open: Open,
        value: Value,
        answers: &mut Answers,
        again: &mut Vec<Open>,
        without_script: &mut Vec<Open>,
    ) {
        let error = match value {
            Value::Error(error) => error,
            value => return note(answers, open.index, Ok(value)),
        };
        match error.code.as_str() {
            "NOSCRIPT" if call.script.is_some() => return without_script.push(open),
            "MOVED" | "ASK" => {
                if let Some((slot, to)) =
                    redirection(&error.text, place).filter(|(slot, _)| *slot == call.slot)
                {
                    let asking = error.code == "ASK";
                    if !asking {
                        self.route.move_to(slot, to.clone());
                    }
                    return again.push(Open { index: open.index, place: to, asking });
                }
            }
            "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING" => self.route.suspect(),
            _ => {}
        }
        let failure = self.links.harmless(Failure::Refused(error));
        note(answers, open.index, Err(failure));
    }

    /// Has the server keep the scripts that it doesn't know.
    fn load(
        &mut self,
        calls: &[Call],
        place: &Place,
        open: &[Open],
        deadline: Instant,
    ) -> Result<(), Failure> {
        let mut loaded: Vec<&str> = Vec::new();
        for script in open.iter().filter_map(|open| calls.get(open.index)?.script.as_ref()) {
            if !loaded.contains(&script.sha1()) {
                loaded.push(script.sha1());
                let load = Command::of(&[b"SCRIPT", b"LOAD", script.source().as_bytes()]);
                self.links.one(place, &load, deadline)?;
            }
        }
        Ok(())
    }

    fn give_up(&mut self, place: &Place, group: &[Open], failure: &Failure, answers: &mut Answers) {
        if group.is_empty() {
            return;
        }
        if !matches!(failure, Failure::Pausing(_) | Failure::Refused(_)) {
            self.links.failed(place);
        }
        self.route.suspect();
        for open in group {
            note(answers, open.index, Err(failure.clone()));
        }
    }
}

fn note(answers: &mut Answers, index: usize, answer: Result<Value, Failure>) {
    if let Some(place) = answers.get_mut(index) {
        *place = Some(answer);
    }
}
