use super::*;

fn known(directory: &Directory<'_>, client: &str) -> Known {
    Known::new(directory.seed(), who(client))
}

#[test]
fn requests_are_in_flight_until_they_leave() {
    let words = memory(4);
    let directory = directory(&words, 4);
    let flights = directory.flights();
    let (one, other) = (process(1), process(2));
    let rows = [one, other].map(|me| flights.claim(me, |_| true).unwrap());
    assert_ne!(rows[0], rows[1]);
    let acme = known(&directory, "acme");
    let living = flights.living(|_| true);
    let in_flight = |client: &str| directory.in_flight(client, &living);
    let mut running: Vec<_> =
        [rows[0], rows[0], rows[1]].map(|row| flights.enter(row, &acme).unwrap()).into();
    let globex = flights.enter(rows[1], &known(&directory, "globex")).unwrap();
    assert_eq!((in_flight("acme"), in_flight("globex"), in_flight("nobody")), (3, 1, 0));
    flights.leave(running.pop().unwrap());
    flights.leave(globex);
    assert_eq!((in_flight("acme"), in_flight("globex")), (2, 0));
    running.into_iter().for_each(|flight| flights.leave(flight));
    assert_eq!(in_flight("acme"), 0);
}

#[test]
fn what_a_dead_worker_had_in_flight_counts_no_more() {
    let words = memory(4);
    let directory = directory(&words, 4);
    let flights = directory.flights();
    let row = flights.claim(process(1), |_| true).unwrap();
    let acme = known(&directory, "acme");
    let _ = flights.enter(row, &acme).unwrap();
    let living = flights.living(|process| process.pid != 1);
    assert_eq!(directory.in_flight("acme", &living), 0);
    // A new worker goes on with its row.
    assert_eq!(flights.claim(process(2), |process| process.pid != 1), Some(row));
    let living = flights.living(|_| true);
    assert_eq!(directory.in_flight("acme", &living), 0);
    assert_ne!(flights.claim(process(3), |_| true), Some(row), "not that of one that lives");
    // One that has its number is it.
    assert_eq!(flights.claim(process(2), |_| true), Some(row));
}

#[test]
fn clients_beyond_the_room_of_a_row_are_not_counted_and_cost_nobody_else_a_count() {
    let words = memory(4);
    let directory = directory(&words, 4);
    let flights = directory.flights();
    let row = flights.claim(process(1), |_| true).unwrap();
    let names: Vec<_> = (0..4_000).map(|n| format!("client {n}")).collect();
    let running: Vec<_> =
        names.iter().map(|name| flights.enter(row, &known(&directory, name))).collect();
    let living = flights.living(|_| true);
    let counted = running.iter().filter(|flight| flight.is_some()).count();
    assert!((1_500..=2_048).contains(&counted), "{counted}");
    for (name, flight) in names.iter().zip(&running) {
        let expected = u64::from(flight.is_some());
        assert_eq!(directory.in_flight(name, &living), expected, "{name}");
    }
    running.into_iter().flatten().for_each(|flight| flights.leave(flight));
    assert!(names.iter().all(|name| directory.in_flight(name, &living) == 0));
    // All of it is free again.
    assert!(names
        .iter()
        .take(500)
        .all(|name| flights.enter(row, &known(&directory, name)).is_some()));
}

#[test]
fn there_are_only_so_many_rows() {
    let words = memory(4);
    let directory = directory(&words, 4);
    let flights = directory.flights();
    let claimed = (1..400).filter(|pid| flights.claim(process(*pid), |_| true).is_some()).count();
    assert_eq!(claimed, 256);
    flights.clear(0);
}
