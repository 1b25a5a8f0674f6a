//! Which store, and as whom.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueHint};
use store_client::{Access, Client, Config};

use crate::doctor::source::asked;
use crate::exit::Failure;

/// How long a call to the store may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the store is.
#[derive(Args, Clone)]
pub(crate) struct Store {
    /// The store, in the words of `tollgate_cluster`, such as "redis://cache-1:6379 password_file=/etc/tollgate/store";
    /// by default those in the configuration of nginx.
    #[arg(long, value_name = "WORDS", requires = "cluster")]
    store: Option<String>,
    /// The configuration in which `tollgate_cluster` stands; by default the one that nginx was built for.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "cluster", conflicts_with = "store")]
    config: Option<PathBuf>,
}

/// A store that answers.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) config: Config,
}

impl Store {
    /// Connects to it.
    pub(super) fn connect(&self) -> Result<Connected, Failure> {
        let (config, base) = match &self.store {
            Some(words) => {
                (parse(words.split_whitespace().map(str::to_owned).collect())?, PathBuf::new())
            }
            None => self.of_nginx()?,
        };
        let access =
            Access::read(&config, &base).map_err(|error| Failure::failed(error.to_string()))?;
        let told = |failure: store_client::Failure| {
            Failure::failed(format!("the store of the cluster \"{}\": {failure}", config.name))
        };
        let mut client = Client::new(&config, &access).map_err(told)?;
        client.prepare().map_err(told)?;
        Ok(Connected { client, config })
    }

    fn of_nginx(&self) -> Result<(Config, PathBuf), Failure> {
        let source = asked(None, self.config.as_deref(), None)?;
        let directive = source.conf.in_http("tollgate_cluster").last().ok_or_else(|| {
            Failure::failed(format!(
                "there is no tollgate_cluster in {}; name the store with --store",
                source.name
            ))
        })?;
        let config = parse(directive.args.clone())?;
        Ok((config, Path::new(&source.folders.conf).to_owned()))
    }
}

impl Connected {
    /// By when the next call is to be done.
    pub(super) fn deadline() -> Instant {
        Instant::now() + PATIENCE
    }

    /// What the store, or the way to it, did to us.
    pub(super) fn told(&self, failure: &store_client::Failure) -> Failure {
        Failure::failed(format!("the store of the cluster \"{}\": {failure}", self.config.name))
    }
}

pub(super) fn parse(mut words: Vec<String>) -> Result<Config, Failure> {
    // These are of nodes alone.
    words.retain(|word| !word.starts_with("leases=") && !word.starts_with("revocations="));
    if !words.iter().any(|word| word.starts_with("on_loss=") || word.starts_with("expected_nodes="))
    {
        words.push("on_loss=local".to_owned());
    }
    Config::parse(words.iter().map(String::as_str), "tollgate-command")
        .map_err(|error| Failure::usage(format!("the store: {error}")))
}
