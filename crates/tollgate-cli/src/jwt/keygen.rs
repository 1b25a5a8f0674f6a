//! `tollgate jwt keygen`

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use tollgate_core::jwt::{Algorithm, KeySet};
use tollgate_core::principal::is_valid_name;

use super::private_key::PrivateKey;
use crate::exit::{print, Exit, Failure};

/// Make a private key and its JWK Set, or a secret.
///
/// The private key is written as PKCS#8 in PEM, readable by its owner alone; `tollgate jwt issue --key`
/// signs with it. The JWK Set has the public key only, and is what tollgate_jwt_key_file takes. With HS256,
/// HS384 and HS512, the file is a random secret, for both of them.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The algorithm of the tokens.
    #[arg(long, value_name = "ALG", default_value = "ES256")]
    alg: Algorithm,
    /// The size of an RSA key: 2048, 3072 or 4096.
    #[arg(long, value_name = "BITS")]
    bits: Option<u32>,
    /// The name of the key in the JWK Set; by default its thumbprint (RFC 7638).
    #[arg(long)]
    kid: Option<String>,
    /// Where the private key, or the secret, goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the JWK Set goes; by default to stdout.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    force: bool,
}

const DEFAULT_BITS: u32 = 2048;

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let key = PrivateKey::generate(self.alg, self.bits.unwrap_or(DEFAULT_BITS))?;
        if self.kid.as_deref().is_some_and(|kid| !is_valid_name(kid)) {
            return Err(Failure::usage("--kid is no name that a header and a log can hold"));
        }
        let Some(jwk) = key.public_jwk(self.kid.clone(), self.alg) else {
            return self.write_secret(&key);
        };
        if self.bits.is_some() && !jwk.get("kty").is_some_and(|kty| kty == "RSA") {
            return Err(Failure::usage(format!("--bits: keys of {} have one size", self.alg)));
        }
        let jwks = format!("{:#}\n", json!({ "keys": [jwk] })).into_bytes();
        // Nobody should find out on the server.
        let loaded = KeySet::load(&[("the JWK Set", &jwks)]);
        loaded.map_err(|error| Failure::failed(error.to_string()))?;
        for path in self.jwks.iter().chain([&self.out]) {
            self.check_absent(path)?;
        }
        self.write(&self.out, &key.to_file()?, 0o600)?;
        match &self.jwks {
            Some(path) => self.write(path, &jwks, 0o644)?,
            None => print(&jwks)?,
        }
        Ok(Exit::Yes)
    }

    fn write_secret(&self, key: &PrivateKey) -> Result<Exit, Failure> {
        let unusual = [
            ("--jwks", self.jwks.is_some()),
            ("--kid", self.kid.is_some()),
            ("--bits", self.bits.is_some()),
        ];
        if let Some((option, _)) = unusual.into_iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "{option}: {} has a secret, and no public key",
                self.alg
            )));
        }
        self.write(&self.out, &key.to_file()?, 0o600)?;
        Ok(Exit::Yes)
    }

    fn check_absent(&self, path: &Path) -> Result<(), Failure> {
        match !self.force && path.symlink_metadata().is_ok() {
            true => Err(exists(path)),
            false => Ok(()),
        }
    }

    /// Writes the whole file, or none.
    fn write(&self, path: &Path, contents: &[u8], mode: u32) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file =
            tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
        file.write_all(contents).map_err(failed)?;
        file.as_file().set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        file.as_file().sync_all().map_err(failed)?;
        let placed = match self.force {
            true => file.persist(path),
            false => file.persist_noclobber(path),
        };
        match placed.map_err(|error| error.error) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
            Err(error) => Err(failed(error)),
        }
    }
}

fn exists(path: &Path) -> Failure {
    Failure::failed(format!("{} exists, replace it with --force", path.display()))
}
