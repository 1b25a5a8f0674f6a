//! What is left of keys and prompts: in logs, in headers, in the configuration itself.

use super::check::{blamed, Check, Found, View};
use crate::conf::value::quoted;
use crate::conf::{Directive, Scope};
use crate::finding::Severity;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "logged-keys",
        severity: Severity::Error,
        why: "Whoever reads the log has the keys of all clients, and logs are copied to many places.",
        look: logged_keys,
    },
    Check {
        name: "logged-prompts",
        severity: Severity::Warning,
        why: "What clients ask is nobody else's business, and logs are copied to many places.",
        look: logged_prompts,
    },
    Check {
        name: "debug-log",
        severity: Severity::Error,
        why: "At that level nginx writes down each header of each request, keys included.",
        look: debug_log,
    },
    Check {
        name: "left-over-keys",
        severity: Severity::Warning,
        why: "Keys stand in the configuration in the clear, in each backup of it and in what \"nginx -T\" prints. They \
              hold past Tollgate, which can neither revoke nor count them.",
        look: left_over_keys,
    },
    Check {
        name: "passed-keys",
        severity: Severity::Warning,
        why: "The engine, and whoever reads its logs, gets the keys of the clients.",
        look: passed_keys,
    },
    Check {
        name: "forged-identity",
        severity: Severity::Error,
        why: "The engine believes these headers to come from Tollgate; here the client says who it is.",
        look: forged_identity,
    },
    Check {
        name: "dropped-header",
        severity: Severity::Warning,
        why: "nginx drops headers with an underscore in their name before anybody sees them: such a key never arrives.",
        look: dropped_header,
    },
    Check {
        name: "no-audit-log",
        severity: Severity::Note,
        why: "Nobody can tell afterwards who used what, or what it cost.",
        look: no_audit_log,
    },
];

/// The headers that hold keys, as variables.
fn key_variables(view: &View<'_>) -> Vec<String> {
    let mut names = vec!["authorization".to_owned(), "x_api_key".to_owned(), "api_key".to_owned()];
    for line in view.conf.everywhere("tollgate_api_key_header") {
        names.extend(line.args.iter().map(|name| name.to_ascii_lowercase().replace('-', "_")));
    }
    let headers = names.iter().map(|name| format!("http_{name}"));
    let others = ["http_cookie", "arg_key", "arg_api_key", "arg_token", "arg_access_token"]
        .map(str::to_owned);
    headers.chain(others).collect()
}

/// The variables of a text, in lower case and without their dollar.
fn variables(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let after = after.strip_prefix('{').unwrap_or(after);
        let end =
            after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len());
        let Some((name, others)) = after.split_at_checked(end) else { break };
        found.push(name.to_ascii_lowercase());
        rest = others;
    }
    found
}

/// The formats in which logs are written, with their variables.
fn formats<'v>(view: &'v View<'_>) -> Vec<(&'v Directive, Vec<String>)> {
    let logs = view.conf.everywhere("access_log");
    let is_used = |format: &&Directive| {
        logs.iter().any(|log| log.arg(0) != Some("off") && log.arg(1) == format.arg(0))
    };
    let of = |format: &'v Directive| (format, variables(&format.args.join(" ")));
    view.conf.in_http("log_format").filter(is_used).map(of).collect()
}

fn logged(view: &View<'_>, secrets: &[String], what: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for (format, variables) in formats(view) {
        if let Some(variable) = variables.iter().find(|name| secrets.contains(name)) {
            let name = format.arg(0).unwrap_or_default();
            found.push(
                Found::new(format!("the log format \"{name}\" has ${variable}, {what}"), &format.place)
                    .mend(format!("# take ${variable} out; $tollgate_client and $tollgate_key_id tell whose it was")),
            );
        }
    }
    found
}

fn logged_keys(view: &View<'_>) -> Vec<Found> {
    logged(view, &key_variables(view), "which may hold a key")
}

fn logged_prompts(view: &View<'_>) -> Vec<Found> {
    logged(view, &["request_body".to_owned()], "which holds prompts")
}

fn debug_log(view: &View<'_>) -> Vec<Found> {
    let logs = view.conf.everywhere("error_log").into_iter();
    let found =
        logs.filter(|log| log.args.iter().any(|level| level == "debug" || level == "debug_http"));
    let found = found.map(|log| {
        let file = log.arg(0).unwrap_or_default();
        Found::new(format!("\"{file}\" is written at the level of debug"), &log.place)
            .mend(format!("error_log {} warn;", quoted(file)))
    });
    found.collect()
}

/// Whether a variable of a request is called like one that holds keys.
fn is_of_keys(variable: &str) -> bool {
    let prefixes = ["$http_", "$arg_", "$cookie_"];
    let name = prefixes.iter().find_map(|prefix| variable.strip_prefix(prefix));
    name.is_some_and(|name| {
        ["auth", "key", "token", "secret"].iter().any(|word| name.contains(word))
    })
}

