//! The maps of a configuration, and whether what they make is ever known.

use std::collections::HashMap;

use super::expression::names;
use super::text::Directive;

/// How many maps are made of each other at most.
const MAX_DEPTH: usize = 8;

/// What each `map` of `http` makes, by the name of its variable.
#[derive(Clone, Debug, Default)]
pub struct Maps(HashMap<String, Map>);

#[derive(Clone, Debug, Default)]
struct Map {
    /// What is looked up.
    input: String,
    entries: Vec<(String, String)>,
    /// Some of its entries are patterns: which of them fits, isn't found out here.
    has_patterns: bool,
}

impl Maps {
    /// Those of a configuration.
    #[must_use]
    pub fn of(configuration: &[Directive]) -> Self {
        let blocks = configuration.iter().filter(|directive| directive.name() == "http");
        let maps = blocks.flat_map(|http| &http.block).filter_map(|directive| {
            match (directive.name(), directive.args()) {
                ("map", [input, made]) => Some((names(made).next()?, Map::of(input, directive))),
                _ => None,
            }
        });
        // Of two that make the same, nginx takes the last one.
        Self(maps.collect())
    }

    /// The first of the variables in `expression` that is no map, where none of its variables has ever a value:
    /// `is_known` says that of those that are no maps.
    pub(super) fn unknown(
        &self,
        expression: &str,
        is_known: &dyn Fn(&str) -> bool,
    ) -> Option<String> {
        self.unknown_at(expression, is_known, MAX_DEPTH)
    }

    fn unknown_at(
        &self,
        expression: &str,
        is_known: &dyn Fn(&str) -> bool,
        depth: usize,
    ) -> Option<String> {
        let mut first = None;
        for name in names(expression) {
            let source = match self.0.get(&name) {
                Some(map) => self.source(map, is_known, depth.checked_sub(1)?)?,
                None if is_known(&name) => return None,
                None => name,
            };
            first = first.or(Some(source));
        }
        first
    }

    /// What is missing for a map to make anything. `None`: it may make something.
    fn source(&self, map: &Map, is_known: &dyn Fn(&str) -> bool, depth: usize) -> Option<String> {
        let missing = self.unknown_at(&map.input, is_known, depth);
        // What it makes, where that is the same for all.
        let only = missing.as_ref().and_then(|_| map.value(&without_variables(&map.input)));
        match only {
            Some("") => missing,
            Some(value) => {
                let is_constant = !without_variables(value).is_empty();
                self.unknown_at(value, is_known, depth).filter(|_| !is_constant)
            }
            None => {
                let mut first = None;
                for (_, value) in map.entries.iter().filter(|(_, value)| !value.is_empty()) {
                    if !without_variables(value).is_empty() {
                        return None;
                    }
                    first = first.or(Some(self.unknown_at(value, is_known, depth)?));
                }
                first
            }
        }
    }
}

impl Map {
    fn of(input: &str, directive: &Directive) -> Self {
        let mut map = Self { input: input.to_owned(), ..Self::default() };
        for entry in &directive.block {
            match entry.words.as_slice() {
                [flag] if flag == "hostnames" => map.has_patterns = true,
                [key, value] => {
                    map.has_patterns |= key.starts_with('~');
                    let key = key.strip_prefix('\\').unwrap_or(key).to_lowercase();
                    map.entries.push((key, value.clone()));
                }
                _ => {}
            }
        }
        map
    }

    /// What it makes of `input`; `None`: that isn't found out here.
    fn value(&self, input: &str) -> Option<&str> {
        let value_of = |wanted: &str| {
            let found = self.entries.iter().find(|(key, _)| key == wanted);
            found.map(|(_, value)| value.as_str())
        };
        match value_of(&input.to_lowercase()) {
            Some(value) => Some(value),
            None if self.has_patterns => None,
            None => Some(value_of("default").unwrap_or("")),
        }
    }
}

/// What is left of an expression whose variables are all empty.
fn without_variables(expression: &str) -> String {
    let mut parts = expression.split('$');
    let mut text = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        text.push_str(match part.strip_prefix('{') {
            Some(braced) => braced.split_once('}').map_or("", |(_, behind)| behind),
            None => part.trim_start_matches(is_of_name),
        });
    }
    text
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

    /// What `$x` lacks where nobody has a tenant.
    fn lacks(http: &str) -> Option<String> {
        let maps = Maps::of(&read(&format!("http {{ {http} }}"), "test", &mut NoFiles));
        maps.unknown("$x", &|name| name != "tollgate_tenant")
    }

    #[test]
    fn a_map_of_nothing_makes_nothing() {
        for http in [
            "map $tollgate_tenant $x { acme gold; }",
            "map $tollgate_tenant $x { default $tollgate_tenant; acme gold; }",
            "map $tollgate_tenant $x { default ''; acme gold; }",
            "map $tollgate_tenant $x { default gold; '' ''; }",
            "map $tollgate_tenant $X { '' \"$tollgate_tenant\"; ~^a gold; }",
            "map $tollgate_tenant $x { volatile; acme gold; }",
            "map t:${tollgate_tenant} $x { t:acme gold; }",
            "map $y $x { a gold; } map $tollgate_tenant $y { acme a; }",
            "map $host $x { a $tollgate_tenant; default ${tollgate_tenant}; }",
        ] {
            assert_eq!(lacks(http).as_deref(), Some("tollgate_tenant"), "{http}");
        }
    }

    #[test]
    fn a_map_that_may_make_something_is_let_be() {
        for http in [
            "map $tollgate_tenant $x { default all; acme gold; }",
            "map $tollgate_tenant $x { '' all; }",
            "map $tollgate_tenant $x { default $tollgate_client; }",
            "map $tollgate_tenant $x { default t$tollgate_tenant; }",
            "map $tollgate_tenant $x { ~^$ all; }",
            "map $tollgate_tenant $x { hostnames; *.a b; }",
            "map t:$tollgate_tenant $x { t: all; }",
            "map $tollgate_tenant$host $x { a b; }",
            "map $host $x { a $tollgate_tenant; default b; }",
            // The same for everybody, which another map may know.
            "map $y $x { b gold; } map $tollgate_tenant $y { default b; }",
            "map $x $x { a b; }",
            "map $y $x { a b; } map $x $y { a b; }",
            "server { map $tollgate_tenant $x { a b; } }",
        ] {
            assert_eq!(lacks(http), None, "{http}");
        }
    }

    #[test]
    fn text_beside_variables_is_kept() {
        for (expression, expected) in [
            ("$a", ""),
            ("${a}", ""),
            ("a$b:${c}d", "a:d"),
            ("a", "a"),
            ("$a-$b", "-"),
            ("${a", ""),
        ] {
            assert_eq!(without_variables(expression), expected, "{expression}");
        }
    }
}
