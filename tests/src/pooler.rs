//! PgBouncer in transaction mode, in front of the cluster that tests share.

use crate::cluster::postgres_user;
use crate::wait::found;
use anyhow::{Context, Result};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

/// Ended when the test ends.
#[derive(Debug)]
pub struct Pooler {
    directory: TempDir,
    child: Child,
}

impl Pooler {
    /// Starts one with two connections a database and role, fewer than a server wants, so that they change hands; `more` goes into its settings.
    pub async fn start(more: &str) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("clm-pool.").tempdir_in("/var/tmp")?;
        let url = std::env::var("CLM_TEST_DATABASE_URL")?;
        let (_, host) = url.split_once("host=").context("the cluster's socket directory")?;
        let at = directory.path();
        let users = ["clm_secure_app", "clm_core_app"].map(|role| format!("\"{role}\" \"\"\n")).concat();
        std::fs::write(at.join("users"), users)?;
        let settings = format!(
            "[databases]\n* = host={host}\n[pgbouncer]\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n\
             ignore_startup_parameters = extra_float_digits\nauth_type = trust\nauth_file = {0}/users\n\
             listen_addr =\nlisten_port = 6432\nunix_socket_dir = {0}\n{more}\n",
            at.display()
        );
        std::fs::write(at.join("pgbouncer.ini"), settings)?;
        let mut command = Command::new("/usr/sbin/pgbouncer");
        // It does not run as root, and only PostgreSQL's user may enter the directory of its socket.
        if rustix::process::geteuid().is_root() {
            let (user, group) = postgres_user()?;
            std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755))?;
            chown(at, Some(user), Some(group))?;
            command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
            command.args([user.as_str(), group.as_str(), "--clear-groups", "--", "/usr/sbin/pgbouncer"]);
        }
        let log = std::fs::File::create(at.join("log"))?;
        let child = command.arg(at.join("pgbouncer.ini")).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut pooler = Self { directory, child };
        found(PATIENCE, "pgbouncer", async || {
            let listens = pooler.directory.path().join(".s.PGSQL.6432").exists();
            if listens { Ok(()) } else { Err(format!("{:?}: {}", pooler.child.try_wait(), pooler.log())) }
        })
        .await;
        Ok(pooler)
    }

    /// The same database by way of the pooler.
    pub fn through(&self, url: &str) -> Result<String> {
        let (before, _) = url.split_once("host=").context("a socket directory")?;
        let before = before.replacen("@localhost/", "@localhost:6432/", 1);
        Ok(format!("{before}host={}", self.directory.path().display()))
    }

    /// What it says of itself.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("pgbouncer had ended: {error}");
        }
    }
}
