//! `tollgate limit reset`

use clap::builder::PossibleValuesParser;
use clap::Args;
use tollgate_core::control::{Done, OfRule, Request};

use super::show::ask;
use super::Subject;
use crate::escape::shown;
use crate::exit::{print, tell, Exit, Failure};

/// Have a tollgate_limit begin anew for one value of its key: its buckets are full, nothing of its budgets is
/// spent, and no wrong credentials are counted. Requests in flight go on, and are charged with what they use beyond
/// what they have reserved.
///
/// Exit status: 0; 1 if nothing was used of it, or no tollgate_limit has that name; 3 if nginx does not answer.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Only its limits of this kind.
    #[arg(long, value_parser = PossibleValuesParser::new(OfRule::names()))]
    limit: Option<String>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let Subject { socket, name, key } = self.subject;
        let limit = self.limit.clone();
        let request = Request::ResetLimit { name: name.clone(), key: key.clone(), limit };
        let Some(done) = ask::<Done>(&socket, &request, &name)? else { return Ok(Exit::No) };
        let (name, key) = (shown(&name), shown(&key));
        match done {
            Done::Reset { slots: 0 } => {
                tell(&format!("nothing was used of \"{name}\" by \"{key}\""));
                Ok(Exit::No)
            }
            _ => {
                let what = self.limit.as_deref().unwrap_or("all limits");
                print(format!("{name}, {key}: {what} anew\n").as_bytes())?;
                Ok(Exit::Yes)
            }
        }
    }
}
