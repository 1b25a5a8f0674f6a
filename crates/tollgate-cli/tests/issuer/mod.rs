//! A key that signs, what verifies it, and the tokens in between.
#![allow(dead_code, clippy::unwrap_used, reason = "not every test needs all of it")]

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::Value;
use tollgate_core::clock::UnixSeconds;
use tollgate_core::jwt::Algorithm;

use crate::command::{tollgate, tollgate_with, Run};

/// A folder with a private key, and what verifies it.
pub(crate) struct Issuer {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) algorithm: Algorithm,
}

impl Issuer {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (key, jwks) = (folder.path().join("key"), folder.path().join("jwks"));
        let mut arguments = vec!["jwt", "keygen", "--alg", algorithm.as_str(), "--out"];
        arguments.push(key.to_str().unwrap());
        if !is_hmac(algorithm) {
            arguments.extend(["--jwks", jwks.to_str().unwrap()]);
        }
        let made = tollgate(arguments);
        assert_eq!((made.status, made.out.as_str(), made.err.as_str()), (0, "", ""));
        Self { folder, algorithm }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// The file that the module reads.
    pub(crate) fn keys(&self) -> String {
        self.path(if is_hmac(self.algorithm) { "key" } else { "jwks" })
    }

    pub(crate) fn issue(&self, options: &[&str]) -> Run {
        let option = if is_hmac(self.algorithm) { "--secret-file" } else { "--key" };
        let key = self.path("key");
        let mut arguments = vec!["jwt", "issue", option, &key, "--alg", self.algorithm.as_str()];
        arguments.extend(options);
        tollgate(arguments)
    }

    /// A token, without its line break.
    pub(crate) fn token(&self, options: &[&str]) -> String {
        let run = self.issue(options);
        assert_eq!((run.status, run.err.as_str()), (0, ""));
        run.out.strip_suffix('\n').unwrap().to_owned()
    }

    pub(crate) fn verify(&self, options: &[&str], token: &str) -> Run {
        let keys = self.keys();
        let mut arguments = vec!["jwt", "verify", "--keys", &keys];
        arguments.extend(options);
        tollgate_with(arguments, token.as_bytes())
    }
}

pub(crate) fn is_hmac(algorithm: Algorithm) -> bool {
    algorithm.as_str().starts_with("HS")
}

pub(crate) fn now() -> UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixSeconds(i64::try_from(since.unwrap().as_secs()).unwrap())
}

pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(crate) fn with_parts(header: &str, claims: &str, signature: &str) -> String {
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}
