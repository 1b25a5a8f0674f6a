//! What reads `$tollgate_...` before the request is judged, and finds it empty: `limit_req` and
//! `limit_conn`, which come before ACCESS, and `if`, `set`, `return` and `rewrite`, which come before that.
//!
//! The text is all that tells: which modules have which directives with variables isn't known from outside.
//! What evaluates variables in code of its own (Lua, njs, Perl) is not seen.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

use super::expression::names;
use super::text::Directive;

/// Something that reads a variable too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Early {
    /// The name of the directive.
    directive: String,
    /// The variable that it reads.
    variable: String,
    /// The one of Tollgate's that this comes of.
    source: String,
    file: Rc<str>,
    line: usize,
}

impl fmt::Display for Early {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directive, variable, source, file, line } = self;
        write!(f, "\"{directive}\" reads \"${variable}\"")?;
        if variable != source {
            write!(f, ", which is made of \"${source}\"")?;
        }
        let remedy = match directive.as_str() {
            "limit_req_zone" => format!(
                ", but that is empty before the request is judged, so that this limits nothing; use \
                 \"tollgate_limit NAME key=${source} requests=...;\" with \"tollgate_apply NAME;\" instead"
            ),
            "limit_conn_zone" => format!(
                ", but that is empty before the request is judged, so that this limits nothing; use \
                 \"tollgate_limit NAME key=${source} concurrency=...;\" with \"tollgate_apply NAME;\" instead"
            ),
            _ => ", but that is empty here, before the request is judged; use it in what comes later \
                  (proxy_pass, proxy_set_header, add_header, log_format, perhaps by a map), or in a location \
                  that is named or internal, for requests that were judged already"
                .to_owned(),
        };
        write!(f, "{remedy} in {file}:{line}")
    }
}

/// Variables of Tollgate's that are known at any time.
const ALWAYS: [&str; 2] = ["tollgate_failed_loads", "tollgate_key_refetch"];
/// Directives of a server or location that are done with before ACCESS, or at its beginning.
const EARLY: [&str; 7] =
    ["if", "set", "rewrite", "return", "auth_basic", "auth_basic_user_file", "auth_request"];
/// Directives that make a variable of others.
const MAKERS: [&str; 3] = ["map", "split_clients", "geo"];

/// All that reads one of Tollgate's variables too early.
#[must_use]
pub fn find(configuration: &[Directive]) -> Vec<Early> {
    let mut scan = Scan::default();
    for http in configuration.iter().filter(|directive| directive.name() == "http") {
        scan.look_around(&http.block);
        // Variables are made of others in any order.
        while scan.derive(&http.block) {}
        scan.walk(&http.block, false, false);
        scan.judge_zones();
    }
    scan.found
}

#[derive(Default)]
struct Scan {
    /// Variables, and those of Tollgate's that they are made of.
    derived: HashMap<String, String>,
    /// Paths that `error_page` leads to.
    pages: HashSet<String>,
    /// Zones by such variables.
    zones: Vec<(String, Early)>,
    /// Zones that are used where clients get, and where only requests do that were judged.
    used: HashSet<(String, bool)>,
    found: Vec<Early>,
}

impl Scan {
    fn source(&self, name: &str) -> Option<String> {
        match name.starts_with("tollgate_") {
            true => (!ALWAYS.contains(&name)).then(|| name.to_owned()),
            false => self.derived.get(name).cloned(),
        }
    }

