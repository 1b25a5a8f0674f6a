use super::*;
use crate::decision::Reason;
use crate::detail::Cause;
use proptest::prelude::*;
use serde_json::Value;

fn line(record: &Record<'_>) -> String {
    let mut out = Vec::new();
    record.write_line(&mut TimeFormat::default(), &mut out);
    String::from_utf8(out).unwrap()
}

const TIME: UnixMillis = UnixMillis(1_767_225_600_123);

const USAGE: Usage = Usage {
    input: 1000,
    output: 50,
    cached_input: 200,
    cache_write: 0,
    cache_write_1h: 0,
    reasoning: 7,
};

fn full() -> Record<'static> {
    Record {
        time: TIME,
        request_id: Some(b"0af7651916cd43dd8448eb211c80319c"),
        decision: Some(Decision::Deny(Reason::RequestsExceeded)),
        cut_off: None,
        detail: None,
        status: Some(429),
        identity: None,
        client: Some(b"acme"),
        tenant: Some(b"acme-corp"),
        key_id: Some(b"k_1"),
        tier: Some(b"pro"),
        auth: Some(AuthMethod::ApiKey),
        remote_addr: Some(b"203.0.113.7"),
        method: Some(b"POST"),
        path: Some(b"/v1/chat/completions"),
        engine: Some("vllm"),
        model: Some(b"llama-3.1-8b"),
        alias: Some(b"chat-default"),
        stream: Some(true),
        usage: Some((Source::Measured, USAGE)),
        cost_nanos: Some(157_500),
        ttft_ms: Some(84),
        duration_ms: Some(1),
        tried: Some(b"127.0.0.1:7999 502"),
        upstream: Some(b"127.0.0.1:8000"),
        upstream_status: Some(200),
        upstream_ms: Some(0),
        bytes_in: Some(512),
        bytes_out: Some(u64::MAX),
        limit: Some(b"requests"),
        remaining: Some(Remaining::Count(0)),
        guard: None,
        networks: Some(9),
        dry_run: true,
        traceparent: Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    }
}

#[test]
fn a_full_record_has_all_fields_in_the_documented_order() {
    assert_eq!(
        line(&full()),
        concat!(
            r#"{"time":"2026-01-01T00:00:00.123Z","request_id":"0af7651916cd43dd8448eb211c80319c","#,
            r#""decision":"deny","reason":"requests_exceeded","status":429,"client":"acme","#,
            r#""tenant":"acme-corp","key_id":"k_1","tier":"pro","auth":"api_key","remote_addr":"203.0.113.7","#,
            r#""method":"POST","path":"/v1/chat/completions","engine":"vllm","#,
            r#""model":"llama-3.1-8b","alias":"chat-default","stream":true,"input_tokens":1000,"output_tokens":50,"#,
            r#""cached_tokens":200,"reasoning_tokens":7,"usage":"measured","cost":0.0001575,"#,
            r#""ttft_ms":84,"duration_ms":1,"#,
            r#""tried":"127.0.0.1:7999 502","upstream":"127.0.0.1:8000","upstream_status":200,"upstream_ms":0,"bytes_in":512,"#,
            r#""bytes_out":18446744073709551615,"limit":"requests","remaining":0,"networks":9,"dry_run":true,"#,
            r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#,
            "\n"
        )
    );
}

