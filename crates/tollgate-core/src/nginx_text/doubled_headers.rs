//! `add_header` of what `tollgate_cors` or `tollgate_security_headers` adds: nginx puts its line behind ours,
//! and a browser that finds two of CORS refuses the answer.

use std::fmt;
use std::rc::Rc;

use super::text::Directive;
use crate::{cors, security_headers};

/// A header line that would be there twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubled {
    header: String,
    is_of_cors: bool,
    file: Rc<str>,
    line: usize,
}

impl fmt::Display for Doubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { header, is_of_cors, file, line } = self;
        let header = header.escape_debug();
        match is_of_cors {
            true => write!(
                f,
                "\"add_header {header}\" comes beside that of \"tollgate_cors\" where both hold, and browsers \
                 refuse an answer with two; leave it out in {file}:{line}"
            ),
            false => write!(
                f,
                "\"add_header {header}\" comes beside that of \"tollgate_security_headers\" where both hold; leave \
                 out one of them in {file}:{line}"
            ),
        }
    }
}

/// All of them: those of CORS, and those of security.
#[must_use]
pub fn find(configuration: &[Directive], cors: bool, security: bool) -> Vec<Doubled> {
    let mut found = Vec::new();
    for http in configuration.iter().filter(|directive| directive.name() == "http") {
        walk(&http.block, (cors, security), switched(&http.block), &mut found);
    }
    found
}

/// Whether a level switches Tollgate on or off; `None`: it says nothing.
fn switched(block: &[Directive]) -> Option<bool> {
    let mut switches = block.iter().filter(|directive| directive.name() == "tollgate");
    Some(switches.next()?.args().first().is_some_and(|word| word == "on"))
}

/// Whether it is on anywhere in a block.
fn is_on_within(block: &[Directive], is_on: bool) -> bool {
    let is_on = switched(block).unwrap_or(is_on);
    is_on || block.iter().any(|directive| is_on_within(&directive.block, is_on))
}

fn walk(
    block: &[Directive],
    (cors, security): (bool, bool),
    is_on: Option<bool>,
    found: &mut Vec<Doubled>,
) {
    // A level's lines are those of the levels within as well.
    if !is_on_within(block, is_on.unwrap_or(false)) {
        return;
    }
    for directive in block {
        if let ("add_header", Some(header)) = (directive.name(), directive.args().first()) {
            let is_of_cors = cors::is_of_cors(header.as_bytes());
            let is_of_security =
                security_headers::NAMES.iter().any(|name| name.eq_ignore_ascii_case(header));
            if (cors && is_of_cors) || (security && is_of_security) {
                found.push(Doubled {
                    header: header.clone(),
                    is_of_cors,
                    file: Rc::clone(&directive.file),
                    line: directive.line,
                });
            }
        }
        let is_on = switched(&directive.block).or(is_on);
        walk(&directive.block, (cors, security), is_on, found);
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

    #[test]
    fn only_what_would_be_there_twice_is_told() {
        let text =
            "http { add_header X-Other 1;\nserver { add_header access-control-allow-origin *;\n\
            location / { add_header X-Content-Type-Options nosniff always; tollgate on; }\n\
            location /off { add_header Access-Control-Allow-Origin *; tollgate off; } }\n\
            server { add_header Access-Control-Allow-Origin *; } }";
        let found = |cors, security| {
            let found = find(&read(text, "nginx.conf", &mut NoFiles), cors, security);
            found.iter().map(|doubled| doubled.line).collect::<Vec<_>>()
        };
        assert_eq!(found(true, true), [2, 3]);
        assert_eq!(found(true, false), [2]);
        assert_eq!(found(false, true), [3]);
        assert_eq!(found(false, false), [0_usize; 0]);
    }
}
