//! `tollgate client list`

use clap::builder::PossibleValuesParser;
use clap::Args;
use serde_json::{json, Value};
use tollgate_core::clients::Sort;
use tollgate_core::control::{Listed, Request};

use super::told::{Client, List};
use crate::audit::table::{cut_to, grouped, Table};
use crate::control::Socket;
use crate::escape::shown_json;
use crate::exit::{print, Exit, Failure};
use crate::limit::table::percent;

/// The widest that names are shown: with all columns, a line fits a terminal.
const CLIENT_WIDTH: usize = 18;
const TIER_WIDTH: usize = 8;

/// List clients that were seen lately, and how near each is to a limit.
///
/// Exit status: 0 if there are any; 1 if not; 3 if nginx does not answer.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    socket: Socket,
    /// What they are sorted by: the largest first, but for names.
    #[arg(
        long,
        value_parser = PossibleValuesParser::new(Sort::ALL.map(Sort::as_str)),
        default_value = Sort::Used.as_str()
    )]
    sort: String,
    /// Those with this in their names.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Pass over so many.
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: usize,
    /// List so many at most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print a JSON object: `clients`, and how many there are in `total`.
    #[arg(long)]
    json: bool,
}

/// How near these clients are to a limit, and nothing that one nginx alone knows of them.
pub(crate) fn standings(clients: &[Value]) -> String {
    let clients: Vec<Client> = clients.iter().map(Client::deserialize_from).collect();
    Table::new("client", clients.iter().map(|client| Some(client.client.as_str())))
        .names("tier", clients.iter().map(|client| client.tier.as_deref()))
        .column("used", clients.iter().map(|client| percent(client.worst)))
        .render()
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let List { clients, total } = self.ask()?;
        if self.json {
            let all = json!({ "clients": clients, "total": total });
            print(format!("{}\n", shown_json(&all.to_string())).as_bytes())?;
        } else if !clients.is_empty() {
            print(self.text(&clients, total).as_bytes())?;
        }
        Ok(if clients.is_empty() { Exit::No } else { Exit::Yes })
    }

    /// A worker gives so many at once; the others are asked for afterwards.
    fn ask(&self) -> Result<List, Failure> {
        let mut all = List::default();
        loop {
            let listed = Listed {
                sort: Some(self.sort.clone()),
                search: self.search.clone(),
                offset: self.offset.saturating_add(all.clients.len()),
                limit: Some(self.limit.saturating_sub(all.clients.len()).min(Listed::MOST)),
            };
            let found: List = self.socket.ask(&Request::Clients(listed))?;
            let is_last = found.clients.is_empty();
            all.clients.extend(found.clients);
            all.total = found.total;
            let is_enough = all.clients.len() >= self.limit
                || self.offset.saturating_add(all.clients.len()) >= all.total;
            if is_last || is_enough {
                return Ok(all);
            }
        }
    }

    fn text(&self, clients: &[Value], total: usize) -> String {
        let read = |client: &Value| Client::deserialize_from(client);
        let clients: Vec<Client> = clients.iter().map(read).collect();
        let cut = |name: &str, width| cut_to(name, width);
        let names: Vec<String> = clients.iter().map(|of| cut(&of.client, CLIENT_WIDTH)).collect();
        let tiers: Vec<String> = clients
            .iter()
            .map(|of| of.tier.as_deref().map_or("-".to_owned(), |tier| cut(tier, TIER_WIDTH)))
            .collect();
        let numbers = |of: fn(&Client) -> u64| {
            clients.iter().map(move |client| grouped(of(client).into())).collect::<Vec<_>>()
        };
        let mut text = Table::new("client", names.iter().map(|name| Some(name.as_str())))
            .names("tier", tiers.iter().map(|tier| Some(tier.as_str())))
            .column("requests", numbers(|client| client.requests))
            .column(
                "tokens",
                numbers(|client| client.input_tokens.saturating_add(client.output_tokens)),
            )
            .column("cost", clients.iter().map(|client| client.cost.clone()))
            .column("running", numbers(|client| client.in_flight))
            .column("used", clients.iter().map(|client| percent(client.worst)))
            .render();
        let last = self.offset.saturating_add(clients.len());
        if self.offset > 0 || last < total {
            let first = self.offset.saturating_add(1);
            let [first, end, all] =
                [first, last, total].map(|number| grouped(u128::try_from(number).unwrap_or(0)));
            text.push_str(&format!("\n{first} to {end} of {all} clients"));
            text.push_str(&match last < total {
                true => format!("; --offset {last} shows those that follow\n"),
                false => "\n".to_owned(),
            });
        }
        text
    }
}
