//! `tollgate audit anomalies`: what is unusual is found, and nothing else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod audit_log;
mod command;

use audit_log::{gzip, line, Folder, Numbers};
use command::{tollgate, Run};
use serde_json::Value;
use tollgate_core::audit::Record;
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::llm::{Source, Usage};
use tollgate_core::principal::AuthMethod;

/// 2026-11-01T00:00:00Z
const START: i64 = 1_793_491_200_000;
const HOUR: i64 = 3_600_000;

/// Requests of one key.
#[derive(Clone, Copy)]
struct Who {
    client: &'static str,
    key: &'static str,
    address: &'static str,
}

const ACME: Who = Who { client: "acme", key: "k_1", address: "203.0.113.7" };

impl Who {
    fn from(self, address: &'static str) -> Self {
        Self { address, ..self }
    }

    fn record(&self, ms: i64) -> Record<'_> {
        let mut record = Record::new(UnixMillis(ms));
        record.client = Some(self.client.as_bytes());
        record.key_id = Some(self.key.as_bytes());
        record.remote_addr = Some(self.address.as_bytes());
        record.auth = Some(AuthMethod::ApiKey);
        record.decision = Some(Decision::Allow);
        record
    }

    /// So many requests in an hour, of so many tokens each.
    fn hour(&self, hour: i64, requests: i64, tokens: u64) -> Vec<u8> {
        let one = |number: i64| {
            let mut record = self.record(START + hour * HOUR + number * HOUR / requests.max(1));
            let usage =
                Usage { input: tokens / 2, output: tokens - tokens / 2, ..Usage::default() };
            record.usage = Some((Source::Measured, usage));
            line(&record)
        };
        (0..requests).flat_map(one).collect()
    }

    fn refused(&self, hour: i64, requests: i64, reason: Reason) -> Vec<u8> {
        let one = |number: i64| {
            let mut record = self.record(START + hour * HOUR + number * HOUR / requests.max(1));
            record.decision = Some(Decision::Deny(reason));
            line(&record)
        };
        (0..requests).flat_map(one).collect()
    }

    /// Ten requests in each of these hours, of a hundred tokens each.
    fn days(&self, from: i64, to: i64) -> Vec<u8> {
        (from..to).flat_map(|hour| self.hour(hour, 10, 100)).collect()
    }
}

fn unknown(address: &'static str, hour: i64, requests: i64) -> Vec<u8> {
    let one = |number: i64| {
        let mut record = Record::new(UnixMillis(START + hour * HOUR + number * HOUR / requests));
        record.remote_addr = Some(address.as_bytes());
        record.decision = Some(Decision::Deny(Reason::InvalidCredential));
        line(&record)
    };
    (0..requests).flat_map(one).collect()
}

fn anomalies(log: &[u8], options: &[&str]) -> Run {
    let folder = Folder::new();
    let file = folder.file("audit.log", log);
    tollgate([&["audit", "anomalies", &file], options].concat())
}

/// What was found: kind, time, client and key.
fn found(log: &[u8], options: &[&str]) -> Vec<String> {
    let run = anomalies(log, &[&["--json"], options].concat());
    assert_eq!(run.err, "");
    let told: Value = serde_json::from_str(&run.out).unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or("-").to_owned();
    let told = told["anomalies"].as_array().unwrap().iter();
    let found: Vec<String> = told
        .map(|one| ["kind", "time", "client", "key_id"].map(|name| text(one, name)).join(" "))
        .collect();
    assert_eq!(run.status, i32::from(!found.is_empty()), "{}", run.out);
    found
}

