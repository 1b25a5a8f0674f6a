use super::*;
use crate::llm::feature::Feature;
use crate::llm::{Engine, RequestError};
use crate::permissions::FeatureRefusal;
use serde_json::{json, Value};

const REALM: &str = "Bearer realm=\"tollgate\"";
const INVALID: &str = "Bearer realm=\"tollgate\", error=\"invalid_token\"";

const DIALECTS: [Dialect; 4] = [Dialect::OpenAi, Dialect::Anthropic, Dialect::Ollama, Dialect::Tgi];

/// What the documentation promises: status, OpenAI's type and code, Anthropic's type, TGI's type.
fn row(reason: Reason) -> (u16, &'static str, &'static str, &'static str, &'static str) {
    const INVALID_REQUEST: &str = "invalid_request_error";
    const EXCEEDED: &str = "rate_limit_exceeded";
    const RATE: &str = "rate_limit_error";
    match reason.as_str() {
        "missing_credential" | "invalid_credential" | "expired_credential"
        | "revoked_credential" | "not_yet_valid" | "invalid_token" => {
            (401, INVALID_REQUEST, "invalid_api_key", "authentication_error", "authentication")
        }
        "conflicting_credentials" | "malformed_path" | "malformed_request" => {
            (400, INVALID_REQUEST, "invalid_request", INVALID_REQUEST, "validation")
        }
        "address_denied" | "addresses_exceeded" | "origin_denied" | "tier_denied"
        | "endpoint_denied" | "scope_denied" | "feature_denied" | "dropped" => {
            (403, INVALID_REQUEST, "access_denied", "permission_error", "permission")
        }
        "content_policy" => {
            (403, INVALID_REQUEST, "content_policy", "permission_error", "permission")
        }
        "object_not_found" => (404, INVALID_REQUEST, "not_found", "not_found_error", "validation"),
        "model_denied" => {
            (403, INVALID_REQUEST, "model_access_denied", "permission_error", "permission")
        }
        "request_too_large" => {
            (413, INVALID_REQUEST, "request_too_large", "request_too_large", "validation")
        }
        "unsupported_encoding" => {
            (415, INVALID_REQUEST, "unsupported_encoding", INVALID_REQUEST, "validation")
        }
        "request_over_limit" => (429, "tokens", EXCEEDED, RATE, "validation"),
        "tokens_exceeded" => (429, "tokens", EXCEEDED, RATE, "overloaded"),
        "requests_exceeded" | "concurrency_exceeded" | "auth_failures_exceeded" => {
            (429, "requests", EXCEEDED, RATE, "overloaded")
        }
        "budget_exceeded" => {
            (429, "insufficient_quota", "insufficient_quota", RATE, "insufficient_quota")
        }
        "zone_full"
        | "keys_unavailable"
        | "introspection_unavailable"
        | "classifier_unavailable"
        | "store_lost" => {
            (503, "server_error", "service_unavailable", "overloaded_error", "overloaded")
        }
        "internal_error" => (500, "server_error", "internal_error", "api_error", "internal"),
        other => panic!("no row for {other}"),
    }
}

