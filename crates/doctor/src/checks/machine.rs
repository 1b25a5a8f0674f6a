//! nginx itself, the module, and the clock.

use super::check::{Check, Found, View};
use super::files;
use crate::conf::value::shell;
use crate::facts::Said;
use crate::finding::Severity;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "module",
        severity: Severity::Error,
        why: "A module fits one version of nginx, and one way in which it was built. nginx does not start, or reload, with \
              another one.",
        look: module,
    },
    Check {
        name: "nginx",
        severity: Severity::Error,
        why: "nginx says so itself when it reads the configuration.",
        look: nginx,
    },
    Check {
        name: "replaced-module",
        severity: Severity::Warning,
        why: "A reload doesn't load it: nginx goes on with the old one until it is started again.",
        look: replaced_module,
    },
    Check {
        name: "refused-keys",
        severity: Severity::Error,
        why: "What nginx does not take of a file with keys is not in force. Where it takes nothing of it, what it read before \
              stays: keys that are revoked stay good.",
        look: refused_keys,
    },
    Check {
        name: "not-protected",
        severity: Severity::Warning,
        why: "Tollgate is there, and judges nothing.",
        look: not_protected,
    },
    Check {
        name: "clock",
        severity: Severity::Warning,
        why: "Keys and tokens begin and end by this clock, budgets turn by it, and the audit log has its times.",
        look: clock,
    },
];

/// What is said of a module that doesn't fit.
fn is_of_module(said: &Said) -> bool {
    let text = &said.text;
    let is_tollgate = text.contains("tollgate");
    text.contains("is not binary compatible")
        || (text.contains("module \"")
            && text.contains("version ")
            && text.contains(" instead of "))
        || (text.contains("dlopen()") && is_tollgate)
        || text.contains("unknown directive \"tollgate")
        || (text.contains("is already loaded") && is_tollgate)
}

fn module(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for said in view.facts.said.iter().filter(|said| is_of_module(said)) {
        let mend = match &said.text {
            text if text.contains("unknown directive") => "load_module modules/libtollgate.so;  # at the top of nginx.conf",
            text if text.contains("already loaded") => "# load it in one place: grep -r load_module /etc/nginx",
            text if text.contains("dlopen()") => "ls -l /usr/lib/nginx/modules  # the path in \"load_module\" leads nowhere, or a library is missing",
            _ => "apt install --reinstall libnginx-mod-http-tollgate  # or scripts/build, for the nginx that is installed",
        };
        found.push(Found {
            what: said.text.clone(),
            place: said.place.clone(),
            mend: vec![mend.to_owned()],
            severity: None,
        });
    }
    found
}

fn nginx(view: &View<'_>) -> Vec<Found> {
    // Of the rights of a file a check of its own tells.
    const RIGHTS: [&str; 4] = [
        "can be read by",
        "can be written by",
        "may not be able to read",
        "may not be able to write",
    ];
    let told: Vec<Found> = files::CHECKS.iter().flat_map(|check| (check.look)(view)).collect();
    let is_told = |said: &Said| {
        let is_of_rights = RIGHTS.iter().any(|words| said.text.contains(words));
        is_of_module(said)
            || (is_of_rights
                && told.iter().any(|found| found.place.is_some() && found.place == said.place))
    };
    let others = view.facts.said.iter().filter(|said| !is_told(said));
    let found = others.map(|said| Found {
        what: said.text.clone(),
        place: said.place.clone(),
        mend: Vec::new(),
        severity: Some(said.severity),
    });
    found.collect()
}

fn replaced_module(view: &View<'_>) -> Vec<Found> {
    let found = view.facts.replaced_module.iter().map(|path| Found {
        what: format!("\"{path}\" was replaced since nginx has loaded it"),
        place: None,
        mend: vec!["systemctl restart nginx  # or, without refusing a connection: /etc/init.d/nginx upgrade".to_owned()],
        severity: None,
    });
    found.collect()
}

fn refused_keys(view: &View<'_>) -> Vec<Found> {
    let found = view.facts.refused.iter().map(|refused| {
        let paths = refused.paths.join("\", \"");
        let what = match refused.keys {
            None => format!("what \"{paths}\" holds now is not in force: {}", refused.why),
            Some(count) => format!("{count} keys in \"{paths}\" are refused: {}", refused.why),
        };
        let severity = if refused.keys.is_some() { Severity::Warning } else { Severity::Error };
        let mend =
            refused.paths.iter().map(|path| format!("tollgate check {}", shell(path))).collect();
        Found { what, place: None, mend, severity: Some(severity) }
    });
    found.collect()
}

fn not_protected(view: &View<'_>) -> Vec<Found> {
    let zone = view.conf.in_http("tollgate_zone").last();
    let is_guarded = view.locations.iter().any(|scope| scope.is_guarded())
        || view.conf.servers().iter().any(|server| server.is_guarded());
    // Where nginx refuses the configuration, it may not have been read.
    let is_read = !view.facts.said.iter().any(|said| said.severity == Severity::Error);
    if zone.is_none() && !is_guarded && is_read {
        return vec![Found {
            what: "nothing in this configuration is Tollgate's".to_owned(),
            place: None,
            mend: vec!["tollgate init --dry-run  # shows a first server".to_owned()],
            severity: None,
        }];
    }
    let found = zone.filter(|_| !is_guarded).map(|zone| {
        Found::new("no location says \"tollgate on\"", &zone.place)
            .mend("tollgate on;  # in the server before the engine")
    });
    found.into_iter().collect()
}

fn clock(view: &View<'_>) -> Vec<Found> {
    let is_off = view.facts.is_clock_kept == Some(false) && !view.engines.is_empty();
    let found = is_off.then(|| Found {
        what: "nothing keeps the clock of this machine right".to_owned(),
        place: None,
        mend: vec!["apt install systemd-timesyncd && timedatectl set-ntp true".to_owned()],
        severity: None,
    });
    found.into_iter().collect()
}
