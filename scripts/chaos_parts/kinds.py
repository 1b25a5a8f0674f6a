"""The kinds of faults, in the order in which they happen."""

from . import (
    faults_clients, faults_clock, faults_disk, faults_engine, faults_files, faults_processes,
    faults_providers, faults_store,
)

# What a kind takes beside its traffic, in seconds.
OVERHEAD = 5.0


class Kind:
    """`settings` makes what nginx is configured with, in a folder; `missing` says why it can't run here; `clean`
    is for what the folder itself does not end."""

    def __init__(self, text, work, settings=lambda folder: {}, missing=lambda: "", clean=lambda folder: None):
        self.text, self.work, self.settings, self.missing, self.clean = text, work, settings, missing, clean


def with_state(folder):
    return {"state": "state/file"}


def with_slow_disk(folder):
    return {"state": "state/file", "faults": True}


KINDS = {
    "traffic": Kind("no fault: clients that leave, engines that fail and break off", faults_processes.quiet_traffic),
    "kill": Kind("workers are killed", faults_processes.kill),
    "reload": Kind("reloads under traffic", faults_processes.reload),
    "upgrade": Kind("upgrades of the binary, done and called off", faults_processes.upgrade),
    "crash": Kind("all of nginx is killed, and starts from its state", faults_processes.crash, with_state),
    "store": Kind("the store of a cluster stops, or dies and comes back", faults_store.store, faults_store.settings,
                  faults_store.missing, faults_store.clean),
    "disk-full": Kind("no room on the disk of the audit log and the state", faults_disk.disk_full, faults_disk.mount,
                      faults_disk.cannot_mount, faults_disk.unmount),
    "slow-disk": Kind("fsync(2) takes up to seconds", faults_disk.slow_disk, with_slow_disk),
    "clock": Kind("the time of day is set, forward and back", faults_clock.clock, faults_clock.clock_settings),
    "keys": Kind("key files that are broken, or half written", faults_files.key_files),
    "zone": Kind("ten times as many clients as the zone has room for", faults_files.zone_full,
                 faults_files.crowd_settings),
    "introspection": Kind("a provider of verdicts that is dead, slow, or lies", faults_providers.introspection,
                          faults_providers.settings),
    "jwks": Kind("a provider of keys that is dead, slow, or lies", faults_providers.jwks, faults_providers.settings),
    "engine": Kind("engines that die, stall, or send garbage", faults_engine.engine, faults_engine.settings),
    "clients": Kind("clients that hang up at every byte, and slow ones", faults_clients.clients,
                    faults_clients.settings),
}
