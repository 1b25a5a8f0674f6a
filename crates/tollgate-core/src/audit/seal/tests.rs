use std::collections::BTreeMap;

use super::dice::Dice;
use super::simulation::Machine;
use super::Kind;

fn log(seed: u64, is_crashing: bool) -> Machine {
    let mut machine = Machine::new(seed);
    machine.is_crashing = is_crashing;
    (0..60 + seed % 140).for_each(|_| machine.step());
    machine
}

fn clean(seed: u64, is_crashing: bool) {
    let machine = log(seed, is_crashing);
    let report = machine.verify(&machine.files, &[]);
    assert_eq!(report.findings, [], "seed {seed}: {:#?}", report.notes);
    assert!(report.seals > 0, "{report:?}");
}

/// With rotations, reloads, kills of some and of all, starts, and full disks.
#[test]
fn logs_that_nobody_touched_are_not_suspected() {
    (0..1000).for_each(|seed| clean(seed, false));
}

#[test]
fn nor_are_those_of_machines_that_crashed() {
    (0..300).for_each(|seed| clean(seed, true));
}

/// Something is done to the files: what it was, if anything has changed.
fn manipulate(dice: &mut Dice, files: &mut [Vec<u8>]) -> Option<String> {
    let below = |dice: &mut Dice, len: usize| usize::try_from(dice.roll(len as u64)).unwrap();
    let filled: Vec<usize> = (0..files.len()).filter(|at| !files[*at].is_empty()).collect();
    let file = filled[below(dice, filled.len())];
    let before = files.to_vec();
    let mut lines: Vec<Vec<u8>> =
        files[file].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = below(dice, lines.len());
    let what = dice.roll(8);
    match what {
        0 => {
            let byte = below(dice, lines[at].len());
            lines[at][byte] ^= 1;
        }
        1 => drop(lines.remove(at)),
        2 => {
            let to = below(dice, lines.len() + 1);
            let copy = lines[at].clone();
            lines.insert(to, copy);
        }
        3 => {
            let other = below(dice, lines.len());
            lines.swap(at, other);
        }
        4 => {
            let line = lines.remove(at);
            let to = below(dice, lines.len() + 1);
            lines.insert(to, line);
        }
        5 => {
            let byte = below(dice, lines[at].len());
            lines[at].remove(byte);
        }
        6 => lines
            .insert(at, b"{\"time\":\"2026-01-01T00:00:00.000Z\",\"seq\":\"0.0.1\"}\n".to_vec()),
        _ => {
            let some = below(dice, 12);
            lines.drain(at..(at + some).min(lines.len()));
        }
    }
    files[file] = lines.concat();
    let text = format!("{what} at line {} of file {file}", at + 1);
    (files != before.as_slice()).then_some(text)
}

/// A log that came to its end, on a disk with room.
fn plain_log(seed: u64) -> Machine {
    let mut machine = Machine::new(seed);
    machine.is_orderly = true;
    (0..40 + seed % 80).for_each(|_| machine.step());
    machine.stop();
    machine
}

/// The lines of each chain, whatever is between them but within a batch.
fn by_chain(files: &[Vec<u8>]) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut chains: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    let mut before = String::new();
    for line in files.iter().flat_map(|file| file.split(|byte| *byte == b'\n')) {
        let text = String::from_utf8_lossy(line);
        let (is_seal, chain) = match text.strip_prefix("{\"seal\":{\"chain\":\"") {
            Some(rest) => (true, rest.split('"').next().unwrap_or_default().to_owned()),
            None => {
                let seq = text.rsplit(",\"seq\":\"").next().unwrap_or_default();
                (false, seq.rsplit_once('.').unwrap_or_default().0.to_owned())
            }
        };
        let lines = chains.entry(chain.clone()).or_default();
        lines.push(line.to_vec());
        if !before.is_empty() && before != chain {
            // A batch of another chain is not at its end.
            chains.entry(before).or_default().push(b"interrupted".to_vec());
        }
        before = if is_seal { String::new() } else { chain };
    }
    chains
}

