//! A private key out of a file: PEM, or a JWK.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair, RsaPublicKeyComponents};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use serde_json::Value;
use tollgate_core::jwt::Algorithm;

use super::{Pair, PrivateKey, CURVES};

/// Why a key can't sign, without the name of its file.
type Problem = String;

pub(super) fn from_pem(contents: &[u8]) -> Result<PrivateKey, Problem> {
    const ENCRYPTED: &str = "is encrypted, decrypt it first: openssl pkey -in FILE -out PLAIN";
    let blocks = pem::parse_many(contents).map_err(|_| "holds a damaged PEM block".to_owned())?;
    // `openssl ecparam -genkey` writes the parameters of the curve before the key.
    let block = blocks.iter().find(|block| block.tag() != "EC PARAMETERS");
    let block = block.ok_or("holds no PEM block")?;
    if block.headers().iter().any(|(name, _)| name == "DEK-Info") {
        return Err(ENCRYPTED.to_owned());
    }
    let der = block.contents();
    let pair = match block.tag() {
        "PRIVATE KEY" => from_pkcs8(der),
        "RSA PRIVATE KEY" => rsa_pair(RsaKeyPair::from_der(der)),
        "EC PRIVATE KEY" => ecdsa_pair(der),
        "ENCRYPTED PRIVATE KEY" => return Err(ENCRYPTED.to_owned()),
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => {
            return Err("holds a public key, only the private one signs".to_owned())
        }
        _ => return Err("holds a PEM block other than a private key".to_owned()),
    };
    let pair =
        pair.ok_or("holds no private key that can be used: RSA, P-256, P-384, P-521 or Ed25519")?;
    Ok(PrivateKey::new(pair))
}

fn from_pkcs8(der: &[u8]) -> Option<Pair> {
    rsa_pair(RsaKeyPair::from_pkcs8(der))
        .or_else(|| ecdsa_pair(der))
        .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(|pair| Pair::Ed25519(Box::new(pair))))
}

fn rsa_pair<E>(pair: Result<RsaKeyPair, E>) -> Option<Pair> {
    pair.ok().map(|pair| Pair::Rsa(Box::new(pair)))
}

fn ecdsa_pair(der: &[u8]) -> Option<Pair> {
    CURVES.into_iter().find_map(|curve| {
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing, der).ok()?;
        Some(Pair::Ecdsa(Box::new(pair), curve))
    })
}

/// RFC 7517, RFC 7518 section 6, RFC 8037.
pub(super) fn from_jwk(contents: &[u8]) -> Result<PrivateKey, Problem> {
    let Ok(Value::Object(members)) = serde_json::from_slice(contents) else {
        return Err("starts as JSON, but is no JWK".to_owned());
    };
    if members.contains_key("keys") {
        return Err("is a set of keys, give the one that signs".to_owned());
    }
    let text = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("member \"{name}\" is malformed")),
    };
    let bytes = |name: &str| {
        let text = text(name)?.ok_or_else(|| format!("member \"{name}\" is missing"))?;
        URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("member \"{name}\" is malformed"))
    };
    let unusable = || "the members of the key do not fit together".to_owned();
    let pair = match (text("kty")?, text("crv")?) {
        (Some("oct"), _) => Pair::Secret(bytes("k")?),
        (Some("RSA"), _) => {
            let components = rsa::KeyPairComponents {
                public_key: RsaPublicKeyComponents { n: bytes("n")?, e: bytes("e")? },
                d: bytes("d")?,
                p: bytes("p")?,
                q: bytes("q")?,
                dP: bytes("dp")?,
                dQ: bytes("dq")?,
                qInv: bytes("qi")?,
            };
            rsa_pair(RsaKeyPair::from_components(&components)).ok_or_else(unusable)?
        }
        (Some("EC"), Some(name)) => {
            let curve = CURVES.into_iter().find(|curve| curve.name == name);
            let curve = curve.ok_or("\"crv\" is not P-256, P-384 or P-521")?;
            let point = [vec![4], bytes("x")?, bytes("y")?].concat();
            let pair =
                EcdsaKeyPair::from_private_key_and_public_key(curve.signing, &bytes("d")?, &point);
            Pair::Ecdsa(Box::new(pair.map_err(|_| unusable())?), curve)
        }
        (Some("OKP"), Some("Ed25519")) => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(&bytes("d")?, &bytes("x")?);
            Pair::Ed25519(Box::new(pair.map_err(|_| unusable())?))
        }
        _ => return Err("\"kty\" and \"crv\" are not those of a key that can be used".to_owned()),
    };
    let pinned = text("alg")?.map(str::parse::<Algorithm>).transpose();
    let mut key = PrivateKey::new(pair);
    key.pinned = pinned.map_err(|_| "\"alg\" is no algorithm of a signature".to_owned())?;
    if key.pinned.is_some_and(|pinned| !key.algorithms().contains(&pinned)) {
        return Err("\"alg\" does not fit the key".to_owned());
    }
    key.kid = text("kid")?.map(str::to_owned);
    Ok(key)
}
