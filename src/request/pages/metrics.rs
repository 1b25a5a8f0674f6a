//! `tollgate_metrics`: what was counted, for Prometheus.

use std::fmt::Write as _;

use tollgate_core::metrics::{Outcome, Readings};

use crate::types::Request;
use crate::zone::lock::is_alive;
use nginx::Page;

/// The page; `None`: nothing is counted.
pub(super) fn page(r: Request<'_>) -> Option<Page> {
    let memory = r.main_conf().observations()?;
    let readings = Readings::of(memory.get(), is_alive);
    let mut text = String::from("# TYPE tollgate_requests_total counter\n");
    for (flow, cells) in &readings.flows {
        for (outcome, count) in Outcome::all().zip(cells).filter(|(_, count)| **count > 0) {
            let (decision, reason) = outcome.labels();
            let _ = writeln!(
                text,
                "tollgate_requests_total{{tier={:?},model={:?},endpoint={:?},decision={decision:?},\
                 reason={reason:?}}} {count}",
                flow.tier, flow.model, flow.endpoint
            );
        }
    }
    Some(Page {
        status: 200,
        content_type: "text/plain; version=0.0.4; charset=utf-8",
        headers: vec![("Cache-Control", "no-store".to_owned())],
        body: text.into_bytes(),
    })
}