#[test]
fn what_is_done_to_a_log_is_found() {
    let mut done = 0;
    for seed in 0..150 {
        let machine = plain_log(seed);
        let heads = machine.heads_line();
        assert_eq!(machine.verify(&machine.files, &[]).findings, []);
        let heads = [heads];
        assert_eq!(machine.verify(&machine.files, &heads).findings, []);
        let mut dice = Dice::new(seed + 1);
        for _ in 0..7 {
            let mut files = machine.files.clone();
            let Some(what) = manipulate(&mut dice, &mut files) else { continue };
            // In what order batches of different workers stand is not sealed.
            if by_chain(&files) == by_chain(&machine.files) {
                continue;
            }
            done += 1;
            let report = machine.verify(&files, &heads);
            let is_found = !report.findings.is_empty();
            assert!(is_found, "seed {seed}: {what}: {:#?}", report.notes);
        }
    }
    assert!(done >= 900, "{done}");
}

/// Files may be gone, but the oldest first.
#[test]
fn a_file_that_is_missing_between_others_is_found() {
    let mut done = 0;
    for seed in 0..60 {
        let files: Vec<_> =
            plain_log(seed).files.iter().filter(|file| !file.is_empty()).cloned().collect();
        let machine = plain_log(seed);
        for first in 1..files.len() {
            let kept = &files[first..];
            assert_eq!(machine.verify(kept, &[]).findings, [], "seed {seed}: from file {first} on");
            for missing in 1..kept.len().saturating_sub(1) {
                let mut kept = kept.to_vec();
                kept.remove(missing);
                done += 1;
                let report = machine.verify(&kept, &[]);
                assert!(!report.findings.is_empty(), "seed {seed}: {first}, {missing}");
            }
        }
    }
    assert!(done >= 30, "{done}");
}

/// All workers of the simulation write one after the other.
#[test]
fn batches_of_different_workers_do_not_change_places_unseen() {
    let mut done = 0;
    for seed in 0..60 {
        let machine = plain_log(seed);
        for (at, file) in machine.files.iter().enumerate() {
            let text = String::from_utf8(file.clone()).unwrap();
            let mut batches: Vec<String> = vec![String::new()];
            for line in text.split_inclusive('\n') {
                batches.last_mut().unwrap().push_str(line);
                if line.starts_with("{\"seal\":{\"chain\":") {
                    batches.push(String::new());
                }
            }
            let chain = |batch: &String| {
                let seal = batch.rsplit("{\"seal\":{\"chain\":\"").next().unwrap_or_default();
                seal.split('"').next().unwrap_or_default().to_owned()
            };
            let generation = |chain: &str| chain.split('.').next().unwrap_or_default().to_owned();
            for one in 0..batches.len().saturating_sub(2) {
                let (a, b) = (chain(&batches[one]), chain(&batches[one + 1]));
                let is_last = batches[one].contains(",\"end\":true") || !text.contains(&a);
                let is_swap = a != b && generation(&a) == generation(&b) && !is_last;
                let is_killed = text.matches(&format!("\"chain\":\"{a}\",\"epoch\"")).count() < 2;
                if !is_swap || is_killed || done >= 400 {
                    continue;
                }
                // What comes next of the chain says when this one was written.
                let later: String = batches[one + 2..].concat()
                    + &String::from_utf8(machine.files[at + 1..].concat()).unwrap();
                if !later.contains(&format!("{{\"seal\":{{\"chain\":\"{a}\"")) {
                    continue;
                }
                let mut swapped = batches.clone();
                swapped.swap(one, one + 1);
                let mut files = machine.files.clone();
                files[at] = swapped.concat().into_bytes();
                done += 1;
                let report = machine.verify(&files, &[]);
                assert!(!report.findings.is_empty(), "seed {seed}: batch {one} of file {at}");
            }
        }
    }
    assert!(done >= 100, "{done}");
}

const OPENING: &str = "{\"seal\":{\"open\":\"";

/// The files with the lines of one of them cut in two where nginx was started, and the pieces put together by `join`.
fn at_starts(machine: &Machine, join: impl Fn(&str, &str) -> Option<String>) -> Vec<Vec<Vec<u8>>> {
    let mut changed = Vec::new();
    for (at, file) in machine.files.iter().enumerate() {
        let text = std::str::from_utf8(file).unwrap();
        for (start, _) in text.match_indices(OPENING).filter(|(start, _)| *start > 0) {
            let (before, after) = text.split_at_checked(start).unwrap();
            let chain = after.strip_prefix(OPENING).and_then(|rest| rest.split('"').next());
            if !chain.is_some_and(|chain| chain.ends_with(".0")) {
                continue;
            }
            if let Some(joined) = join(before, after) {
                let mut files = machine.files.clone();
                files[at] = joined.into_bytes();
                changed.push(files);
            }
        }
    }
    changed
}

