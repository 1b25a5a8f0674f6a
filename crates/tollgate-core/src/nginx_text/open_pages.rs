//! Pages of Tollgate's for operators that anybody may look at: what guards a location is said by directives of
//! nginx's, of which the text alone tells.

use std::fmt;
use std::rc::Rc;

use super::text::Directive;

/// The directives of such pages.
const PAGES: [&str; 2] = ["tollgate_metrics", "tollgate_status"];

/// A page that is open to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The directive.
    page: &'static str,
    file: Rc<str>,
    line: usize,
}

impl Open {
    /// The name of the directive.
    #[must_use]
    pub fn page(&self) -> &'static str {
        self.page
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { page, file, line } = self;
        write!(
            f,
            "\"{page}\" shows to everybody how the server is doing; add \"allow 127.0.0.1; deny all;\" to its \
             location, have its server listen on a unix socket alone, or say \"tollgate on;\" there, so that it takes the \
             scope \"admin\" in {file}:{line}"
        )
    }
}

/// What a level says of who gets in; it holds in the levels within that say nothing of that.
#[derive(Clone, Copy, Debug, Default)]
struct Guards {
    /// The last `allow` or `deny` of a level; `true`: it shuts somebody out.
    access: Option<bool>,
    /// `auth_basic`, `auth_request`, `auth_jwt`, and whatever others bring.
    auth: Option<bool>,
    /// `access_by_lua_file`, say.
    script: Option<bool>,
    /// `ssl_verify_client`.
    certificate: Option<bool>,
    /// `tollgate`.
    tollgate: Option<bool>,
}

impl Guards {
    fn or(self, outer: Self) -> Self {
        Self {
            access: self.access.or(outer.access),
            auth: self.auth.or(outer.auth),
            script: self.script.or(outer.script),
            certificate: self.certificate.or(outer.certificate),
            tollgate: self.tollgate.or(outer.tollgate),
        }
    }

    fn of(block: &[Directive]) -> Self {
        let mut guards = Self::default();
        for directive in block {
            let word = directive.args().first().map_or("", String::as_str);
            match directive.name() {
                // To shut out some is to have thought of who gets in.
                "deny" => guards.access = Some(true),
                "allow" => guards.access = guards.access.or(Some(false)),
                "tollgate" => guards.tollgate = Some(word == "on"),
                "ssl_verify_client" => guards.certificate = Some(word == "on"),
                // These say how, and not whether.
                "auth_basic_user_file" | "auth_delay" | "auth_request_set" => {}
                name if name.starts_with("auth_") => {
                    guards.auth = Some(word != "off" || guards.auth == Some(true));
                }
                name if name.starts_with("access_by_lua") => guards.script = Some(true),
                _ => {}
            }
        }
        guards
    }

    fn hold(self) -> bool {
        [self.access, self.auth, self.script, self.certificate, self.tollgate].contains(&Some(true))
    }
}

/// All of them.
#[must_use]
pub fn find(configuration: &[Directive]) -> Vec<Open> {
    let mut found = Vec::new();
    for http in configuration.iter().filter(|directive| directive.name() == "http") {
        let of_http = Guards::of(&http.block);
        for server in http.block.iter().filter(|directive| directive.name() == "server") {
            if !is_local(&server.block) {
                walk(&server.block, of_http, &mut found);
            }
        }
    }
    found
}

/// Whether a server listens on unix sockets alone. To an address of this machine a proxy before it may bring anybody.
fn is_local(server: &[Directive]) -> bool {
    let mut listens = server.iter().filter(|directive| directive.name() == "listen").peekable();
    // Without one it listens on port 80, or 8000, of all addresses.
    listens.peek().is_some()
        && listens.all(|listen| listen.args().first().is_some_and(|word| word.starts_with("unix:")))
}

fn walk(block: &[Directive], outer: Guards, found: &mut Vec<Open>) {
    let guards = Guards::of(block).or(outer);
    let is_internal = block.iter().any(|directive| directive.name() == "internal");
    for directive in block {
        let page = PAGES.into_iter().find(|page| *page == directive.name());
        if let Some(page) = page.filter(|_| !is_internal && !guards.hold()) {
            found.push(Open { page, file: Rc::clone(&directive.file), line: directive.line });
        }
        if directive.name() == "location" && !is_named(directive) {
            walk(&directive.block, guards, found);
        }
    }
}

/// Nobody gets there but from another location.
fn is_named(location: &Directive) -> bool {
    location.args().first().is_some_and(|name| name.starts_with('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nginx_text::text::{read, Files};

    struct NoFiles;

    impl Files for NoFiles {
        fn include(&mut self, _pattern: &str) -> Vec<(String, String)> {
            Vec::new()
        }
    }

    fn open(text: &str) -> Vec<(&'static str, usize)> {
        let found = find(&read(text, "nginx.conf", &mut NoFiles));
        found.iter().map(|open| (open.page, open.line)).collect()
    }

    fn location(directives: &str) -> String {
        format!(
            "http {{ server {{ listen 80; location /m {{\n tollgate_metrics; {directives} }} }} }}"
        )
    }

    #[test]
    fn a_page_that_nothing_guards_is_told() {
        for directives in [
            "",
            "allow all;",
            "auth_basic off;",
            "auth_basic_user_file users;",
            "tollgate off;",
            "satisfy any;",
            "ssl_verify_client optional;",
        ] {
            assert_eq!(open(&location(directives)), [("tollgate_metrics", 2)], "{directives}");
        }
        let text = "http { server { location / { location /s {\n\n tollgate_status; } } } }";
        assert_eq!(open(text), [("tollgate_status", 3)]);
        let text =
            "http { server { listen unix:/run/x; listen 80; location / { tollgate_status; } } }";
        assert_eq!(open(text), [("tollgate_status", 1)]);
        // What another location says guards nothing here.
        let text = "http { server { location /a { deny all; } location /b { tollgate_status; } } }";
        assert_eq!(open(text), [("tollgate_status", 1)]);
        let text =
            "http { tollgate on; server { tollgate off; location /b { tollgate_metrics clients=1; } } }";
        assert_eq!(open(text), [("tollgate_metrics", 1)]);
    }

    #[test]
    fn a_page_that_something_guards_is_not() {
        for directives in [
            "allow 127.0.0.1; deny all;",
            "deny all; allow 127.0.0.1;",
            "auth_basic metrics;",
            "auth_request /who;",
            "auth_jwt metrics;",
            "access_by_lua_file who.lua;",
            "tollgate on;",
            "internal;",
        ] {
            assert_eq!(open(&location(directives)), [], "{directives}");
        }
        let text = "http { server { listen unix:/run/m.sock; location / { tollgate_metrics; } } }";
        assert_eq!(open(text), []);
        for outer in ["deny 192.0.2.1;", "tollgate on;", "auth_basic x;", "ssl_verify_client on;"] {
            let text = format!(
                "http {{ {outer} server {{ location / {{ location /m {{ tollgate_status; }} }} }} }}"
            );
            assert_eq!(open(&text), [], "{outer}");
        }
        assert_eq!(open("http { server { location @m { tollgate_metrics; } } }"), []);
        // Usage is for clients, who have to say who they are.
        assert_eq!(open("http { server { location / { tollgate_usage; } } }"), []);
    }
}