#[test]
fn a_new_network_is_named_with_what_was_before() {
    let log = [
        ACME.days(0, 200),
        ACME.from("203.0.113.99").days(50, 60),
        ACME.from("198.51.100.4").hour(200, 3, 100),
        ACME.from("198.51.100.5").refused(201, 2, Reason::ModelDenied),
        ACME.from("2001:db8:1:2::7").hour(201, 1, 100),
        ACME.days(202, 210),
    ]
    .concat();
    assert_eq!(found(&log, &[]), ["first_network 2026-11-09T08:00:00Z acme k_1"]);
    let run = anomalies(&log, &[]);
    assert_eq!(
        run.out,
        "2026-11-09T08:00:00Z  key k_1 of acme: first use from 198.51.100.0/24, 2001:db8:1::/48\n    \
         6 requests from there since, 2 of them refused; since 2026-11-01T00:00:00Z it came only from \
         203.0.113.0/24 (2,180 requests)\n\
         1 of 1 keys were used long enough to tell, in 2,186 requests\n"
    );
    let json: Value = serde_json::from_str(&anomalies(&log, &["--json"]).out).unwrap();
    let network = &json["anomalies"][0]["networks"][0];
    assert_eq!(network["network"], "198.51.100.0/24");
    assert_eq!((&network["requests"], &network["refused"]), (&5.into(), &2.into()));
    assert!(json["anomalies"][0]["evidence"].as_str().unwrap().contains("it came only from"));

    // What is earlier is history.
    assert!(found(&log, &["--since", "2026-11-09T09:00:01Z"]).is_empty());
    assert_eq!(found(&log, &["--since", "2026-11-09T08:00:00Z"]).len(), 1);
    assert_eq!(found(&log, &["--client", "acme"]).len(), 1);
    assert!(found(&log, &["--client", "globex"]).is_empty());
}

#[test]
fn whoever_is_new_or_on_the_move_is_left_alone() {
    // The first days tell nothing.
    let short =
        [ACME.days(0, 95), ACME.from("198.51.100.4").hour(95, 3, 100), ACME.hour(95, 5000, 10)];
    assert!(found(&short.concat(), &[]).is_empty());
    let few_hours: Vec<u8> = (0..20).flat_map(|day| ACME.hour(day * 24, 5, 100)).collect();
    let few_hours = [few_hours, ACME.from("198.51.100.4").hour(500, 3000, 1000)].concat();
    assert!(found(&few_hours, &[]).is_empty());
    // From somewhere else every other day.
    let places: [&'static str; 10] = [
        "192.0.2.1",
        "198.18.0.1",
        "198.18.1.1",
        "198.18.2.1",
        "198.18.3.1",
        "198.18.4.1",
        "198.18.5.1",
        "198.18.6.1",
        "198.18.7.1",
        "198.18.8.1",
    ];
    let moving: Vec<u8> = places
        .iter()
        .zip((0..).step_by(48))
        .flat_map(|(address, hour)| ACME.from(address).days(hour, hour + 48))
        .collect();
    let reported = found(&moving, &["--since", "2026-11-08"]);
    assert!(reported.is_empty(), "{reported:?}");
}

#[test]
fn an_hour_beyond_the_usual_is_named_with_what_is_usual() {
    let requests = [ACME.days(0, 100), ACME.hour(100, 400, 1)].concat();
    assert_eq!(found(&requests, &[]), ["requests 2026-11-05T04:00:00Z acme k_1"]);
    let run = anomalies(&requests, &[]);
    assert_eq!(
        run.out,
        "2026-11-05T04:00:00Z  key k_1 of acme: 400 requests in this hour\n    \
         in 100 hours of use before there were 10 in the middle one and 10 to 10 in half of them; more \
         than 32 is unusual\n\
         1 of 1 keys were used long enough to tell, in 1,400 requests\n"
    );
    let tokens = [ACME.days(0, 100), ACME.hour(100, 10, 10_000)].concat();
    assert_eq!(found(&tokens, &[]), ["tokens 2026-11-05T04:00:00Z acme k_1"]);
    // Few are not worth a word, whatever was before.
    let little = [ACME.days(0, 100), ACME.hour(100, 29, 500)].concat();
    assert!(found(&little, &[]).is_empty());
    // An hour that is partly after the time that was asked for.
    assert_eq!(found(&requests, &["--since", "2026-11-05T04:59:59Z"]).len(), 1);
    assert!(found(&requests, &["--since", "2026-11-05T05:00:00Z"]).is_empty());
}

