//! The whole server at a glance, as nginx tells it at its control socket.

use serde::Deserialize;
use serde_json::Value;

use super::{date_and_age, label};
use crate::audit::table::{cut_to, grouped, Table};
use crate::escape::shown;
use crate::time::parse_moment;

/// What of it is shown. What is missing was not told.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Overview {
    version: String,
    nginx: String,
    since: Option<String>,
    workers: u64,
    window_seconds: u64,
    requests_per_second: f64,
    tokens_per_second: f64,
    in_flight: u64,
    queued: u64,
    tiers: Vec<Tier>,
    refusals: Vec<Refusal>,
    models: Vec<Model>,
    more_models: u64,
    minutes: Vec<Minute>,
    keys: Vec<Keys>,
    guard_files: Vec<Keys>,
    findings: Vec<Finding>,
    more_findings: u64,
    providers: Vec<Provider>,
    zone: Vec<Part>,
    audit: Lines,
    state: Writes,
    panics: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Tier {
    tier: String,
    in_flight: u64,
    queued: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    reason: String,
    count: u64,
    recent: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Model {
    model: String,
    requests: u64,
    ttft_p50_ms: Option<f64>,
    ttft_p95_ms: Option<f64>,
    tokens_per_second_per_request: Option<f64>,
    input_tokens: u64,
    output_tokens: u64,
    cost: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Minute {
    requests: u64,
    refused: u64,
    errors: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Keys {
    paths: Vec<String>,
    keys: Option<u64>,
    /// Of files of guards.
    entries: Option<u64>,
    version: Option<String>,
    sha256: Option<String>,
    workers_on_it: u64,
    workers: u64,
    refused: Vec<String>,
    refused_count: u64,
    failure: Option<Failure>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Finding {
    guard: String,
    rule: String,
    action: String,
    count: u64,
    recent: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Failure {
    error: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Provider {
    provider: String,
    ok: u64,
    error: u64,
    timeout: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    part: String,
    used: u64,
    slots: u64,
    full: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Lines {
    written: u64,
    lost: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Writes {
    ok: u64,
    error: u64,
}

/// The widest that names are shown beside many numbers, and beside few.
const MODEL_WIDTH: usize = 22;
const NAME_WIDTH: usize = 40;

/// Heights of a bar, the lowest first.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Overview {
    /// What can't be read is taken as nothing.
    pub(super) fn of(value: &Value) -> Self {
        Self::deserialize(value).unwrap_or_default()
    }

    /// Whether all that the files with keys and of guards hold is in force in all workers.
    pub(super) fn is_good(&self) -> bool {
        self.keys.iter().chain(&self.guard_files).all(|keys| {
            keys.failure.is_none() && keys.refused_count == 0 && keys.workers_on_it == keys.workers
        })
    }

    /// For a terminal. `with_keys`: nobody else tells of the files with keys.
    pub(super) fn text(&self, now_ms: i64, with_keys: bool) -> String {
        let mut text = format!("Tollgate {}, nginx {}\n", shown(&self.version), shown(&self.nginx));
        let mut line = |name: &str, value: String| {
            text.push_str(&format!("{}{value}\n", label(name)));
        };
        if let Some(since) = self.since.as_deref().and_then(|since| parse_moment(since).ok()) {
            line("since", date_and_age(since.0, now_ms));
        }
        line("workers", count(self.workers));
        line("requests/s", rate(self.requests_per_second));
        line("tokens/s", rate(self.tokens_per_second));
        line("in flight", count(self.in_flight));
        line("queued", count(self.queued));
        for (name, of) in [
            ("requests", (|minute| minute.requests) as fn(&Minute) -> u64),
            ("refused", |minute| minute.refused),
            ("errors", |minute| minute.errors),
        ] {
            let numbers: Vec<u64> = self.minutes.iter().map(of).collect();
            let most = numbers.iter().copied().max().unwrap_or(0);
            if most > 0 {
                line(name, bars(&numbers, most));
                line("", format!("of the last hour; at most {} a minute", count(most)));
            }
        }
        let tables = [
            self.tiers(),
            self.models(),
            self.refusals(),
            self.findings(),
            self.providers(),
            self.zone(),
        ];
        for table in tables.into_iter().flatten() {
            text.push('\n');
            text.push_str(&table);
        }
        text.push_str(&self.trouble());
        if with_keys {
            text.push_str(&self.keys());
        }
        text
    }

    fn tiers(&self) -> Option<String> {
        let names = cut_all(self.tiers.iter().map(|tier| &tier.tier), NAME_WIDTH);
        (!self.tiers.is_empty()).then(|| {
            table("tier", &names)
                .column("in flight", self.tiers.iter().map(|tier| count(tier.in_flight)))
                .column("queued", self.tiers.iter().map(|tier| count(tier.queued)))
                .render()
        })
    }

    fn models(&self) -> Option<String> {
        let names = cut_all(self.models.iter().map(|model| &model.model), MODEL_WIDTH);
        let ms = |ms: Option<f64>| ms.map_or("-".to_owned(), |ms| format!("{ms:.0}"));
        let all = |of: &dyn Fn(&Model) -> String| self.models.iter().map(of).collect::<Vec<_>>();
        (!self.models.is_empty()).then(|| {
            let mut text = table("model", &names)
                .column("requests", all(&|model| count(model.requests)))
                .column("ttft p50", all(&|model| ms(model.ttft_p50_ms)))
                .column("p95 ms", all(&|model| ms(model.ttft_p95_ms)))
                .column(
                    "tok/s",
                    all(&|model| model.tokens_per_second_per_request.map_or("-".to_owned(), rate)),
                )
                .column(
                    "tokens",
                    all(&|model| count(model.input_tokens.saturating_add(model.output_tokens))),
                )
                .column("cost", all(&|model| shown(&model.cost)))
                .render();
            if self.more_models > 0 {
                text.push_str(&format!("and {} more\n", count(self.more_models)));
            }
            text
        })
    }

    fn refusals(&self) -> Option<String> {
        let names = cut_all(self.refusals.iter().map(|refusal| &refusal.reason), NAME_WIDTH);
        let recent = self.window_seconds.div_ceil(60);
        (!self.refusals.is_empty()).then(|| {
            let text = table("refused", &names)
                .column("in all", self.refusals.iter().map(|refusal| count(refusal.count)))
                .column("lately", self.refusals.iter().map(|refusal| count(refusal.recent)))
                .render();
            format!("{text}lately: in the last {recent} minutes\n")
        })
    }

    /// What guards found.
    fn findings(&self) -> Option<String> {
        let names = self.findings.iter().map(|found| format!("{}: {}", found.guard, found.rule));
        let names: Vec<String> = names.collect();
        let names = cut_all(names.iter(), NAME_WIDTH);
        (!self.findings.is_empty()).then(|| {
            let mut text = table("found", &names)
                .column("action", self.findings.iter().map(|found| shown(&found.action)))
                .column("in all", self.findings.iter().map(|found| count(found.count)))
                .column("lately", self.findings.iter().map(|found| count(found.recent)))
                .render();
            if self.more_findings > 0 {
                text.push_str(&format!("and {} more\n", count(self.more_findings)));
            }
            text
        })
    }

    fn providers(&self) -> Option<String> {
        let names = cut_all(self.providers.iter().map(|of| &of.provider), NAME_WIDTH);
        (!self.providers.is_empty()).then(|| {
            table("provider", &names)
                .column("ok", self.providers.iter().map(|of| count(of.ok)))
                .column("errors", self.providers.iter().map(|of| count(of.error)))
                .column("timeouts", self.providers.iter().map(|of| count(of.timeout)))
                .render()
        })
    }

    fn zone(&self) -> Option<String> {
        let names = cut_all(self.zone.iter().map(|part| &part.part), NAME_WIDTH);
        (!self.zone.is_empty()).then(|| {
            table("zone", &names)
                .column("in use", self.zone.iter().map(|part| count(part.used)))
                .column("slots", self.zone.iter().map(|part| count(part.slots)))
                .column("no room", self.zone.iter().map(|part| count(part.full)))
                .render()
        })
    }

    /// What went wrong outside of requests.
    fn trouble(&self) -> String {
        let mut text = String::new();
        let mut line = |is_there: bool, name: &str, value: String| {
            if is_there {
                text.push_str(&format!("{}{value}\n", label(name)));
            }
        };
        let Lines { written, lost } = self.audit;
        let value = format!("{} lines written, {} lost", count(written), count(lost));
        line(written > 0 || lost > 0, "audit log", value);
        let Writes { ok, error } = self.state;
        line(
            error > 0,
            "state",
            format!("written {} times, and not {} times", count(ok), count(error)),
        );
        let value =
            format!("{} errors in the module; the error log tells where", count(self.panics));
        line(self.panics > 0, "panics", value);
        if !text.is_empty() {
            text.insert(0, '\n');
        }
        text
    }

    fn keys(&self) -> String {
        let mut text = String::new();
        for keys in self.keys.iter().chain(&self.guard_files) {
            let paths: Vec<String> = keys.paths.iter().map(|path| shown(path)).collect();
            text.push_str(&format!("\n{}\n", paths.join(", ")));
            let mut line = |name: &str, value: String| {
                text.push_str(&format!("{}{value}\n", label(name)));
            };
            line("in force", format!("in {} of {} workers", keys.workers_on_it, keys.workers));
            match keys.entries {
                Some(entries) => line("entries", count(entries)),
                None => line("keys", keys.keys.map_or("-".to_owned(), count)),
            }
            keys.version.iter().for_each(|version| line("version", shown(version)));
            keys.sha256.iter().for_each(|digest| line("sha-256", format!("{}...", shown(digest))));
            if let Some(failure) = &keys.failure {
                line("not taken", shown(&failure.error));
            }
            keys.refused.iter().for_each(|refused| line("refused", shown(refused)));
        }
        text
    }
}

fn count(number: u64) -> String {
    grouped(number.into())
}

fn rate(number: f64) -> String {
    format!("{number:.1}")
}

fn cut_all<'n>(names: impl Iterator<Item = &'n String>, width: usize) -> Vec<String> {
    names.map(|name| if name.is_empty() { "-".to_owned() } else { cut_to(name, width) }).collect()
}

fn table(title: &'static str, names: &[String]) -> Table {
    Table::new(title, names.iter().map(|name| Some(name.as_str())))
}

/// A bar for each number; the running minute comes last.
fn bars(numbers: &[u64], most: u64) -> String {
    let bar = |number: &u64| match *number {
        0 => ' ',
        number => {
            let last = BARS.len() as u128 - 1;
            let height = (u128::from(number) * last).div_ceil(most.max(1).into());
            let index = usize::try_from(height).unwrap_or(0);
            BARS.get(index).copied().unwrap_or('█')
        }
    };
    numbers.iter().map(bar).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bars_are_as_high_as_their_numbers() {
        assert_eq!(bars(&[0, 1, 50, 100, 0], 100), " ▂▅█");
        assert_eq!(bars(&[7], 7), "█");
        assert_eq!(bars(&[u64::MAX, 1], u64::MAX), "█▂");
        assert_eq!(bars(&[], 0), "");
    }

    /// Whatever names are made of, a line fits a terminal, and acts on none.
    #[test]
    fn it_fits_a_terminal() {
        let name = "\u{1b}[2J\u{202e}".repeat(60);
        let value = json!({
            "version": "0.1.0", "nginx": "1.22.1", "since": "2026-12-01T10:00:00.000Z", "workers": 4,
            "window_seconds": 300, "requests_per_second": 1234.5, "tokens_per_second": 1.0e6,
            "in_flight": 12345, "queued": 678,
            "tiers": [{"tier": name, "in_flight": 12345, "queued": 678}],
            "refusals": [{"reason": "requests_exceeded", "count": 1_234_567, "recent": 12}],
            "models": [{"model": name, "requests": 1_234_567, "ttft_p50_ms": 120.4, "ttft_p95_ms": 12345.6,
                "tokens_per_second_per_request": 45.26, "input_tokens": 1_234_567, "output_tokens": 1, "cost": "1234.5"}],
            "minutes": vec![json!({"requests": 5, "refused": 1, "errors": 2}); 61],
            "providers": [{"provider": name, "ok": 1, "error": 2, "timeout": 3}],
            "zone": [{"part": "clients", "used": 10, "slots": 2700, "full": 1}],
            "audit": {"written": 5, "lost": 1}, "state": {"ok": 1, "error": 1}, "panics": 1,
            "findings": [{"guard": name, "rule": name, "action": "tokenize", "count": 1_234_567, "recent": 12}],
            "more_findings": 3, "later": "unknown",
        });
        let text = Overview::of(&value).text(1_796_119_200_000, true);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
        for part in ["requests/s", "1,234,567", "45.3", "clients", "1 errors in the module"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn keys_are_good_when_all_workers_have_them() {
        let good =
            json!({"keys": [{"paths": ["/a"], "keys": 5, "workers_on_it": 2, "workers": 2}]});
        assert!(Overview::of(&good).is_good());
        let text = Overview::of(&good).text(0, true);
        assert!(text.contains("/a\n") && text.contains("in 2 of 2 workers"), "{text}");
        let rules = json!({"guard_files": [{"paths": ["/r"], "entries": 46, "version": "a+b", "sha256": "0123456789ab",
            "workers_on_it": 1, "workers": 2}]});
        assert!(!Overview::of(&rules).is_good());
        let text = Overview::of(&rules).text(0, true);
        for part in ["/r\n", "46\n", "a+b\n", "0123456789ab...\n", "in 1 of 2 workers"] {
            assert!(text.contains(part), "{text}");
        }
        for (name, value) in [
            ("workers_on_it", json!(1)),
            ("refused_count", json!(1)),
            ("failure", json!({"at": "", "error": "x"})),
        ] {
            let mut bad = good.clone();
            bad["keys"][0][name] = value;
            assert!(!Overview::of(&bad).is_good(), "{name}");
        }
    }
}
