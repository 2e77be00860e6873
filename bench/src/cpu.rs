//! Processor time of groups of processes, as /proc tells it in ticks of 1/100 s, and of the whole machine.

use anyhow::{Context, Result};
use std::ops::Sub;
use tests::process::{descendants, ticks};

/// Seconds since each group started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent {
    pub(crate) server: f64,
    /// Supervisor and workers.
    pub(crate) workers: f64,
    pub(crate) postgres: f64,
    /// This process: the load.
    pub(crate) load: f64,
    /// Everything that ran on the machine, the above included.
    pub(crate) machine: f64,
    pub(crate) idle: f64,
}

/// Reads them: of the server, of what descends from it, of the postmaster and what descends from it.
pub(crate) fn spent(server: u32, postmaster: u32) -> Result<Spent> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    // user nice system idle iowait irq softirq
    let times: Vec<u64> = stat
        .lines()
        .next()
        .context("/proc/stat")?
        .split_whitespace()
        .skip(1)
        .map_while(|word| word.parse().ok())
        .collect();
    let [user, nice, system, idle, iowait, irq, softirq, ..] = times[..] else { anyhow::bail!("/proc/stat is short") };
    Ok(Spent {
        server: seconds(&[server]),
        workers: seconds(&descendants(server)),
        postgres: seconds(&descendants(postmaster)) + seconds(&[postmaster]),
        load: seconds(&[std::process::id()]),
        machine: (user + nice + system + irq + softirq) as f64 / TICKS,
        idle: (idle + iowait) as f64 / TICKS,
    })
}

/// USER_HZ, which is 100 on all of Linux's architectures that run this.
const TICKS: f64 = 100.0;

fn seconds(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| ticks(*pid)).sum::<u64>() as f64 / TICKS
}

impl Spent {
    /// What other processes of the machine took: the noise. The kernel's own work for our packets is in it too.
    pub(crate) fn others(&self) -> f64 {
        (self.machine - self.server - self.workers - self.postgres - self.load).max(0.0)
    }
}

impl Sub for Spent {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            server: self.server - earlier.server,
            workers: self.workers - earlier.workers,
            postgres: self.postgres - earlier.postgres,
            load: self.load - earlier.load,
            machine: self.machine - earlier.machine,
            idle: self.idle - earlier.idle,
        }
    }
}
