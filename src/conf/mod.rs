//! What nginx.conf says: directives, the memory they fill, and what follows from them.
//!
//! * [`directives`]: the table, and what each directive accepts;
//! * [`rules`]: tiers and limits, which `http` declares;
//! * [`settings`]: what a location says, before it is put together with what is around it;
//! * [`api_keys`]: the keys files; [`credentials`]: what tokens are judged by;
//! * [`files`]: what stands where a file is to be written;
//! * [`survey`]: what shows only when all of that has been read; [`text`]: and when it is read again;
//! * [`warnings`]: how much of that is told;
//! * [`policy`]: what holds in a location, resolved and checked. Requests see nothing else.

pub(crate) mod api_keys;
pub(crate) mod credentials;
pub(crate) mod directives;
mod files;
pub(crate) mod policy;
pub(crate) mod rules;
pub(crate) mod settings;
mod survey;
mod text;
mod warnings;

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use crate::keys::key_file::KeyFile;
use crate::keys::live::Follow;
use crate::types::Server;
use crate::zone::state_file::StateFile;
use crate::zone::{Mapped, SharedZone};
use nginx::conf::{ConfContext, ConfError, Position};
use policy::{Loaded, Policy, RuleUse};
use rules::{LimitRule, Tier};
use settings::Settings;
use tollgate_core::nginx_text::maps::Maps;
use tollgate_core::nginx_text::{early, rule_key};
use tollgate_core::price::Prices;
use warnings::Warnings;

/// The main configuration: what `http` declares.
#[derive(Default)]
pub(crate) struct MainConf {
    pub(crate) zone: Option<Rc<SharedZone>>,
    pub(crate) tiers: Vec<Rc<Tier>>,
    pub(crate) limits: Vec<Rc<LimitRule>>,
    pub(crate) prices: Prices,
    pub(crate) loaded: Loaded,
    /// What is read again when it changes.
    pub(crate) live: Vec<Rc<dyn Follow>>,
    /// Where it is told what is in force: `Some(None)`: nowhere; `None`: beside the file with the pid.
    pub(crate) status_file: Option<Option<String>>,
    /// The tier whose block is being read.
    draft: Option<directives::Draft>,
}

impl MainConf {
    /// Has these files watched by workers, who must be able to read them.
    fn follow(&mut self, live: Rc<dyn Follow>, files: Vec<KeyFile>) {
        self.live.push(live);
        if let Some(zone) = &self.zone {
            zone.content().expect_safe(files);
        }
    }

    /// The zone, once nginx has mapped it.
    pub(crate) fn zone(&self) -> Option<&Rc<Mapped>> {
        self.zone.as_ref()?.get()
    }

    /// Where the zone's state is kept.
    pub(crate) fn state_file(&self) -> Option<&Arc<StateFile>> {
        self.zone.as_ref()?.content().state()
    }

    pub(crate) fn zone_name(&self) -> &str {
        self.zone.as_ref().map_or("", |zone| zone.name())
    }

    /// Whether any location is protected.
    pub(crate) fn in_use(&self) -> bool {
        self.loaded.in_use
    }

    /// The configuration is complete: what is declared to no effect?
    pub(crate) fn finish(&self, cx: &ConfContext<'_>, servers: &[Server<'_>]) {
        for live in &self.live {
            live.leave();
        }
        if self.zone.is_some() && !self.in_use() {
            cx.log().warn(format_args!(
                "tollgate_zone \"{}\" has no effect: no location says \"tollgate on\", so none is \
                 protected",
                self.zone_name()
            ));
        }
        let mut warnings = Warnings::new(cx);
        for rule in self.limits.iter().filter(|rule| !self.loaded.applied.contains(&rule.name)) {
            let warning = format!(
                "tollgate_limit \"{}\" has no effect: no \"tollgate_apply {}\" names it {}",
                rule.name, rule.name, rule.place
            );
            warnings.warn("tollgate_limit", warning);
        }
        let text = if self.in_use() { text::read_all(cx) } else { Vec::new() };
        self.tell_unknown_keys(&mut warnings, &Maps::of(&text));
        survey::tell(&mut warnings, servers);
        for early in early::find(&text) {
            warnings.warn("$tollgate_...", early.to_string());
        }
        warnings.finish();
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

/// The configuration of a location, or of the levels above it.
#[derive(Default)]
pub(crate) struct LocConf {
    settings: Settings,
    /// The directives of this level, and where they stand.
    said: Vec<(String, Position)>,
    policy: Option<Rc<Policy>>,
    #[cfg(debug_assertions)]
    pub(crate) planted: Option<crate::faults::Callback>,
}

impl LocConf {
    /// What holds here; `None`: the module does nothing.
    pub(crate) fn policy(&self) -> Option<&Rc<Policy>> {
        self.policy.as_ref()
    }

    /// Remembers that this level has a directive.
    pub(crate) fn note(&mut self, directive: &str, position: Position) {
        self.said.push((directive.to_owned(), position));
    }

    /// Refuses what this level says about credentials that are not accepted here.
    fn check_effect(&self) -> Result<(), ConfError> {
        let auth = self.settings.auth.as_ref().map(|given| given.value.clone()).unwrap_or_default();
        for (directive, place) in &self.said {
            let (accepted, method) = match directive.as_str() {
                "tollgate_api_keys" | "tollgate_api_key_header" => (auth.api_key, "api_key"),
                "tollgate_introspection_request" | "tollgate_introspection_cache" => {
                    (auth.has_tokens(), "introspection")
                }
                "tollgate_jwt_issuer"
                | "tollgate_jwt_client_prefix"
                | "tollgate_jwt_audience"
                | "tollgate_jwt_leeway"
                | "tollgate_jwt_max_size"
                | "tollgate_jwt_claim" => (auth.has_tokens(), "jwt"),
                jwt if jwt.starts_with("tollgate_jwt_") => (auth.jwt, "jwt"),
                _ => continue,
            };
            if !accepted {
                return Err(ConfError::new(format!(
                    "\"{directive}\" has no effect here, as \"tollgate_auth\" does not name \
                     \"{method}\"; add \"tollgate_auth {method};\", or leave \"{directive}\" out {place}"
                )));
            }
        }
        Ok(())
    }

    /// Puts what this level says together with what the level around it says.
    pub(crate) fn merge(
        &mut self,
        cx: &ConfContext<'_>,
        parent: &Self,
        main: &mut MainConf,
    ) -> Result<(), ConfError> {
        let own = std::mem::take(&mut self.settings);
        self.settings = own.or(&parent.settings);
        if self.settings.enabled.as_ref().is_some_and(|enabled| enabled.value) {
            self.check_effect()?;
        }
        #[cfg(debug_assertions)]
        {
            self.planted = self.planted.or(parent.planted);
        }
        self.policy = match &parent.policy {
            // One policy object for all the locations that it holds in.
            Some(policy) if self.settings == parent.settings => Some(Rc::clone(policy)),
            _ => Policy::resolve(cx, &self.settings, main)?.map(Rc::new),
        };
        Ok(())
    }
}