#[test]
fn a_job_of_each_week_is_usual_and_one_attack_hides_no_other() {
    let weeks: Vec<u8> = (0..6 * 7 * 24)
        .flat_map(|hour| match hour % (7 * 24) {
            100 => ACME.hour(hour, 500, 10),
            _ => ACME.hour(hour, 2, 10),
        })
        .collect();
    // Until it is known.
    assert_eq!(found(&weeks, &[]).len(), 3);
    assert!(found(&weeks, &["--since", "2026-11-22"]).is_empty());
    let twice =
        [ACME.days(0, 100), ACME.hour(100, 900, 1), ACME.days(101, 150), ACME.hour(150, 900, 1)];
    assert_eq!(found(&twice.concat(), &[]).len(), 2);
}

#[test]
fn a_surge_of_refusals_names_the_reasons() {
    let log = [
        ACME.days(0, 100),
        ACME.refused(50, 1, Reason::RequestsExceeded),
        ACME.hour(100, 10, 100),
        ACME.refused(100, 25, Reason::AddressDenied),
        ACME.refused(100, 4, Reason::RevokedCredential),
    ]
    .concat();
    let told = found(&log, &[]);
    assert_eq!(
        told,
        ["requests 2026-11-05T04:00:00Z acme k_1", "refusals 2026-11-05T04:00:00Z acme k_1"]
    );
    let run = anomalies(&log, &[]);
    assert!(
        run.out.contains(
            "29 of 39 requests were refused: address_denied 25, revoked_credential 4; in 100 hours"
        ),
        "{}",
        run.out
    );
    // Who is always refused is no news.
    let always: Vec<u8> =
        (0..100).flat_map(|hour| ACME.refused(hour, 25, Reason::TokensExceeded)).collect();
    assert!(found(&always, &[]).is_empty());
}

#[test]
fn strangers_are_named_by_their_network() {
    let log = [ACME.days(0, 100), unknown("198.51.100.4", 80, 300), unknown("192.0.2.1", 80, 99)]
        .concat();
    assert_eq!(found(&log, &[]), ["refusals 2026-11-04T08:00:00Z - -"]);
    let run = anomalies(&log, &[]);
    assert!(
        run.out.contains("unknown clients from 198.51.100.0/24: 300 refusals in this hour"),
        "{}",
        run.out
    );
    assert!(
        run.out.contains("invalid_credential 300; more than 100 is unusual where no"),
        "{}",
        run.out
    );
    // From very many networks, each of them below what is told.
    let many: Vec<u8> = (0..120).flat_map(|hour| unknown("192.0.2.1", hour, 2)).collect();
    let addresses: Vec<&'static str> =
        (0..50).map(|n| &*Box::leak(format!("198.18.{n}.1").into_boxed_str())).collect();
    let botnet: Vec<u8> = addresses.iter().flat_map(|address| unknown(address, 120, 20)).collect();
    let run = anomalies(&[many, botnet].concat(), &[]);
    assert_eq!(run.status, 1);
    assert!(run.out.contains("unknown clients from all networks: 1,000 refusals"), "{}", run.out);
    assert_eq!(run.out.lines().count(), 3, "{}", run.out);
}

#[test]
fn tokens_of_one_issuer_are_not_one_key() {
    let with_token =
        |client: &'static str, hours: std::ops::Range<i64>, address: &'static str| -> Vec<u8> {
            let who = Who { client, key: "kid-1", address };
            let each = hours.flat_map(|hour| {
                (0..10).flat_map(move |number| {
                    let mut record = who.record(START + hour * HOUR + number);
                    record.auth = Some(AuthMethod::Jwt);
                    line(&record)
                })
            });
            each.collect()
        };
    // Another client of the same issuer comes from elsewhere; that is its first network.
    let log =
        [with_token("a", 0..100, "192.0.2.1"), with_token("b", 50..100, "198.51.100.1")].concat();
    assert!(found(&log, &[]).is_empty());
    // A new kid changes nothing of who the client is.
    let log =
        [with_token("a", 0..100, "192.0.2.1"), with_token("a", 100..101, "198.51.100.1")].concat();
    assert_eq!(found(&log, &[]), ["first_network 2026-11-05T04:00:00Z a -"]);
}

