//! Logs of which the oldest files are gone, with disks that were full when a log was rotated: for tests.

use super::simulation::Machine;

/// The disk was full now and then; nobody ended meanwhile.
fn log(seed: u64) -> Machine {
    let mut machine = Machine::new(seed);
    machine.is_patient = true;
    (0..60 + seed % 140).for_each(|_| machine.step());
    machine.have_room(None);
    machine
}

const HALF: &str = "was written while the disk was full, and began in an older file";

/// What waited is in a later file than it says.
#[test]
fn a_log_whose_oldest_files_are_gone_is_not_suspected() {
    let mut halves = 0;
    for seed in 0..600 {
        let machine = log(seed);
        for first in 0..machine.files.len() {
            let report = machine.verify(&machine.files[first..], &[]);
            assert_eq!(report.findings, [], "seed {seed}: from {first} on: {:#?}", report.notes);
            halves += report.notes.iter().filter(|note| note.text.contains(HALF)).count();
        }
    }
    assert!(halves >= 100, "{halves}");
}

/// The worker was killed when some of what had waited was in the new file: a manifest says how much.
#[test]
fn nor_is_it_where_a_worker_was_killed_before_it_could_say_what_had_waited() {
    let mut untold = 0;
    for room in (0..5000).step_by(20) {
        let mut machine = Machine::new(3);
        machine.pass(10_000);
        machine.have_room(Some(0));
        (0..2).for_each(|at| machine.request(at));
        machine.have_room(Some(0));
        machine.files.push(Vec::new());
        // They take the new file, and then there is room.
        machine.have_room(Some(0));
        machine.have_room(Some(room));
        machine.kill(0);
        machine.spawn();
        machine.have_room(None);
        let text = String::from_utf8_lossy(&machine.files[1]).into_owned();
        let of_killed = |line: &&str| line.starts_with("{\"seal\":{\"chain\":\"0.0\"");
        untold += u32::from(
            text.lines().any(|line| of_killed(&line))
                && !text.lines().any(|line| of_killed(&line) && line.contains("\"waited\"")),
        );
        for first in 0..2 {
            let report = machine.verify(&machine.files[first..], &[]);
            assert_eq!(report.findings, [], "{room}: from {first} on: {:#?}\n{text}", report.notes);
        }
    }
    assert!(untold >= 5, "{untold}");
}

/// A line of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    chain: String,
    /// Of the line, or of the last one that it seals.
    last: u64,
    seal: Option<u64>,
}

fn name(line: &[u8]) -> Option<Name> {
    let text = std::str::from_utf8(line).ok()?;
    let after = |member: &str| {
        let digits =
            text.split(member).nth(1)?.split(|byte: char| !byte.is_ascii_digit()).next()?;
        digits.parse().ok()
    };
    if let Some(rest) = text.strip_prefix("{\"seal\":{\"chain\":\"") {
        let chain = rest.split('"').next()?.to_owned();
        let (last, seal) = (after(",\"last\":")?, after(",\"n\":")?);
        return text.ends_with("\"}}\n").then_some(Name { chain, last, seal: Some(seal) });
    }
    let (_, seq) = text.strip_suffix("\"}\n")?.rsplit_once(",\"seq\":\"")?;
    let (chain, number) = seq.rsplit_once('.')?;
    Some(Name { chain: chain.to_owned(), last: number.parse().ok()?, seal: None })
}

/// What is there of a log whose oldest files are gone: whose first one has something in it.
fn rest(machine: &Machine, seed: u64) -> Option<&[Vec<u8>]> {
    let from = 1 + usize::try_from(seed).ok()? % machine.files.len().max(2);
    let files = machine.files.get(from..)?;
    files.get(files.iter().position(|file| !file.is_empty())?..)
}

fn lines(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split_inclusive(|byte| *byte == b'\n')
}

