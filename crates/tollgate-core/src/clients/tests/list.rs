use proptest::prelude::*;

use super::*;

fn names(directory: &Directory<'_>, query: &Query) -> Vec<String> {
    let found = directory.list(query).numbers.into_iter();
    found.map(|number| directory.read(number).unwrap().client).collect()
}

fn all(sort: Sort) -> Query {
    Query { sort, limit: usize::MAX, ..Query::default() }
}

#[test]
fn clients_come_in_the_order_that_is_asked_for() {
    let words = memory(10);
    let directory = directory(&words, 10);
    for (client, times, tokens, cost) in
        [("b", 3, 1, 9), ("a", 1, 7, 2), ("c", 2, 7, 30), ("d", 5, 0, 0)]
    {
        for n in 0..times {
            let seen = Seen { input: tokens, cost_nanos: cost, ..at(100 - times + n) };
            count(&directory, client, seen);
        }
    }
    let (found, _) = directory.get("c").unwrap();
    directory.update_ratios(found, |_, _, _| Ratios { worst: 0.9, budget: 0.1 });
    let (found, _) = directory.get("a").unwrap();
    directory.update_ratios(found, |_, _, _| Ratios { worst: 0.5, budget: 0.5 });
    let order = |sort| names(&directory, &all(sort)).concat();
    assert_eq!(order(Sort::Requests), "dbca");
    assert_eq!(order(Sort::Tokens), "cabd");
    assert_eq!(order(Sort::Cost), "cbad");
    assert_eq!(order(Sort::Name), "abcd");
    assert_eq!(order(Sort::LastSeen), "bacd", "of equals the first one that came");
    assert_eq!(order(Sort::Used), "cadb");
    assert_eq!(order(Sort::Budget), "acdb");
}

#[test]
fn search_finds_what_is_in_names_as_it_is() {
    let words = memory(20);
    let directory = directory(&words, 20);
    let long = format!("{}needle{}", "x".repeat(100), "y".repeat(100));
    for client in ["acme", "ACME", "macme.org", "ac", "\u{e9}t\u{e9}", &long] {
        count(&directory, client, at(1));
    }
    let search = |text: &str| {
        let query = Query { search: text.to_owned(), ..all(Sort::Name) };
        assert_eq!(directory.list(&query).total, names(&directory, &query).len());
        names(&directory, &query)
    };
    assert_eq!(search("acme"), ["acme", "macme.org"]);
    assert_eq!(search("needle"), [long.as_str()]);
    assert_eq!(search("\u{e9}t"), ["\u{e9}t\u{e9}"]);
    assert_eq!(search(&"z".repeat(300)), [""; 0]);
    assert_eq!(search("").len(), 6);
    // Nothing of the words behind a name belongs to it.
    assert_eq!(search("\0"), [""; 0]);
}

#[test]
fn queries_are_bounded() {
    let query = Query { search: "\u{e9}".repeat(200), limit: usize::MAX, ..Query::default() };
    let query = query.bounded();
    assert_eq!((query.search.len(), query.limit), (256, 1000));
    for sort in Sort::ALL {
        assert_eq!(Sort::parse(sort.as_str()), Some(sort));
    }
    assert_eq!(Sort::parse("budget"), None);
    assert_eq!(Sort::parse(""), None);
}

proptest! {
    /// Page after page, it is the same as all of it, sorted.
    #[test]
    fn pages_are_parts_of_all_of_it_in_order(
        clients in prop::collection::btree_map("[ab\u{e9}]{1,24}", 0u64..4, 0..60),
        limit in 1usize..20,
        sort in prop::sample::select(Sort::ALL.to_vec()),
        search in "[ab]{0,2}",
    ) {
        let words = memory(64);
        let directory = directory(&words, 64);
        for (client, tokens) in &clients {
            count(&directory, client, Seen { input: *tokens, cost_nanos: *tokens, ..at(1) });
        }
        let mut expected: Vec<_> =
            clients.iter().filter(|(client, _)| client.contains(&search)).collect();
        if matches!(sort, Sort::Tokens | Sort::Cost | Sort::Requests) {
            // Requests are the same for all: then tokens. Stable: they came by name.
            expected.sort_by_key(|(_, tokens)| std::cmp::Reverse(**tokens));
        }
        let expected: Vec<_> = expected.iter().map(|(client, _)| client.as_str()).collect();
        let mut found = Vec::new();
        for offset in (0..70).step_by(limit) {
            let query = Query { sort, search: search.clone(), offset, limit };
            prop_assert_eq!(directory.list(&query).total, expected.len());
            found.extend(names(&directory, &query));
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn survey_goes_through_all_of_them_while_somebody_wants_it() {
    let words = memory(100);
    let directory = directory(&words, 100);
    (0..100).for_each(|n| count(&directory, &format!("c{n}"), at(1)));
    let survey = Survey::of(&directory).unwrap();
    let time = |ms: i64| UnixMillis(1_000_000 + ms);
    assert_eq!(survey.part(time(0), 30), None, "nobody wants it");
    survey.want(time(0));
    let parts: Vec<_> = std::iter::from_fn(|| survey.part(time(5), 30)).collect();
    assert_eq!(parts, [0..30, 30..60, 60..90, 90..100]);
    assert_eq!(survey.part(time(1_900), 30), None, "it was done a moment ago");
    assert_eq!(survey.part(time(2_100), 30), Some(0..30), "and again");
    assert_eq!(survey.part(time(200_000), 30), None, "nobody wants it any more");
    survey.want(time(200_000));
    assert_eq!(survey.part(time(-1_000_000), 30), None, "the clock was put back");
}

/// `cargo test --release -p tollgate-core hundred_thousand -- --nocapture` says how long each takes.
#[test]
fn one_of_a_hundred_thousand_clients_is_found_in_each_order() {
    const COUNT: usize = 100_000;
    let words = memory(COUNT);
    let directory = directory(&words, COUNT);
    for n in 0..COUNT {
        let seen = Seen { input: (n * 7_919 % COUNT) as u64, ..at(1 + n as i64) };
        count(&directory, &format!("organisation-{n:06}"), seen);
    }
    for (sort, search, offset, first) in [
        (Sort::Tokens, "", 0, Some(99_999)),
        (Sort::Tokens, "", 90_000, Some(9_999)),
        (Sort::Name, "", 50_000, None),
        (Sort::LastSeen, "", 0, None),
        (Sort::Used, "", 0, None),
        (Sort::Name, "-09", 100, None),
    ] {
        let query = Query { sort, search: search.to_owned(), offset, limit: 50 };
        let start = std::time::Instant::now();
        let found = directory.list(&query);
        println!("{sort:?} {search:?} {offset}: {:?}", start.elapsed());
        assert_eq!(
            (found.numbers.len(), found.total),
            (50, if search.is_empty() { COUNT } else { 10_000 })
        );
        let found = directory.read(found.numbers[0]).unwrap();
        if let Some(first) = first {
            assert_eq!(found.input_tokens, first);
        }
        match sort {
            Sort::Name if search.is_empty() => assert_eq!(found.client, "organisation-050000"),
            Sort::Name => assert_eq!(found.client, "organisation-090100"),
            Sort::LastSeen => assert_eq!(found.client, "organisation-099999"),
            _ => {}
        }
    }
}