#[test]
fn an_identity_that_was_written_before_is_the_same() {
    // The SHA-256 of "abc", as FIPS 180-4 has it.
    let file = concat!(
        r#"{"version":1,"keys":[{"id":"k_\"1","client":"ac\\me","tenant":"t\"1","name":"Bob's","hash":"#,
        r#""sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}]}"#
    );
    let keys = crate::keys::KeySet::parse(file.as_bytes()).unwrap();
    let key = keys.find(b"abc").unwrap();
    let principal = key.judge(crate::clock::UnixSeconds(0), None).unwrap();
    for tier in [None, Some("p\"ro")] {
        let each = Record {
            client: Some(principal.client().as_bytes()),
            tenant: principal.tenant().map(str::as_bytes),
            key_id: principal.key_id().map(str::as_bytes),
            tier: tier.map(str::as_bytes),
            auth: Some(AuthMethod::ApiKey),
            ..full()
        };
        let identity = identity(principal, tier, &Fields::default());
        assert_eq!(line(&Record { identity: Some(&identity), ..full() }), line(&each));
        assert!(line(&each).contains(r#""client":"ac\\me","tenant":"t\"1","key_id":"k_\"1","#));
    }
}

#[test]
fn what_is_unknown_is_absent() {
    assert_eq!(line(&Record::new(TIME)), "{\"time\":\"2026-01-01T00:00:00.123Z\"}\n");
    let empty = Record { client: Some(b""), traceparent: Some(b"no"), ..Record::new(TIME) };
    assert_eq!(line(&empty), line(&Record::new(TIME)));
}

#[test]
fn a_path_ends_where_its_query_begins_however_that_is_written() {
    for (path, written) in [
        ("/v1/models?key=secret", "/v1/models"),
        ("/v1/models%3Fkey=secret", "/v1/models"),
        ("/v1/models%3fkey=secret", "/v1/models"),
        ("/a%3Fkey=secret?b", "/a"),
        ("/a?b%3Fkey=secret", "/a"),
        ("/a%3", "/a%3"),
        ("/a%3Eb", "/a%3Eb"),
        ("/a%2Fb", "/a%2Fb"),
    ] {
        let record = Record { path: Some(path.as_bytes()), ..Record::new(TIME) };
        let expected = line(&Record::new(TIME)).replace('}', &format!(",\"path\":\"{written}\"}}"));
        assert_eq!(line(&record), expected, "{path}");
    }
}

#[test]
fn detail_is_behind_the_reason_and_not_without_one() {
    let detail = Detail::new(Cause::MissingClaim, "org \"x\"");
    let decision = Some(Decision::Deny(Reason::InvalidToken));
    let denied = Record { decision, detail: Some(&detail), ..Record::new(TIME) };
    assert_eq!(
        line(&denied),
        concat!(
            r#"{"time":"2026-01-01T00:00:00.123Z","decision":"deny","reason":"invalid_token","#,
            r#""detail":"missing_claim org \"x\""}"#,
            "\n"
        )
    );
    let allowed = Record { decision: Some(Decision::Allow), ..denied };
    assert!(!line(&allowed).contains("detail"), "{}", line(&allowed));
    let cut_off = Record { cut_off: Some(Reason::InvalidToken), ..allowed };
    assert!(line(&cut_off).contains(r#""detail":"missing_claim "#), "{}", line(&cut_off));
}

#[test]
fn an_allowed_request_has_no_reason() {
    let allowed = Record { decision: Some(Decision::Allow), ..Record::new(TIME) };
    assert!(line(&allowed).ends_with(",\"decision\":\"allow\"}\n"));
    let cut_off = Record { cut_off: Some(Reason::RevokedCredential), ..allowed };
    assert!(
        line(&cut_off).ends_with(",\"decision\":\"allow\",\"reason\":\"revoked_credential\"}\n")
    );
}

fn with_usage(source: Source, usage: Usage) -> String {
    let record = Record { usage: Some((source, usage)), ..Record::new(TIME) };
    let line = line(&record);
    let (_, fields) = line.split_once("Z\",").unwrap();
    fields.trim_end().trim_end_matches('}').to_owned()
}

#[test]
fn tokens_come_with_how_they_are_known() {
    for (source, name) in [
        (Source::Measured, "measured"),
        (Source::Partial, "partial"),
        (Source::Estimated, "estimated"),
    ] {
        let usage = Usage { input: 12, ..Usage::default() };
        assert_eq!(
            with_usage(source, usage),
            format!("\"input_tokens\":12,\"output_tokens\":0,\"usage\":\"{name}\"")
        );
    }
    assert_eq!(
        with_usage(Source::Measured, Usage { reasoning: 0, ..USAGE }),
        "\"input_tokens\":1000,\"output_tokens\":50,\"cached_tokens\":200,\"usage\":\"measured\""
    );
}

#[test]
fn where_nothing_was_charged_there_are_no_tokens() {
    assert_eq!(with_usage(Source::None, Usage::default()), "\"usage\":\"none\"");
    assert_eq!(with_usage(Source::None, USAGE), "\"usage\":\"none\"");
}

#[test]
fn money_is_a_number_of_units_with_all_its_digits() {
    for (nanos, digits) in
        [(0, "0"), (1, "0.000000001"), (2_500_000_000, "2.5"), (u64::MAX, "18446744073.709551615")]
    {
        let record = Record { cost_nanos: Some(nanos), ..Record::new(TIME) };
        assert!(line(&record).ends_with(&format!(",\"cost\":{digits}}}\n")));
        let remaining = Some(Remaining::Nanos(nanos));
        let record = Record { remaining, ..Record::new(TIME) };
        assert!(line(&record).ends_with(&format!(",\"remaining\":{digits}}}\n")));
    }
}

#[test]
fn a_request_says_whether_it_asks_for_a_stream_once_it_was_read() {
    for (stream, end) in [(true, ",\"stream\":true}\n"), (false, ",\"stream\":false}\n")] {
        assert!(line(&Record { stream: Some(stream), ..Record::new(TIME) }).ends_with(end));
    }
}

#[test]
fn a_query_string_is_never_logged() {
    for path in [&b"/v1/models?key=secret"[..], b"/v1/models?", b"/v1/models??a?b"] {
        let record = Record { path: Some(path), ..Record::new(TIME) };
        assert!(line(&record).ends_with(",\"path\":\"/v1/models\"}\n"));
    }
}

#[test]
fn over_long_values_are_cut_at_a_character() {
    let long = "é".repeat(5000);
    let record = Record {
        path: Some(long.as_bytes()),
        method: Some(&long.as_bytes()[1..]),
        ..Record::new(TIME)
    };
    let decoded: Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(decoded["path"], "é".repeat(1024));
    assert_eq!(decoded["method"], format!("\u{fffd}{}", "é".repeat(511)));
}

#[test]
fn lines_append() {
    let mut time = TimeFormat::default();
    let mut out = b"{}\n".to_vec();
    full().write_line(&mut time, &mut out);
    full().write_line(&mut time, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("{{}}\n{0}{0}", line(&full())));
}

proptest! {
    #[test]
    fn a_line_is_one_json_object_whatever_the_request_held(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 12),
        ms: i64, number: u64,
    ) {
        let record = Record {
            request_id: Some(&texts[0]), client: Some(&texts[1]), key_id: Some(&texts[2]),
            tier: Some(&texts[3]), remote_addr: Some(&texts[4]), method: Some(&texts[5]),
            path: Some(&texts[6]), upstream: Some(&texts[7]), limit: Some(&texts[8]),
            traceparent: Some(&texts[9]), model: Some(&texts[10]), tenant: Some(&texts[11]), bytes_in: Some(number), ..Record::new(UnixMillis(ms))
        };
        let line = line(&record);
        let is_one_line = line.ends_with("}\n") && line.lines().count() == 1;
        prop_assert!(is_one_line);
        prop_assert!(!line.trim_end_matches('\n').chars().any(char::is_control));
        let decoded: Value = serde_json::from_str(&line).unwrap();
        for (name, at) in [
            ("request_id", 0), ("client", 1), ("key_id", 2), ("tier", 3), ("remote_addr", 4),
            ("method", 5), ("upstream", 7), ("limit", 8), ("model", 10), ("tenant", 11),
        ] {
            let expected = String::from_utf8_lossy(&texts[at]).into_owned();
            let expected = if expected.is_empty() { Value::Null } else { expected.into() };
            prop_assert_eq!(&decoded[name], &expected, "{}", name);
        }
        prop_assert_eq!(decoded["bytes_in"].as_u64(), Some(number));
    }
}
