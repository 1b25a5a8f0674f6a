use super::super::view::*;
use super::*;
use crate::clock::{MonoNanos, UnixSeconds};
use crate::limits::{Budget, Dimension, Now, Oversize, Quota, Take, Zone};

const NOW: Now = Now { mono: MonoNanos(86_400_000_000_000), wall: UnixSeconds(1_781_524_800) };

#[test]
fn a_client_is_written_as_json() {
    let words: Vec<_> = (0..1 << 14).map(|_| AtomicU64::new(0)).collect();
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let scale = zone.scale(Quota::parse("100r/m", Some("200")).unwrap());
    let dimension = Dimension::Requests;
    let bucket = Take::Bucket { dimension, scale, n: 3, oversize: Oversize::Refuse };
    let budget =
        Take::Budget { budget: Budget::parse("20/day").unwrap(), n: 1_250_000_000, guess: 0 };
    let concurrency = Take::Concurrency { limit: 4 };
    let mut asks = [bucket, budget].map(|take| crate::limits::Ask::new(key, take));
    zone.reserve(&mut asks, NOW, &lock(), None, &mut Vec::new(), &mut Vec::new()).unwrap();
    let limit = |name: &'static str, model, take: &Take| {
        LimitView::new(name.into(), model, take, &zone.view(key, take, NOW))
    };
    let limits = vec![
        limit("requests 100r/m burst=200", None, &bucket),
        limit("llama-* budget 20/day", Some("llama-*"), &budget),
        limit("concurrency 4", None, &concurrency),
    ];
    assert_eq!(limits.iter().map(LimitView::is_budget).collect::<Vec<_>>(), [false, true, false]);
    let client = Client {
        client: "<b>\"\u{202e}".to_owned(),
        tenant: Some("t1".to_owned()),
        last_seen: UnixMillis(1_781_524_800_123),
        requests: 12,
        refused: 1,
        input_tokens: 9_007_199_254_740_993,
        cost_nanos: 1_250_000_000,
        ..Client::default()
    };
    let view = ClientView::new(client, Some("pro"), 2, limits);
    let expected = concat!(
        r#"{"client":"<b>\"\u202e","tier":"pro","tenant":"t1","last_seen":"2026-06-15T12:00:00.123Z","#,
        r#""requests":12,"refused":1,"input_tokens":9007199254740993,"output_tokens":0,"cost":"1.25","in_flight":2,"#,
        r#""limits":[{"name":"requests 100r/m burst=200","dimension":"requests","quota":100,"burst":200,"#,
        r#""period":"minute","used":3,"left":197,"used_ratio":0.015,"reset_seconds":1.8},"#,
        r#"{"name":"llama-* budget 20/day","dimension":"budget","model":"llama-*","quota":"20","period":"day","#,
        r#""used":"1.25","left":"18.75","used_ratio":0.0625,"reset_seconds":43200.0},"#,
        r#"{"name":"concurrency 4","dimension":"concurrency","quota":4,"used":0,"left":4,"used_ratio":0.0}],"#,
        r#""worst":0.0625}"#,
    )
    .replace("\\u202e", "\u{202e}");
    assert_eq!(String::from_utf8(to_json(&view)).unwrap(), expected);

    let until = "2026-06-16T00:00:00.000Z".to_owned();
    let spend = |limit: &LimitView<'_>| SpendView::of(limit, UnixMillis(1_781_524_800_123));
    assert_eq!(spend(&limit("budget 20/day", None, &budget)).unwrap().until, until);
    assert_eq!(spend(&view.limits[1]), None, "one for some models is no spend of all");
    assert_eq!(spend(&view.limits[0]), None);

    let query = Query { sort: Sort::Name, search: "\"".to_owned(), offset: 5, limit: 50 };
    let list = ListView::new(&query, vec![], 6);
    assert_eq!(
        String::from_utf8(to_json(&list)).unwrap(),
        r#"{"clients":[],"total":6,"offset":5,"limit":50,"sort":"name","search":"\""}"#
    );
}

#[test]
fn the_nearest_limit_is_the_worst_ratio() {
    let words: Vec<_> = (0..1 << 14).map(|_| AtomicU64::new(0)).collect();
    let zone = Zone::format(&words, (1, 2)).unwrap();
    let key = zone.client_key("acme");
    let concurrency = Take::Concurrency { limit: 2 };
    let budget = Take::Budget { budget: Budget::parse("1/day").unwrap(), n: 250_000_000, guess: 0 };
    let scale = zone.scale(Quota::parse("10r/d", None).unwrap());
    let bucket =
        Take::Bucket { dimension: Dimension::Requests, scale, n: 7, oversize: Oversize::Refuse };
    let mut asks = [bucket, budget].map(|take| crate::limits::Ask::new(key, take));
    zone.reserve(&mut asks, NOW, &lock(), None, &mut Vec::new(), &mut Vec::new()).unwrap();
    let views = [bucket, budget, concurrency].map(|take| (take, zone.view(key, &take, NOW)));
    let found = ratios(views.iter().map(|(take, view)| (take, view)));
    assert_eq!(found, Ratios { worst: 0.7, budget: 0.25 });
    assert_eq!(ratios([]), Ratios::default());
}
