//! What nginx says of a configuration that it reads.

use tollgate_doctor::conf::Place;
use tollgate_doctor::facts::Said;
use tollgate_doctor::Severity;

/// Before it reads a configuration, nginx tries the log that it was built for: to be kept from that, or to have none, is
/// nothing that is wrong in the configuration.
const LOG_OF_BUILD: &str = "could not open error log file";

/// What is wrong, in what nginx writes to stderr: each thing once.
pub(crate) fn said(text: &str) -> Vec<Said> {
    let mut found: Vec<Said> = Vec::new();
    for line in text.lines() {
        let Some((severity, rest)) = level(line) else { continue };
        // Written to a log, it has the numbers of the process before it.
        let rest = match rest.split_once(": ") {
            Some((numbers, rest))
                if numbers.bytes().all(|byte| byte.is_ascii_digit() || b"#* ".contains(&byte)) =>
            {
                rest
            }
            _ => rest,
        };
        if rest.starts_with(LOG_OF_BUILD) {
            continue;
        }
        let (text, place) = placed(rest.strip_prefix("tollgate: ").unwrap_or(rest));
        if !found.iter().any(|known| known.text == text && known.place == place) {
            found.push(Said { severity, text: text.to_owned(), place });
        }
    }
    found
}

fn level(line: &str) -> Option<(Severity, &str)> {
    let levels = [
        ("[emerg] ", Severity::Error),
        ("[alert] ", Severity::Error),
        ("[crit] ", Severity::Error),
        ("[error] ", Severity::Error),
        ("[warn] ", Severity::Warning),
    ];
    levels
        .iter()
        .find_map(|(level, severity)| line.split_once(level).map(|(_, rest)| (*severity, rest)))
}

/// What stands before ` in FILE:LINE`, and what that says.
fn placed(text: &str) -> (&str, Option<Place>) {
    let parts = || {
        let (before, at) = text.rsplit_once(" in ")?;
        let (file, line) = at.rsplit_once(':')?;
        let line = line.parse().ok()?;
        (file.starts_with('/')).then(|| (before, Place { file: file.into(), line }))
    };
    match parts() {
        Some((before, place)) => (before, Some(place)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_twice_is_told_once_with_its_place() {
        let said = said(
            "nginx: [alert] could not open error log file: open() \"/x/error.log\" failed (13: Permission denied)\n\
             2026/12/01 21:00:00 [warn] 12#12: \"x\" is inert in /etc/nginx/a.conf:3\n\
             nginx: [warn] \"x\" is inert in /etc/nginx/a.conf:3\n\
             nginx: [emerg] tollgate: something is wrong\n\
             nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n\
             2026/12/01 21:00:00 [notice] 12#12: nothing\n",
        );
        let told: Vec<(Severity, &str, Option<String>)> = said
            .iter()
            .map(|one| {
                (one.severity, one.text.as_str(), one.place.as_ref().map(ToString::to_string))
            })
            .collect();
        assert_eq!(
            told,
            [
                (Severity::Warning, "\"x\" is inert", Some("/etc/nginx/a.conf:3".to_owned())),
                (Severity::Error, "something is wrong", None),
            ]
        );
    }
}