/// Hours that vary as people's do: more at day than at night, few at weekends, and by chance by a factor of
/// three and more (log-normal). None of it is an anomaly.
#[test]
fn ordinary_use_raises_no_alarm() {
    let numbers = &mut Numbers(11);
    let mut log = Vec::new();
    for number in 0..12 {
        let client: &'static str = Box::leak(format!("client-{number}").into_boxed_str());
        let who = Who { client, ..ACME };
        for hour in 0..24 * 28 {
            let is_day = (8..18).contains(&(hour % 24)) && (hour / 24) % 7 < 5;
            // The sum of twelve is close enough to a bell.
            let chance: u64 = (0..12).map(|_| numbers.below(1000)).sum();
            let bell = f64::from(i32::try_from(chance).unwrap() - 6000) / 1000.0;
            let requests: f64 = if is_day { 12.0 } else { 2.0 };
            #[allow(clippy::cast_possible_truncation, reason = "a few hundred")]
            let requests = (requests * bell.exp()) as i64;
            log.extend(who.hour(hour, requests, 200 + numbers.below(4000)));
        }
    }
    let reported = found(&log, &[]);
    assert!(reported.is_empty(), "{reported:?}");
}

#[test]
fn the_order_of_lines_and_files_does_not_matter() {
    let folder = Folder::new();
    let (old, new) =
        (ACME.days(0, 100), [ACME.hour(100, 400, 1), ACME.from("192.0.2.9").hour(101, 1, 1)]);
    let in_order = [&old[..], &new.concat()].concat();
    let mut lines: Vec<&[u8]> = in_order.split_inclusive(|byte| *byte == b'\n').collect();
    lines.reverse();
    let reversed = folder.file("reversed", &lines.concat());
    let (log, rotated) = (folder.file("audit.log", &new.concat()), gzip(&old));
    folder.file("audit.log.1.gz", &rotated);
    let run = |arguments: &[&str]| tollgate([&["audit", "anomalies"], arguments].concat()).out;
    let expected = anomalies(&in_order, &[]).out;
    assert_eq!(expected.lines().count(), 5, "{expected}");
    assert_eq!(run(&[&reversed]), expected);
    assert_eq!(run(&["--rotated", &log]), expected);
    assert_eq!(
        run(&[&log]),
        "nothing unusual; 0 of 1 keys were used long enough to tell, in 401 requests\n"
    );
}

#[test]
fn names_do_nothing_to_a_terminal_and_bad_lines_are_told() {
    let odd = Who { client: "\u{1b}[2J\u{202e}<b>\"\n", key: "\u{9b}31m", ..ACME };
    let log =
        [odd.days(0, 100), odd.hour(100, 400, 1), b"{\"seal\":{}}\nnot json\n".to_vec()].concat();
    for options in [&[][..], &["--json"]] {
        let run = anomalies(&log, options);
        assert_eq!(run.status, 1);
        assert!(
            !run.out.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{:?}",
            run.out
        );
        assert!(run.out.contains("<b>"), "{}", run.out);
        let told = ["1 line is no record", "\"broken_lines\": 1"];
        assert!(told.iter().any(|told| run.out.contains(told)), "{}", run.out);
    }
    let many: Vec<u8> = (0..5)
        .flat_map(|number| {
            let client: &'static str = Box::leak(format!("c{number}").into_boxed_str());
            let who = Who { client, ..ACME };
            [who.days(0, 100), who.hour(100, 400, 1)].concat()
        })
        .collect();
    let run = anomalies(&many, &["--top", "2"]);
    assert_eq!((run.status, run.out.lines().count()), (1, 6));
    assert!(run.out.ends_with("3 more are not shown\n"), "{}", run.out);
    let json: Value =
        serde_json::from_str(&anomalies(&many, &["--top", "2", "--json"]).out).unwrap();
    assert_eq!((json["found"].as_u64(), json["anomalies"].as_array().unwrap().len()), (Some(5), 2));
}

