//! Each line of each engine's table, by the right methods and by all others, for credentials without its
//! scope, with it, and with `admin`: who gets what, and why not. A new line is tested by being there.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;

use tollgate_core::detail::Cause;
use tollgate_core::llm::engines::{Kind, Methods, Route, Row};
use tollgate_core::llm::Engine;
use tollgate_core::permissions::endpoints::{judge, Asked};
use tollgate_core::permissions::scopes::{Scope, Scopes};

const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"];

/// A path that the line is for.
fn path_of(row: &Row) -> String {
    let segment = |segment: &str| match segment.strip_prefix('{') {
        Some(name) if name.ends_with(":path}") => "some/thing-1.5:x".to_owned(),
        Some(_) => "some-thing-1.5:x".to_owned(),
        None => segment.to_owned(),
    };
    row.path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn judged(
    engine: Engine,
    method: &str,
    (path, own): (&str, usize),
    granted: Scopes,
    counts: bool,
) -> Option<Cause> {
    let (method, path) = (method.as_bytes(), path.as_bytes());
    let route = Route::of(engine, method, (path, own));
    let is_read = route.form.is_some();
    let asked = Asked { method, path, uri: path, route: &route, is_read };
    judge(asked, (engine, &[]), granted, || counts).err().map(|detail| detail.cause())
}

/// The lines of the table that have this path.
fn lines(engine: Engine, path: &str, method: &str) -> Vec<&'static Row> {
    let rows = engine.table().rows.iter();
    rows.filter(|row| row.path == path && row.methods.contain(method.as_bytes())).collect()
}

#[test]
fn every_line_is_for_those_who_have_its_scope_and_for_nobody_else() {
    let mut cases: BTreeMap<&str, u32> = BTreeMap::new();
    for engine in Engine::ALL {
        for row in engine.table().rows {
            let path = path_of(row);
            for method in METHODS {
                let own = Scopes::NONE.with(row.scope);
                let admin = Scopes::NONE.with(Scope::Admin);
                let others = Scope::ALL
                    .into_iter()
                    .filter(|scope| *scope != row.scope && *scope != Scope::Admin);
                let without = others.fold(Scopes::NONE, Scopes::with);
                let ask = |granted, counts| judged(engine, method, (&path, 0), granted, counts);
                let name = format!("{} {method} {path}", engine.as_str());
                let mut case = |what| *cases.entry(what).or_default() += 1;
                match lines(engine, row.path, method).first() {
                    Some(line) if line.is_for_clients() => {
                        if line.scope != row.scope {
                            continue; // Another line of the same path, whose turn comes.
                        }
                        assert_eq!(ask(without, false), Some(Cause::MissingScope), "{name}");
                        assert_eq!(ask(admin, false), Some(Cause::MissingScope), "{name}");
                        assert_eq!(ask(own, false), None, "{name}");
                        assert_eq!(ask(Scopes::DEFAULT, false), None, "{name}");
                        let is_counted = line.kind.is_harmless() || line.form.is_some();
                        let uncounted = (!is_counted).then_some(Cause::NotCounted);
                        assert_eq!(ask(own, true), uncounted, "{name}");
                        case("clients");
                    }
                    Some(line) => {
                        let expected = match line.kind {
                            Kind::Others => Cause::OthersRequests,
                            _ => Cause::OperatorsEndpoint,
                        };
                        assert_eq!(ask(Scopes::DEFAULT, false), Some(expected), "{name}");
                        assert_eq!(ask(Scopes::NONE, true), Some(expected), "{name}");
                        assert_eq!(ask(admin, false), None, "{name}");
                        assert_eq!(ask(admin, true), None, "{name}");
                        case("operators");
                    }
                    // No line has this path by this method; another one may fit as well.
                    None => {
                        let fits = |other: &&Row| {
                            other.methods.contain(method.as_bytes()) && other.path != row.path
                        };
                        let refused = ask(Scopes::DEFAULT, false);
                        if refused.is_none() {
                            let mut rows = engine.table().rows.iter();
                            assert!(rows.any(|row| fits(&row)), "{name}");
                            case("another line");
                            continue;
                        }
                        let unknown = [
                            Cause::UnknownEndpoint,
                            Cause::OperatorsEndpoint,
                            Cause::OthersRequests,
                        ];
                        assert!(unknown.contains(&refused.unwrap()), "{name}");
                        assert_eq!(ask(admin, false), None, "{name}");
                        case("wrong method");
                    }
                }
            }
        }
    }
    println!("{cases:?}");
    assert!(cases.values().sum::<u32>() > 3000, "{cases:?}");
    // What GET and POST share by `{...}` alone.
    assert!(cases.get("another line").is_none_or(|count| *count < 60), "{cases:?}");
}

/// Spellings of a path, none of which is the path.
fn spellings(path: &str) -> Vec<String> {
    let upper = path.to_ascii_uppercase();
    let mut all = vec![
        format!("{path}/"),
        format!("/x{path}"),
        format!("/metrics{path}"),
        format!("{path}/x"),
        format!("{path}x"),
        format!("/{path}"),
        format!("{path}?x"),
        format!("{path}%0a"),
        path.replacen('/', "/./", 1),
        path.replacen("/v1", "", 1),
    ];
    if upper != path {
        all.push(upper);
    }
    all.retain(|spelling| spelling != path);
    all
}

#[test]
fn no_spelling_of_a_line_for_operators_is_open_to_clients() {
    let mut cases = 0;
    for engine in Engine::ALL {
        for row in engine.table().rows.iter().filter(|row| !row.is_for_clients()) {
            for spelling in spellings(&path_of(row)) {
                for method in METHODS.into_iter().filter(|one| row.methods.contain(one.as_bytes()))
                {
                    let refused = judged(engine, method, (&spelling, 0), Scopes::DEFAULT, false);
                    let is_line = engine
                        .table()
                        .rows
                        .iter()
                        .any(|other| other.is_for_clients() && path_of(other) == spelling);
                    let is_id = spelling.starts_with("/v1/models/") && method == "GET";
                    assert!(
                        refused.is_some() || is_line || is_id,
                        "{engine:?} {method} {spelling}"
                    );
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 2000, "{cases}");
}

#[test]
fn prefix_of_a_location_opens_the_lines_below_it_and_one_of_the_client_none() {
    for engine in Engine::ALL {
        for row in engine.table().rows.iter().filter(|row| row.is_for_clients()) {
            let method =
                METHODS.into_iter().find(|one| row.methods.contain(one.as_bytes())).unwrap();
            let path = format!("/llm{}", path_of(row));
            let ask = |own| judged(engine, method, (&path, own), Scopes::DEFAULT, false);
            assert_eq!(ask(4), None, "{engine:?} {path}");
            assert_eq!(ask(5), None, "{engine:?} {path}");
            for own in [0, 1, 3] {
                assert_eq!(ask(own), Some(Cause::UnknownEndpoint), "{engine:?} {path}");
            }
        }
    }
}

#[test]
fn methods_of_the_tables_are_those_of_this_test() {
    for row in Engine::ALL.into_iter().flat_map(|engine| engine.table().rows) {
        let known = METHODS
            .iter()
            .fold(Methods::NONE, |known, method| known.and(Methods::of(method.as_bytes())));
        assert_eq!(row.methods.and(known), known, "{}", row.path);
    }
}
