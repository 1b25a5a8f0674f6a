//! `tollgate limit show`

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use tollgate_core::control::Request;

use super::table::{self, Limit};
use super::Subject;
use crate::control::{Silence, Socket};
use crate::escape::{shown, shown_json};
use crate::exit::{print, tell, Exit, Failure};

/// Show how a tollgate_limit stands for one value of its key: an address or a tenant, say.
///
/// Exit status: 0; 1 if no tollgate_limit has that name; 3 if nginx does not answer.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

/// What nginx tells.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    name: String,
    key: String,
    limits: Vec<Limit>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let Subject { socket, name, key } = self.subject;
        let request = Request::Limit { name: name.clone(), key };
        let Some(found) = ask::<Value>(&socket, &request, &name)? else { return Ok(Exit::No) };
        let text = match self.json {
            true => format!("{}\n", shown_json(&found.to_string())),
            false => {
                let Told { name, key, limits } = Told::deserialize(&found).unwrap_or_default();
                format!("{}, {}\n\n{}", shown(&name), shown(&key), table::of(&limits))
            }
        };
        print(text.as_bytes())?;
        Ok(Exit::Yes)
    }
}

/// What nginx answers; `None`: there is no limit of that name, which was told.
pub(super) fn ask<T: serde::de::DeserializeOwned>(
    socket: &Socket,
    request: &Request,
    name: &str,
) -> Result<Option<T>, Failure> {
    match socket.ask(request) {
        Ok(found) => Ok(Some(found)),
        Err(Silence::Refused(refused)) if refused.code == "unknown_limit" => {
            tell(&format!("no tollgate_limit is called \"{}\"", shown(name)));
            Ok(None)
        }
        Err(silence) => Err(silence.into()),
    }
}
