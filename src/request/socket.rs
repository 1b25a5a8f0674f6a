//! Requests for a WebSocket, in which nothing is read.

use crate::conf::policy::Policy;
use crate::conf::settings::Upgrade;
use crate::types::Request;

const UPGRADE: &[u8] = b"upgrade";

/// Whether a request asks for a WebSocket, or for something else that nobody reads, and may have it.
pub(crate) fn is_opened(r: Request<'_>, policy: &Policy) -> bool {
    policy.upgrade == Upgrade::Allow && r.headers_in().any(|one| one.name == UPGRADE)
}
