//! `tollgate jwt issue`

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{ArgGroup, Args};
use serde_json::{Map, Value};
use tollgate_core::clock::UnixMillis;
use tollgate_core::jwt::{verify_signature, Algorithm, AlgorithmSet, KeySet};
use tollgate_core::principal::is_valid_name;

use super::base64url::base64url;
use super::private_key::PrivateKey;
use crate::exit::{print, Exit, Failure};
use crate::time::{now, When};

/// Sign a new token, and print it.
///
/// The claims have the names that tollgate_jwt_claim has by default: sub, tier, scope, rate_limit; and
/// tenant and models. --claim sets those with other names.
///
/// The token goes to stdout, alone. It is a credential: whoever has it, is the client.
#[derive(Args)]
#[command(group(ArgGroup::new("signer").required(true)))]
pub(crate) struct Arguments {
    /// The private key: PEM (PKCS#8, PKCS#1, SEC 1) or a JWK.
    #[arg(long, value_name = "FILE", group = "signer")]
    key: Option<PathBuf>,
    /// A secret, as tollgate_jwt_key_file reads it: the bytes of the file, less one line break at the
    /// end.
    #[arg(long, value_name = "FILE", group = "signer")]
    secret_file: Option<PathBuf>,
    /// The algorithm; by default the one of the JWK, the one of the curve, RS256, or HS256.
    #[arg(long, value_name = "ALG")]
    alg: Option<Algorithm>,
    /// Header kid: names the key; by default the one of the JWK.
    #[arg(long, value_parser = name)]
    kid: Option<String>,
    /// Claim sub: whom the token is for.
    #[arg(long, visible_alias = "subject", value_parser = name, required_unless_present = "claim")]
    client: Option<String>,
    /// Claim tier.
    #[arg(long, value_parser = name)]
    tier: Option<String>,
    /// Claim scope; several with commas.
    #[arg(long, value_delimiter = ',', value_parser = name)]
    scopes: Vec<String>,
    /// Claim models: patterns; several with commas.
    #[arg(long, value_delimiter = ',', value_parser = name)]
    models: Vec<String>,
    /// Claim tenant.
    #[arg(long, value_parser = name)]
    tenant: Option<String>,
    /// Claim rate_limit: requests a minute.
    #[arg(long, value_name = "N")]
    rate_limit: Option<NonZeroU32>,
    /// Claim iss.
    #[arg(long)]
    issuer: Option<String>,
    /// Claim aud; repeatable.
    #[arg(long)]
    audience: Vec<String>,
    /// Claim exp: a duration such as 1h or 90d, a date, or never.
    #[arg(long, value_name = "WHEN", default_value = "1h", value_parser = Expiry::parse)]
    expires: Expiry,
    /// Claim nbf: a duration or a date.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    not_before: Option<When>,
    /// Claim jti.
    #[arg(long, visible_alias = "jti")]
    id: Option<String>,
    /// A further claim, its value in JSON: --claim 'team="red"'; repeatable.
    #[arg(long, value_name = "NAME=JSON", value_parser = member)]
    claim: Vec<(String, Value)>,
    /// A further member of the header, such as 'typ="at+jwt"'; repeatable.
    #[arg(long, value_name = "NAME=JSON", value_parser = member)]
    header: Vec<(String, Value)>,
}

#[derive(Clone, Copy, Debug)]
enum Expiry {
    Never,
    At(When),
}

