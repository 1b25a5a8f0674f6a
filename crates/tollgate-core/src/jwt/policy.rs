//! What a place in the configuration demands of a token.

use super::algorithm::AlgorithmSet;
use super::binding::Binding;
use super::claim_map::ClaimMap;

/// The longest token that is accepted unless configured otherwise, in bytes.
pub const DEFAULT_MAX_LEN: usize = 16 * 1024;

/// What is demanded of a token, apart from its signature.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The only algorithms that are accepted, of those that the keys allow; `None`: all of those.
    pub algorithms: Option<AlgorithmSet>,
    /// The accepted values of `iss`; empty: any issuer, or none.
    pub issuers: Vec<String>,
    /// The values of `aud` of which a token must hold one; empty: any audience, or none.
    pub audiences: Vec<String>,
    /// How far the issuer's clock may be off, in seconds.
    pub leeway_secs: u32,
    /// Whether a token without `exp` is refused.
    pub require_exp: bool,
    /// The longest token that is accepted, in bytes.
    pub max_len: usize,
    /// Where the fields of the principal are found.
    pub claims: ClaimMap,
    /// What the names of clients begin with, before what the token says; empty: nothing. Clients that
    /// tokens name are told apart by it from those of API keys.
    pub client_prefix: String,
}

impl Policy {
    /// What is demanded where somebody vouches for tokens of `binding` alone.
    #[must_use]
    pub fn bound(mut self, binding: &Binding) -> Self {
        if !binding.issuers.is_empty() {
            self.issuers.clone_from(&binding.issuers);
        }
        if let Some(prefix) = &binding.client_prefix {
            self.client_prefix.clone_from(prefix);
        }
        self
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            algorithms: None,
            issuers: Vec::new(),
            audiences: Vec::new(),
            leeway_secs: 0,
            require_exp: true,
            max_len: DEFAULT_MAX_LEN,
            claims: ClaimMap::default(),
            client_prefix: String::new(),
        }
    }
}