#[test]
fn its_new_beginning_is_not_cut_off_unseen() {
    let mut done = 0;
    for seed in 0..200 {
        let machine = log(seed);
        let Some(files) = rest(&machine, seed) else { continue };
        let seals: Vec<Name> =
            lines(&files[0]).filter_map(name).filter(|name| name.seal.is_some()).collect();
        let is_first =
            |seal: &&Name| seals.iter().find(|one| one.chain == seal.chain) == Some(*seal);
        let has_more = |seal: &&Name| {
            seals.iter().any(|one| one.chain == seal.chain && one.seal > seal.seal)
                && seals.iter().filter(|one| one == seal).count() == 1
        };
        for first in seals.iter().filter(is_first).filter(has_more) {
            // All of the chain up to its first seal.
            let mut is_behind = false;
            let is_kept = |line: &&[u8]| {
                let Some(name) = name(line).filter(|name| name.chain == first.chain) else {
                    return true;
                };
                let was_behind = is_behind;
                is_behind |= name == *first;
                was_behind
            };
            let mut files = files.to_vec();
            let kept: Vec<&[u8]> = lines(&files[0]).filter(is_kept).collect();
            files[0] = kept.concat();
            done += 1;
            let report = machine.verify(&files, &[]);
            assert!(!report.findings.is_empty(), "seed {seed}: {first:?}: {:#?}", report.notes);
        }
    }
    assert!(done >= 100, "{done}");
}

#[test]
fn what_is_done_to_its_lines_is_found() {
    let mut done = 0;
    for seed in 0..150 {
        let machine = log(seed);
        let Some(files) = rest(&machine, seed) else { continue };
        // Where a seal began in a file that is gone, its lines can't be verified.
        if machine.verify(files, &[]).notes.iter().any(|note| note.text.contains(HALF)) {
            continue;
        }
        let all: Vec<&[u8]> = files.iter().flat_map(|file| lines(file)).collect();
        let names: Vec<Option<Name>> = all.iter().map(|line| name(line)).collect();
        for (line, found) in all.iter().zip(&names) {
            let Some(Name { chain, last, seal: None }) = found else { continue };
            let is_once = names.iter().filter(|name| *name == found).count() == 1;
            // One that has no seal could have been written by anybody.
            let is_sealed = names
                .iter()
                .flatten()
                .any(|seal| seal.seal.is_some() && seal.chain == *chain && seal.last >= *last);
            if !is_once || !is_sealed || last % 5 != seed % 5 {
                continue;
            }
            let changed = match last % 2 {
                0 => Vec::new(),
                _ => String::from_utf8_lossy(line).replace("2026", "2027").into_bytes(),
            };
            let files: Vec<Vec<u8>> = files
                .iter()
                .map(|file| {
                    let lines = lines(file).map(|one| if one == *line { &changed } else { one });
                    lines.collect::<Vec<_>>().concat()
                })
                .collect();
            done += 1;
            let report = machine.verify(&files, &[]);
            // The first ones of what had to wait may as well have been written before.
            let is_half = report.notes.iter().any(|note| note.is_loss && note.text.contains(HALF));
            assert!(
                !report.findings.is_empty() || changed.is_empty() && is_half,
                "seed {seed}: {found:?}: {:#?}",
                report.notes
            );
        }
    }
    assert!(done >= 100, "{done}");
}

/// A seal that can't be verified, as its first lines are gone, says itself that this is as it should be.
#[test]
fn nothing_that_a_first_seal_says_of_itself_excuses_what_is_missing() {
    let mut done = 0;
    for seed in 0..200 {
        let machine = log(seed);
        let Some(files) = rest(&machine, seed) else { continue };
        let text = String::from_utf8_lossy(&files[0]).into_owned();
        if text.contains("\"waited\"") || text.contains("\"torn\"") {
            continue;
        }
        let Some(first) = lines(&files[0]).next().and_then(name) else { continue };
        let seal = format!("{{\"seal\":{{\"chain\":\"{}\"", first.chain);
        let Some((begin, end)) = text.split_once(&seal) else { continue };
        // A seal of a request or more, and another one of the chain behind it.
        if first.seal.is_some() || !begin.starts_with("{\"time\"") || !end.contains(&seal) {
            continue;
        }
        let Some((_, begin)) = begin.split_once('\n') else { continue };
        let (own, later) = end.split_once('\n').unwrap();
        let own = own.split(",\"from\":1").collect::<String>();
        let own =
            own.replacen(",\"before\"", ",\"from\":0,\"torn\":0,\"pieces\":true,\"before\"", 1);
        let mut files = files.to_vec();
        files[0] = format!("{begin}{seal}{own}\n{later}").into_bytes();
        done += 1;
        let report = machine.verify(&files, &[]);
        assert!(!report.findings.is_empty(), "seed {seed}: {:#?}", report.notes);
    }
    assert!(done >= 10, "{done}");
}
