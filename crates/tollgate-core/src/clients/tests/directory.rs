use std::sync::atomic::Ordering;

use super::super::word::tests::dies_after;
use super::*;
use crate::limits::LayoutError;

fn get(directory: &Directory<'_>, client: &str) -> Option<Client> {
    directory.get(client).map(|(_, client)| client)
}

#[test]
fn requests_of_a_client_are_counted() {
    let words = memory(10);
    let directory = directory(&words, 10);
    assert_eq!(get(&directory, "acme"), None);
    let tenant = Some("north");
    let who = Who { client: "acme", tenant, rate_limit: NonZeroU32::new(7) };
    let known = Known::new(directory.seed(), who);
    let seen = Seen {
        at: UnixMillis(5_000),
        tier: tier_mark("pro"),
        is_refused: false,
        input: 10,
        output: 20,
        cost_nanos: 5,
    };
    directory.count(&known, who, &seen, &lock());
    let refused = Seen { tier: tier_mark("free"), is_refused: true, ..at(4_000) };
    directory.count(&known, who, &refused, &lock());
    let expected = Client {
        client: "acme".to_owned(),
        tenant: tenant.map(str::to_owned),
        rate_limit: who.rate_limit,
        tier: tier_mark("free"),
        // A clock that was put back.
        last_seen: UnixMillis(5_000),
        requests: 2,
        refused: 1,
        input_tokens: 10,
        output_tokens: 20,
        cost_nanos: 5,
        ratios: Ratios::default(),
    };
    assert_eq!(get(&directory, "acme"), Some(expected));
    assert_eq!(directory.given(), 1);
}

#[test]
fn names_of_every_length_stay_what_they_are() {
    let words = memory(600);
    let directory = directory(&words, 600);
    let lens = [1, 7, 8, 9, 31, 39, 40, 41, 63, 64, 65, 255, 256];
    for (client_len, tenant_len) in lens.iter().flat_map(|a| lens.iter().map(move |b| (*a, *b))) {
        let client = format!("{:c<client_len$}", format!("{client_len}.{tenant_len}"));
        let client: String = client.chars().take(client_len).collect();
        let tenant = "t".repeat(tenant_len);
        let who = Who { client: &client, tenant: Some(&tenant), rate_limit: None };
        let known = Known::new(directory.seed(), who);
        directory.count(&known, who, &at(1), &lock());
        let found = get(&directory, &client).unwrap();
        assert_eq!((found.client, found.tenant), (client, Some(tenant)));
    }
    // Not ASCII, and as long as can be.
    for client in ["\u{202e}<b>\"\\", &"\u{1f980}".repeat(64)] {
        count(&directory, client, at(1));
        assert_eq!(get(&directory, client).unwrap().client, client);
    }
}

#[test]
fn what_the_last_credential_says_holds() {
    let words = memory(10);
    let directory = directory(&words, 10);
    let long = "t".repeat(200);
    for (n, tenant) in [None, Some("a"), Some("b"), Some(long.as_str()), None].iter().enumerate() {
        let rate_limit = NonZeroU32::new(u32::try_from(n).unwrap());
        let who = Who { client: "acme", tenant: *tenant, rate_limit };
        let known = Known::new(directory.seed(), who);
        directory.count(&known, who, &at(1), &lock());
        let found = get(&directory, "acme").unwrap();
        assert_eq!(found.tenant.as_deref(), *tenant);
        assert_eq!(found.rate_limit, rate_limit);
        assert_eq!(found.requests, n as u64 + 1, "what was counted stays");
    }
    assert_eq!(directory.given(), 1);
}

#[test]
fn full_directory_forgets_who_was_seen_least_lately() {
    const CAPACITY: usize = 64;
    let words = memory(CAPACITY);
    let directory = directory(&words, CAPACITY);
    let known: Vec<_> =
        (0..CAPACITY).map(|n| (n, Known::new(directory.seed(), who(&format!("c{n}"))))).collect();
    for (n, known) in &known {
        directory.count(known, who(&format!("c{n}")), &at(1_000 + *n as i64), &lock());
    }
    // All but one come again.
    for (n, known) in known.iter().filter(|(n, _)| *n != 20) {
        directory.count(known, who(&format!("c{n}")), &at(5_000 + *n as i64), &lock());
    }
    count(&directory, "new", at(6_000));
    assert_eq!(get(&directory, "c20"), None);
    assert_eq!(get(&directory, "new").unwrap().requests, 1);
    let all = directory.list(&Query { limit: 1000, ..Query::default() });
    assert_eq!((all.total, directory.given()), (CAPACITY, 64));
    // Whoever was forgotten comes as a new one, though a worker remembers its place.
    directory.count(&known[20].1, who("c20"), &at(7_000), &lock());
    assert_eq!(get(&directory, "c20").unwrap().requests, 1);
    assert_eq!(get(&directory, "c0"), None, "the next one");
    assert_eq!(get(&directory, "new").unwrap().requests, 1);
}

