//! Limits as nginx tells how they stand, and as they are shown.

use serde::Deserialize;
use serde_json::Value;

use crate::audit::table::{cut_to, grouped, Table};
use crate::escape::shown;
use crate::time::in_words;

/// The widest that a limit is shown.
const LIMIT_WIDTH: usize = 32;

/// A limit, as it stands.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Limit {
    pub(crate) name: String,
    pub(crate) quota: Value,
    pub(crate) burst: Option<Value>,
    pub(crate) used: Value,
    pub(crate) left: Value,
    pub(crate) used_ratio: f64,
    pub(crate) reset_seconds: Option<f64>,
}

/// What is used of limits, and what is left.
pub(crate) fn of(limits: &[Limit]) -> String {
    let names: Vec<String> = limits.iter().map(|limit| cut_to(&limit.name, LIMIT_WIDTH)).collect();
    let numbers = |of: fn(&Limit) -> &Value| limits.iter().map(move |limit| number(of(limit)));
    Table::new("limit", names.iter().map(|name| Some(name.as_str())))
        .column("used", numbers(|limit| &limit.used))
        .column("left", numbers(|limit| &limit.left))
        .column("of", numbers(|limit| limit.burst.as_ref().unwrap_or(&limit.quota)))
        .column("share", limits.iter().map(|limit| percent(limit.used_ratio)))
        .names(
            "full again",
            limits
                .iter()
                .map(|limit| Some(full_again(limit)))
                .collect::<Vec<_>>()
                .iter()
                .map(|cell| cell.as_deref()),
        )
        .render()
}

/// A share in percent, rounded down: 100% is all.
pub(crate) fn percent(ratio: f64) -> String {
    format!("{:.0}%", (ratio * 100.0).floor())
}

/// Requests and tokens by the thousand, money as it came.
fn number(value: &Value) -> String {
    match (value.as_u64(), value.as_str()) {
        (Some(number), _) => grouped(number.into()),
        (_, Some(money)) => shown(money),
        _ => "-".to_owned(),
    }
}

fn full_again(limit: &Limit) -> String {
    match limit.reset_seconds {
        // Of requests in flight nobody knows.
        None => "-".to_owned(),
        Some(seconds) if seconds <= 0.0 => "is full".to_owned(),
        Some(seconds) if seconds < 60.0 => format!("in {seconds:.1} s"),
        // Whole, and far from the end of what can be counted.
        Some(seconds) => format!("in {}", in_words(whole(seconds))),
    }
}

/// A positive number of seconds, without its fraction.
fn whole(seconds: f64) -> u64 {
    format!("{:.0}", seconds.floor()).parse().unwrap_or(u64::MAX)
}