fn message(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(answer.body(Dialect::OpenAi)).unwrap();
    body["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn every_reason_has_the_answer_of_the_table_in_every_dialect() {
    for reason in Reason::ALL {
        let (status, error_type, code, anthropic, tgi) = row(reason);
        let answer = answer(reason);
        assert_eq!(answer.status, status, "{reason:?}");
        let param = match reason {
            Reason::ModelDenied => json!("model"),
            Reason::FeatureDenied => json!("background"),
            _ => Value::Null,
        };
        let message = message(answer);
        for (dialect, expected) in [
            (
                Dialect::OpenAi,
                json!({"error": {
                    "message": message, "type": error_type, "param": param, "code": code
                }}),
            ),
            (
                Dialect::Anthropic,
                json!({"type": "error", "error": {"type": anthropic, "message": message}}),
            ),
            (Dialect::Ollama, json!({"error": message})),
            (Dialect::Tgi, json!({"error": message, "error_type": tgi})),
        ] {
            let body: Value = serde_json::from_str(answer.body(dialect)).unwrap();
            assert_eq!(body, expected, "{reason:?} {dialect:?}");
        }
    }
}

#[test]
fn a_message_is_sentences_that_say_what_is_wrong_and_what_to_do() {
    for reason in Reason::ALL {
        let message = message(answer(reason));
        assert!(message.ends_with('.') && message.matches(". ").count() >= 1, "{message}");
        assert!(message.starts_with(|c: char| c.is_ascii_uppercase()), "{message}");
    }
}

#[test]
fn all_401_bodies_of_a_dialect_are_byte_identical() {
    for dialect in DIALECTS {
        let bodies: Vec<_> = Reason::ALL
            .into_iter()
            .map(answer)
            .filter(|answer| answer.status == 401)
            .map(|answer| answer.body(dialect))
            .collect();
        assert_eq!(bodies.len(), 6);
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{dialect:?}");
    }
}

#[test]
fn www_authenticate_comes_with_a_401_and_only_then() {
    for reason in Reason::ALL {
        let answer = answer(reason);
        let expected = match reason {
            Reason::MissingCredential => Some(REALM),
            _ if answer.status == 401 => Some(INVALID),
            _ => None,
        };
        assert_eq!(answer.www_authenticate, expected, "{reason:?}");
    }
}

#[test]
fn what_counts_as_an_auth_failure_is_answered_401_with_invalid_token() {
    for reason in Reason::ALL {
        assert_eq!(
            reason.is_auth_failure(),
            answer(reason).www_authenticate == Some(INVALID),
            "{reason:?}"
        );
    }
}

#[test]
fn an_sdk_is_told_not_to_retry_where_a_short_wait_is_no_help() {
    for reason in Reason::ALL {
        let is_futile = matches!(reason, Reason::BudgetExceeded | Reason::RequestOverLimit);
        assert_eq!(answer(reason).should_retry, is_futile.then_some("false"), "{reason:?}");
    }
}

#[test]
fn a_415_says_which_encoding_is_accepted() {
    for reason in Reason::ALL {
        let answer = answer(reason);
        let expected = (answer.status == 415).then_some("identity");
        assert_eq!(answer.accept_encoding, expected, "{reason:?}");
    }
}

#[test]
fn the_429_tell_the_developer_apart_what_to_do() {
    for dialect in DIALECTS {
        let mut bodies: Vec<_> = Reason::ALL
            .into_iter()
            .map(answer)
            .filter(|answer| answer.status == 429)
            .map(|answer| answer.body(dialect))
            .collect();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), 6, "{dialect:?}");
    }
}