fn left_over_keys(view: &View<'_>) -> Vec<Found> {
    const WORDS: [&str; 5] = ["default", "hostnames", "volatile", "include", ""];
    let mut found = Vec::new();
    for map in view.conf.in_http("map") {
        let from = map.arg(0).unwrap_or_default().to_ascii_lowercase();
        let is_key = |entry: &&Directive| {
            !WORDS.contains(&entry.name.as_str()) && !entry.name.starts_with('~')
        };
        let count = map.body().iter().filter(is_key).count();
        if is_of_keys(&from) && count > 0 {
            let what = format!("a map of {from} has {count} keys in it");
            found.push(Found::new(what, &map.place).mend("nginx -T | tollgate key import --file /etc/nginx/tollgate/keys.json -  # then take the map out"));
        }
    }
    for line in view.conf.everywhere("if") {
        let [variable, operator, text, ..] = line.args.as_slice() else { continue };
        let variable = variable.trim_start_matches('(').to_ascii_lowercase();
        let is_compared = operator == "=" || operator == "!=";
        let text = text.trim_end_matches(')');
        if is_of_keys(&variable) && is_compared && !text.is_empty() && !text.starts_with('$') {
            let what = format!("a condition compares {variable} with a key");
            found.push(Found::new(what, &line.place).mend(
                "tollgate key create --client NAME --tier TIER --file /etc/nginx/tollgate/keys.json  # then take it out",
            ));
        }
    }
    found
}

/// What is set of headers to the engine: the line, the header in lower case, and the variables of its value.
fn set_headers<'c>(scope: &Scope<'c>) -> Vec<(&'c Directive, String, Vec<String>)> {
    let lines = scope.all("proxy_set_header").into_iter();
    let of = |line: &'c Directive| {
        let header = line.arg(0).unwrap_or_default().to_ascii_lowercase();
        (line, header, variables(line.arg(1).unwrap_or_default()))
    };
    lines.map(of).collect()
}

fn passed_keys(view: &View<'_>) -> Vec<Found> {
    let secrets = key_variables(view);
    let mut found = Vec::new();
    for scope in
        view.engines.iter().filter(|scope| !scope.is_on("tollgate_pass_credentials", false))
    {
        for (line, header, variables) in set_headers(scope) {
            let is_key = |name: &&String| secrets.contains(name) && *name != "http_cookie";
            if let Some(variable) = variables.iter().find(is_key) {
                let what = format!("${variable} of the client goes to the engine as \"{header}\"");
                found.push(Found::new(what, &line.place).mend(format!(
                    "# take the line out; if the engine has a key of its own: proxy_set_header {} \"Bearer ...\";",
                    line.arg(0).unwrap_or_default()
                )));
            }
        }
    }
    found
}

fn forged_identity(view: &View<'_>) -> Vec<Found> {
    const HEADERS: [&str; 3] = ["x-client-id", "x-client-tier", "x-tenant-id"];
    let mut found = Vec::new();
    for scope in &view.engines {
        for (line, header, variables) in set_headers(scope) {
            let is_clients = |name: &&String| {
                ["http_", "arg_", "cookie_"].iter().any(|prefix| name.starts_with(prefix))
            };
            if let Some(variable) =
                variables.iter().find(is_clients).filter(|_| HEADERS.contains(&header.as_str()))
            {
                let what = format!("\"{header}\" is ${variable}, which the client writes");
                found.push(
                    Found::new(what, &line.place)
                        .mend("# take the line out: Tollgate sets the header itself"),
                );
            }
        }
    }
    found
}

fn dropped_header(view: &View<'_>) -> Vec<Found> {
    // nginx has told it already, if it was asked.
    if view.facts.said.iter().any(|said| said.text.contains("\"tollgate_api_key_header\"")) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for scope in view.locations.iter().filter(|scope| !scope.is_on("underscores_in_headers", false))
    {
        let Some(line) = scope.last("tollgate_api_key_header").filter(|_| scope.is_guarded())
        else {
            continue;
        };
        if let Some(name) = line.args.iter().find(|name| name.contains('_')) {
            let what = format!("\"{name}\" is dropped");
            found.push(
                Found::new(what, &line.place)
                    .mend(format!("tollgate_api_key_header {};", name.replace('_', "-")))
                    .mend("underscores_in_headers on;  # or this, in \"http\""),
            );
        }
    }
    found
}

fn no_audit_log(view: &View<'_>) -> Vec<Found> {
    let without = view
        .engines
        .iter()
        .filter(|scope| scope.value("tollgate_audit_log").is_none_or(|path| path == "off"));
    let found = without.map(|scope| {
        let what = format!("\"{}\" has no audit log", scope.title());
        Found::new(what, &blamed(scope, "tollgate_audit_log"))
            .mend("tollgate_audit_log /var/log/nginx/tollgate.log;")
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_as_nginx_finds_them() {
        assert_eq!(variables("a $b-${C}d$"), ["b", "c", ""]);
        assert_eq!(variables("$http_x_api_key\"$é"), ["http_x_api_key", ""]);
        assert!(variables("none").is_empty());
    }
}
