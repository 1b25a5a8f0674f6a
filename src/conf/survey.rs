//! What shows only when all of `http` has been read: directives that other ones keep from having an
//! effect.

use super::judge::Judge;
use super::location::LocConf;
use super::main::MainConf;
use super::policy::Policy;
use super::settings::{Given, Upgrade};
use super::warnings::Warnings;
use crate::types::{Found, Location, Server};
use std::collections::HashSet;
use std::rc::Rc;

use nginx::conf::{HeaderRules, Position, Verification};
use tollgate_core::guards::classifier::Side;
use tollgate_core::nginx_text::text::Directive;
use tollgate_core::nginx_text::{doubled_headers, header_name, passed_to};
use tollgate_core::pattern::Pattern;

/// Tells what the servers do that isn't meant.
pub(super) fn tell(warnings: &mut Warnings<'_, '_>, servers: &[Server<'_>], keeps_objects: bool) {
    for server in servers {
        let has_rest = server.locations.iter().any(|location| location.is_of("/"));
        // Where there is a location for all paths, no request is in none.
        for location in server.locations.iter().filter(|one| !(has_rest && one.is_server())) {
            if location.conf.policy().is_some() {
                look_at(warnings, server, location);
                if !keeps_objects {
                    of_objects(warnings, location.conf);
                }
            }
        }
    }
}

/// Guards that look at nothing: `tollgate_guards` where nothing is on, and those of tiers where nobody is in one. Returns
/// their names. Where a `tollgate_guards` holds in several locations, one that is on suffices.
pub(super) fn tell_of_idle_guards(
    warnings: &mut Warnings<'_, '_>,
    main: &MainConf,
    servers: &[Server<'_>],
) -> HashSet<String> {
    let confs =
        || servers.iter().flat_map(|server| &server.locations).map(|location| location.conf);
    let named = |conf: &LocConf| conf.settings.guards.as_ref().map(|given| given.place.clone());
    let used: HashSet<_> =
        confs().filter(|conf| conf.policy().is_some()).filter_map(named).collect();
    let mut idle = HashSet::new();
    for Given { value: names, place } in confs().filter_map(|conf| conf.settings.guards.as_ref()) {
        if !names.is_empty() && !used.contains(place) {
            let warning = format!(
                "\"tollgate_guards {}\" has no effect: no location where it holds says \"tollgate on\"; add \
                 \"tollgate on;\", or leave it out {place}",
                names.join(" ")
            );
            warnings.warn("tollgate_guards", warning);
            idle.extend(names.iter().cloned());
        }
    }
    let mut policies = confs().filter_map(LocConf::policy).peekable();
    if policies.peek().is_some() && policies.all(|policy| policy.anonymous) {
        for tier in main.tiers.iter().filter(|tier| !tier.guards.is_empty()) {
            let warning = format!(
                "\"guards\" of \"tollgate_tier {}\" has no effect: every location says \"tollgate_auth none\", where \
                 nobody is in a tier; say \"tollgate_guards {};\" there {}",
                tier.name,
                tier.guards.join(" "),
                tier.place
            );
            warnings.warn("guards", warning);
            idle.extend(tier.guards.iter().cloned());
        }
    }
    idle
}

/// Classifiers whose locations lead back to where they are asked.
pub(super) fn tell_of_loops(
    warnings: &mut Warnings<'_, '_>,
    servers: &[Server<'_>],
    text: &[Directive],
) {
    let asks = |conf: &LocConf| questions(conf).into_iter().any(|(name, ..)| name == CLASSIFIER);
    for server in servers {
        let (file, line) = (&server.header.file, server.header.line);
        let asked = server.locations.iter().flat_map(|location| questions(location.conf));
        for (_, uri, place) in asked.filter(|(directive, ..)| *directive == CLASSIFIER) {
            let passed = passed_to::find(text, file, line, uri);
            let is_there = |other: &&Server<'_>| {
                let header = &other.header;
                passed
                    .servers
                    .iter()
                    .any(|(file, line)| **file == *header.file && *line == header.line)
            };
            let leads_back = servers.iter().filter(is_there).any(|other| {
                matches!(other.find(&passed.path), Found::Location(found) if asks(found.conf))
            });
            if leads_back {
                let warning = format!(
                    "\"classifier {uri}\": its location in the server in {file}:{line} leads back to this nginx, \
                     where a classifier is asked about \"{}\" as well, so that every question is refused; let \
                     \"proxy_pass\" go to the model itself, or say \"tollgate_guards off;\" there {place}",
                    passed.path
                );
                warnings.warn(CLASSIFIER, warning);
            }
        }
    }
}

/// `cached=free` where no engine says what it had in its cache.
pub(super) fn tell_cached(
    warnings: &mut Warnings<'_, '_>,
    main: &MainConf,
    servers: &[Server<'_>],
) {
    let locations = servers.iter().flat_map(|server| &server.locations);
    let mut metered =
        locations.filter_map(|location| location.conf.policy()).filter(|policy| policy.is_metered);
    if metered.any(|policy| policy.engine.says_cached_input()) {
        return;
    }
    let of_tiers = main.tiers.iter().flat_map(|tier| {
        tier.limit_sets().map(move |set| (format!("tollgate_tier {}", tier.name), &tier.place, set))
    });
    let of_rules = main
        .limits
        .iter()
        .map(|rule| (format!("tollgate_limit {}", rule.name), &rule.place, &rule.limits));
    for (name, place, set) in of_tiers.chain(of_rules) {
        if set.buckets.iter().any(|bucket| bucket.cached_free) {
            let doubt = format!(
                "\"cached=free\" of \"{name}\" has no effect: no engine in use says what it had in its \
                 cache; leave it out, or see \"tollgate_engine\" {place}"
            );
            warnings.warn("cached=free", doubt);
        }
    }
}

/// An alias in the place of a model's name, where every location that reads models knows it as an alias.
pub(super) fn tell_of_aliases(
    warnings: &mut Warnings<'_, '_>,
    main: &MainConf,
    servers: &[Server<'_>],
) {
    let policies: Vec<_> = servers
        .iter()
        .flat_map(|server| &server.locations)
        .filter_map(|location| location.conf.policy())
        .filter(|policy| policy.is_metered)
        .collect();
    let Some(first) = policies.first() else { return };
    let is_everywhere =
        |alias: &str| policies.iter().all(|other| other.aliases.find(alias).is_some());
    for (alias, model) in first.aliases.iter().filter(|(alias, _)| is_everywhere(alias)) {
        let is = |pattern: &Pattern| pattern.as_str() == alias;
        let prices = main.prices.patterns().any(is).then(|| "tollgate_price".to_owned());
        let tiers = main.tiers.iter().filter(|tier| {
            let blocks = tier.models.iter().map(|block| &block.pattern);
            blocks.chain(tier.open_models.iter().flatten()).any(is)
        });
        let tiers = tiers.map(|tier| format!("tollgate_tier {}", tier.name));
        for name in prices.into_iter().chain(tiers) {
            warnings.warn(
                "tollgate_model_alias",
                format!(
                    "\"{alias}\" in \"{name}\" fits no model: it is an alias of \"{model}\", by which requests \
                     go; write that in its place"
                ),
            );
        }
    }
}

/// `tollgate_hide_models on` where nothing says which models may be used. Where it holds in several locations, one in
/// which something does suffices.
pub(super) fn tell_of_hidden(
    warnings: &mut Warnings<'_, '_>,
    main: &MainConf,
    servers: &[Server<'_>],
) {
    if main.tiers.iter().any(|tier| tier.open_models.is_some()) {
        return;
    }
    let locations = servers.iter().flat_map(|server| &server.locations);
    let hidden = locations.filter_map(|location| {
        let policy = location.conf.policy().filter(|policy| policy.hide_models)?;
        let place = &location.conf.settings.hide_models.as_ref()?.place;
        Some((place, may_restrict(location.conf, policy)))
    });
    let hidden: Vec<_> = hidden.collect();
    for (place, _) in &hidden {
        if !hidden.iter().any(|(other, restricts)| other == place && *restricts) {
            let warning = format!(
                "\"tollgate_hide_models on\" has no effect: no tier and no key has \"models\", nor do tokens name any; \
                 say in a tier which \"models\" its clients may use, or leave this out {place}"
            );
            warnings.warn("tollgate_hide_models", warning);
        }
    }
}

/// Whether keys or tokens say which models may be used.
fn may_restrict(conf: &LocConf, policy: &Policy) -> bool {
    let of_certs = policy.client_cert.as_ref().and_then(|certs| certs.keys.as_ref());
    let mut keys = policy.api_keys.iter().chain(of_certs);
    let names_models = || {
        let mut claims = conf.settings.jwt_claims.iter().flatten();
        claims.any(|(field, _)| field == "models")
    };
    let has_tokens = policy.jwt.is_some() || policy.introspector.is_some();
    keys.any(|keys| keys.current().is_some_and(|set| set.loaded.has_models()))
        || (has_tokens && names_models())
}

/// Tells what keeps pages in browsers from what is meant for them.
pub(super) fn tell_of_browsers(
    warnings: &mut Warnings<'_, '_>,
    servers: &[Server<'_>],
    text: &[Directive],
) {
    let all = servers.iter().flat_map(|server| &server.locations);
    let policies: Vec<_> =
        all.filter_map(|location| Some((location.conf, location.conf.policy()?))).collect();
    let has_cors = policies.iter().any(|(_, policy)| policy.cors.is_some());
    let has_security = policies.iter().any(|(_, policy)| policy.security_headers);
    if has_cors || has_security {
        for doubled in doubled_headers::find(text, has_cors, has_security) {
            warnings.warn("add_header", doubled.to_string());
        }
    }
    let mut takers = policies.iter().filter(|(_, policy)| policy.takes_subprotocols).peekable();
    let is_open = |policy: &Policy| policy.upgrade == Upgrade::Allow || policy.dry_run;
    let Some((conf, _)) = takers.peek() else { return };
    let place = conf.settings.api_key_headers.as_ref().map(|given| &given.place);
    if let (Some(place), true) = (place, takers.all(|(_, policy)| !is_open(policy))) {
        let warning = format!(
            "\"Sec-WebSocket-Protocol\" in \"tollgate_api_key_header\" has no effect, as no location where it \
             holds lets WebSockets through; add \"tollgate_upgrade allow;\" to theirs {place}"
        );
        warnings.warn("tollgate_api_key_header", warning);
    }
}

fn look_at(warnings: &mut Warnings<'_, '_>, server: &Server<'_>, location: &Location<'_>) {
    if let Some(doubt) = of_body(location) {
        warnings.warn("tollgate_max_body", doubt);
    }
    if let Some(doubt) = of_certificates(server, location.conf) {
        warnings.warn("tollgate_auth", doubt);
    }
    for doubt in of_headers(server, location.conf) {
        warnings.warn("tollgate_api_key_header", doubt);
    }
    for (directive, uri, place) in questions(location.conf) {
        if let Some(doubt) = of_question(server, directive, uri, place) {
            warnings.warn(directive, doubt);
        }
    }
}

/// What nobody reaches again, or anybody.
fn of_objects(warnings: &mut Warnings<'_, '_>, conf: &LocConf) {
    let Some(policy) = conf.policy() else { return };
    const REMEDY: &str = "add \"tollgate_owned_objects zone=objects:1m;\" to the http block";
    if policy.background {
        let doubt = format!(
            "\"tollgate_background on\" without \"tollgate_owned_objects\": no client reaches its response \
             again, as nobody knows whose it is; {REMEDY}"
        );
        warnings.warn("tollgate_background", doubt);
    }
    if policy.may_resume() {
        let doubt = format!(
            "\"tollgate_resumable_streams on\" without \"tollgate_owned_objects\": a client that names the id \
             of another one's stream ends it, and nobody can take up his own; {REMEDY}"
        );
        warnings.warn("tollgate_resumable_streams", doubt);
    }
}

/// `tollgate_max_body` above `client_max_body_size`.
fn of_body(location: &Location<'_>) -> Option<String> {
    let Given { value: ours, place } = location.conf.settings.max_body.as_ref()?;
    let is_read = location.conf.policy().is_some_and(|policy| policy.is_metered);
    let nginx = location.max_body;
    if !is_read || nginx == 0 || nginx >= *ours {
        return None;
    }
    let (ours, nginx) = (size(*ours), size(nginx));
    Some(format!(
        "\"tollgate_max_body {ours}\" has no effect above \"client_max_body_size {nginx}\" (by default 1m): \
         to a larger request nginx itself answers 413, with a page of its own; add \
         \"client_max_body_size {ours};\" {place}"
    ))
}

/// Certificates that a server doesn't verify.
fn of_certificates(server: &Server<'_>, conf: &LocConf) -> Option<String> {
    let policy = conf.policy()?;
    let place = &conf.settings.auth.as_ref()?.place;
    if policy.client_cert.is_none() || !policy.xfcc_from.is_empty() {
        return None;
    }
    let (problem, remedy) = match server.verification {
        Verification::Done if server.has_tls => return None,
        Verification::Done => ("has no TLS", "add \"ssl\" to its \"listen\""),
        Verification::Anybodys => (
            "says \"ssl_verify_client optional_no_ca\", which verifies none",
            "say \"ssl_verify_client optional;\" or \"on\", with \"ssl_client_certificate FILE;\"",
        ),
        Verification::Off => (
            "asks for none",
            "add \"ssl_verify_client optional;\" or \"on\", with \"ssl_client_certificate FILE;\"",
        ),
    };
    let (file, line) = (&server.header.file, server.header.line);
    Some(format!(
        "\"tollgate_auth client_cert\" accepts no certificate in the server in {file}:{line}, which {problem}; \
         {remedy} {place}"
    ))
}

/// As nginx.conf has it.
fn size(bytes: u64) -> String {
    match bytes {
        _ if bytes.is_multiple_of(1 << 20) => format!("{}m", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}k", bytes >> 10),
        _ => bytes.to_string(),
    }
}

/// Headers that nginx drops.
fn of_headers(server: &Server<'_>, conf: &LocConf) -> Vec<String> {
    let reads = conf.policy().is_some_and(|policy| policy.api_keys.is_some());
    let Some(Given { value: names, place }) =
        conf.settings.api_key_headers.as_ref().filter(|_| reads)
    else {
        return Vec::new();
    };
    let by = |name: &String, rules: &HeaderRules| {
        header_name::dropped(name, rules.keeps_underscores, rules.drops_invalid)
    };
    let dropped = |name: &String| {
        if let Some(remedy) = by(name, &server.header) {
            return Some(format!(
                "\"{name}\" in \"tollgate_api_key_header\" has no effect, as nginx drops such a header before \
                 anybody sees it; add \"{remedy};\" to the http block, or write the name with \"-\" {place}"
            ));
        }
        let (default, remedy) =
            server.before_host.iter().find_map(|default| Some((default, by(name, default)?)))?;
        Some(format!(
            "\"{name}\" in \"tollgate_api_key_header\" has no effect where the client sends it before \"Host\", \
             as nginx drops it by what the default server of the address says, in {}:{}; add \"{remedy};\" to the \
             http block, or write the name with \"-\" {place}",
            default.file, default.line
        ))
    };
    names.iter().filter_map(dropped).collect()
}

const CLASSIFIER: &str = "classifier";

/// Where providers and classifiers are asked.
fn questions(conf: &LocConf) -> Vec<(&'static str, &str, &Position)> {
    let Some(policy) = conf.policy() else { return Vec::new() };
    let keys = conf.settings.jwt_key_request.as_ref().filter(|_| policy.jwt.is_some());
    let tokens = conf.settings.introspection_request.as_ref();
    let tokens = tokens.filter(|_| policy.introspector.is_some());
    let both = [("tollgate_jwt_key_request", keys), ("tollgate_introspection_request", tokens)];
    let asked = both.into_iter().filter_map(|(directive, given)| {
        let Given { value, place } = given?;
        Some((directive, value.as_ref()?.name.as_str(), place))
    });
    let is_of_answers_alone = |judge: &&Rc<Judge>| !judge.classifier.sides.contains(&Side::Request);
    let classifiers = policy.guards.all().flat_map(|guards| {
        guards.classifiers.iter().chain(guards.judges.iter().filter(is_of_answers_alone))
    });
    let judges = classifiers.map(|one| (CLASSIFIER, &*one.classifier.uri, &one.place));
    asked.chain(judges).collect()
}

fn of_question(
    server: &Server<'_>,
    directive: &str,
    uri: &str,
    place: &Position,
) -> Option<String> {
    let (file, line) = (&server.header.file, server.header.line);
    let here = format!("the server in {file}:{line}");
    let (lost, who) = match directive {
        CLASSIFIER => ("requests can't be judged", "are to be judged"),
        _ => ("tokens can't be verified", "with tokens come there"),
    };
    let off = if directive == CLASSIFIER { "tollgate_guards off" } else { "tollgate off" };
    let remedy = format!(
        "add \"location = {uri} {{ internal; proxy_pass ...; }}\" to it, or \"{off};\" if no requests {who} {place}"
    );
    let found = match server.find(uri) {
        Found::Location(found) => found,
        Found::Redirect => {
            return Some(format!(
                "\"{directive} {uri}\": {here} answers \"{uri}\" with a redirect to \"{uri}/\", which isn't \
                 followed, so that {lost}; {remedy}"
            ))
        }
        Found::Nothing => {
            return Some(format!(
                "\"{directive} {uri}\": {here} has no location \"{uri}\", so that {lost}; {remedy}"
            ))
        }
    };
    let title = found.title();
    if found.is_internal {
        return None;
    }
    // Where requests of clients go, or whatever nobody has thought of.
    let is_for_others =
        || found.is_of("/") || questions(found.conf).iter().any(|(_, asked, _)| *asked == uri);
    if !found.is_of(uri) && is_for_others() {
        return Some(format!(
            "\"{directive} {uri}\": {here} has no location of its own for \"{uri}\", and \"location {title}\" \
             answers in its place, which is for others; {remedy}"
        ));
    }
    let danger = match directive {
        "tollgate_introspection_request" => {
            "anybody can ask about tokens there, with your credentials"
        }
        CLASSIFIER => "anybody can have texts judged there",
        _ => "anybody can have the provider asked there",
    };
    Some(format!(
        "\"{directive} {uri}\": \"location {title}\" of {here} is not internal, so that {danger}; add \
         \"internal;\" to it {place}"
    ))
}