#[test]
fn what_is_older_than_four_weeks_is_forgotten() {
    let busy: Vec<u8> = (0..100).flat_map(|hour| ACME.hour(hour, 300, 10)).collect();
    let log =
        |day: i64| [busy.clone(), ACME.days(100, day * 24), ACME.hour(day * 24, 300, 10)].concat();
    // Four days of much use, and little since.
    assert!(found(&log(20), &[]).is_empty());
    assert_eq!(found(&log(35), &[]), ["requests 2026-12-06T00:00:00Z acme k_1"]);
    // So is a network.
    let from_there = [ACME.from("198.51.100.4").hour(0, 1, 10), ACME.days(0, 60 * 24)].concat();
    let again = [from_there.clone(), ACME.from("198.51.100.4").hour(60 * 24, 1, 10)].concat();
    assert_eq!(
        found(&again, &["--since", "2026-12-31"]),
        ["first_network 2026-12-31T00:00:00Z acme k_1"]
    );
    assert!(found(&again, &["--since", "2026-11-15"]).is_empty());
    // Who moved once or twice in that time is not on the move.
    let moved = [
        ACME.days(0, 480),
        ACME.from("192.0.2.1").hour(240, 1, 10),
        ACME.from("192.0.3.1").hour(300, 1, 10),
        ACME.from("198.51.100.4").hour(480, 1, 10),
    ];
    assert_eq!(found(&moved.concat(), &["--since", "2026-11-21"]).len(), 1);
}

/// Whoever has a key can use it from very many networks of IPv6. That costs no more memory, and is told.
#[test]
fn what_is_not_looked_at_is_told() {
    let addresses = (0..4100).map(|number| format!("2001:db8:{number:x}::1"));
    let mut log = ACME.days(0, 100);
    for (number, address) in (0..).zip(addresses) {
        let mut record = ACME.record(START + 100 * HOUR + number);
        record.remote_addr = Some(address.as_bytes());
        log.extend(line(&record));
    }
    let run = anomalies(&log, &[]);
    assert_eq!(run.status, 1);
    assert!(run.out.contains(" and 4,090 more networks\n"), "{}", run.out);
    assert!(
        run.out.contains("too many keys, networks or hours for 5 of the requests"),
        "{}",
        run.out
    );
    let json: Value = serde_json::from_str(&anomalies(&log, &["--json"]).out).unwrap();
    assert_eq!(json["overlooked_requests"], 5);
    assert_eq!((&json["keys"], &json["judged_keys"]), (&1.into(), &1.into()));
}

#[test]
fn the_exit_status_tells() {
    assert_eq!(anomalies(&ACME.days(0, 100), &[]).status, 0);
    assert_eq!(anomalies(b"", &[]).status, 0);
    assert_eq!(anomalies(b"", &["--quiet"]).out, "");
    assert!(anomalies(b"x\n", &["--quiet"]).out.contains("1 line is no record"));
    let run = anomalies(&[ACME.days(0, 100), ACME.hour(100, 400, 1)].concat(), &["--quiet"]);
    assert!(run.status == 1 && run.out.contains("400 requests"));
    assert_eq!(tollgate(["audit", "anomalies"]).status, 2);
    assert_eq!(anomalies(b"", &["--since", "soon"]).status, 2);
    let folder = Folder::new();
    let file = folder.file("audit.log", &[ACME.days(0, 100), ACME.hour(100, 400, 1)].concat());
    let run = tollgate(["audit", "anomalies", &file, "/nonexistent"]);
    assert_eq!(run.status, 3);
    assert!(run.out.contains("400 requests") && run.err.contains("/nonexistent"));
}