#[test]
fn flood_of_new_clients_forgets_none_who_comes_again() {
    const CAPACITY: usize = 500;
    let words = memory(CAPACITY);
    let directory = directory(&words, CAPACITY);
    for n in 0..20_000 {
        let now = at(n * 10);
        if n % 100 == 0 {
            count(&directory, "regular", now);
        }
        count(&directory, &format!("minted-{n}"), now);
    }
    assert_eq!(get(&directory, "regular").unwrap().requests, 200);
    let all = directory.list(&Query { limit: 1000, ..Query::default() });
    assert!(all.total <= CAPACITY);
    for number in all.numbers {
        let found = directory.read(number).unwrap();
        assert_eq!(directory.get(&found.client).unwrap().0, number, "each can be found");
    }
}

#[test]
fn threads_lose_no_request() {
    const CLIENTS: usize = 300;
    let words = memory(CLIENTS);
    let (directory, lock) = (directory(&words, CLIENTS), lock());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let lock = &lock;
            scope.spawn(move || {
                let names: Vec<_> = (0..CLIENTS).map(|n| format!("client {n}")).collect();
                let known: Vec<_> =
                    names.iter().map(|name| Known::new(directory.seed(), who(name))).collect();
                for n in 0..20 * CLIENTS {
                    let n = (n * 7 + thread * 31) % CLIENTS;
                    let seen = Seen { input: 3, ..at(1) };
                    directory.count(&known[n], who(&names[n]), &seen, lock);
                }
            });
        }
    });
    for n in 0..CLIENTS {
        let found = get(&directory, &format!("client {n}")).unwrap();
        assert_eq!((found.requests, found.input_tokens), (80, 240), "{n}");
    }
    assert_eq!(directory.given() as usize, CLIENTS, "nobody is there twice");
}

/// What was read in part before and in part after is of no moment, even if it is the same client's again.
#[test]
fn an_entry_that_came_back_meanwhile_is_not_taken_for_the_same() {
    let words = memory(1);
    let directory = directory(&words, 1);
    count(&directory, "a", at(1));
    let entry = directory.entry(0).unwrap();
    let meanwhile = |f: &dyn Fn()| {
        entry.with_name(|name| {
            f();
            name.to_vec()
        })
    };
    assert_eq!(meanwhile(&|| count(&directory, "a", at(2))), Some(b"a".to_vec()));
    let away_and_back = || {
        count(&directory, "b", at(3));
        count(&directory, "a", at(4));
    };
    assert_eq!(meanwhile(&away_and_back), None);
    assert_eq!(get(&directory, "a").unwrap().requests, 1);
    // Its credential names another tenant, and then the one before again.
    let renamed = || {
        for tenant in ["north", "south"] {
            let who = Who { tenant: Some(tenant), ..who("a") };
            let known = Known::new(directory.seed(), who);
            directory.count(&known, who, &at(5), &lock());
        }
    };
    assert_eq!(meanwhile(&renamed), None);
}

