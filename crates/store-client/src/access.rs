//! What a node shows of itself, and whom it believes: passwords, certificates, authorities.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::config::Config;

/// The longest password that is taken, in bytes.
const MAX_PASSWORD: usize = 512;
/// The largest file of certificates.
const MAX_PEM: u64 = 4 << 20;

/// What is in the files that a [`Config`] names. It is read once, by whoever may read them, and lent to all
/// connections.
#[derive(Clone)]
pub struct Access {
    /// As whom to log in, and how.
    pub(crate) login: Option<Login>,
    /// How to log in with sentinels.
    pub(crate) sentinel_login: Option<Login>,
    /// How TLS is spoken, where it is.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

// Neither shows its password.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("login", &self.login.is_some())
            .field("sentinel_login", &self.sentinel_login.is_some())
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// A user and a password.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: Arc<Zeroizing<Vec<u8>>>,
}

/// A file that can't be used: a lower-case sentence without a full stop, with the parameter that names it.
#[derive(Debug)]
pub struct AccessError(String);

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AccessError {}

impl Access {
    /// Reads what `config` names. Its paths are taken from `base` on.
    ///
    /// # Errors
    /// A file can't be read, or has something else than it should. What is in a file is never told.
    pub fn read(config: &Config, base: &Path) -> Result<Self, AccessError> {
        let user = config.addresses.first().and_then(|address| address.user.clone());
        let login = match &config.password_file {
            None => None,
            Some(path) => Some(Login {
                user: user.unwrap_or_else(|| "default".to_owned()),
                password: password("password_file", &base.join(path))?,
            }),
        };
        let sentinel_login = match &config.sentinel_password_file {
            None => None,
            Some(path) => Some(Login {
                user: "default".to_owned(),
                password: password("sentinel_password_file", &base.join(path))?,
            }),
        };
        let tls = if config.has_tls() { Some(Arc::new(tls(config, base)?)) } else { None };
        Ok(Self { login, sentinel_login, tls })
    }
}

fn read(parameter: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, AccessError> {
    let fail = |what: String| AccessError(format!("{parameter}=\"{}\" {what}", path.display()));
    let is_large = std::fs::metadata(path).is_ok_and(|file| file.len() > MAX_PEM);
    if is_large {
        return Err(fail("is too large".to_owned()));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|error| fail(format!("can't be read: {error}")))
}

fn password(parameter: &str, path: &Path) -> Result<Arc<Zeroizing<Vec<u8>>>, AccessError> {
    let file = read(parameter, path)?;
    let line = file.strip_suffix(b"\n").unwrap_or(&file);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty()
        || line.len() > MAX_PASSWORD
        || line.iter().any(|b| matches!(b, 0 | b'\n' | b'\r'))
    {
        return Err(AccessError(format!(
            "{parameter}=\"{}\" must have the password in one line, of at most {MAX_PASSWORD} bytes, and nothing else",
            path.display()
        )));
    }
    Ok(Arc::new(Zeroizing::new(line.to_vec())))
}

fn tls(config: &Config, base: &Path) -> Result<ClientConfig, AccessError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| AccessError(format!("TLS can't be used: {error}")))?
        .with_root_certificates(roots(config, base)?);
    let Some((certificate, key)) = &config.tls.certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let chain = certificates("certificate", &base.join(certificate))?;
    let path = base.join(key);
    let key = PrivateKeyDer::from_pem_slice(&read("certificate_key", &path)?).map_err(|_| {
        AccessError(format!(
            "certificate_key=\"{}\" has no private key in PEM that isn't encrypted",
            path.display()
        ))
    })?;
    builder.with_client_auth_cert(chain, key).map_err(|error| {
        AccessError(format!("\"certificate=\" and \"certificate_key=\" don't belong together, or can't be used: {error}"))
    })
}

fn roots(config: &Config, base: &Path) -> Result<RootCertStore, AccessError> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = &config.tls.ca {
        let path = base.join(ca);
        for certificate in certificates("ca", &path)? {
            roots.add(certificate).map_err(|error| {
                AccessError(format!(
                    "ca=\"{}\" has a certificate that can't be used: {error}",
                    path.display()
                ))
            })?;
        }
        return Ok(roots);
    }
    // Some of a machine's may be beyond what is understood: those are not believed.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(AccessError(
            "this machine trusts no authority, as its package ca-certificates is missing: name that of the store in \"ca=\""
                .to_owned(),
        ));
    }
    Ok(roots)
}

fn certificates(parameter: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let file = read(parameter, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        AccessError(format!("{parameter}=\"{}\" must have certificates in PEM", path.display()))
    })
}
