use super::*;
use proptest::prelude::*;

const LIMIT: Standing = Standing {
    quota: 100,
    period_secs: 60,
    capacity: 120,
    remaining: 42,
    until_full_nanos: 29_000_000_001,
};

const TOKENS: Standing = Standing {
    quota: 200_000,
    period_secs: 60,
    capacity: 300_000,
    remaining: 123_456,
    until_full_nanos: 52_964_000_000,
};

const ALL: [Style; 3] = [Style::OpenAi, Style::Ietf, Style::Legacy];

fn headers(
    styles: &[Style],
    limit: &Standing,
    tier: Option<&str>,
    now_ms: i64,
) -> Vec<(&'static str, String)> {
    both(styles, Some(limit), None, tier, now_ms)
}

fn both(
    styles: &[Style],
    requests: Option<&Standing>,
    tokens: Option<&Standing>,
    tier: Option<&str>,
    now_ms: i64,
) -> Vec<(&'static str, String)> {
    let styles = styles.iter().fold(Styles::default(), |set, &style| set.with(style));
    let mut headers = Vec::new();
    write(styles, requests, tokens, tier, UnixMillis(now_ms), |name, value| {
        headers.push((name, String::from_utf8(value.to_vec()).unwrap()));
    });
    headers
}

fn expect(found: &[(&'static str, String)], expected: &[(&str, &str)]) {
    let found: Vec<_> = found.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(found, expected);
}

fn duration(ms: u64) -> String {
    String::from_utf8(go_duration(ms).as_bytes().to_vec()).unwrap()
}

/// `time.ParseDuration`, as far as `time.Duration.String` needs it for whole milliseconds.
fn parse_duration(text: &str) -> u64 {
    let mut ms = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap();
        let (value, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale: u64 = match unit {
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            other => panic!("unit {other:?} in {text:?}"),
        };
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        ms += whole.parse::<u64>().unwrap() * scale;
        ms += format!("{fraction:0<3}").parse::<u64>().unwrap() * scale / 1000;
        rest = tail;
    }
    ms
}

#[test]
fn the_openai_style_is_the_default_of_the_documentation() {
    expect(
        &headers(&[Style::OpenAi], &LIMIT, Some("pro"), 0),
        &[
            ("x-ratelimit-limit-requests", "120"),
            ("x-ratelimit-remaining-requests", "42"),
            ("x-ratelimit-reset-requests", "29.001s"),
        ],
    );
}

#[test]
fn the_ietf_style_is_two_structured_fields() {
    expect(
        &headers(&[Style::Ietf], &LIMIT, Some("pro"), 0),
        &[("RateLimit-Policy", "\"requests\";q=100;w=60"), ("RateLimit", "\"requests\";r=42;t=30")],
    );
}

#[test]
fn the_legacy_style_speaks_of_a_unix_time_and_of_the_tier() {
    let expected = [
        ("X-RateLimit-Limit", "120"),
        ("X-RateLimit-Remaining", "42"),
        ("X-RateLimit-Reset", "1767225630"),
        ("X-RateLimit-Tier", "pro"),
    ];
    let now_ms = 1_767_225_600_000;
    expect(&headers(&[Style::Legacy], &LIMIT, Some("pro"), now_ms), &expected);
    expect(&headers(&[Style::Legacy], &LIMIT, None, now_ms), &expected[..3]);
    // A millisecond that is left of this second counts.
    let limit = Standing { until_full_nanos: 1, ..LIMIT };
    assert_eq!(headers(&[Style::Legacy], &limit, None, 10_999)[2].1, "11");
    assert_eq!(headers(&[Style::Legacy], &limit, None, 11_000)[2].1, "12");
}

#[test]
fn styles_add_up_and_none_says_nothing() {
    assert_eq!(headers(&ALL, &LIMIT, Some("pro"), 0).len(), 9);
    assert_eq!(headers(&[], &LIMIT, Some("pro"), 0).len(), 0);
    assert!(Styles::default().is_empty());
    assert!(!Styles::default().with(Style::Ietf).is_empty());
    for style in ALL {
        assert_eq!(Style::from_name(style.as_str()), Some(style));
        assert!(Styles::default().with(style).contains(style));
        assert!(!Styles::default().contains(style));
    }
    assert_eq!(Style::from_name("OpenAI"), None);
}

#[test]
fn the_openai_style_has_a_family_for_each_limit() {
    let requests = [
        ("x-ratelimit-limit-requests", "120"),
        ("x-ratelimit-remaining-requests", "42"),
        ("x-ratelimit-reset-requests", "29.001s"),
    ];
    let tokens = [
        ("x-ratelimit-limit-tokens", "300000"),
        ("x-ratelimit-remaining-tokens", "123456"),
        ("x-ratelimit-reset-tokens", "52.964s"),
    ];
    let style = &[Style::OpenAi];
    expect(&both(style, Some(&LIMIT), Some(&TOKENS), Some("pro"), 0), &[requests, tokens].concat());
    expect(&both(style, None, Some(&TOKENS), Some("pro"), 0), &tokens);
}

#[test]
fn the_ietf_style_is_one_list_of_all_policies() {
    expect(
        &both(&[Style::Ietf], Some(&LIMIT), Some(&TOKENS), Some("pro"), 0),
        &[
            ("RateLimit-Policy", "\"requests\";q=100;w=60, \"tokens\";q=200000;w=60"),
            ("RateLimit", "\"requests\";r=42;t=30, \"tokens\";r=123456;t=53"),
        ],
    );
    expect(
        &both(&[Style::Ietf], None, Some(&TOKENS), None, 0),
        &[
            ("RateLimit-Policy", "\"tokens\";q=200000;w=60"),
            ("RateLimit", "\"tokens\";r=123456;t=53"),
        ],
    );
}

#[test]
fn the_legacy_style_has_names_of_its_own_for_tokens() {
    let now_ms = 1_767_225_600_000;
    let found = both(&[Style::Legacy], Some(&LIMIT), Some(&TOKENS), Some("pro"), now_ms);
    expect(
        &found,
        &[
            ("X-RateLimit-Limit", "120"),
            ("X-RateLimit-Remaining", "42"),
            ("X-RateLimit-Reset", "1767225630"),
            ("X-RateLimit-Tokens-Limit", "300000"),
            ("X-RateLimit-Tokens-Remaining", "123456"),
            ("X-RateLimit-Tokens-Reset", "1767225653"),
            ("X-RateLimit-Tier", "pro"),
        ],
    );
}

#[test]
fn a_limit_in_debt_has_nothing_left_and_says_when_it_is_full() {
    // In debt by half of the capacity: full after one and a half times the time from empty.
    let debt = Standing { remaining: 0, until_full_nanos: 90_000_000_000, ..TOKENS };
    let found = both(&ALL, None, Some(&debt), None, 0);
    let value = |name| &found.iter().find(|(found, _)| *found == name).unwrap().1;
    assert_eq!(value("x-ratelimit-remaining-tokens"), "0");
    assert_eq!(value("x-ratelimit-reset-tokens"), "1m30s");
    assert_eq!(value("RateLimit"), "\"tokens\";r=0;t=90");
    assert_eq!(value("X-RateLimit-Tokens-Reset"), "90");
}

#[test]
fn without_a_limit_there_is_nothing_to_tell() {
    assert!(both(&ALL, None, None, Some("pro"), 0).is_empty());
}

#[test]
fn the_names_are_those_that_are_written_and_no_two_are_the_same() {
    let found = both(&ALL, Some(&LIMIT), Some(&TOKENS), Some("pro"), 0);
    let lower = |name: &str| name.to_ascii_lowercase();
    let mut written: Vec<_> = found.iter().map(|(name, _)| lower(name)).collect();
    let mut names = NAMES.map(str::to_owned);
    written.sort();
    names.sort();
    assert_eq!(written, names);
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn durations_are_spelled_as_go_spells_them() {
    for (ms, text) in [
        (0, "0s"),
        (1, "1ms"),
        (12, "12ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1001, "1.001s"),
        (1010, "1.01s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (60_001, "1m0.001s"),
        (61_200, "1m1.2s"),
        (360_000, "6m0s"),
        (3_599_999, "59m59.999s"),
        (3_600_000, "1h0m0s"),
        (3_600_100, "1h0m0.1s"),
        (90_061_001, "25h1m1.001s"),
        (9_223_372_036_854, "2562047h47m16.854s"),
    ] {
        assert_eq!(duration(ms), text);
    }
}

#[test]
fn the_largest_numbers_fit() {
    let limit = Standing {
        quota: u64::MAX,
        period_secs: u64::MAX,
        capacity: u64::MAX,
        remaining: u64::MAX,
        until_full_nanos: u64::MAX,
    };
    let found = headers(&ALL, &limit, None, i64::MAX);
    assert_eq!(found[0].1, u64::MAX.to_string());
    assert_eq!(found[2].1, "5124095h34m33.71s");
    assert_eq!(found[3].1, "\"requests\";q=999999999999999;w=999999999999999");
    assert_eq!(headers(&ALL, &limit, None, i64::MIN).len(), 8);
    let found = both(&ALL, Some(&limit), Some(&limit), None, i64::MAX);
    let policy = "\"requests\";q=999999999999999;w=999999999999999, \
                  \"tokens\";q=999999999999999;w=999999999999999";
    assert!(found.contains(&("RateLimit-Policy", policy.to_owned())));
}

proptest! {
    #[test]
    fn a_duration_parsed_back_is_the_milliseconds(ms in 0..u64::MAX / 1_000_000, shift in 0_u32..44) {
        let ms = ms >> shift;
        prop_assert_eq!(parse_duration(&duration(ms)), ms);
    }

    #[test]
    fn a_duration_has_the_shape_that_go_prints(ms in 0_u64..100_000_000) {
        let text = duration(ms);
        prop_assert_eq!(text.contains('h'), ms >= 3_600_000);
        prop_assert_eq!(text.trim_end_matches("ms").contains('m'), ms >= 60_000);
        prop_assert_eq!(text.ends_with("ms"), ms > 0 && ms < 1000);
        prop_assert!(!text.contains('.') || !text.ends_with("0s"));
    }

    #[test]
    fn the_legacy_reset_is_the_first_whole_second_after_the_bucket_is_full(
        now_ms in 0_i64..4_000_000_000_000, until_full_nanos: u64,
    ) {
        let limit = Standing { until_full_nanos, ..LIMIT };
        let reset: u128 = headers(&[Style::Legacy], &limit, None, now_ms)[2].1.parse().unwrap();
        let full = u128::try_from(now_ms).unwrap() * 1_000_000 + u128::from(until_full_nanos);
        prop_assert_eq!(reset, full.div_ceil(1_000_000_000));
    }
}
