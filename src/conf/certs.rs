//! Who is let in with a client certificate.

use std::rc::Rc;

use super::api_keys::ApiKeys;
use super::settings::{Auth, Given, Settings};
use nginx::conf::{ConfContext, ConfError, Position};
use tollgate_core::cert::CertRule;

/// What client certificates are judged by.
pub(crate) struct CertPolicy {
    /// Which name in them counts.
    pub(crate) rule: CertRule,
    /// Whose they are.
    pub(crate) keys: Option<Rc<ApiKeys>>,
    /// What the names of those begin with that the keys don't know; `None`: they are refused.
    pub(crate) unlisted_prefix: Option<String>,
}

/// Whether the keys file tells of certificates.
pub(super) fn reads_keys(settings: &Settings, auth: &Auth) -> bool {
    auth.client_cert && settings.api_keys.is_some()
}

/// What client certificates are judged by; `None` where they aren't accepted.
pub(super) fn resolve(
    cx: &ConfContext<'_>,
    settings: &Settings,
    auth: &Auth,
    (keys, has_default_tier): (Option<&Rc<ApiKeys>>, bool),
    on: &Position,
) -> Result<Option<CertPolicy>, ConfError> {
    if !auth.client_cert {
        return Ok(None);
    }
    let Some(Given { value: cert, place }) = &settings.client_cert else {
        return Err(ConfError::new(format!(
            "\"tollgate_auth client_cert\" needs to know what in a certificate names the client; add \
             \"tollgate_client_cert san_uri trust_domain=NAME;\", or \"san_dns\", \"cn\" or \"fingerprint\" {on}"
        )));
    };
    if cert.takes_unlisted && !has_default_tier {
        return Err(ConfError::new(format!(
            "\"unlisted=default_tier\" of \"tollgate_client_cert\" needs a tier; add \"tollgate_default_tier \
             NAME;\" {place}"
        )));
    }
    if keys.is_none() && !cert.takes_unlisted {
        return Err(ConfError::new(format!(
            "\"tollgate_auth client_cert\" without a keys file would refuse every certificate; add \
             \"tollgate_api_keys PATH;\" with entries that have a \"cert\", or \"unlisted=default_tier\" to \
             \"tollgate_client_cert\" {place}"
        )));
    }
    let knows_any = keys.and_then(|keys| keys.current()).is_some_and(|set| set.loaded.has_certs());
    if !knows_any && !cert.takes_unlisted {
        cx.log().warn(format_args!(
            "no entry of the keys file has a \"cert\", so that every certificate is refused; add one with \
             \"tollgate key create --cert\", or \"unlisted=default_tier\" to \"tollgate_client_cert\" {place}"
        ));
    }
    Ok(Some(CertPolicy {
        rule: cert.rule.clone(),
        keys: keys.cloned(),
        unlisted_prefix: cert.takes_unlisted.then(|| cert.client_prefix.clone()),
    }))
}
