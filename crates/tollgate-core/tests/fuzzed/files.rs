//! What holds for files, tokens and answers that anybody may have made. See [`super`].

use std::sync::atomic::AtomicU64;
use std::sync::LazyLock;

use serde_json::Value;
use sha2::{Digest, Sha256};

use tollgate_core::audit::seal::{Verifier, VerifyingKey};
use tollgate_core::audit::{Record, Remaining, TimeFormat};
use tollgate_core::cert::CertName;
use tollgate_core::clock::{MonoNanos, UnixMillis, UnixSeconds};
use tollgate_core::cluster::revocations::{self, Revocations};
use tollgate_core::introspection::{verdict, Verdict};
use tollgate_core::jwt::{self, Binding, Policy};
use tollgate_core::keys;
use tollgate_core::limits::ask::Now;
use tollgate_core::limits::{Budget, Quota, Saving, Snapshot};
use tollgate_core::llm::usage::{Source, Usage};
use tollgate_core::objects;

const NOW: UnixSeconds = UnixSeconds(1_900_000_000);

/// Two halves of what came, as its first two bytes say.
fn halves(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = data.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// Keys files: nothing is wrong with one exactly if it can be used as a whole, and whatever could be used of another
/// is a block that is read again.
pub(crate) fn keys(data: &[u8]) {
    let faults = keys::faults(data);
    let strict = keys::KeySet::parse(data);
    assert_eq!(faults.is_empty(), strict.is_ok());
    if let Ok(set) = &strict {
        ask(set);
    }
    let Ok(built) = keys::KeySet::build(data, &|tier| tier == "pro", NOW) else {
        assert!(strict.is_err());
        return;
    };
    assert!(built.refused.len() <= built.refused_count);
    let len = built.set_len();
    let set = keys::KeySet::from_block(built.block).unwrap();
    assert_eq!(set.len(), len);
    // A tier may have been named by keys only that turned out to be there twice.
    assert!(set.tiers().count() <= len + built.refused_count);
    assert!(set.without_tier() <= len && set.with_tenant() <= len);
    if let Ok(strict) = strict {
        assert!(set.len() <= strict.len());
    }
    ask(&set);
}

/// Blocks of keys, of memory that is shared: whatever is in them, they are read within.
pub(crate) fn key_block(data: &[u8]) {
    if let Some(set) = keys::KeySet::from_block(data.to_vec()) {
        ask(&set);
    }
}

fn ask(set: &keys::KeySet) {
    for key in [&b"sk-test-key-1"[..], b"", b"\xff", &[b'x'; keys::MAX_KEY_LEN + 1]] {
        let _ = set.lookup(key, NOW, Some([192, 0, 2, 1].into()));
    }
    let _ = set.find_cert(&CertName::parse("spiffe://example.org/a").unwrap());
    let numbers = (set.tiers().count(), set.without_tier(), set.with_tenant());
    let _ = (numbers, set.is_empty(), set.has_models(), set.has_certs());
}

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Signed with it.
pub(crate) const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhY21lIiwiZXhwIjo0MDAwMDAwMDAwLCJzY29wZSI6ImNoYXQgbW9kZWxzIn0.ocECapWxYVEwvywoQZdR1PatpXQgeFdigtGS_3nyrBw";

static HMAC: LazyLock<jwt::KeySet> =
    LazyLock::new(|| jwt::KeySet::load(&[("secret", SECRET)]).unwrap());

/// Tokens and JWK Sets: one that was not signed is not good, and a set gives keys or says why it has none.
pub(crate) fn token(data: &[u8]) {
    let Some((set, token)) = halves(data) else { return };
    let policy = Policy::default();
    if jwt::verify(token, &HMAC, &policy, NOW).is_ok() {
        assert_eq!(token, TOKEN.as_bytes());
    }
    assert!(jwt::looks_like_jws(token) <= jwt::may_be_jws(token));
    if let Ok(keys) = jwt::KeySet::from_jwks(set, &Binding::default()) {
        assert!(!keys.is_empty() && keys.len() <= jwt::MAX_FETCHED_KEYS);
        let _ = jwt::verify(token, &keys, &policy, NOW);
        // A set that anybody can read has no secret in it.
        assert!(!keys.has_hmac());
    }
}

/// Answers of an introspection: a token is good only if the answer says that it is active.
pub(crate) fn introspection(data: &[u8]) {
    let told = verdict(data, &Policy::default(), NOW);
    // Not every reader of JSON takes half of a surrogate pair, as ours does: for it, another letter stands there.
    let whole = || String::from_utf8_lossy(data).replace("\\ud", "\\u0").replace("\\uD", "\\u0");
    let read =
        serde_json::from_slice::<Value>(data).or_else(|_| serde_json::from_str(&whole())).ok();
    let active = read.as_ref().and_then(|answer| answer.get("active")).and_then(Value::as_bool);
    match told {
        Some(Verdict::Good(token)) => {
            assert_eq!(active, Some(true));
            assert!(!token.principal().client().is_empty());
        }
        Some(Verdict::Bad(_)) => assert!(active.is_some()),
        None => {}
    }
}

/// Rates and amounts: what is read is written so that the same is read.
pub(crate) fn quota(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (rate, burst) = match text.split_once(" burst=") {
        Some((rate, burst)) => (rate, Some(burst)),
        None => (text, None),
    };
    for quota in [Quota::parse(rate, burst), Quota::parse_tokens(rate, burst)].into_iter().flatten()
    {
        let shown = quota.to_string();
        let (rate, burst) = match shown.split_once(" burst=") {
            Some((rate, burst)) => (rate, Some(burst)),
            None => (shown.as_str(), None),
        };
        assert_eq!(Quota::parse(rate, burst), Ok(quota), "{shown}");
        assert_eq!(Quota::new(quota.count(), quota.period(), quota.burst()), Ok(quota));
    }
    if let Ok(budget) = Budget::parse(text) {
        assert_eq!(Budget::parse(&budget.to_string()), Ok(budget), "{budget}");
        assert_eq!(Budget::new(budget.amount(), budget.calendar()), Ok(budget));
    }
}

/// Lines of the audit log: one JSON object in one line, with no character that could be taken for another line, or turn
/// the others around; each name once.
pub(crate) fn audit(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0);
    let mut part = || parts.next();
    let mut record = Record::new(UnixMillis(1_900_000_000_123));
    record.request_id = part();
    record.client = part();
    record.path = part();
    record.model = part();
    record.method = part();
    record.key_id = part();
    record.upstream = part();
    record.traceparent = part();
    record.limit = part();
    record.tenant = part();
    record.alias = part();
    record.tried = part();
    let number = data.iter().fold(0_u64, |sum, byte| sum.rotate_left(7) ^ u64::from(*byte));
    record.cost_nanos = Some(number);
    record.remaining = Some(Remaining::Nanos(!number));
    record.usage = Some((Source::Measured, Usage { input: number, output: 1, ..Usage::default() }));
    let mut line = Vec::new();
    record.write_line(&mut TimeFormat::default(), &mut line);
    let text = std::str::from_utf8(&line).unwrap();
    let (last, chars) = text.as_bytes().split_last().unwrap();
    assert_eq!(*last, b'\n');
    assert!(!chars.iter().any(u8::is_ascii_control));
    let turns = ['\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{85}'];
    assert!(!text.contains(turns), "{text}");
    let members: Value = serde_json::from_str(text).unwrap();
    let names = members.as_object().unwrap().len();
    assert!(text.matches("\":").count() >= names);
    if let (Some(client), Some(told)) = (record.client, members.get("client")) {
        let said = String::from_utf8_lossy(client);
        assert!(said.starts_with(told.as_str().unwrap().trim_end_matches('\u{2026}')));
    }
}