impl Expiry {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            _ => When::parse(text).map(Self::At),
        }
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let key = match (&self.key, &self.secret_file) {
            (Some(path), _) => PrivateKey::load(path)?,
            (None, Some(path)) => PrivateKey::load_secret(path)?,
            (None, None) => return Err(Failure::usage("give --key or --secret-file")),
        };
        let algorithm = key.algorithm(self.alg)?;
        let kid = self.kid.as_deref().or(key.kid.as_deref());
        let header = self.header(algorithm, kid)?;
        let claims = self.claims(now())?;
        let mut token = format!("{}.{}", base64url(header), base64url(claims));
        let signature = key.sign(algorithm, token.as_bytes())?;
        token.push('.');
        token.push_str(&base64url(signature));
        check(&token, &key, algorithm)?;
        token.push('\n');
        print(token.as_bytes())?;
        Ok(Exit::Yes)
    }

    fn header(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<String, Failure> {
        let mut header = Map::new();
        header.insert("typ".to_owned(), "JWT".into());
        for (name, value) in &self.header {
            if name == "alg" || name == "kid" {
                return Err(Failure::usage(format!("--header {name}: give --{name} instead")));
            }
            header.insert(name.clone(), value.clone());
        }
        header.insert("alg".to_owned(), algorithm.as_str().into());
        if let Some(kid) = kid {
            header.insert("kid".to_owned(), kid.into());
        }
        Ok(Value::Object(header).to_string())
    }

    fn claims(&self, now: UnixMillis) -> Result<String, Failure> {
        let expires = match self.expires {
            Expiry::Never => None,
            Expiry::At(when) => Some(when.after(now).seconds().0),
        };
        let scope = (!self.scopes.is_empty()).then(|| self.scopes.join(" "));
        let models = (!self.models.is_empty()).then(|| Value::from(self.models.clone()));
        let audience = match self.audience.as_slice() {
            [] => None,
            // RFC 7519 section 4.1.3: a single audience may be a plain string, and mostly is.
            [one] => Some(Value::from(one.clone())),
            several => Some(Value::from(several)),
        };
        let own = [
            ("iss", self.issuer.clone().map(Value::from)),
            ("aud", audience),
            ("sub", self.client.clone().map(Value::from)),
            ("tier", self.tier.clone().map(Value::from)),
            ("scope", scope.map(Value::from)),
            ("models", models),
            ("tenant", self.tenant.clone().map(Value::from)),
            ("rate_limit", self.rate_limit.map(|limit| limit.get().into())),
            ("nbf", self.not_before.map(|when| when.after(now).seconds().0.into())),
            ("jti", self.id.clone().map(Value::from)),
        ];
        let mut claims = Map::new();
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        for (name, value) in own.chain(self.claim.iter().cloned()) {
            if claims.contains_key(&name) {
                return Err(Failure::usage(format!("claim {name:?} is given twice")));
            }
            claims.insert(name, value);
        }
        if let Some(expires) = expires {
            claims.entry("exp").or_insert_with(|| expires.into());
        }
        // Never after exp, also where that is in the past.
        let issued = expires.map_or(now.seconds().0, |expires| expires.min(now.seconds().0));
        claims.entry("iat").or_insert_with(|| issued.into());
        Ok(Value::Object(claims).to_string())
    }
}

/// That the module's verifier takes the signature and the header: where it would not, no token is
/// better than one that fails in production.
fn check(token: &str, key: &PrivateKey, algorithm: Algorithm) -> Result<(), Failure> {
    let jwk = key.verifying_jwk();
    let keys = KeySet::load(&[("the key", &jwk)]).map_err(|e| Failure::failed(e.to_string()))?;
    let only = AlgorithmSet::of(&[algorithm]);
    match verify_signature(token.as_bytes(), &keys, Some(&only), usize::MAX) {
        Ok(_) => Ok(()),
        Err(tollgate_core::jwt::TokenError::NoKey) => Err(Failure::failed(format!(
            "the secret is too short for {algorithm}: HS384 takes 48 bytes, HS512 takes 64"
        ))),
        Err(error) => Err(Failure::usage(format!("the module would refuse the token: {error}"))),
    }
}

/// What can be a client, a tier, a scope: see [`is_valid_name`].
fn name(text: &str) -> Result<String, String> {
    match is_valid_name(text) {
        true => Ok(text.to_owned()),
        false => {
            Err("a name has 1 to 256 bytes, no control characters, and no blank at either end"
                .to_owned())
        }
    }
}

fn member(text: &str) -> Result<(String, Value), String> {
    let (name, json) = text.split_once('=').ok_or("write it as NAME=JSON")?;
    if name.is_empty() {
        return Err("the name is missing".to_owned());
    }
    let value = serde_json::from_str(json)
        .map_err(|_| format!("the value is not JSON, quote a text: '{name}=\"...\"'"))?;
    Ok((name.to_owned(), value))
}
