//! What an endpoint is asked, and where it is found.

use super::answer::Made;
use super::error::Failure;
use crate::controls::Controls;
use crate::engine::Engine;
use crate::fields::Fields;
use crate::http::Request;
use crate::record::Record;

/// What an endpoint is asked.
pub(crate) struct Call<'a> {
    pub(crate) engine: Engine,
    pub(crate) request: &'a Request,
    pub(crate) controls: &'a Controls,
    pub(crate) record: &'a Record,
    pub(crate) body: &'a [u8],
}

/// Makes the answer of an endpoint up.
pub(super) type Make = fn(&Call<'_>) -> Result<Made, Failure>;

/// Method, path, and what answers there. A segment `{...}` stands for any one.
pub(super) type Endpoint = (&'static str, &'static str, Make);

impl Call<'_> {
    pub(crate) fn fields(&self) -> Result<Fields, Failure> {
        Fields::parse(self.body).map_err(|error| match error.status {
            400 => Failure::NotJson(error.message),
            _ => Failure::Api(error),
        })
    }

    /// Whether the endpoint is Anthropic's, whose errors have their own form.
    pub(super) fn is_anthropic(&self) -> bool {
        self.request.path().starts_with(b"/v1/messages")
    }

    /// A parameter of the query, as it was sent.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        let query = std::str::from_utf8(&self.request.uri).ok()?.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.split_once('=').filter(|p| p.0 == name)).map(|p| p.1)
    }
}
