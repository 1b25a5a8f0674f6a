//! `tollgate client show`

use clap::Args;
use serde_json::Value;
use tollgate_core::control::Request;

use super::told::Client;
use crate::audit::table::grouped;
use crate::control::{Silence, Socket};
use crate::escape::{shown, shown_json};
use crate::exit::{print, tell, Exit, Failure};
use crate::limit;
use crate::time::{in_words, now, parse_moment};

/// Show what a client has left of each of its limits, and when all of it is left again.
///
/// Exit status: 0; 1 if no client of that name was seen lately; 3 if nginx does not answer.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    socket: Socket,
    /// The client.
    client: String,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let request = Request::Client { client: self.client.clone() };
        let found: Value = match self.socket.ask(&request) {
            Ok(found) => found,
            Err(Silence::Refused(refused)) if refused.code == "unknown_client" => {
                tell(&format!("no client \"{}\" was seen lately", shown(&self.client)));
                return Ok(Exit::No);
            }
            Err(silence) => return Err(silence.into()),
        };
        let text = match self.json {
            true => format!("{}\n", shown_json(&found.to_string())),
            false => text(&Client::deserialize_from(&found)),
        };
        print(text.as_bytes())?;
        Ok(Exit::Yes)
    }
}

fn text(client: &Client) -> String {
    let mut text = format!("{}\n", shown(&client.client));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<11}  {value}\n"));
    let name = |name: &Option<String>| name.as_deref().map_or("-".to_owned(), shown);
    line("tier", name(&client.tier));
    if client.tenant.is_some() {
        line("tenant", name(&client.tenant));
    }
    line("last seen", client.last_seen.as_deref().map_or("not yet".to_owned(), seen));
    let count = |count: u64| grouped(count.into());
    let refused = match client.refused {
        0 => String::new(),
        refused => format!(", {} of them refused", count(refused)),
    };
    line("requests", format!("{}{refused}", count(client.requests)));
    line("running", count(client.in_flight));
    let (input, output) = (count(client.input_tokens), count(client.output_tokens));
    line("tokens", format!("{input} of input, {output} of output"));
    line("cost", shown(&client.cost));
    if client.limits.is_empty() {
        text.push_str("\nno limits\n");
        return text;
    }
    text.push('\n');
    text.push_str(&limit::table::of(&client.limits));
    text
}

/// A moment, and how long ago that is.
fn seen(at: &str) -> String {
    let ago = parse_moment(at).ok().map(|at| now().0.saturating_sub(at.0).max(0) / 1000);
    match ago.and_then(|seconds| u64::try_from(seconds).ok()) {
        Some(seconds @ 0..60) => format!("{} ({seconds} s ago)", shown(at)),
        Some(seconds) => format!("{} ({} ago)", shown(at), in_words(seconds)),
        None => shown(at),
    }
}
