//! `tollgate_metrics`: what was counted, for Prometheus.

use tollgate_core::metrics::exposition::{self, Format, Gauges, Keys};
use tollgate_core::metrics::{readings, Readings};

use crate::conf::MainConf;
use crate::types::Request;
use crate::zone::lock::is_alive;
use nginx::Page;

/// The page; `None`: nothing is counted.
pub(super) fn page(r: Request<'_>) -> Option<Page> {
    let conf = r.main_conf();
    let mapped = conf.observations()?;
    let accept = r.headers_in().filter(|header| header.name == b"accept");
    let format = Format::of(accept.map(|header| header.value));
    let readings = Readings::of(mapped.get(), is_alive);
    let workers = readings::living(mapped.get(), is_alive) as u64;
    let body = exposition::write(&readings, &gauges(conf, workers), format);
    Some(Page {
        status: 200,
        content_type: format.content_type(),
        headers: vec![("Cache-Control", "no-store".to_owned()), ("Vary", "Accept".to_owned())],
        body,
    })
}

/// How it is just now.
fn gauges(conf: &MainConf, workers: u64) -> Gauges {
    let mut keys: Vec<Keys> = Vec::new();
    for live in conf.live() {
        let file = live.description().paths.join(", ");
        // Several sets may be of the same files, in different servers.
        if keys.iter().all(|known| known.file != file) {
            keys.push(Keys { file, generation: live.in_use(), states: Vec::new() });
        }
    }
    Gauges {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nginx: nginx::VERSION.to_owned(),
        workers,
        keys,
        ..Gauges::default()
    }
}