#[test]
fn a_malformed_request_is_told_what_is_wrong_in_the_shape_of_its_answer() {
    for dialect in [Dialect::OpenAi, Dialect::Anthropic, Dialect::Ollama, Dialect::Tgi] {
        let plain: Value =
            serde_json::from_str(answer(Reason::MalformedRequest).body(dialect)).unwrap();
        for error in [RequestError::NotJson, RequestError::DuplicateKey("model")] {
            let body = malformed_request_body(error, dialect);
            let mut told: Value = serde_json::from_str(&body).unwrap();
            let (message, param) = match dialect {
                Dialect::OpenAi => (&mut told["error"]["message"], error.key()),
                Dialect::Anthropic => (&mut told["error"]["message"], None),
                Dialect::Ollama | Dialect::Tgi => (&mut told["error"], None),
            };
            assert!(message.as_str().unwrap().contains(&error.to_string()), "{message}");
            *message = match dialect {
                Dialect::OpenAi | Dialect::Anthropic => plain["error"]["message"].clone(),
                Dialect::Ollama | Dialect::Tgi => plain["error"].clone(),
            };
            let mut expected = plain.clone();
            if dialect == Dialect::OpenAi {
                expected["error"]["param"] = param.into();
            }
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn a_hidden_model_is_answered_as_each_engine_answers_for_one_that_it_lacks() {
    for (engine, dialect, expected) in [
        (
            Engine::Vllm,
            Dialect::OpenAi,
            r#"{"error":{"message":"The model `a<b` does not exist.","type":"NotFoundError","param":"model","code":404}}"#,
        ),
        (
            Engine::Sglang,
            Dialect::OpenAi,
            r#"{"error":{"message":"The model 'a<b' does not exist","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
        ),
        (
            Engine::Ollama,
            Dialect::OpenAi,
            r#"{"error":{"message":"model \"a<b\" not found, try pulling it first","type":"not_found_error","param":null,"code":null}}"#,
        ),
        (
            Engine::OpenAi,
            Dialect::OpenAi,
            r#"{"error":{"message":"The model `a<b` does not exist or you do not have access to it.","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
        ),
        (
            Engine::Vllm,
            Dialect::Anthropic,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: a<b"}}"#,
        ),
        (
            Engine::Ollama,
            Dialect::Ollama,
            r#"{"error":"model \"a<b\" not found, try pulling it first"}"#,
        ),
        (
            Engine::Tgi,
            Dialect::Tgi,
            r#"{"error":"The model `a<b` does not exist.","error_type":"validation"}"#,
        ),
    ] {
        let body = model_not_found_body("a<b", engine, dialect);
        assert_eq!(body, expected);
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
    }
    let quoted = model_not_found_body("a\"b", Engine::Vllm, Dialect::OpenAi);
    assert!(quoted.contains(r#"`a\"b`"#), "{quoted}");
    assert_eq!(model_not_found().status, 404);
}

#[test]
fn a_refused_text_is_named_by_its_place_and_not_told_of() {
    let body =
        r#"{"messages":[{"role":"user","content":"hi"},{"role":"user","content":"se\"cret"}]}"#;
    let texts = crate::llm::texts::Texts::of(body.into(), crate::llm::Endpoint::Chat).unwrap();
    let text = texts.iter().find(|text| texts.said(text).contains("cret")).unwrap();
    for dialect in DIALECTS {
        let body = content_policy_body(text.place, dialect);
        let value: Value = serde_json::from_str(&body).unwrap();
        let (kind, message) = match dialect {
            Dialect::OpenAi => {
                assert_eq!(value["error"]["param"], "messages[1]");
                assert_eq!(value["error"]["type"], "invalid_request_error");
                (value["error"]["code"].clone(), &value["error"]["message"])
            }
            Dialect::Anthropic => {
                assert_eq!(value["type"], "error");
                (value["error"]["type"].clone(), &value["error"]["message"])
            }
            Dialect::Ollama => (Value::Null, &value["error"]),
            Dialect::Tgi => (value["error_type"].clone(), &value["error"]),
        };
        let wanted = match dialect {
            Dialect::OpenAi => json!("content_policy"),
            Dialect::Anthropic => json!("permission_error"),
            Dialect::Ollama => Value::Null,
            Dialect::Tgi => json!("permission"),
        };
        assert_eq!(kind, wanted);
        let message = message.as_str().unwrap();
        assert!(message.contains("messages[1]") && !body.contains("cret"), "{body}");
    }
}

#[test]
fn a_refused_feature_is_named_by_its_member() {
    let refusal = FeatureRefusal::Denied { feature: Feature::Logprobs, member: "top_logprobs" };
    for dialect in DIALECTS {
        let body = feature_denied_body(refusal, dialect);
        let value: Value = serde_json::from_str(&body).unwrap();
        let error = &value["error"];
        let message = if error.is_string() { error } else { &error["message"] };
        assert!(message.as_str().unwrap().contains("top_logprobs"), "{body}");
        if dialect == Dialect::OpenAi {
            assert_eq!(
                (&error["code"], &error["param"]),
                (&json!("access_denied"), &json!("top_logprobs"))
            );
        }
    }
}
