//! CONTENT: what operators and clients can look at.

mod metrics;

use crate::conf::pages::Shown;
use crate::types::Request;
use nginx::Page;

/// The page of the location.
pub(crate) fn answer(r: Request<'_>) -> Option<Page> {
    match r.loc_conf().shown? {
        Shown::Metrics => metrics::page(r),
    }
}