#[test]
fn what_different_runs_of_nginx_wrote_does_not_change_places_unseen() {
    let (mut turned, mut moved) = (0, 0);
    for seed in 0..150 {
        let machine = plain_log(seed);
        // Without a manifest, of what was begun before, only the start says when it was there.
        let is_known = |before: &str, after: &str| {
            before.contains(OPENING) && before.contains(".0\",\"time\"")
                || after.contains("{\"seal\":{\"manifest\":")
        };
        let turn =
            |before: &str, after: &str| is_known(before, after).then(|| format!("{after}{before}"));
        for files in at_starts(&machine, turn) {
            turned += 1;
            let report = machine.verify(&files, &[]);
            assert!(!report.findings.is_empty(), "seed {seed}, {turned}: {:#?}", report.notes);
        }
        // The last seal before the start stands behind the first ones after it.
        let move_last = |before: &str, after: &str| {
            let begin = before.trim_end().rfind('\n')? + 1;
            let (rest, last) = before.split_at_checked(begin)?;
            let is_seal =
                last.starts_with("{\"seal\":{\"chain\":") && last.contains(",\"count\":0,");
            let is_named = after.contains("{\"seal\":{\"manifest\":");
            (is_seal && is_named).then(|| format!("{rest}{after}{last}"))
        };
        for files in at_starts(&machine, move_last) {
            moved += 1;
            let report = machine.verify(&files, &[]);
            assert!(!report.findings.is_empty(), "seed {seed}: {:#?}", report.notes);
        }
    }
    assert!(turned >= 30 && moved >= 3, "{turned}, {moved}");
}

/// Where lines end that are seals of requests.
fn ends_of_seals(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.match_indices("{\"seal\":{\"chain\":")
        .filter_map(|(at, _)| Some(at + text.get(at..)?.find('\n')? + 1))
}

/// The last seal before a start of nginx, which seals no line, stands behind what was written after it, before the first
/// manifest. `is_moved`: or all is where it was. `parts`: with the start in the same file, or in the one before.
fn behind_start(machine: &Machine, is_moved: bool, parts: usize) -> Vec<Vec<Vec<u8>>> {
    at_starts(machine, |before, after| {
        let (rest, last) = before.split_at_checked(before.trim_end().rfind('\n')? + 1)?;
        let is_seal = last.starts_with("{\"seal\":{\"chain\":") && last.contains(",\"count\":0,");
        let manifest = after.find("{\"seal\":{\"manifest\":").filter(|_| is_seal)?;
        // One of that start, which may have ended before it could write any.
        let start = after.strip_prefix(OPENING)?.split('.').next()?;
        let named = after.get(manifest..)?.split("\"generation\":").nth(1)?;
        named.strip_prefix(start)?.strip_prefix(',')?;
        let mut ends = ends_of_seals(after).filter(|end| *end < manifest);
        let (first, end) = (ends.next()?, ends.next()?);
        let (start, behind) = after.split_at_checked(first)?;
        let (next, later) = behind.split_at_checked(end - first)?;
        let cut = if parts == 2 { "\0" } else { "" };
        Some(match is_moved {
            true => format!("{rest}{start}{cut}{next}{last}{later}"),
            false => format!("{rest}{last}{start}{cut}{next}{later}"),
        })
    })
    .into_iter()
    .map(|files| {
        let cut = |file: Vec<u8>| file.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        files.into_iter().flat_map::<Vec<Vec<u8>>, _>(cut).collect()
    })
    .collect()
}

#[test]
fn a_last_seal_does_not_move_behind_the_next_start_unseen() {
    for parts in [1, 2] {
        let mut done = 0;
        for seed in 0..150 {
            let machine = plain_log(seed);
            for files in behind_start(&machine, false, parts) {
                assert_eq!(machine.verify(&files, &[]).findings, [], "seed {seed}, {parts}");
            }
            for files in behind_start(&machine, true, parts) {
                done += 1;
                let report = machine.verify(&files, &[]);
                let kinds: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
                assert_eq!(kinds, [Kind::Reordered], "seed {seed}, {parts}: {report:#?}");
            }
        }
        assert!(done >= 3, "{done}");
    }
}

#[test]
fn a_log_of_a_new_key_knows_nothing_of_the_one_before() {
    for seed in 0..30 {
        let mut machine = plain_log(seed);
        machine.renew();
        (0..40).for_each(|_| machine.step());
        machine.stop();
        let report = machine.verify(&machine.files, &[]);
        assert_eq!(report.findings, [], "seed {seed}");
        assert!(report.seals > 0);
    }
}

