//! What Kong's plugins do to the keys of a consumer.
//!
//! Most plugins are for everybody, and nothing that a key has. Those of one consumer restrict its keys, and
//! so would be missing behind Tollgate: they are carried over where there is something for them, or else
//! told of.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::super::json::{elements, first, text, Members};
use super::super::source::{Found, Source, SourcePlace};
use super::reference;
use crate::keys_file::is_network;

/// What plugins of one consumer come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Restrictions {
    /// Kong answers all its requests itself.
    is_off: bool,
    /// Networks and addresses that it may come from.
    allowed: Option<Vec<String>>,
    /// It has limits, which tiers have here.
    is_limited: bool,
    /// What can't be taken over.
    lost: Vec<&'static str>,
}

/// The plugins of a configuration.
#[derive(Debug, Default)]
pub(super) struct Plugins<'v> {
    /// Those of consumers, by what they say of them.
    of: HashMap<&'v str, Vec<&'v Members>>,
    /// Those of groups of consumers, by what they say of the group.
    of_group: HashMap<&'v str, Vec<&'v Members>>,
    /// The groups of consumers that name their members, by what they say of these.
    groups_of: HashMap<&'v str, Vec<&'v str>>,
    /// Names of plugins for everybody, and of services and routes.
    common: Vec<&'v str>,
    /// Groups that one of these refuses.
    refused_groups: Vec<&'v str>,
    /// Groups of which one of these, which is for everything, lets in those alone.
    admitted_groups: Vec<Vec<&'v str>>,
    /// Headers that keys are read from.
    headers: Vec<&'v str>,
}

/// Plugins that say who is asking, or look on.
const HARMLESS: [&str; 13] = [
    "key-auth",
    "key-auth-enc",
    "acl",
    "cors",
    "prometheus",
    "file-log",
    "http-log",
    "tcp-log",
    "udp-log",
    "syslog",
    "correlation-id",
    "opentelemetry",
    "zipkin",
];

impl<'v> Plugins<'v> {
    pub(super) fn new(source: &mut Source, value: &'v Value) -> Self {
        let mut plugins = Self::default();
        for (place, plugin) in elements(value.get("plugins")) {
            match plugin {
                Some(plugin) => plugins.add(plugin, true),
                None => source.fault(place, "a plugin that is no object"),
            }
        }
        for group in elements(value.get("consumer_groups")).filter_map(|(_, group)| group) {
            plugins.add_group(group);
        }
        for (_, member) in elements(value.get("consumer_group_consumers")) {
            let Some(member) = member else { continue };
            if let (Some(consumer), Some(group)) =
                (reference(member), named(member.get("consumer_group")))
            {
                plugins.groups_of.entry(consumer).or_default().push(group);
            }
        }
        // Those of services and routes stand with them.
        let services = || elements(value.get("services")).filter_map(|(_, service)| service);
        let routes = services().flat_map(|service| elements(service.get("routes")));
        let routes = routes.chain(elements(value.get("routes"))).filter_map(|(_, route)| route);
        for owner in services().chain(routes) {
            for plugin in elements(owner.get("plugins")).filter_map(|(_, plugin)| plugin) {
                plugins.add(plugin, false);
            }
        }
        plugins
    }

    fn add_group(&mut self, group: &'v Members) {
        for name in ["id", "name"].into_iter().filter_map(|name| text(group, name)) {
            for (_, plugin) in elements(group.get("plugins")) {
                self.of_group.entry(name).or_default().extend(plugin);
            }
            for consumer in group.get("consumers").and_then(Value::as_array).into_iter().flatten() {
                if let Some(consumer) = named(Some(consumer)) {
                    self.groups_of.entry(consumer).or_default().push(name);
                }
            }
        }
    }

    fn add(&mut self, plugin: &'v Members, is_global: bool) {
        if !is_on(plugin) {
            return;
        }
        if let Some(group) = named(plugin.get("consumer_group")) {
            self.of_group.entry(group).or_default().push(plugin);
            return;
        }
        let name = text(plugin, "name").unwrap_or("one without a name");
        if let Some(consumer) = reference(plugin) {
            self.of.entry(consumer).or_default().push(plugin);
            return;
        }
        match name {
            "acl" => {
                self.refused_groups.extend(texts(config(plugin, &["deny", "blacklist"])));
                let admitted: Vec<&str> = texts(config(plugin, &["allow", "whitelist"])).collect();
                match (admitted.is_empty(), is_everywhere(plugin) && is_global) {
                    (true, _) => {}
                    (false, true) => self.admitted_groups.push(admitted),
                    (false, false) => self.common.push("acl"),
                }
            }
            "key-auth" => self.headers.extend(texts(config(plugin, &["key_names"]))),
            name if !HARMLESS.contains(&name) => self.common.push(name),
            _ => {}
        }
    }

    /// What restricts the keys of a consumer, that goes by these names.
    pub(super) fn restrict(&self, names: &[&str], consumer: Option<&Members>) -> Restrictions {
        let mut found = Restrictions::default();
        let own = elements(consumer.and_then(|consumer| consumer.get("plugins")));
        let own = own.map(|(_, plugin)| plugin);
        let named = names.iter().filter_map(|name| self.of.get(name)).flatten();
        let groups = consumer.and_then(|consumer| consumer.get("groups")).and_then(Value::as_array);
        let groups = groups.into_iter().flatten().filter_map(|group| self::named(Some(group)));
        let listed = names.iter().filter_map(|name| self.groups_of.get(name)).flatten().copied();
        let groups: HashSet<&str> = groups.chain(listed).collect();
        let of_groups = groups.into_iter().filter_map(|name| self.of_group.get(name)).flatten();
        for plugin in own.chain(named.chain(of_groups).map(|plugin| Some(*plugin))) {
            match plugin {
                Some(plugin) if is_on(plugin) => found.add(plugin),
                Some(_) => {}
                None => found.lost.push("a plugin that can't be read"),
            }
        }
        found.lost.sort_unstable();
        found.lost.dedup();
        found
    }