    /// The first variable in these words that comes of Tollgate, and which one of it that is.
    fn reads<'w>(&self, words: impl IntoIterator<Item = &'w String>) -> Option<(String, String)> {
        let mut words = words.into_iter();
        words
            .find_map(|word| names(word).find_map(|name| Some((name.clone(), self.source(&name)?))))
    }

    fn look_around(&mut self, block: &[Directive]) {
        for directive in block {
            if directive.name() == "error_page" {
                self.pages.extend(directive.args().last().cloned());
            }
            self.look_around(&directive.block);
        }
    }

    /// Whether a variable was found that is made of one that is known.
    fn derive(&mut self, block: &[Directive]) -> bool {
        let mut is_new = false;
        for directive in block {
            let (made, of) = match (directive.name(), directive.args()) {
                ("set", [made, of]) => (made, self.reads([of])),
                (maker, [of @ .., made]) if MAKERS.contains(&maker) => {
                    let values = directive.block.iter().filter_map(|entry| entry.words.last());
                    let is_map = maker == "map";
                    (made, self.reads(of.iter().chain(values.filter(|_| is_map))))
                }
                _ => {
                    is_new |= self.derive(&directive.block);
                    continue;
                }
            };
            if let (Some(made), Some((_, source))) = (names(made).next(), of) {
                self.derived.entry(made).or_insert_with(|| {
                    is_new = true;
                    source
                });
            }
        }
        is_new
    }

    /// `is_inside` a server; `is_judged`: only requests that were judged get here.
    fn walk(&mut self, block: &[Directive], is_inside: bool, is_judged: bool) {
        for directive in block {
            let (name, args) = (directive.name(), directive.args());
            match name {
                "limit_req_zone" | "limit_conn_zone" => {
                    let zone = args.iter().find_map(|word| word.strip_prefix("zone="));
                    let zone = zone.and_then(|zone| zone.split(':').next()).unwrap_or_default();
                    if let Some(early) = self.early(directive) {
                        self.zones.push((zone.to_owned(), early));
                    }
                }
                "limit_req" => {
                    let zone = args.iter().find_map(|word| word.strip_prefix("zone="));
                    self.used.extend(zone.map(|zone| (zone.to_owned(), is_judged)));
                }
                "limit_conn" => {
                    self.used.extend(args.first().map(|zone| (zone.clone(), is_judged)));
                }
                _ if EARLY.contains(&name) && is_inside && !is_judged => {
                    let early = self.early(directive);
                    self.found.extend(early);
                }
                _ => {}
            }
            if !MAKERS.contains(&name) {
                let is_judged = is_judged || (name == "location" && self.is_judged(directive));
                self.walk(&directive.block, is_inside || name == "server", is_judged);
            }
        }
    }

    /// Whether clients can't get to a location but by way of another one.
    fn is_judged(&self, location: &Directive) -> bool {
        let is_internal = location.block.iter().any(|directive| directive.name() == "internal");
        let path = location.args().last();
        is_internal || path.is_some_and(|path| path.starts_with('@') || self.pages.contains(path))
    }

    fn early(&self, directive: &Directive) -> Option<Early> {
        // The variable that "set" assigns to isn't read.
        let assigned = usize::from(directive.name() == "set");
        let (variable, source) = self.reads(directive.args().iter().skip(assigned))?;
        Some(Early {
            directive: directive.name().to_owned(),
            variable,
            source,
            file: Rc::clone(&directive.file),
            line: directive.line,
        })
    }

    /// A zone that is used only where requests were judged before is as good as any.
    fn judge_zones(&mut self) {
        for (zone, early) in std::mem::take(&mut self.zones) {
            let is_used = |judged| self.used.contains(&(zone.clone(), judged));
            if is_used(false) || !is_used(true) {
                self.found.push(early);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx_text::text::{read, Files};

    struct NoFiles;

    impl Files for NoFiles {
        fn include(&mut self, _: &str) -> Vec<(String, String)> {
            Vec::new()
        }
    }

    /// What is found within `http`: directive, variable, source.
    fn found(http: &str) -> Vec<String> {
        let found = find(&read(&format!("events {{ }} http {{ {http} }}"), "test", &mut NoFiles));
        let shown = found.iter().map(|early| {
            assert!(early.to_string().ends_with(" in test:1"), "{early}");
            format!("{} {} {}", early.directive, early.variable, early.source)
        });
        shown.collect()
    }

    #[test]
    fn what_comes_before_the_judgement_is_found() {
        for (http, expected) in [
            (
                "limit_req_zone $tollgate_client zone=a:1m rate=1r/s;",
                "limit_req_zone tollgate_client tollgate_client",
            ),
            (
                "limit_conn_zone ${Tollgate_Tenant} zone=a:1m;",
                "limit_conn_zone tollgate_tenant tollgate_tenant",
            ),
            (
                "limit_req_zone $x zone=a:1m rate=1r/s; map $y $x { a b; } map a$tollgate_tier $y { }",
                "limit_req_zone x tollgate_tier",
            ),
            (
                "limit_req_zone $x zone=a:1m rate=1r/s; map $host $x { a $tollgate_client; }",
                "limit_req_zone x tollgate_client",
            ),
            (
                "split_clients $tollgate_client $x { 50% a; } server { if ($x = a) { } }",
                "if x tollgate_client",
            ),
            ("server { set $a $tollgate_client; }", "set tollgate_client tollgate_client"),
            (
                "server { location / { return 200 \"a $tollgate_client\"; } }",
                "return tollgate_client tollgate_client",
            ),
            (
                "server { location / { if ($arg_a) { rewrite ^ /$tollgate_model; } } }",
                "rewrite tollgate_model tollgate_model",
            ),
            (
                "server { location / { auth_basic $tollgate_tenant; } }",
                "auth_basic tollgate_tenant tollgate_tenant",
            ),
            (
                "limit_req_zone $tollgate_client zone=a:1m rate=1r/s; server { limit_req zone=a; \
                 location @a { limit_req zone=a; } }",
                "limit_req_zone tollgate_client tollgate_client",
            ),
        ] {
            assert_eq!(found(http), [expected], "{http}");
        }
    }

    #[test]
    fn what_comes_later_or_reads_something_else_is_let_be() {
        for http in [
            "map $tollgate_model $x { } server { location / { proxy_pass http://$x; } }",
            "log_format a $tollgate_client; server { access_log a.log a if=$tollgate_client; }",
            "server { add_header X $tollgate_tier; proxy_set_header X $tollgate_tenant; }",
            "server { error_page 429 /$tollgate_reason; limit_rate $tollgate_tier; }",
            "server { location /metrics { return 200 $tollgate_failed_loads; } }",
            "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s; server { limit_req zone=a; }",
            "tollgate_limit a key=$tollgate_client requests=1r/s;",
            "server { location @a { if ($tollgate_reason) { return 402 $tollgate_client; } } }",
            "server { location = /a { internal; return 402 $tollgate_reason; } }",
            "server { error_page 429 = /a; location = /a { return 402 $tollgate_reason; } }",
            "limit_req_zone $tollgate_client zone=a:1m rate=1r/s; server { location @a { limit_req zone=a; } }",
            "server { location / { return 200 'a \\$b'; } }",
        ] {
            assert_eq!(found(http), [""; 0], "{http}");
        }
    }

    #[test]
    fn only_http_is_looked_at() {
        let text = "stream { limit_conn_zone $tollgate_client zone=a:1m; }";
        assert_eq!(find(&read(text, "test", &mut NoFiles)), []);
    }
}
