//! Pages for operators that nothing guards. Who may look is said by directives of nginx, which only the text of the
//! configuration tells of.

use std::fmt;
use std::rc::Rc;

use super::text::Directive;

/// What is for operators alone.
const PAGES: [&str; 2] = ["tollgate_metrics", "tollgate_status"];
/// By what else somebody is judged in the access phase: of nginx, NGINX Plus, and modules that many have.
const JUDGES: [&str; 11] = [
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "auth_oidc",
    "auth_digest",
    "auth_gss",
    "auth_ldap",
    "auth_pam",
    "access_by_lua",
    "access_by_lua_block",
    "access_by_lua_file",
];
/// What an `if` may ask about that isn't who somebody is.
const NOBODYS: [&str; 3] = ["$request_method", "$scheme", "$host"];

/// A page that everybody can see who reaches its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenPage {
    directive: &'static str,
    file: Rc<str>,
    line: usize,
}

impl OpenPage {
    /// The name of the page's directive.
    #[must_use]
    pub fn directive(&self) -> &'static str {
        self.directive
    }
}

impl fmt::Display for OpenPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directive, file, line } = self;
        write!(
            f,
            "\"{directive}\" is open to everybody who reaches its server; say who may look (\"allow 127.0.0.1;\" and \
             \"deny all;\", say), have the server listen on a unix socket alone, or say \"tollgate on\", with which \
             it needs the scope \"admin\" in {file}:{line}"
        )
    }
}

/// All of them.
#[must_use]
pub fn find(configuration: &[Directive]) -> Vec<OpenPage> {
    let mut found = Vec::new();
    for http in configuration.iter().filter(|directive| directive.name() == "http") {
        walk(&http.block, &Level::default().within(&http.block), &mut found);
    }
    found
}

fn walk(block: &[Directive], level: &Level, found: &mut Vec<OpenPage>) {
    for directive in block {
        let page = PAGES.into_iter().find(|page| *page == directive.name());
        if let Some(page) = page.filter(|_| !level.is_guarded()) {
            let (file, line) = (Rc::clone(&directive.file), directive.line);
            found.push(OpenPage { directive: page, file, line });
        }
        let block = &directive.block;
        match directive.name() {
            "server" => walk(block, &level.within(block).at(block), found),
            "location" => walk(block, &level.within(block), found),
            _ => {}
        }
    }
}

/// What `allow` and `deny` say to addresses of a family that they don't name one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Allowed,
    Denied,
    Unsaid,
}

/// What holds in a block.
#[derive(Clone, Debug)]
struct Level {
    /// `tollgate on`
    is_ours: bool,
    /// To IPv4 and to IPv6; `None`: no level has `allow` or `deny`.
    rest: Option<[Rest; 2]>,
    /// Those of [`JUDGES`] that are in force.
    judges: Vec<&'static str>,
    /// `satisfy any`
    any: bool,
    /// `internal`, `ssl_verify_client on`, or a condition with an answer of its own, of the server.
    is_closed: bool,
    /// Such a condition, of this block alone.
    turns_away: bool,
    /// Whether somebody comes by IPv4, and by IPv6.
    comes: [bool; 2],
}

impl Default for Level {
    fn default() -> Self {
        Self {
            is_ours: false,
            rest: None,
            judges: Vec::new(),
            any: false,
            is_closed: false,
            turns_away: false,
            comes: [true, false],
        }
    }
}

impl Level {
    /// What holds in a block that is in this one.
    fn within(&self, block: &[Directive]) -> Self {
        let mut level = Self { turns_away: turns_away(block), ..self.clone() };
        let rules: Vec<_> =
            block.iter().filter(|rule| matches!(rule.name(), "allow" | "deny")).collect();
        if !rules.is_empty() {
            level.rest = Some([rest(&rules, "0.0.0.0/0"), rest(&rules, "::/0")]);
        }
        for directive in block {
            let word = directive.args().first().map_or("", String::as_str);
            match directive.name() {
                "tollgate" => level.is_ours = word == "on",
                "satisfy" => level.any = word == "any",
                "internal" => level.is_closed = true,
                "ssl_verify_client" => level.is_closed = word == "on",
                name => {
                    if let Some(judge) = JUDGES.into_iter().find(|judge| *judge == name) {
                        level.judges.retain(|known| *known != judge);
                        level.judges.extend((word != "off").then_some(judge));
                    }
                }
            }
        }
        level
    }

    /// What holds in a server with this block.
    fn at(mut self, block: &[Directive]) -> Self {
        let listens: Vec<_> =
            block.iter().filter(|directive| directive.name() == "listen").collect();
        if !listens.is_empty() {
            let address = |listen: &&Directive| listen.args().first().cloned().unwrap_or_default();
            let addresses: Vec<String> = listens.iter().map(address).collect();
            let is_unix = |address: &String| address.starts_with("unix:");
            let is_v6 = |address: &String| address.starts_with('[');
            let is_v4 = |address: &String| !is_v6(address) && !is_unix(address);
            self.comes = [addresses.iter().any(is_v4), addresses.iter().any(is_v6)];
        }
        // What a server asks first holds in all of its locations.
        self.is_closed |= self.turns_away;
        self
    }

    fn is_guarded(&self) -> bool {
        let who_comes = |comes: &[bool; 2]| comes.iter().any(|family| *family);
        if self.is_closed || self.turns_away || !who_comes(&self.comes) {
            return true;
        }
        let rest = self.rest.unwrap_or([Rest::Unsaid; 2]);
        let mut of_who_comes = rest.iter().zip(self.comes).filter(|(_, comes)| *comes);
        if self.any && of_who_comes.clone().any(|(rest, _)| *rest == Rest::Allowed) {
            return false;
        }
        let is_denied = of_who_comes.all(|(rest, _)| *rest == Rest::Denied);
        is_denied || self.is_ours || !self.judges.is_empty()
    }
}