    /// Whether a plugin refuses whoever is in these groups.
    pub(super) fn refuse(&self, groups: &[&str]) -> bool {
        let has_any = |of: &[&str]| groups.iter().any(|group| of.contains(group));
        has_any(&self.refused_groups) || self.admitted_groups.iter().any(|of| !has_any(of))
    }

    /// What plugins do for all, and where clients send their keys.
    pub(super) fn tell(&self, source: &mut Source) {
        let mut common = self.common.clone();
        common.sort_unstable();
        common.dedup();
        if !common.is_empty() {
            source.notes.push(format!(
                "plugins for everybody, or of services and routes, are not taken over: {}",
                crate::escape::shown(&common.join(", "))
            ));
        }
        let usual = ["apikey"];
        let mut headers =
            if self.headers.is_empty() { usual.to_vec() } else { self.headers.clone() };
        headers.sort_unstable();
        headers.dedup();
        headers.retain(|name| {
            !["authorization", "x-api-key"].iter().any(|known| name.eq_ignore_ascii_case(known))
        });
        if !headers.is_empty() && !source.found.is_empty() {
            source.notes.push(format!(
                "clients send these keys to Kong in the header {0}: add \"tollgate_api_key_header {0};\"",
                crate::escape::shown(&headers.join(" "))
            ));
        }
    }
}

impl Restrictions {
    fn add(&mut self, plugin: &Members) {
        let is_everywhere = is_everywhere(plugin);
        match text(plugin, "name").unwrap_or_default() {
            "request-termination" if is_everywhere => self.is_off = true,
            "ip-restriction" => {
                let allowed = texts(config(plugin, &["allow", "whitelist"]));
                let denied = texts(config(plugin, &["deny", "blacklist"]));
                let allowed: Vec<String> = allowed.map(str::to_owned).collect();
                let is_known = allowed.iter().all(|text| is_network(text));
                match is_everywhere && is_known && !allowed.is_empty() && denied.count() == 0 {
                    true if self.allowed.is_none() => self.allowed = Some(allowed),
                    _ => self.lost.push("ip-restriction"),
                }
            }
            "rate-limiting"
            | "rate-limiting-advanced"
            | "response-ratelimiting"
            | "ai-rate-limiting-advanced" => self.is_limited = true,
            name if HARMLESS.contains(&name) => {}
            "request-termination" => self.lost.push("request-termination"),
            "request-size-limiting" => self.lost.push("request-size-limiting"),
            "ai-prompt-guard" | "ai-semantic-prompt-guard" => self.lost.push("ai-prompt-guard"),
            "bot-detection" => self.lost.push("bot-detection"),
            _ => self.lost.push("a plugin of its consumer"),
        }
    }

    /// Makes them those of a key. Whether it has limits.
    pub(super) fn hold_for(&self, found: &mut Found) -> bool {
        found.is_disabled |= self.is_off;
        found.cidrs.clone_from(&self.allowed);
        found.lost.extend(&self.lost);
        self.is_limited
    }
}

/// What something is referred to by: a text, or an object with a name.
fn named(value: Option<&Value>) -> Option<&str> {
    match value? {
        Value::String(name) => Some(name.as_str()),
        Value::Object(members) => first(members, &["name", "id", "username", "custom_id"]),
        _ => None,
    }
}

/// One that holds for some routes only, holds for less than a key does.
fn is_everywhere(plugin: &Members) -> bool {
    !["service", "route"].iter().any(|of| plugin.get(*of).is_some_and(|value| !value.is_null()))
}

fn is_on(plugin: &Members) -> bool {
    plugin.get("enabled").and_then(Value::as_bool).unwrap_or(true)
}

/// The first of these members of the configuration of a plugin.
fn config<'v>(plugin: &'v Members, names: &[&str]) -> Option<&'v Value> {
    let config = plugin.get("config")?.as_object()?;
    names.iter().find_map(|name| config.get(*name).filter(|value| !value.is_null()))
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// Tags say what people mean, and one may be that a key is not to be used.
pub(super) fn check_tags(place: SourcePlace, source: &mut Source, members: &Members) -> bool {
    let tags: Vec<&str> = texts(members.get("tags")).collect();
    let says_no = tags.iter().any(|tag| {
        super::super::doubt::says_no(tag) || super::super::doubt::denies(&tag.to_lowercase())
    });
    if says_no {
        source.fault(
            place,
            "a tag that says that it isn't in force: is it? Take the tag off, or the entry out",
        );
    }
    !says_no
}

/// Names by which a consumer is referred to.
pub(super) fn names_of<'m>(consumer: Option<&'m Members>, reference: &'m str) -> Vec<&'m str> {
    let own = consumer
        .into_iter()
        .flat_map(|consumer| ["id", "username"].map(|name| text(consumer, name)));
    let mut names: Vec<&str> = own.flatten().chain([reference]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What a consumer is called by.
pub(super) fn name_of(consumer: &Members) -> Option<&str> {
    first(consumer, &["username", "custom_id", "id"])
}
