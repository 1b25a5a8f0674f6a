//! ACCESS: the client's certificate, which TLS or a proxy brings, and to whom it belongs.

use std::sync::Arc;

use tollgate_core::cert::{forwarded, CertName, ClientCertificate, Seen};
use tollgate_core::detail::Cause;
use tollgate_core::keys::ApiKey;
use tollgate_core::principal::Principal;

use crate::clock::wall_clock;
use crate::conf::certs::CertPolicy;
use crate::conf::policy::Policy;
use crate::keys::memory;
use crate::request::authenticate::Denial;
use crate::request::state::SavedForwarded;
use crate::types::Request;
use crate::zone::revocations;

/// Who has the certificate of the request, where no other credential is there.
#[inline(never)]
pub(super) fn authenticate(
    r: Request<'_>,
    policy: &Policy,
    certs: &CertPolicy,
    forwarded: SavedForwarded,
) -> Result<Arc<Principal>, Denial> {
    let certificate = presented(r, policy, forwarded, Purpose::Identity)?;
    certificate.check_time(wall_clock())?;
    let name = certs.rule.name(&certificate)?;
    let entry = match listed(certs, &name)? {
        Some(entry) => entry,
        None => unlisted(certs, &name)?,
    };
    if revocations::has(entry.hash()) {
        return Err(entry.revoked().into());
    }
    entry.judge(wall_clock(), r.client_addr()).map(Arc::clone).map_err(Denial::from)
}

/// Whether the request may come from `principal`, whose credential it has, with the certificate that it has:
/// not if a token is bound to another one, nor if the certificate is somebody else's.
#[inline(never)]
pub(super) fn check(
    r: Request<'_>,
    policy: &Policy,
    principal: &Principal,
    forwarded: SavedForwarded,
) -> Result<(), Denial> {
    if let Some(bound_to) = principal.bound_to() {
        // Who has signed it, doesn't matter: its thumbprint is in the token, and TLS has shown that its
        // private key is there (RFC 8705 section 6.2).
        let found = presented(r, policy, forwarded, Purpose::Binding);
        let certificate = found.map_err(|_| Cause::TokenWithoutCert)?;
        return match certificate.thumbprint() == Some(bound_to) {
            true => Ok(certificate.check_time(wall_clock())?),
            false => Err(Cause::TokenOfOtherCert.into()),
        };
    }
    let Some(certs) = &policy.client_cert else { return Ok(()) };
    // One that is nobody's, or is no good, is no second credential: it may be there for other reasons.
    let Ok(certificate) = presented(r, policy, forwarded, Purpose::Identity) else { return Ok(()) };
    if certificate.check_time(wall_clock()).is_err() {
        return Ok(());
    }
    let Ok(name) = certs.rule.name(&certificate) else { return Ok(()) };
    let is_same = match (listed(certs, &name)?, &certs.unlisted_prefix) {
        // Of an entry that is wrong, it isn't sure whose it is.
        (Some(entry), _) => entry.client().is_empty() || entry.client() == principal.client(),
        (None, Some(prefix)) => {
            principal.client().strip_prefix(prefix.as_str()) == Some(name.as_str())
        }
        (None, None) => true,
    };
    is_same.then_some(()).ok_or_else(|| Cause::HeaderAndCert.into())
}

/// What the keys file says of a certificate's name.
fn listed(certs: &CertPolicy, name: &CertName) -> Result<Option<Arc<ApiKey>>, Cause> {
    let Some(keys) = &certs.keys else { return Ok(None) };
    // Without a set nobody can be judged.
    let set = keys.current().ok_or(Cause::NoKeySet)?;
    let find = |_: &[u8]| set.loaded.find_cert(name);
    Ok(memory::CERT_ENTRIES.with(|known| known.get(set.id, name.as_str().as_bytes(), find)))
}

/// A client of the certificate's name, where those are let in that the keys file doesn't know.
fn unlisted(certs: &CertPolicy, name: &CertName) -> Result<Arc<ApiKey>, Cause> {
    /// Sets of keys are numbered from 1 on.
    const NO_SET: u64 = 0;
    let prefix = certs.unlisted_prefix.as_ref().ok_or(Cause::UnknownCert)?;
    let client = format!("{prefix}{}", name.as_str());
    let make = |_: &[u8]| ApiKey::unlisted(prefix, name);
    let found = memory::CERT_ENTRIES.with(|known| known.get(NO_SET, client.as_bytes(), make));
    found.ok_or(Cause::CertNameUnusable)
}

/// What a certificate is wanted for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// To say who the client is: somebody must have vouched for it.
    Identity,
    /// To show that a token is its own.
    Binding,
}

/// The certificate of the client: what a proxy says that is trusted, and else that of the connection.
fn presented(
    r: Request<'_>,
    policy: &Policy,
    forwarded: SavedForwarded,
    purpose: Purpose,
) -> Result<Arc<ClientCertificate>, Cause> {
    let is_proxy = !policy.xfcc_from.is_empty() && policy.xfcc_from.names(r.peer());
    if is_proxy {
        return match forwarded {
            SavedForwarded::None => Err(Cause::NoCertificate),
            SavedForwarded::One(header) => of_header(r.kept(header)),
            SavedForwarded::Several => Err(Cause::XfccSeveral),
        };
    }
    match of_connection(r) {
        Seen::None if forwarded != SavedForwarded::None => Err(Cause::XfccUntrusted),
        Seen::None => Err(Cause::NoCertificate),
        Seen::Certificate { .. } if purpose == Purpose::Identity && !r.verifies_certificates() => {
            Err(Cause::CertNotAsked)
        }
        Seen::Certificate { is_verified: false, .. } if purpose == Purpose::Identity => {
            Err(Cause::CertUnverified)
        }
        Seen::Certificate { read, .. } => read,
    }
}

fn of_header(header: &[u8]) -> Result<Arc<ClientCertificate>, Cause> {
    let known = memory::CERTIFICATES.with(|known| known.of_header(header));
    if let Some(Seen::Certificate { read, .. }) = known {
        return read;
    }
    let read = forwarded::read(header).map(Arc::new);
    let seen = Seen::Certificate { read: read.clone(), is_verified: true };
    memory::CERTIFICATES.with(|known| known.remember_header(header, &seen));
    read
}

fn of_connection(r: Request<'_>) -> Seen {
    let Some(number) = r.tls_connection() else { return Seen::None };
    let known = memory::CERTIFICATES.with(|known| known.of_connection(number));
    if let Some(known) = known {
        return known;
    }
    let seen = match r.client_certificate() {
        Some(None) => Seen::None,
        Some(Some(pem)) => Seen::Certificate {
            read: ClientCertificate::from_pem(pem).map(Arc::new),
            is_verified: r.is_certificate_verified(),
        },
        // Another request may have more luck.
        None => {
            return Seen::Certificate { read: Err(Cause::CertUnreadable), is_verified: false };
        }
    };
    memory::CERTIFICATES.with(|known| known.remember_connection(number, &seen));
    seen
}
