//! What it costs to look at a text that comes in pieces: `cargo bench --bench stream`. With `count`, the name of a
//! text and a number of rounds, only that is done, for callgrind to count.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use std::time::Instant;

use tollgate_guard::finding::Action;
use tollgate_guard::guard::Guard;
use tollgate_guard::settings::{Settings, What, Wish};
use tollgate_guard::stream::{Channel, Quoting, StreamGuard, Verdict};

const TEXTS: [&str; 4] = ["prose", "german", "digits", "code"];

fn text(kind: &str) -> String {
    let part = match kind {
        "prose" => {
            "The river rises in the hills above the old town, and for most of the year it is quiet. In spring, when \
             the snow melts, it carries sand and stones down to the plain, where the farmers have learned to wait \
             until the water is gone again. Some of them still keep boats in their barns. "
        }
        "german" => {
            "Der Fluss entspringt in den Hügeln über der alten Stadt, und die meiste Zeit des Jahres ist er ruhig. Im \
             Frühjahr, wenn der Schnee schmilzt, führt er Sand und Steine hinab in die Ebene, wo die Bauern gelernt \
             haben, zu warten, bis das Wasser wieder fort ist. "
        }
        "digits" => "In 2024 there were 1,204 of 15,300 (7.9%), up from 998 on 2023-11-05, at $12.50 each; see 10.3.1. ",
        _ => "    let total: u64 = items.iter().map(|item| item.count * price_of(&item.id)).sum();\n    if total > LIMIT {\n        return Err(Error::TooMuch { total });\n    }\n",
    };
    part.repeat(8)
}

/// Pieces as engines send them: about a word each.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .skip(1)
            .find(|(at, c)| *c == ' ' || *at >= 8)
            .map_or(rest.len(), |(at, _)| at);
        let (piece, later) = rest.split_at(end);
        pieces.push(piece);
        rest = later;
    }
    pieces
}

fn guard() -> std::sync::Arc<StreamGuard> {
    let wish = |what| Wish { what, action: Action::Mask, threshold: None };
    let pattern =
        What::Pattern { name: "codename".into(), pattern: r"(?i)project\s+falcon".into() };
    let wishes = vec![wish(What::Pii(Vec::new())), wish(What::Secrets(Vec::new())), wish(pattern)];
    Guard::new(&Settings { wishes }).unwrap().stream().unwrap()
}

fn run(guard: &std::sync::Arc<StreamGuard>, pieces: &[&str], rounds: usize) -> usize {
    let mut shown = 0;
    for _ in 0..rounds {
        let mut channel = Channel::new(guard.clone(), Quoting::Plain);
        let mut out = String::new();
        let mut found = Vec::new();
        for piece in pieces {
            out.clear();
            assert_eq!(channel.push(piece, None, &mut out, &mut found), Verdict::Pass);
            shown += out.len();
        }
        out.clear();
        assert_eq!(channel.finish(None, &mut out, &mut found), Verdict::Pass);
        shown += out.len();
    }
    shown
}

fn main() {
    let guard = guard();
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "count") {
        let text = text(&arguments[at + 1]);
        let pieces = pieces(&text);
        let rounds = arguments[at + 2].parse().unwrap();
        println!("{} pieces a round, {} bytes shown", pieces.len(), run(&guard, &pieces, rounds));
        return;
    }
    for kind in TEXTS {
        let text = text(kind);
        let pieces = pieces(&text);
        run(&guard, &pieces, 20);
        let start = Instant::now();
        let rounds = 200;
        run(&guard, &pieces, rounds);
        let nanos = start.elapsed().as_nanos() / u128::try_from(rounds * pieces.len()).unwrap();
        println!("{kind:8} {nanos} ns a piece of {} bytes", text.len() / pieces.len());
    }
}
