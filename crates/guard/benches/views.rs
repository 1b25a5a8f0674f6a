//! What copies of a text cost, and its score: `cargo bench --bench views -- views|score FILE ROUNDS`, for callgrind to count.
//! The instructions of a round are the difference between two runs, divided by that of their rounds.
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use tollgate_guard::injection::Rules;
use tollgate_guard::trust::Trust;
use tollgate_guard::views::views;

fn main() {
    let named: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [what, file, rounds] = named.as_slice() else { return };
    let text = std::fs::read_to_string(file).unwrap();
    let rounds: u32 = rounds.parse().unwrap();
    let begun = std::time::Instant::now();
    match what.as_str() {
        "views" => {
            for _ in 0..rounds {
                black_box(views(black_box(&text)));
            }
        }
        _ => {
            let rules = Rules::shipped().unwrap();
            println!("rules: {:?}", begun.elapsed());
            for _ in 0..rounds {
                black_box(rules.score(black_box(&text), &[], Trust::Said));
            }
        }
    }
    println!("{} bytes, {rounds} rounds: {:?}", text.len(), begun.elapsed());
}
