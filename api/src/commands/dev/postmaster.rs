//! The running PostgreSQL: a child of this process that ends with it, however it ends.

use super::cluster::Cluster;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::Connection;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// With a cold disk, after a crash: longer than anybody waits for a broken one.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// PostgreSQL of a killed predecessor ends by itself within this.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(20);
/// The final checkpoint.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Postmaster {
    child: Child,
}

impl Postmaster {
    pub(super) fn start(cluster: &Cluster) -> Result<Self> {
        wait_for_predecessor(cluster)?;
        let log = File::create(cluster.log()).with_context(|| cluster.log().display().to_string())?;
        let child = cluster
            .command("postgres")
            .arg("-D")
            .arg(cluster.data())
            .args(["-c", "listen_addresses=", "-c", "timezone=UTC", "-c"])
            .arg(format!("unix_socket_directories={}", cluster.socket().display()))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("setpriv (Debian: util-linux) and postgres (Debian: postgresql)")?;
        Ok(Self { child })
    }

    /// Waits until it takes connections.
    pub(super) async fn until_ready(&mut self, cluster: &Cluster) -> Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(cluster.log()).unwrap_or_default();
                bail!("PostgreSQL ended with {status}: {}", log.trim());
            }
            match cluster.connect().await {
                Ok(connection) => return connection.close().await.context("PostgreSQL"),
                Err(error) => {
                    ensure!(
                        Instant::now() < deadline,
                        "PostgreSQL does not come up: {error:#}; see {}",
                        cluster.log().display()
                    );
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Gives back only an error: that it ended by itself.
    pub(super) async fn ended(&mut self) -> Result<()> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("PostgreSQL ended with {status}");
            }
            tokio::time::sleep(PAUSE * 10).await;
        }
    }

    /// Fast shutdown, so that the next start has nothing to recover; immediate where there is none. Then without mercy.
    pub(super) fn stop(mut self, is_last: bool) {
        let deadline = Instant::now() + STOP_PATIENCE;
        let signal = if is_last { Signal::QUIT } else { Signal::INT };
        if kill_process(Pid::from_child(&self.child), signal).is_err() {
            return;
        }
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() > deadline {
                drop(self.child.kill());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

/// Two postmasters on one directory would be refused by PostgreSQL; a file that names a process which is none of its own would be too.
fn wait_for_predecessor(cluster: &Cluster) -> Result<()> {
    let file = cluster.data().join("postmaster.pid");
    let deadline = Instant::now() + PREDECESSOR_PATIENCE;
    loop {
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(()) };
        let pid = text.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
        let runs = pid.is_some_and(|pid| test_kill_process(pid).is_ok() && is_postgres(pid, cluster));
        if !runs {
            return std::fs::remove_file(&file).with_context(|| file.display().to_string());
        }
        ensure!(
            Instant::now() < deadline,
            "PostgreSQL (process {}) still runs on {}: end it",
            text.lines().next().unwrap_or_default(),
            cluster.data().display()
        );
        std::thread::sleep(PAUSE);
    }
}

/// Whether the process has this cluster on its command line: numbers are used again.
fn is_postgres(pid: Pid, cluster: &Cluster) -> bool {
    let line = std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let data = cluster.data();
    line.split(|byte| *byte == 0).any(|argument| argument == data.as_os_str().as_encoded_bytes())
}
