//! Which requests are asked for.

use clap::Args;
use tollgate_core::pattern::Pattern;

use super::record::Record;

/// Of whom, and for what. Each option is repeatable.
#[derive(Args)]
pub(super) struct Filter {
    /// Only requests of this client; repeatable.
    #[arg(long, value_name = "NAME")]
    client: Vec<String>,
    /// Only requests of this tenant; repeatable.
    #[arg(long, value_name = "NAME")]
    tenant: Vec<String>,
    /// Only requests for models of this name or pattern, such as llama-*; repeatable.
    #[arg(long, value_parser = pattern)]
    model: Vec<Pattern>,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|error| error.to_string())
}

impl Filter {
    /// Whether all requests are wanted.
    pub(super) fn is_open(&self) -> bool {
        self.client.is_empty() && self.tenant.is_empty() && self.model.is_empty()
    }

    pub(super) fn wants(&self, record: &Record<'_>) -> bool {
        let client = |wanted: &String| record.client() == Some(wanted);
        let tenant = |wanted: &String| record.tenant() == Some(wanted);
        let model = |wanted: &Pattern| record.model().is_some_and(|model| wanted.matches(model));
        (self.client.is_empty() || self.client.iter().any(client))
            && (self.tenant.is_empty() || self.tenant.iter().any(tenant))
            && (self.model.is_empty() || self.model.iter().any(model))
    }
}
