//! A process that takes part.

/// A process that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its process id; not 0.
    pub pid: u32,
    /// What tells it from an earlier process of the same id: when it was started, in any unit
    /// (`starttime` of proc_pid_stat(5), the low 32 bits); 0 where that isn't known.
    pub started: u32,
}

impl Process {
    pub(crate) fn of(word: u64) -> Option<Self> {
        let half = |bits: u64| u32::try_from(bits & 0xffff_ffff).ok();
        let process = Self { pid: half(word >> 32)?, started: half(word)? };
        (process.pid != 0).then_some(process)
    }

    pub(crate) fn word(self) -> u64 {
        u64::from(self.pid) << 32 | u64::from(self.started)
    }
}
