//! What a level says of who gets in; each part holds in the levels within that don't say it anew.

use std::collections::BTreeMap;

use super::super::text::Directive;
use super::access_list::{AccessList, Strangers};
use super::reach::Reach;

/// The directives of a level that have to do with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Barriers {
    /// `allow` and `deny`; none: those of the level around.
    access: AccessList,
    /// `auth_basic`, `auth_request`, `access_by_lua_file`, `tollgate`, and whatever others bring: whether it is on.
    asks: BTreeMap<String, bool>,
    /// `satisfy any`: one of them suffices.
    any: Option<bool>,
    /// `ssl_verify_client on`: there is no request before.
    certificate: Option<bool>,
}

impl Barriers {
    pub(super) fn of(block: &[Directive]) -> Self {
        let mut barriers = Self::default();
        for directive in block {
            let word = directive.args().first().map_or("", String::as_str);
            match directive.name() {
                name @ ("allow" | "deny") => barriers.access.add(name == "allow", word),
                "satisfy" => barriers.any = Some(word == "any"),
                "ssl_verify_client" => barriers.certificate = Some(word == "on"),
                "tollgate" => _ = barriers.asks.insert("tollgate".to_owned(), word == "on"),
                "access_by_lua" | "access_by_lua_file" | "access_by_lua_block" => {
                    _ = barriers.asks.insert("access_by_lua".to_owned(), true);
                }
                name if is_question(name) => {
                    _ = barriers.asks.insert(name.to_owned(), word != "off");
                }
                _ => {}
            }
        }
        barriers
    }

    /// With what the levels around say.
    pub(super) fn or(mut self, outer: &Self) -> Self {
        if self.access.is_empty() {
            self.access = outer.access.clone();
        }
        for (name, is_on) in &outer.asks {
            self.asks.entry(name.clone()).or_insert(*is_on);
        }
        self.any = self.any.or(outer.any);
        self.certificate = self.certificate.or(outer.certificate);
        self
    }

    /// Whether a stranger gets in.
    pub(super) fn let_in(&self, reach: Reach) -> bool {
        if self.certificate == Some(true) && !reach.plain {
            return false;
        }
        let asks = self.asks.values().any(|is_on| *is_on);
        match (self.access.strangers(reach), self.any == Some(true)) {
            // Nothing else is asked any more.
            (Strangers::Allowed, true) => true,
            (Strangers::Allowed | Strangers::Unsaid, _) => !asks,
            // Who knows the answer gets in with `satisfy any`; others don't, either way.
            (Strangers::Denied, _) => false,
        }
    }
}

/// Whether a directive has the client say who it is: `auth_basic`, `auth_jwt`, `auth_pam`. Those with longer names
/// say how (`auth_basic_user_file`), and not whether.
fn is_question(name: &str) -> bool {
    let kind = name.strip_prefix("auth_");
    kind.is_some_and(|kind| !kind.contains('_') && kind != "delay")
}
