//! The configuration of a location.

use std::rc::Rc;

use super::main::MainConf;
use super::pages::{self, Shown};
use super::policy::Policy;
use super::settings::Settings;
use crate::types::Tollgate;
use nginx::conf::{ComplexValue, ConfContext, ConfError, ContentHandler, Position};
use tollgate_core::forwarding::Upstream;

/// The configuration of a location, or of the levels above it.
#[derive(Default)]
pub(crate) struct LocConf {
    pub(super) settings: Settings,
    /// The directives of this level, and where they stand.
    said: Vec<(String, Position)>,
    policy: Option<Rc<Policy>>,
    upstream: Option<Rc<Proxied>>,
    /// What it is answered with.
    pub(crate) shown: Option<Shown>,
    #[cfg(debug_assertions)]
    pub(crate) planted: Option<crate::faults::Callback>,
}

/// `proxy_pass`
pub(crate) struct Proxied {
    pub(crate) upstream: Upstream,
    /// All of it, where it has variables.
    pub(crate) expression: Option<ComplexValue>,
    /// What of nginx's does it.
    handler: Option<ContentHandler>,
}

impl LocConf {
    /// What is forwarded from here.
    pub(crate) fn upstream(&self) -> Option<&Proxied> {
        self.upstream.as_deref()
    }

    /// This level has `proxy_pass`, in a location of this name.
    pub(crate) fn proxies(
        &mut self,
        cx: &ConfContext<'_>,
        location: &[u8],
        url: &str,
    ) -> Result<(), ConfError> {
        let upstream = Upstream::of(url, location.len());
        let expression = match upstream {
            Upstream::AsSent | Upstream::Replaced { .. } => None,
            Upstream::Evaluated { .. } => {
                // nginx says why not.
                let compiled = ComplexValue::compile::<Tollgate>(cx, url);
                Some(compiled.ok_or_else(|| ConfError::new(""))?)
            }
        };
        self.upstream =
            Some(Rc::new(Proxied { upstream, expression, handler: cx.content_handler() }));
        Ok(())
    }

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
                "tollgate_api_keys" => (auth.api_key || auth.client_cert, "api_key"),
                "tollgate_api_key_header" => (auth.api_key, "api_key"),
                "tollgate_client_cert" => (auth.client_cert, "client_cert"),
                // Nothing is what holds in any case.
                "tollgate_xfcc_from" if !self.settings.believes_proxies() => continue,
                "tollgate_xfcc_from" => (auth.client_cert || auth.has_tokens(), "client_cert"),
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

    /// A block (`if`, `limit_except`) forwards what the location around it does, unless it has a handler of its own:
    /// that of another directive (`grpc_pass`, `uwsgi_pass`) knows nothing of `proxy_pass`. So it is where both
    /// stand beside each other, of which the later one counts.
    fn merge_upstream(&mut self, cx: &ConfContext<'_>, parent: &Self) {
        let handler = cx.content_handler();
        let is_its = |proxied: &Rc<Proxied>| handler == proxied.handler;
        if self.upstream.is_some() {
            self.upstream = self.upstream.take().filter(is_its);
        } else if cx.is_nameless() {
            let outer = parent.upstream.clone();
            self.upstream = outer.filter(|outer| handler.is_none() || is_its(outer));
        }
    }

    /// A page is what its location is answered with, in all of its blocks. What another directive answers would be
    /// judged as a page: without a limit.
    fn merge_page(&mut self, cx: &ConfContext<'_>, parent: &Self) -> Result<(), ConfError> {
        if self.shown.is_none() {
            let is_continued = parent.shown.is_some() && cx.continue_page::<Tollgate>();
            self.shown = parent.shown.filter(|_| is_continued);
        } else if !cx.has_page::<Tollgate>() {
            let page = self.said.iter().find(|(directive, _)| pages::NAMES.contains(&&**directive));
            let (name, place) = page.map(|(name, place)| (name.as_str(), place)).unzip();
            return Err(ConfError::new(format!(
                "\"{}\" is in a location that another directive answers (\"proxy_pass\" say); give the page a location \
                 of its own{}",
                name.unwrap_or_default(),
                place.map(|place| format!(" {place}")).unwrap_or_default()
            )));
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
        self.merge_upstream(cx, parent);
        self.merge_page(cx, parent)?;
        if let Some(shown) = self.shown {
            main.observe(cx, shown.looks_into())?;
        }
        #[cfg(debug_assertions)]
        {
            self.planted = self.planted.or(parent.planted);
        }
        let policy = match &parent.policy {
            // One policy object for all the locations that it holds in.
            Some(policy) if self.settings == parent.settings => Some(Rc::clone(policy)),
            _ => Policy::resolve(cx, &self.settings, main)?.map(Rc::new),
        };
        if self.shown == Some(Shown::Usage) && policy.as_ref().is_none_or(|policy| policy.anonymous)
        {
            return Err(ConfError::new(
                "\"tollgate_usage\" tells clients of themselves, and no client is known here; say \"tollgate on\" \
                 with a method of \"tollgate_auth\" other than \"none\"",
            ));
        }
        self.policy = policy;
        Ok(())
    }
}
