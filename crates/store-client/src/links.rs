//! The connections to servers that are all spoken to in the same manner.

use std::collections::HashMap;
use std::time::Instant;

use crate::access::{Access, Login};
use crate::backoff::{dice, Backoff};
use crate::config::{Config, Place};
use crate::connection::{Connection, Manner};
use crate::failure::{Failure, ServerError};
use crate::resolve::Resolver;
use crate::resp::{Command, Value};

/// More servers than a cluster has; whoever names more of them is not believed.
const MAX_LINKS: usize = 1000;

/// Connections, at most one to each server.
pub(crate) struct Links {
    access: Access,
    login: Option<Login>,
    tls: bool,
    tls_name: Option<String>,
    database: u16,
    title: String,
    resolver: Resolver,
    links: HashMap<Place, Link>,
}

#[derive(Default)]
struct Link {
    connection: Option<Connection>,
    backoff: Backoff,
}

impl Links {
    /// To stores.
    pub(crate) fn to_stores(config: &Config, access: &Access) -> Self {
        let database = config.addresses.first().map_or(0, |address| address.database);
        Self::new(config, access, access.login.clone(), database)
    }

    /// To sentinels.
    pub(crate) fn to_sentinels(config: &Config, access: &Access) -> Self {
        Self::new(config, access, access.sentinel_login.clone(), 0)
    }

    fn new(config: &Config, access: &Access, login: Option<Login>, database: u16) -> Self {
        Self {
            access: access.clone(),
            login,
            tls: config.has_tls(),
            tls_name: config.tls.name.clone(),
            database,
            title: format!("tollgate:{}", config.node),
            resolver: Resolver::default(),
            links: HashMap::new(),
        }
    }

    /// The connection to a server, which is made if there is none.
    ///
    /// # Errors
    /// It can't be made, or has been tried in vain a moment ago.
    pub(crate) fn open(
        &mut self,
        place: &Place,
        deadline: Instant,
    ) -> Result<&mut Connection, Failure> {
        if !self.links.contains_key(place) && self.links.len() >= MAX_LINKS {
            return Err(Failure::Garbled("with more servers than a cluster has"));
        }
        let link = self.links.entry(place.clone()).or_default();
        if let Some(connection) = link.connection.take() {
            return Ok(link.connection.insert(connection));
        }
        link.backoff.check(Instant::now())?;
        let manner = Manner {
            tls: self.tls,
            tls_name: self.tls_name.as_deref(),
            access: &self.access,
            login: self.login.as_ref(),
            database: self.database,
            title: &self.title,
        };
        match Connection::open(place, &manner, &mut self.resolver, deadline) {
            Ok(connection) => Ok(link.connection.insert(connection)),
            Err(failure) => {
                link.backoff.failed(Instant::now(), dice());
                Err(failure)
            }
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_open(&self, place: &Place) -> bool {
        self.links.get(place).is_some_and(|link| link.connection.is_some())
    }

    /// A server has answered.
    pub(crate) fn worked(&mut self, place: &Place) {
        if let Some(link) = self.links.get_mut(place) {
            link.backoff.worked();
        }
    }

    /// The connection is of no use any more.
    pub(crate) fn failed(&mut self, place: &Place) {
        if let Some(link) = self.links.get_mut(place) {
            link.connection = None;
            link.backoff.failed(Instant::now(), dice());
        }
    }

    /// Forgets all servers but those.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(&Place) -> bool) {
        self.links.retain(|place, _| is_kept(place));
    }

    /// Sends one command, and receives its short answer.
    pub(crate) fn one(
        &mut self,
        place: &Place,
        command: &Command,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let answer = self.open(place, deadline)?.one(command, deadline);
        match answer {
            Ok(answer) => {
                self.worked(place);
                answer.ok().map_err(|failure| self.harmless(failure))
            }
            Err(failure) => {
                self.failed(place);
                Err(failure)
            }
        }
    }

    /// Without what a server says, if it repeats the password.
    pub(crate) fn harmless(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Refused(error) if self.tells(&error) => Failure::Refused(error.without_text()),
            failure => failure,
        }
    }

    fn tells(&self, error: &ServerError) -> bool {
        let Some(Login { password, .. }) = &self.login else { return false };
        // What was cut off at the end may have begun with it, so a part tells as well.
        let part = password.get(..password.len().min(8)).unwrap_or_default();
        error.text.as_bytes().windows(part.len().max(1)).any(|window| window == part)
    }
}
