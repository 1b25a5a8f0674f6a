//! Which value of a directive holds where.

use super::tree::Directive;
use super::value::{size, time_ms};

/// A configuration.
#[derive(Clone, Debug, Default)]
pub struct Conf {
    main: Vec<Directive>,
}

/// A block, with those around it.
#[derive(Clone, Debug)]
pub struct Scope<'c> {
    /// From the outermost level to its own.
    levels: Vec<&'c [Directive]>,
    /// The block, such as `location`.
    pub block: &'c Directive,
    /// The server that it is in, or that it is.
    pub server: &'c Directive,
}

/// Blocks whose lines are no directives: a word in them means nothing else.
const TABLES: [&str; 7] =
    ["map", "geo", "types", "split_clients", "charset_map", "match", "otel_exporter"];

impl Conf {
    /// That of these directives.
    #[must_use]
    pub fn new(main: Vec<Directive>) -> Self {
        Self { main }
    }

    /// What stands outside of all blocks.
    #[must_use]
    pub fn main(&self) -> &[Directive] {
        &self.main
    }

    /// The last directive of this name outside of all blocks.
    #[must_use]
    pub fn top(&self, name: &str) -> Option<&Directive> {
        self.main.iter().rfind(|directive| directive.name == name)
    }

    /// What stands in `events`.
    #[must_use]
    pub fn events(&self) -> &[Directive] {
        self.top("events").map_or(&[], Directive::body)
    }

    /// What stands in `http`.
    #[must_use]
    pub fn http(&self) -> &[Directive] {
        self.top("http").map_or(&[], Directive::body)
    }

    /// The directives of this name in `http` itself, such as `map`.
    pub fn in_http<'c>(&'c self, name: &'static str) -> impl Iterator<Item = &'c Directive> + 'c {
        self.http().iter().filter(move |directive| directive.name == name)
    }

    /// The servers.
    #[must_use]
    pub fn servers(&self) -> Vec<Scope<'_>> {
        let servers = self.in_http("server").filter(|server| server.block.is_some());
        servers
            .map(|server| Scope {
                levels: vec![self.main(), self.http(), server.body()],
                block: server,
                server,
            })
            .collect()
    }

    /// The locations of all servers, those in locations included, and the blocks in them (`if`,
    /// `limit_except`).
    #[must_use]
    pub fn locations(&self) -> Vec<Scope<'_>> {
        let mut found = Vec::new();
        for server in self.servers() {
            server.add_inner(&mut found);
        }
        found
    }

    /// The upstream of this name.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<&Directive> {
        self.in_http("upstream").find(|upstream| upstream.arg(0) == Some(name))
    }

    /// Every directive of the whole configuration, but for the lines of tables such as `map`.
    #[must_use]
    pub fn all(&self) -> Vec<&Directive> {
        let mut found = Vec::new();
        add_all(&self.main, &mut found);
        found
    }

    /// Every directive of this name, wherever it stands.
    #[must_use]
    pub fn everywhere(&self, name: &str) -> Vec<&Directive> {
        self.all().into_iter().filter(|directive| directive.name == name).collect()
    }
}

fn add_all<'c>(directives: &'c [Directive], found: &mut Vec<&'c Directive>) {
    for directive in directives {
        found.push(directive);
        if !TABLES.contains(&directive.name.as_str()) {
            add_all(directive.body(), found);
        }
    }
}

impl<'c> Scope<'c> {
    fn add_inner(&self, found: &mut Vec<Scope<'c>>) {
        for block in self.block.body() {
            if block.block.is_some()
                && ["location", "if", "limit_except"].contains(&block.name.as_str())
            {
                let mut levels = self.levels.clone();
                levels.push(block.body());
                let scope = Scope { levels, block, server: self.server };
                found.push(scope.clone());
                scope.add_inner(found);
            }
        }
    }

    /// The directives of this name that hold: those of the innermost level that has some.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&'c Directive> {
        let of = |level: &&'c [Directive]| -> Vec<&'c Directive> {
            level.iter().filter(|directive| directive.name == name).collect()
        };
        self.levels.iter().rev().map(of).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// The directive of this name that holds, of those of which one does.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&'c Directive> {
        self.all(name).pop()
    }

    /// Its first word.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'c str> {
        self.last(name)?.arg(0)
    }

    /// Whether a flag is on.
    #[must_use]
    pub fn is_on(&self, name: &str, default: bool) -> bool {
        self.value(name).map_or(default, |value| value.eq_ignore_ascii_case("on"))
    }

    /// A time, in milliseconds.
    #[must_use]
    pub fn time_ms(&self, name: &str, default: u64) -> u64 {
        self.value(name).and_then(time_ms).unwrap_or(default)
    }

    /// A size, in bytes.
    #[must_use]
    pub fn size(&self, name: &str, default: u64) -> u64 {
        self.value(name).and_then(size).unwrap_or(default)
    }

    /// Whether Tollgate judges requests here.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.is_on("tollgate", false)
    }

    /// Whether clients' requests go from here to an engine.
    #[must_use]
    pub fn is_to_engine(&self) -> bool {
        self.is_guarded() && self.block.own("proxy_pass").is_some() && !self.is_internal()
    }

    /// Whether only nginx itself leads here.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.block.own("internal").is_some()
    }

    /// How the block is written, such as `location = /health`.
    #[must_use]
    pub fn title(&self) -> String {
        let words: Vec<&str> = [self.block.name.as_str()]
            .into_iter()
            .chain(self.block.args.iter().map(String::as_str))
            .collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse;
    use super::*;

    #[test]
    fn the_innermost_level_that_says_something_holds() {
        let conf = Conf::new(
            parse(
                "http { gzip on; proxy_set_header A 1; proxy_set_header B 2;
                   map $x $y { gzip off; }
                   server { proxy_read_timeout 1h;
                     location /a { proxy_set_header C 3; location /b { gzip off; if ($x) { proxy_read_timeout 2m; } } }
                     location /c { proxy_read_timeout 5; proxy_read_timeout 6; } } }",
                "x",
            )
            .unwrap(),
        );
        let locations = conf.locations();
        let titles: Vec<String> = locations.iter().map(Scope::title).collect();
        assert_eq!(titles, ["location /a", "location /b", "if ($x)", "location /c"]);
        let [a, b, condition, c] = locations.as_slice() else { panic!() };
        let headers = |scope: &Scope<'_>| -> Vec<String> {
            scope.all("proxy_set_header").iter().map(|d| d.args.join(" ")).collect()
        };
        assert_eq!(headers(a), ["C 3"]);
        assert_eq!(headers(b), ["C 3"]);
        assert_eq!(headers(c), ["A 1", "B 2"]);
        assert!(a.is_on("gzip", false) && !condition.is_on("gzip", false));
        assert_eq!(b.time_ms("proxy_read_timeout", 0), 3_600_000);
        assert_eq!(condition.time_ms("proxy_read_timeout", 0), 120_000);
        assert_eq!(c.time_ms("proxy_read_timeout", 0), 6_000);
        assert_eq!(conf.everywhere("gzip").len(), 2, "a line of a map is no directive");
    }
}