#[test]
fn a_crash_explains_what_is_missing_of_the_last_minutes_only() {
    for (minutes, is_found) in [(2, false), (12, true)] {
        let mut machine = Machine::new(7);
        (0..12).for_each(|_| machine.pass(10_000));
        let on_disk = machine.files.last().unwrap().len();
        (0..minutes * 6).for_each(|_| machine.pass(10_000));
        machine.crash(on_disk);
        let report = machine.verify(&machine.files, &[]);
        assert_eq!(!report.findings.is_empty(), is_found, "{minutes}: {report:#?}");
        assert!(is_found || report.notes.iter().any(|note| note.is_loss), "{report:#?}");
    }
}

/// A worker that was killed may have written it, and so may anybody else.
#[test]
fn half_a_line_that_nobody_tells_of_is_a_loss_or_a_finding() {
    for is_killed in [false, true] {
        let mut machine = Machine::new(11);
        (0..12).for_each(|_| machine.pass(10_000));
        if is_killed {
            machine.kill(0);
        }
        machine.stop();
        let whole = machine.verify(&machine.files, &[]);
        assert_eq!(whole.findings, [], "{whole:#?}");
        let half = format!("{{\"time\":\"{}", "2".repeat(100));
        machine.files.last_mut().unwrap().extend_from_slice(half.as_bytes());
        let report = machine.verify(&machine.files, &[]);
        let found: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        let is_lost = report.notes.iter().any(|note| note.is_loss);
        assert_eq!(
            (found.as_slice(), is_lost),
            match is_killed {
                true => (&[][..], true),
                false => (&[Kind::Added][..], false),
            },
            "{report:#?}"
        );
    }
}

#[test]
fn a_log_that_is_made_up_is_read_in_bounded_time() {
    let machine = plain_log(1);
    let notes = machine.verify(&machine.files, &[]).notes.len();
    let with = |line: String| {
        let mut files = machine.files.clone();
        files.push(line.into_bytes());
        machine.verify(&files, &[])
    };
    let report = with("x\n".repeat(20_000));
    assert_eq!((report.findings.len(), report.count), (10_000, 20_000));
    for line in [
        "{\"time\":\"\",\"seq\":\"0.0.1\"}".repeat(40_000),
        "{\"time\":\"".repeat(100_000),
        "{\"seal\":{".repeat(100_000),
        "{\"time\":\"\",\"a\":[".repeat(10_000) + ",\"seq\":\"0.0.1\"}",
    ] {
        let report = with(line);
        // A worker that was killed may have left the beginning of a line.
        assert!(!report.findings.is_empty() || report.notes.len() > notes);
    }
    let chains = (0..100_000).map(|number| format!("{{\"time\":\"\",\"seq\":\"{number}.7.1\"}}\n"));
    assert!(with(chains.collect()).chains < 70_000);
}

/// The lines of a chain, all of them, are taken out of the log.
fn without(files: &[Vec<u8>], chain: &str) -> Vec<Vec<u8>> {
    let is_its = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        match text.strip_prefix("{\"seal\":{\"chain\":\"") {
            Some(rest) => rest.split('"').next() == Some(chain),
            None => text
                .rsplit_once(",\"seq\":\"")
                .and_then(|(_, seq)| seq.rsplit_once('.'))
                .is_some_and(|(its, _)| its == chain),
        }
    };
    let kept = |file: &Vec<u8>| {
        let lines = file.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_its(line));
        lines.collect::<Vec<_>>().concat()
    };
    files.iter().map(kept).collect()
}

/// Nearly always something else tells of it as well. In these logs only the numbers of later chains do.
#[test]
fn a_chain_of_which_nothing_is_there_is_a_finding_where_no_machine_crashed() {
    for seed in [59, 248, 340, 380] {
        let machine = log(seed, false);
        let mut found = 0;
        for chain in by_chain(&machine.files).keys().filter(|chain| !chain.is_empty()) {
            let report = machine.verify(&without(&machine.files, chain), &[]);
            let text = format!("chain {chain} was begun, and nothing of it is there");
            let is_it = |what: String| what.contains(&text);
            found += report.findings.iter().filter(|it| is_it(format!("{it:?}"))).count();
            assert!(!report.notes.iter().any(|it| is_it(format!("{it:?}"))), "{seed}: {chain}");
        }
        assert_eq!(found, 1, "{seed}: is the simulation another one? Then there are other seeds");
    }
}
