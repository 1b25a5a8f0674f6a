//! The whole server at a glance: what there is to see is gathered here, and made something of in
//! [`tollgate_core::overview`].
//!
//! * [`status_file`]: the file in which it is told what is in force of the files with keys.

pub(crate) mod status_file;

use tollgate_core::metrics::readings::{last_hour, living};
use tollgate_core::metrics::Readings;
use tollgate_core::overview::cluster::Cluster;
use tollgate_core::overview::recent::Recent;
use tollgate_core::overview::{Overview, Sources};

use crate::clock::wall_now;
use crate::conf::MainConf;
use crate::observed;
use crate::per_worker::PerWorker;
use crate::zone::leases;
use crate::zone::lock::is_alive;

/// What this worker remembers of the last minutes.
static RECENT: PerWorker<Recent> = PerWorker::new(Recent::default);

/// A turn of the worker, which remembers now and then what has been counted.
pub(crate) fn tick() {
    let now = wall_now();
    if !observed::is_on() || !RECENT.with(|recent| recent.is_due(now)) {
        return;
    }
    observed::with(|memory, _| {
        let readings = Readings::of(memory, is_alive);
        RECENT.with(|recent| recent.note(&readings, now));
    });
}

/// How things are; `None`: nothing is counted.
pub(crate) fn look(conf: &MainConf) -> Option<Overview> {
    // A clock that was set back is noticed here as well.
    tick();
    let now = wall_now();
    let status = status_file::read();
    observed::take_over();
    let zone = conf.memory().census();
    let guards = conf.guards.views();
    observed::with(|memory, _| {
        let readings = Readings::of(memory, is_alive);
        let hour = last_hour(memory, now);
        RECENT.with(|recent| {
            let cluster = conf.cluster().map(|(leases, content)| {
                let config = content.config();
                let gauges = leases::gauges(leases, content);
                Cluster::of((&config.name, &config.node), gauges, &readings)
            });
            let sources = Sources {
                nginx: nginx::version(),
                readings: &readings,
                recent,
                hour: &hour,
                workers: living(memory, is_alive),
                status: status.as_ref(),
                zone: &zone,
                guards: &guards,
                cluster: cluster.as_ref(),
            };
            Overview::of(&sources, now)
        })
    })
}
