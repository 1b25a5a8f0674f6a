//! What is told when all of the configuration has been read.

use std::collections::HashSet;
use std::rc::Rc;

use super::loaded::RuleUse;
use super::main::MainConf;
use super::rules::Tier;
use super::warnings::Warnings;
use super::{survey, text};
use crate::types::Server;
use nginx::conf::ConfContext;
use tollgate_core::nginx_text::maps::Maps;
use tollgate_core::nginx_text::{early, open_pages, rule_key};

impl MainConf {
    /// The configuration is complete: what is declared to no effect?
    pub(crate) fn finish(&self, cx: &ConfContext<'_>, servers: &[Server<'_>]) {
        let mut warnings = Warnings::new(cx);
        // As long as the keys are there.
        survey::tell_of_hidden(&mut warnings, self, servers);
        for live in self.live() {
            live.leave();
        }
        if self.following.zone.is_some() && !self.in_use() {
            cx.log().warn(format_args!(
                "tollgate_zone \"{}\" has no effect: no location says \"tollgate on\", so none is \
                 protected",
                self.zone_name()
            ));
        }
        if self.keeps_objects() && !self.in_use() {
            cx.log().warn(format_args!(
                "tollgate_owned_objects has no effect: no location says \"tollgate on\""
            ));
        }
        if self.counts() && self.control_socket().is_none() && !self.in_use() {
            cx.log().warn(format_args!(
                "\"tollgate_metrics\", \"tollgate_status\" and \"tollgate_usage\" have nothing to show: no location says \
                 \"tollgate on\""
            ));
        }
        if let Some(cluster) = self.following.cluster.as_ref().filter(|_| !self.in_use()) {
            cx.log().warn(format_args!(
                "tollgate_cluster has no effect: no location says \"tollgate on\" {}",
                cluster.place
            ));
        }
        if self.control_socket().is_some() && !self.in_use() {
            cx.log().warn(format_args!(
                "tollgate_control has no effect: no location says \"tollgate on\""
            ));
        }
        for rule in self.limits.iter().filter(|rule| !self.loaded.applied.contains(&rule.name)) {
            let warning = format!(
                "tollgate_limit \"{}\" has no effect: no \"tollgate_apply {}\" names it {}",
                rule.name, rule.name, rule.place
            );
            warnings.warn("tollgate_limit", warning);
        }
        let idle = survey::tell_of_idle_guards(&mut warnings, self, servers);
        for guard in self.guards.unused().filter(|guard| !idle.contains(&guard.name)) {
            let warning = format!(
                "tollgate_guard \"{}\" has no effect: no \"tollgate_guards {}\" and no \"guards\" of a tier in use \
                 names it {}",
                guard.name, guard.name, guard.place
            );
            warnings.warn("tollgate_guard", warning);
        }
        if let Some(rules) = self.guards.rules.as_ref().filter(|_| self.guards.has_idle_rules()) {
            let warning = format!(
                "\"tollgate_guard_rules\" has no effect: no guard in use says \"input injection\" {}",
                rules.place
            );
            warnings.warn("tollgate_guard_rules", warning);
        }
        self.tell_untold(&mut warnings);
        let text = if self.in_use() { text::read_all(cx) } else { Vec::new() };
        self.tell_unknown_keys(&mut warnings, &Maps::of(&text));
        survey::tell(&mut warnings, servers, self.keeps_objects());
        survey::tell_cached(&mut warnings, self, servers);
        survey::tell_of_aliases(&mut warnings, self, servers);
        survey::tell_of_browsers(&mut warnings, servers, &text);
        survey::tell_of_loops(&mut warnings, servers, &text);
        for open in open_pages::find(&text) {
            warnings.warn(open.page(), open.to_string());
        }
        for early in early::find(&text) {
            warnings.warn("$tollgate_...", early.to_string());
        }
        warnings.finish();
    }

    /// Tells of what nobody is told.
    fn tell_untold(&self, warnings: &mut Warnings<'_, '_>) {
        if let Some(place) = self.loaded.audit_fields.as_ref().filter(|_| !self.loaded.logs_fields)
        {
            let warning = format!(
                "\"tollgate_audit_fields\" has no effect: no location with it has a \"tollgate_audit_log\" and \
                 accepts API keys, whose fields they are {place}"
            );
            warnings.warn("tollgate_audit_fields", warning);
        }
        for tier in &self.tiers {
            let Tier { name, place, .. } = &**tier;
            if tier.objective.is_some() && !self.loaded.tells_objectives {
                let warning = format!(
                    "\"objective\" of \"tollgate_tier {name}\" has no effect: no location says \
                     \"tollgate_scheduler llm-d;\" {place}"
                );
                warnings.warn("objective", warning);
            }
            if tier.priority.is_some() && !self.loaded.tells_priorities {
                let warning = format!(
                    "\"priority\" of \"tollgate_tier {name}\" has no effect: no location with \"tollgate_engine \
                     vllm;\" says \"tollgate_scheduler vllm;\" or \"tollgate_scheduler llm-d;\" {place}"
                );
                warnings.warn("priority", warning);
            }
        }
    }

    /// Tells of rules that are applied only where what they are counted by is never known. Where a
    /// `tollgate_apply` holds in several locations, one in which it is known suffices.
    fn tell_unknown_keys(&self, warnings: &mut Warnings<'_, '_>, maps: &Maps) {
        let unknown =
            |applied: &RuleUse| rule_key::unknown(&applied.rule.key_text, applied.knowledge, maps);
        let uses: Vec<_> =
            self.loaded.uses.iter().map(|applied| (applied, unknown(applied))).collect();
        let known: HashSet<_> = uses
            .iter()
            .filter(|(_, unknown)| unknown.is_none())
            .map(|(applied, _)| (Rc::as_ptr(&applied.rule), &applied.place))
            .collect();
        for (applied, unknown) in &uses {
            let Some(unknown) = unknown else { continue };
            if !known.contains(&(Rc::as_ptr(&applied.rule), &applied.place)) {
                let warning = format!(
                    "\"tollgate_apply {}\" has no effect, as {unknown} in the key of tollgate_limit \
                     \"{}\" is always empty here: {} {}",
                    applied.rule.name,
                    applied.rule.name,
                    rule_key::remedy(&unknown.source),
                    applied.place
                );
                warnings.warn("tollgate_apply", warning);
            }
        }
    }
}
