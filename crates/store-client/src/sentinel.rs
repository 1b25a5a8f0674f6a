//! Sentinels, which know which server is master now.

use std::time::{Duration, Instant};

use crate::config::{is_host, Place};
use crate::failure::Failure;
use crate::links::Links;
use crate::resp::Command;

/// Between two questions whether the master is still the same.
const LOOK: Duration = Duration::from_secs(1);
/// How long one sentinel is waited for, while the master answers.
const PATIENCE: Duration = Duration::from_millis(100);

/// The sentinels, and what they said last.
pub(crate) struct Sentinels {
    name: String,
    places: Vec<Place>,
    links: Links,
    /// Which of them is asked first.
    next: usize,
    master: Option<Place>,
    /// The master has failed.
    is_suspect: bool,
    looked: Option<Instant>,
}

impl Sentinels {
    pub(crate) fn new(name: &str, places: Vec<Place>, links: Links) -> Self {
        Self {
            name: name.to_owned(),
            places,
            links,
            next: 0,
            master: None,
            is_suspect: false,
            looked: None,
        }
    }

    pub(crate) fn master(&self) -> Option<&Place> {
        self.master.as_ref()
    }

    pub(crate) fn suspect(&mut self) {
        self.is_suspect = true;
    }

    /// Finds the master, and connects to it.
    pub(crate) fn prepare(&mut self, stores: &mut Links, deadline: Instant) -> Result<(), Failure> {
        let is_certain =
            self.master.as_ref().is_some_and(|master| !self.is_suspect && stores.is_open(master));
        let is_due = self.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if is_certain && !is_due {
            return Ok(());
        }
        let found = if is_certain {
            let deadline = deadline.min(Instant::now() + PATIENCE);
            self.ask(self.next, deadline)
        } else {
            let first = self.next;
            let mut found = Err(Failure::NoMaster);
            for turn in 0..self.places.len() {
                // Each has its part of the time: one that doesn't answer must not keep the others from being asked.
                let now = Instant::now();
                let others = u32::try_from(self.places.len() - turn).unwrap_or(u32::MAX);
                let patience = deadline.saturating_duration_since(now) / others;
                found = self.ask(first + turn, now + patience);
                if found.is_ok() {
                    break;
                }
            }
            found
        };
        self.looked = Some(Instant::now());
        match found {
            Ok(place) => self.turn_to(place, stores, deadline),
            // The next one is asked the next time, and the master goes on until then.
            Err(_) if is_certain => {
                self.next = self.next.wrapping_add(1);
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    fn turn_to(
        &mut self,
        place: Place,
        stores: &mut Links,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let is_same = self.master.as_ref() == Some(&place);
        if is_same && !self.is_suspect && stores.is_open(&place) {
            return Ok(());
        }
        // Sentinels may not yet know of the next one: what they name must say of itself that it is master.
        let role = stores.one(&place, &Command::of(&[b"ROLE"]), deadline);
        let role = role.inspect_err(|_| self.is_suspect = true)?;
        let said = role.list().and_then(|list| list.first()).and_then(|first| first.text());
        if said != Some("master") {
            self.is_suspect = true;
            stores.failed(&place);
            return Err(Failure::NotMaster);
        }
        stores.keep(|other| *other == place);
        (self.master, self.is_suspect) = (Some(place), false);
        Ok(())
    }

    /// Asks one of them.
    fn ask(&mut self, turn: usize, deadline: Instant) -> Result<Place, Failure> {
        let index = turn.checked_rem(self.places.len()).ok_or(Failure::NoMaster)?;
        let place = self.places.get(index).cloned().ok_or(Failure::NoMaster)?;
        let question =
            Command::of(&[b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", self.name.as_bytes()]);
        let answer = self.links.one(&place, &question, deadline)?;
        let Some([host, port]) = answer.list() else { return Err(Failure::NoMaster) };
        let host = host.text().filter(|host| is_host(host));
        let port = port.text().and_then(|port| port.parse().ok()).filter(|port| *port != 0);
        let (Some(host), Some(port)) = (host, port) else {
            return Err(Failure::Garbled("with what isn't the address of a master"));
        };
        self.next = index;
        Ok(Place::Host(host.to_owned(), port))
    }
}