/// The same bytes, and with a checksum behind them that is right.
fn checked(data: &[u8]) -> [Vec<u8>; 2] {
    [data.to_vec(), [data, Sha256::digest(data).as_slice()].concat()]
}

fn words(len: usize) -> Vec<AtomicU64> {
    (0..len).map(|_| AtomicU64::new(0)).collect()
}

/// Files of the state: whatever is restored is a zone that is saved and read again.
pub(crate) fn state(data: &[u8]) {
    let now = Now { mono: MonoNanos(1_000_000_000_000), wall: NOW };
    for file in checked(data) {
        if let Ok(snapshot) = Snapshot::read(&file) {
            let words = words(16 * 1024);
            let (zone, restored) = snapshot.format(&words, now, [1; 16]).unwrap();
            let mut out = Vec::new();
            Saving::new(zone, now, [1; 16], &mut out).finish(now, &mut out);
            let again = words_of(&out, now);
            assert_eq!((again, 0), (restored.kept, restored.left_out));
        }
        if let Ok(snapshot) = objects::snapshot::Snapshot::read(&file) {
            let words = words(16 * 1024);
            let (objects, _) = snapshot.format(&words).unwrap();
            let mut out = Vec::new();
            objects::snapshot::Saving::new(objects, &mut out).finish(&mut out);
            assert!(objects::snapshot::Snapshot::read(&out).is_ok());
        }
        let words = words(revocations::MEMORY_WORDS);
        let list = Revocations::format(&words).unwrap();
        if revocations::file::read(&file, &list).is_ok() {
            let again = revocations::file::write(&list);
            let words = self::words(revocations::MEMORY_WORDS);
            let second = Revocations::format(&words).unwrap();
            assert_eq!(revocations::file::read(&again, &second), Ok(()));
            assert_eq!((list.number(), list.in_force()), (second.number(), second.in_force()));
        } else {
            assert_eq!((list.number(), list.in_force()), (0, 0));
        }
    }
}

/// How many slots of a file of the state are in force.
fn words_of(file: &[u8], now: Now) -> usize {
    let words = words(16 * 1024);
    let (_, restored) = Snapshot::read(file).unwrap().format(&words, now, [1; 16]).unwrap();
    restored.kept
}

/// A log that nginx wrote, and the key that verifies it.
const SEALED: &[u8] = include_bytes!("../../../../fuzz/seeds/sealed_log/whole");
const VERIFY_KEY: &[u8] = include_bytes!("sealed-log-verify.key");

/// Sealed logs: nothing but a part of what was written, in one piece, is found to be whole.
pub(crate) fn sealed_log(data: &[u8]) {
    let mut verifier = Verifier::new(VerifyingKey::parse(VERIFY_KEY).unwrap());
    verifier.begin_file();
    let mut lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let unended = lines.pop().is_some_and(|rest| !rest.is_empty());
    for (number, line) in (1..).zip(&lines) {
        verifier.line(number, Some(line));
    }
    let report = verifier.finish();
    // Lines behind the last seal are told of, as nobody knows who wrote them, and so is a half one at the end.
    let is_told = report.notes.iter().any(|note| note.is_loss);
    if report.findings.is_empty() && !is_told && report.seals > 0 && !unended {
        assert!(SEALED.windows(data.len()).any(|part| part == data), "{report:?}");
    }
}
