use super::*;

#[test]
fn ed25519_signs_as_in_rfc_8037() {
    let jwk = br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = from_jwk(jwk).unwrap();
    assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = key.sign(Algorithm::EdDsa, message).unwrap();
    assert_eq!(
        base64url(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
}

/// The two whose signatures are the same each time.
#[test]
fn rsa_and_hmac_sign_as_in_rfc_7520() {
    let folder = match std::env::var_os("TOLLGATE_VECTORS") {
        Some(folder) => std::path::PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
    };
    for name in ["4_1.rsa_v15_signature", "4_4.hmac-sha2_integrity_protection"] {
        let Ok(file) = std::fs::read(folder.join(format!("rfc7520/{name}.json"))) else {
            println!("skipped: no vectors");
            return;
        };
        let example: Value = serde_json::from_slice(&file).unwrap();
        let key = from_jwk(example["input"]["key"].to_string().as_bytes()).unwrap();
        let compact = example["output"]["compact"].as_str().unwrap();
        let (message, signature) = compact.rsplit_once('.').unwrap();
        let algorithm = key.algorithm(None).unwrap();
        let signed = key.sign(algorithm, message.as_bytes()).unwrap();
        assert_eq!(base64url(signed), signature, "{name}");
    }
}

#[test]
fn jwks_that_cannot_sign_are_refused() {
    for (jwk, problem) in [
        ("{", "no JWK"),
        (r#"{"keys":[]}"#, "a set of keys"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#, "\"d\" is missing"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"A"}"#, "\"d\" is malformed"),
        (r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}"#, "do not fit together"),
        (r#"{"kty":"OKP","crv":"X25519","x":"AA","d":"AA"}"#, "can be used"),
        (r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA","d":"AA"}"#, "do not fit together"),
        (r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA","d":"AA"}"#, "is not P-256"),
        (r#"{"kty":"RSA","n":"AA","e":"AQAB","d":"AA"}"#, "\"p\" is missing"),
        (r#"{"kty":"oct","k":"AAAA","alg":"ES256"}"#, "does not fit the key"),
        (r#"{"kty":"oct","k":"AAAA","alg":"none"}"#, "no algorithm"),
        (r#"{"kty":7}"#, "\"kty\" is malformed"),
    ] {
        let found = from_jwk(jwk.as_bytes()).err().unwrap();
        assert!(found.contains(problem), "{jwk}: {found}");
    }
}
