//! Tiers and limits.

use std::sync::{Arc, OnceLock};

use crate::ffi::complex_value::ComplexValue;
use crate::ffi::conf::{ConfError, Place};
use tollgate_core::limits::{Quota, Scale, Zone};

/// One `requests` or `auth_failures` limit.
#[derive(Debug)]
pub(crate) struct Limit {
    quota: Quota,
    /// For the log: `requests 100r/m`, `per_address requests 5r/s burst=10`.
    label: Arc<str>,
    /// Known when the zone is mapped.
    scale: OnceLock<Scale>,
}

impl Limit {
    pub(crate) fn quota(&self) -> Quota {
        self.quota
    }

    pub(crate) fn label(&self) -> &Arc<str> {
        &self.label
    }

    pub(crate) fn scale(&self, zone: &Zone<'_>) -> Scale {
        *self.scale.get_or_init(|| zone.scale(self.quota))
    }

    /// Adds a limit of the dimension `name` to the others of that dimension; there can be one for
    /// each period, as each has its bucket. `rule` is the name of the `tollgate_limit`, if it is one.
    pub(crate) fn add(
        list: &mut Vec<Self>,
        quota: Quota,
        name: &str,
        rule: Option<&str>,
    ) -> Result<(), ConfError> {
        if list.iter().any(|other| other.quota.period() == quota.period()) {
            return Err(ConfError::new(format!(
                "\"{name}\" is given twice with the period \"r/{}\"; keep one of them",
                quota.period().letter()
            )));
        }
        let label = match rule {
            Some(rule) => format!("{rule} {name} {quota}"),
            None => format!("{name} {quota}"),
        };
        list.push(Self { quota, label: label.into(), scale: OnceLock::new() });
        Ok(())
    }
}

/// `tollgate_tier`.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) name: String,
    pub(crate) requests: Vec<Limit>,
}

/// `tollgate_limit`.
#[derive(Debug)]
pub(crate) struct LimitRule {
    pub(crate) name: Arc<str>,
    pub(crate) key: KeySource,
    pub(crate) requests: Vec<Limit>,
    pub(crate) auth_failures: Vec<Limit>,
    pub(crate) place: Place,
}

/// What a `tollgate_limit` is counted by.
#[derive(Debug)]
pub(crate) enum KeySource {
    /// The client's address, IPv6 by /64: `$binary_remote_addr` or `$remote_addr` alone.
    Address,
    /// Any other expression.
    Expression(ComplexValue),
}
