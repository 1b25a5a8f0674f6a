//! `exchange.lua` in real servers does what the model does: random schedules, with a clock of their own.
//! Skipped where no server is installed.
//!
//! `TOLLGATE_SCHEDULES=100000` tries more of them, and `TOLLGATE_SEED` begins with another one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::string_slice,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test"
)]

mod cost;
mod random;
mod server;

use random::{Random, Schedule};
use server::{Server, Value};
use tollgate_core::cluster::message::{
    Answer, Call, Incarnation, Line, Message, Outcome, Shards, Terms,
};
use tollgate_core::cluster::store::{Store, SCRIPT};

const CLUSTER: &str = "test";

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}

/// The script with a clock that the test sets.
fn script_with_clock() -> String {
    let clock = "redis.call('TIME')";
    assert_eq!(SCRIPT.matches(clock).count(), 1);
    SCRIPT.replace(clock, "{ARGV[2], ARGV[3]}")
}

/// What a server answers to a call; its KEYS and ARGV are those that the module would send.
fn execute(
    server: &mut Server,
    sha: &[u8],
    call: &Call<'_>,
    life: u64,
    now_us: Option<u64>,
) -> Answer {
    let keys = call.keys(CLUSTER);
    let count = keys.len().to_string().into_bytes();
    let argument = call.argument(life);
    let mut words: Vec<&[u8]> = vec![b"EVALSHA", sha, &count];
    words.extend(keys.iter().map(Vec::as_slice));
    words.push(&argument);
    let clock = now_us
        .map(|now| [now / 1_000_000, now % 1_000_000].map(|part| part.to_string().into_bytes()));
    words.extend(clock.iter().flatten().map(Vec::as_slice));
    match server.ask(&words) {
        Value::Bulk(bytes) => {
            assert!(bytes.len() <= call.max_answer());
            call.read(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:x?}"))
        }
        other => panic!("{other:?}"),
    }
}

/// The first difference between a server and the model, in schedules of these seeds.
fn first_difference(
    server: &mut Server,
    script: &str,
    seeds: std::ops::Range<u64>,
) -> Option<String> {
    let sha = server.load(script);
    for seed in seeds {
        server.ask(&[b"FLUSHALL"]);
        let (mut schedule, mut model) = (Schedule::new(seed), Store::default());
        for step in 0..60 {
            if schedule.loses_all() {
                server.ask(&[b"FLUSHALL"]);
                model = Store::default();
            }
            let (node, message) = schedule.next();
            let life = schedule.life(node);
            for call in Call::all(&message, Shards::ONE) {
                let now_us = schedule.now_us;
                let said = execute(server, &sha, &call, life, Some(now_us));
                let expected = model.exchange(&call, life, now_us);
                let is_kept = has_time_to_live(server, &model, &call);
                if said != expected || !is_kept {
                    return Some(format!(
                        "seed {seed}, step {step}: {said:?}, and not {expected:?}: {message:#?}"
                    ));
                }
                schedule.lives[node] = expected.life;
            }
        }
    }
    None
}

/// Whether the last key of the call lives as long as the model says; real time passes, though.
fn has_time_to_live(server: &mut Server, model: &Store, call: &Call<'_>) -> bool {
    let (Some(key), Some(line)) = (call.keys(CLUSTER).pop(), call.lines().last()) else {
        return true;
    };
    let Some(keep_us) = model.keep_us(line.id) else { return true };
    let Value::Number(left_ms) = server.ask(&[b"PTTL", &key]) else { return false };
    let keep_ms = i64::try_from(keep_us / 1_000 + 1).unwrap();
    left_ms <= keep_ms && left_ms > keep_ms - 60_000
}

#[test]
fn a_real_store_answers_as_the_model() {
    let schedules = number_of("TOLLGATE_SCHEDULES", 100);
    let first = number_of("TOLLGATE_SEED", 1);
    for (program, mut server) in Server::all() {
        let difference =
            first_difference(&mut server, &script_with_clock(), first..first + schedules);
        assert_eq!(difference, None, "{program}");
    }
}

