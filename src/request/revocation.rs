//! `tollgate_on_revoke close`: requests that run while their key or token is taken back are cut off.

use crate::request::authenticate::recheck;
use crate::request::running::Looked;
use crate::request::{refusal, running};
use crate::types::Request;

/// Cuts off those whose credential isn't good any more.
pub(crate) fn enforce() {
    for number in running::numbers(Looked::ByKeys) {
        // The end of one may be that of others, on the same connection.
        if let Some(entry) = running::get(number) {
            entry.request.cut_off_if(is_revoked);
        }
    }
}

/// Whether the request is to end. If so, that is noted.
fn is_revoked(r: Request<'_>) -> bool {
    let Some(state) = r.find_state() else { return false };
    let Err(denial) = recheck(r, state) else { return false };
    let mut state = state.borrow_mut();
    (state.cut_off, state.detail) = (Some(denial.reason), denial.detail);
    let client = state.principal.as_ref().map_or("", |principal| principal.client());
    r.log().info(format_args!(
        "tollgate: request of client \"{}\" is cut off: {}",
        client.escape_debug(),
        refusal::Told(denial.reason, state.detail.as_ref())
    ));
    // Once is enough, whatever is in the way of its end.
    state.running.take().is_some()
}
