//! Pages of Tollgate's for operators that anybody may look at: what guards a location is said by directives of
//! nginx's, of which the text alone tells.
//!
//! * `barriers`: what a level says of who gets in, and what nginx makes of it;
//! * `access_list`: whom `allow` and `deny` let in;
//! * `reach`: from where somebody may come at all.

mod access_list;
mod barriers;
mod reach;

use std::fmt;
use std::rc::Rc;

use super::text::Directive;
use barriers::Barriers;
use reach::Reach;

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

/// All of them.
#[must_use]
pub fn find(configuration: &[Directive]) -> Vec<Open> {
    let mut found = Vec::new();
    for http in configuration.iter().filter(|directive| directive.name() == "http") {
        let of_http = Barriers::of(&http.block);
        for server in http.block.iter().filter(|directive| directive.name() == "server") {
            let reach = Reach::of(&http.block, &server.block);
            if !reach.is_local() {
                walk(&server.block, &of_http, reach, &mut found);
            }
        }
    }
    found
}

fn walk(block: &[Directive], outer: &Barriers, reach: Reach, found: &mut Vec<Open>) {
    let barriers = Barriers::of(block).or(outer);
    let is_internal = block.iter().any(|directive| directive.name() == "internal");
    for directive in block {
        let page = PAGES.into_iter().find(|page| *page == directive.name());
        if let Some(page) = page.filter(|_| !is_internal && barriers.let_in(reach)) {
            found.push(Open { page, file: Rc::clone(&directive.file), line: directive.line });
        }
        if directive.name() == "location" && !is_named(directive) {
            walk(&directive.block, &barriers, reach, found);
        }
    }
}

/// Nobody gets there but from another location.
fn is_named(location: &Directive) -> bool {
    location.args().first().is_some_and(|name| name.starts_with('@'))
}

#[cfg(test)]
mod tests;