/// What `divide` of a script says that differs from what it should; `None`: nothing.
fn wrong_division(server: &mut Server, script: &str) -> Option<String> {
    let from = script.find("local function divide").unwrap();
    let length = script[from..].find("\nend\n").unwrap() + "\nend\n".len();
    let divide = &script[from..from + length];
    let harness = format!(
        "local floor = math.floor\n{divide}
        local q, rest = divide(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
        return string.format('%.0f %.0f', q, rest)"
    );
    let sha = server.load(&harness);
    let mut random = Random(1);
    for _ in 0..2_000 {
        let [x, d, more] = [(); 3].map(|()| random.any_size((1 << 37) - 1));
        let (m, d) = (random.any_size((1 << 32) - 1), d.max(1));
        let more = more % d;
        // A quotient beyond 2^53 isn't asked for.
        let product = u128::from(x) * u128::from(m) + u128::from(more);
        if product / u128::from(d) >= 1 << 53 {
            continue;
        }
        let words = [x, m, d, more].map(|n| n.to_string().into_bytes());
        let [x, m, d, more] = words.each_ref().map(Vec::as_slice);
        let said = server.ask(&[b"EVALSHA", &sha, b"0", x, m, d, more]);
        let d: u128 = std::str::from_utf8(d).unwrap().parse().unwrap();
        let expected = format!("{} {}", product / d, product % d);
        if said != Value::Bulk(expected.clone().into_bytes()) {
            return Some(format!("{words:?}: {said:?}, and not {expected}"));
        }
    }
    None
}

#[test]
fn the_script_divides_without_an_error() {
    for (program, mut server) in Server::all() {
        assert_eq!(wrong_division(&mut server, SCRIPT), None, "{program}");
        for (right, wrong) in [
            ("if product < 9007199254740992 then", "if product < 2e16 then"),
            ("return q + 1, rest - d", "return q, rest"),
            ("if rest >= d then", "if rest > d then"),
            ("+ carried +", "+"),
        ] {
            let planted = SCRIPT.replace(right, wrong);
            assert!(planted != SCRIPT, "the script has no {right:?} any more");
            assert!(wrong_division(&mut server, &planted).is_some(), "nobody notices {wrong:?}");
        }
    }
}

/// Mistakes that the comparison has to notice: what stands in the script, and what in its place.
const MISTAKES: &[(&str, &str)] = &[
    // A repeated message counts again, and a grant is sold twice.
    ("own and s[own + 1] >= seq", "own and s[own + 1] > seq + 1000"),
    ("if now > latest then", "if now > latest + 1 then"),
    // A lease isn't taken off what can be sold.
    ("capacity - used - others - held)", "capacity - used - others)"),
    ("capacity - used - others - held)", "capacity - used - held)"),
    ("held + grant, want - grant, now", "max(s[own + 5] or 0, held) + grant, want - grant, now"),
    ("held + grant, want - grant, now", "held, want - grant, now"),
    // What a dead node held is lost, or given back.
    ("if kind ~= SLOTS then used = min(used + leased_by_dead, MAX) end", ""),
    (
        "if kind ~= SLOTS then used = min(used + leased_by_dead",
        "do used = min(used + leased_by_dead",
    ),
    ("if kind == BUDGET then patience = FORGET end", ""),
    ("now - s[account + 7] > patience then", "now - s[account + 7] > patience + 1000000 then"),
    // An entry that counts anew, and doubt.
    ("if own and s[own + 2] == born then", "if own then"),
    ("elseif in_doubt then", "elseif false then"),
    // The clock.
    ("if passed > 0 and used > 0 then", "if used > 0 then"),
    (
        "more, part = divide(passed - periods * c, b, c, part)",
        "more, part = divide(passed - periods * c, b, c, 0)",
    ),
    ("if s[LENGTH] ~= c then part = 0 end", ""),
    // Periods, loss, reset.
    ("now < c or now >= d or", "now > d or"),
    ("(s and s[NUMBER] > number)", "false"),
    ("if grace == 0 then grant", "do grant"),
    ("latest - age < s[SINCE]", "true"),
    ("s[SINCE] > 0 and kind", "kind"),
    (
        "heard_life ~= 0 and heard_life ~= life[2] and life[3] == 0",
        "heard_life ~= 0 and heard_life ~= life[2]",
    ),
    ("      s[SINCE] = 0\n", ""),
    // What is said.
    (
        "now - s[account + 7] < WISH then is_short = 1",
        "now - s[account + 7] < 2 * WISH then is_short = 1",
    ),
    ("q + math.ceil((rest - part) / count)", "q + math.floor((rest - part) / count)"),
    ("keep = KEEP + wait_for(taken, part, b, c)", "keep = KEEP"),
    ("keep = KEEP_BUDGET + d - now", "keep = d - now"),
];

#[test]
fn planted_mistakes_are_noticed() {
    let Some((_, mut server)) = Server::all().into_iter().next() else { return };
    let script = script_with_clock();
    for (right, wrong) in MISTAKES {
        let planted = script.replace(right, wrong);
        assert!(planted != script, "the script has no {right:?} any more");
        let difference = first_difference(&mut server, &planted, 1..500);
        assert!(difference.is_some(), "nobody notices {wrong:?} in place of {right:?}");
    }
}

fn line_of(id: u8, want: u64) -> Line {
    let terms = Terms::Bucket { capacity: 100, count: 100, period_us: 60_000_000 };
    Line { want, ..random::first_line(id.into(), terms) }
}

fn message(seq: u64, latest_us: u64, lines: Vec<Line>) -> Message {
    Message { incarnation: Incarnation::from_random(u64::MAX), seq, latest_us, lines }
}

#[test]
fn the_store_goes_by_its_own_clock() {
    for (_, mut server) in Server::all() {
        let sha = server.load(SCRIPT);
        let began = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
        let now_us = u64::try_from(began).unwrap();
        let late = message(1, now_us - 1, vec![line_of(1, 1)]);
        let late = Call::all(&late, Shards::ONE);
        let answer = execute(&mut server, &sha, &late[0], 0, None);
        assert_eq!(answer.outcome, Outcome::Stale);
        assert!(answer.now_us >= now_us && answer.now_us < now_us + 600_000_000);
        let in_time = message(1, now_us + 600_000_000, vec![line_of(1, 7)]);
        let in_time = Call::all(&in_time, Shards::ONE);
        let answer = execute(&mut server, &sha, &in_time[0], 0, None);
        let Outcome::Done(sold) = answer.outcome else { panic!("{answer:?}") };
        assert_eq!(sold[0].grant, 7);
    }
}

#[test]
fn what_others_wrote_under_a_key_is_not_read() {
    let latest = random::START + 1_000_000;
    let strangers: [&[&[u8]]; 4] = [
        &[b"SET", b"", b"garbage"],
        &[b"SET", b"", b"\x91\x01"],
        &[b"SET", b"", b"\xdd\xff\xff\xff\xff"],
        &[b"HSET", b"", b"a", b"b"],
    ];
    for (program, mut server) in Server::all() {
        let sha = server.load(&script_with_clock());
        for (seq, stranger) in (1..).zip(strangers) {
            let message = message(seq, latest, vec![line_of(1, 10), line_of(2, 10)]);
            let call = &Call::all(&message, Shards::ONE)[0];
            server.ask(&[b"FLUSHALL"]);
            for key in call.keys(CLUSTER) {
                let mut words = stranger.to_vec();
                words[1] = &key;
                server.ask(&words);
            }
            let answer = execute(&mut server, &sha, call, 0, Some(random::START));
            let Outcome::Done(sold) = answer.outcome else { panic!("{answer:?}") };
            assert!(sold.iter().all(|sold| sold.grant == 10), "{program}: {sold:?}");
        }
    }
}

#[test]
fn another_form_of_message_is_an_error() {
    for (_, mut server) in Server::all() {
        let sha = server.load(SCRIPT);
        let answer = server.ask(&[b"EVALSHA", &sha, b"1", b"k", b"\x91\x02"]);
        assert!(matches!(&answer, Value::Line(line) if line.contains("TOLLGATE")), "{answer:?}");
    }
}
