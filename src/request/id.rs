//! The id of a request: that which its client gave it, if that is fit to be in every log, or a new one.

use tollgate_core::disclosure::{id_is_credential, id_is_of, is_credential_header};
pub(crate) use tollgate_core::request_id::is_well_formed;
use tollgate_core::request_id::Generator;

use crate::conf::policy::Policy;
use crate::per_worker::{random_key, PerWorker};
use crate::types::Request;

static GENERATOR: PerWorker<Generator> = PerWorker::new(|| Generator::new(random_key()));

/// The id of a request that is judged now, to which its client gave the id `given`. `None` when nginx has no
/// memory.
pub(crate) fn choose<'r>(
    r: Request<'r>,
    policy: &Policy,
    given: Option<&'r [u8]>,
) -> Option<&'r [u8]> {
    let may_be = |name: &[u8]| is_credential_source(policy, name) || is_credential_header(name);
    let given = given.filter(|id| !is_credential(r, id, may_be));
    let id = r.early_id().or(given);
    id.or_else(|| r.copy(&GENERATOR.with(Generator::next_id)))
}

/// The id of a request of which something is logged before it is known who judges it. So any header may be
/// one for credentials. `None` when there is none to be had now.
pub(crate) fn early<'r>(r: Request<'r>) -> Option<&'r [u8]> {
    const NAME: &[u8] = b"x-request-id";
    // Where we have no say, the answer has no id of ours.
    let policy = r.loc_conf().policy()?;
    let lines = r.headers_in().filter(|header| header.name == NAME).map(|header| header.value);
    let given = lines.filter(|_| !is_credential_source(policy, NAME)).find(|id| is_well_formed(id));
    match given.filter(|id| !is_credential(r, id, |_| true)) {
        Some(id) => Some(id),
        None => r.copy(&GENERATOR.try_with(Generator::next_id)?),
    }
}

fn is_credential_source(policy: &Policy, name: &[u8]) -> bool {
    policy.credential_source(name).is_some()
}

/// Whether the id is the client's credential: one that takes one header for the other must not find its key in
/// every log.
fn is_credential(r: Request<'_>, id: &[u8], may_be: impl Fn(&[u8]) -> bool) -> bool {
    id_is_credential(id)
        || r.headers_in().any(|header| {
            header.name != b"x-request-id" && may_be(header.name) && id_is_of(id, header.value)
        })
}