/// What the first rule says that is for all of a family.
fn rest(rules: &[&Directive], family: &str) -> Rest {
    let is_for_all =
        |rule: &&&Directive| rule.args().first().is_some_and(|arg| arg == "all" || arg == family);
    match rules.iter().find(is_for_all).map(|rule| rule.name()) {
        Some("allow") => Rest::Allowed,
        Some(_) => Rest::Denied,
        None => Rest::Unsaid,
    }
}

/// Whether there is an answer before a page, to all or to some: an error, as whoever wrote it has thought of somebody.
fn turns_away(block: &[Directive]) -> bool {
    let is_refusal = |directive: &Directive| {
        let code = directive.args().first().map_or("", String::as_str);
        directive.name() == "return" && code.len() == 3 && code.starts_with('4')
    };
    let asks_who = |condition: &Directive| {
        let of = |word: &String| NOBODYS.iter().any(|nobodys| word.contains(nobodys));
        !condition.args().iter().any(of)
    };
    block.iter().any(|directive| match directive.name() {
        "return" => true,
        "if" => asks_who(directive) && directive.block.iter().any(is_refusal),
        _ => false,
    })
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

    /// The lines of what is open in this `http` block.
    fn open(http: &str) -> Vec<usize> {
        let found = find(&read(&format!("http {{ {http} }}"), "nginx.conf", &mut NoFiles));
        found.iter().map(|page| page.line).collect()
    }

    /// Whether a page in a location with these lines is open, in a server with those.
    fn is_open(server: &str, location: &str) -> bool {
        !open(&format!("server {{ {server} location /m {{ {location} tollgate_metrics; }} }}"))
            .is_empty()
    }

    #[test]
    fn page_without_a_guard_is_open() {
        for (server, location) in [
            ("", ""),
            ("listen 127.0.0.1:9145;", ""),
            ("listen unix:/run/m.sock; listen 80;", ""),
            ("tollgate on;", "tollgate off;"),
            ("", "allow 127.0.0.1;"),
            ("", "deny 192.0.2.1;"),
            ("", "allow all; deny all;"),
            ("deny all;", "allow 127.0.0.1;"),
            ("listen [::]:80; listen 80;", "deny 0.0.0.0/0;"),
            ("auth_basic secret;", "auth_basic off;"),
            ("auth_request /auth;", "auth_request off;"),
            ("tollgate on;", "satisfy any; allow all;"),
            ("satisfy any; tollgate on;", "allow 0.0.0.0/0;"),
            ("ssl_verify_client optional;", ""),
            ("ssl_verify_client optional_no_ca;", ""),
            ("", "auth_basic_user_file users;"),
            ("", "auth_request_set $a $b;"),
            ("", "if ($request_method = POST) { return 405; }"),
            ("if ($scheme = http) { return 403; }", ""),
            ("if ($host = a) { return 301 https://b/; }", ""),
            ("location = /other { deny all; }", ""),
        ] {
            assert!(is_open(server, location), "{server} / {location}");
        }
    }

    #[test]
    fn page_with_a_guard_is_not_open() {
        for (server, location) in [
            ("tollgate on;", ""),
            ("tollgate on; tollgate_auth none;", ""),
            ("tollgate on;", "satisfy any; deny all;"),
            ("tollgate on;", "satisfy any; allow 127.0.0.1; deny all;"),
            ("tollgate on;", "satisfy any; allow 127.0.0.1;"),
            ("", "allow 127.0.0.1; deny all;"),
            ("allow 127.0.0.1; deny all;", ""),
            ("", "deny 0.0.0.0/0;"),
            ("listen [::]:80; listen 80;", "deny 0.0.0.0/0; deny ::/0;"),
            ("listen unix:/run/m.sock;", ""),
            ("auth_basic secret;", ""),
            ("", "auth_request /auth;"),
            ("", "auth_jwt realm;"),
            ("ssl_verify_client on;", ""),
            ("", "internal;"),
            ("", "access_by_lua_block { if x then y() end }"),
            ("", "if ($remote_addr != 192.0.2.1) { return 403; }"),
            ("if ($bad) { return 444; }", ""),
            ("", "return 404;"),
        ] {
            assert!(!is_open(server, location), "{server} / {location}");
        }
        assert_eq!(open("deny all; server { location / { tollgate_status; } }"), [0_usize; 0]);
        assert_eq!(open("server { location / { tollgate_usage; } }"), [0_usize; 0]);
    }

    #[test]
    fn each_open_page_is_told_with_its_place() {
        let http = "server { location /a { deny all;\nlocation /a/b { tollgate_status; } }\n\
                    location /c { tollgate_metrics clients=3; }\n\
                    location /d { location /d/e { tollgate_status; } } }";
        assert_eq!(open(http), [3, 4]);
        let text = read(&format!("http {{ {http} }}"), "nginx.conf", &mut NoFiles);
        let told: Vec<_> = find(&text).iter().map(ToString::to_string).collect();
        let begins = "\"tollgate_metrics\" is open to everybody who reaches its server; ";
        assert!(told.first().is_some_and(|told| told.starts_with(begins)), "{told:?}");
        assert!(told.iter().all(|told| told.contains(" in nginx.conf:")), "{told:?}");
    }
}
