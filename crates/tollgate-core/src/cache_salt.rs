//! Salts by which engines keep the prefixes that tenants have in their caches apart: who shares a prefix with
//! another one finds out by how fast the answer begins, and so what the other has asked.
//!
//! A salt is a keyed hash of the tenant's name (HMAC-SHA256, RFC 2104), so that nobody who knows the name
//! knows the salt. All have the same length: an engine that hangs something behind one never makes another
//! one of it.

use aws_lc_rs::hmac;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use crate::limits::Zone;
use crate::llm::{Endpoint, Engine};

/// The shortest key of the operator's, in bytes.
pub const MIN_KEY_LEN: usize = 32;

/// Who has a part of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A tenant; of whoever has none, the client.
    Tenant,
    /// A client of a tenant.
    Client,
}

/// What salts are made by.
#[derive(Debug)]
pub struct Salting {
    key: hmac::Key,
    by: By,
    fingerprint: [u8; 32],
}

impl Salting {
    /// By a key that nobody but the operator knows.
    #[must_use]
    pub fn new(key: &[u8], by: By) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        let tag = match by {
            By::Tenant => b"tenant",
            By::Client => b"client",
        };
        let fingerprint = mac(&key, &[b"fingerprint", tag]);
        Self { key, by, fingerprint }
    }

    /// By the random number that a zone was made with, which its state file keeps.
    #[must_use]
    pub fn of_zone(zone: &Zone<'_>, by: By) -> Self {
        let (high, low) = zone.seed();
        let [high, low] = [high, low].map(u64::to_le_bytes);
        Self::new(&[high, low].concat(), by)
    }

    /// The same for two of them that make the same salts.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8; 32] {
        &self.fingerprint
    }

    /// The salt of a client: 43 letters, digits, `-` and `_`.
    #[must_use]
    pub fn salt(&self, tenant: Option<&str>, client: &str) -> String {
        let (tenant_name, client) = (tenant.unwrap_or_default().as_bytes(), client.as_bytes());
        let salt = match (self.by, tenant) {
            (By::Tenant, Some(_)) => mac(&self.key, &[b"tenant", tenant_name]),
            (By::Tenant, None) => mac(&self.key, &[b"alone", client]),
            // A name is never empty.
            (By::Client, _) => mac(&self.key, &[b"client", tenant_name, client]),
        };
        URL_SAFE_NO_PAD.encode(salt)
    }
}

/// Of the parts, so that no others are the same: each has its length before it.
fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(b"tollgate cache_salt 1");
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    let tag = context.sign();
    out.iter_mut().zip(tag.as_ref()).for_each(|(out, byte)| *out = *byte);
    out
}

/// The member of a request's body from which an engine has the salt; `None`: it has none for this endpoint, and
/// what is asked there is in the part of the cache that all share.
///
/// Of vLLM, `/v1/messages` and `/generative_scoring` know it since July 2026, and older ones leave it; Cohere's
/// embeddings have no such member, and leave what they don't know. SGLang puts `extra_key` behind
/// `cache_salt` where both are there, and its own API has `extra_key` alone; its Anthropic and Ollama APIs
/// hand neither on.
#[must_use]
pub fn member(engine: Engine, endpoint: Endpoint) -> Option<&'static str> {
    match (engine, endpoint) {
        (Engine::Vllm, Endpoint::CohereEmbed) => None,
        (Engine::Vllm, _)
        | (Engine::Sglang, Endpoint::Chat | Endpoint::Completions | Endpoint::Responses) => {
            Some("cache_salt")
        }
        (Engine::Sglang, Endpoint::SglangGenerate) => Some("extra_key"),
        _ => None,
    }
}

/// Whether an engine knows of salts at all.
#[must_use]
pub fn is_known_to(engine: Engine) -> bool {
    member(engine, Endpoint::Chat).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn a_salt_is_the_hmac_of_the_parts() {
        // Made with Python's hmac, by the same rule.
        assert_eq!(
            Salting::new(&KEY, By::Tenant).salt(Some("acme"), "alice"),
            "MziuMEI8Apdf84_rBZBlcqFCCoi7-pkabZv41yHEmG8"
        );
        assert_eq!(
            Salting::new(&KEY, By::Client).salt(Some("acme"), "alice"),
            "6TQp4JdIU6OwAnyB_zZs-ulADeDfXl9LZZWvnn6jb2Y"
        );
    }

    #[test]
    fn clients_of_a_tenant_share_its_salt_and_others_have_their_own() {
        let of = Salting::new(&KEY, By::Tenant);
        let acme = of.salt(Some("acme"), "alice");
        assert_eq!(of.salt(Some("acme"), "bob"), acme);
        let others = [
            of.salt(Some("globex"), "alice"),
            of.salt(None, "acme"),
            of.salt(None, "alice"),
            Salting::new(&[8; 32], By::Tenant).salt(Some("acme"), "alice"),
            Salting::new(&KEY, By::Client).salt(Some("acme"), "alice"),
        ];
        let distinct: HashSet<&String> = others.iter().chain([&acme]).collect();
        assert_eq!(distinct.len(), 6);
        let of = Salting::new(&KEY, By::Client);
        assert_ne!(of.salt(Some("acme"), "alice"), of.salt(Some("acme"), "bob"));
        assert_ne!(of.salt(Some("ab"), "c"), of.salt(Some("a"), "bc"));
        assert_ne!(of.salt(None, "c"), of.salt(Some("c"), "c"));
    }

    #[test]
    fn sglang_has_it_where_its_source_hands_it_on() {
        for (endpoint, expected) in [
            (Endpoint::Chat, Some("cache_salt")),
            (Endpoint::SglangGenerate, Some("extra_key")),
            (Endpoint::Messages, None),
            (Endpoint::OllamaChat, None),
        ] {
            assert_eq!(member(Engine::Sglang, endpoint), expected, "{endpoint:?}");
        }
        assert_eq!(member(Engine::Vllm, Endpoint::Messages), Some("cache_salt"));
        assert_eq!(member(Engine::Vllm, Endpoint::CohereEmbed), None);
        for engine in Engine::ALL {
            let expected = matches!(engine, Engine::Vllm | Engine::Sglang);
            assert_eq!(is_known_to(engine), expected, "{engine:?}");
        }
    }

    proptest! {
        #[test]
        fn two_tenants_never_have_the_same_salt(
            one in "\\PC{1,40}", other in "\\PC{1,40}", client in "\\PC{1,20}", key: [u8; 32],
        ) {
            for by in [By::Tenant, By::Client] {
                let of = Salting::new(&key, by);
                let salt = of.salt(Some(&one), &client);
                prop_assert_eq!(of.salt(Some(&other), &client) == salt, one == other);
                prop_assert_ne!(&of.salt(None, &client), &salt);
                // As all engines take it: vLLM allows 128 characters, and none of "@/\\" and NUL.
                prop_assert_eq!(salt.len(), 43);
                prop_assert!(salt.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
                prop_assert!(!salt.contains(&one) || one.len() < 4);
            }
        }
    }
}