/// Some count, some give entries away, and some read: nobody is there twice, none has another one's name, and no
/// more is counted than there was.
#[test]
fn threads_that_push_each_other_out_mix_no_clients_up() {
    const CAPACITY: usize = 20;
    const CLIENTS: usize = 150;
    let words = memory(CAPACITY);
    let (directory, lock) = (directory(&words, CAPACITY), lock());
    let name = |n: usize| format!("client {n} {}", "x".repeat(n % 60));
    let running = AtomicU64::new(2);
    std::thread::scope(|scope| {
        for thread in 0..2usize {
            let (lock, running) = (&lock, &running);
            scope.spawn(move || {
                let names: Vec<_> = (0..CLIENTS).map(name).collect();
                let tenants: Vec<_> = names.iter().map(|name| format!("of {name}")).collect();
                let who = |n: usize| Who {
                    client: &names[n],
                    tenant: Some(&tenants[n]),
                    rate_limit: None,
                };
                let known: Vec<_> =
                    (0..CLIENTS).map(|n| Known::new(directory.seed(), who(n))).collect();
                for step in 0..20_000 {
                    let n = step * (2 * thread + 7) % CLIENTS;
                    let now = i64::try_from(step).unwrap();
                    directory.count(&known[n], who(n), &at(now), lock);
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        // Whoever reads finds no one's name in the place of another one's.
        while running.load(Ordering::Relaxed) > 0 {
            for number in 0..4 {
                if let Some(Client { client, tenant, .. }) = directory.read(number) {
                    assert_eq!(tenant, Some(format!("of {client}")));
                }
            }
        }
    });
    let all = directory.list(&Query { limit: 1000, ..Query::default() });
    assert_eq!(all.total, CAPACITY);
    let found: Vec<_> = all.numbers.iter().map(|number| directory.read(*number).unwrap()).collect();
    let mut names: Vec<_> = found.iter().map(|client| client.client.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CAPACITY, "nobody is there twice");
    assert!(found.iter().map(|client| client.requests).sum::<u64>() <= 40_000);
}

/// A worker is killed in the middle of giving an entry away: whatever it has written by then, the others find
/// each client once, and go on.
#[test]
fn killed_process_leaves_no_client_twice() {
    for (steps, newcomer) in (0..60).flat_map(|steps| [(steps, "new"), (steps, "c3")]) {
        let words = memory(8);
        let directory = directory(&words, 8);
        for n in 0..8 {
            count(&directory, &format!("c{n}"), at(100 + n));
        }
        // A new client, or one whose tenant is another one now.
        let who = Who { client: newcomer, tenant: Some("north"), rate_limit: None };
        let known = Known::new(directory.seed(), who);
        let is_done = dies_after(steps, || directory.count(&known, who, &at(200), &lock()));
        assert!(is_done || steps < 40, "it stores no more words than that");
        assert!(!is_done || steps > 2, "and no fewer");
        for client in ["new", "c3", "c7", "other"] {
            count(&directory, client, at(300));
            count(&directory, client, at(301));
            let found = get(&directory, client).unwrap();
            assert!(found.requests >= 2, "{client} after {steps}");
        }
        let all = directory.list(&Query { limit: 100, ..Query::default() });
        let mut names: Vec<_> =
            all.numbers.iter().map(|number| directory.read(*number).unwrap().client).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.total, "{names:?} after {steps}");
        assert!(names.iter().all(|name| directory.get(name).is_some()));
    }
}

#[test]
fn memory_of_somebody_else_is_refused() {
    let words = memory(10);
    assert_eq!(Directory::attach(&words).unwrap_err(), LayoutError::Foreign);
    assert_eq!(
        Directory::format(&words, 11, (1, 2), UnixMillis(0)).unwrap_err(),
        LayoutError::TooSmall
    );
    let made = directory(&words, 10);
    count(&made, "acme", at(1));
    let again = Directory::attach(&words).unwrap();
    assert_eq!((again.seed(), again.capacity(), again.given()), ((1, 2), 10, 1));
    assert_eq!(again.since(), UnixMillis(1_000));
    words[1].store(99, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(Directory::attach(&words), Err(LayoutError::Version { found: 99, .. })));
    assert_eq!(Directory::words_for(0), None);
    assert_eq!(Directory::words_for(usize::MAX), None);
}

#[test]
fn ratios_are_those_of_who_has_the_entry() {
    let words = memory(4);
    let directory = directory(&words, 4);
    count(&directory, "acme", at(1));
    directory.update_ratios(0, |name, tier, rate| {
        assert_eq!((name, tier, rate), ("acme", 0, None));
        Ratios { worst: 1.5, budget: 0.25 }
    });
    assert_eq!(get(&directory, "acme").unwrap().ratios, Ratios { worst: 1.5, budget: 0.25 });
    directory.update_ratios(0, |_, _, _| Ratios { worst: f64::INFINITY, budget: f64::NAN });
    let ratios = get(&directory, "acme").unwrap().ratios;
    assert!(ratios.worst > 1_000.0 && ratios.budget == 0.0);
    directory.update_ratios(3, |_, _, _| unreachable!("nobody has it"));
    directory.update_ratios(u32::MAX, |_, _, _| unreachable!("nobody has it"));
}
