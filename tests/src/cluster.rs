//! A PostgreSQL cluster of a test's own, for what cannot be done to one that others share: ending it, filling its disk, turning fsync off.

use anyhow::{Context, Result, ensure};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const ROLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations/bootstrap.sql");

/// Ended and gone when the test ends.
#[derive(Debug)]
pub struct Cluster {
    directory: TempDir,
    programs: PathBuf,
    options: String,
    /// User and group of `postgres`: PostgreSQL does not run as root.
    owner: Option<(u32, u32)>,
}

impl Cluster {
    /// Makes and starts one; `options` go to `postgres`, `-c fsync=off` for example.
    pub fn start(options: &str) -> Result<Self> {
        // Not /tmp, which may be in memory, and short, because socket paths end at 107 bytes.
        let directory = tempfile::Builder::new().prefix("clm-pg.").tempdir_in("/var/tmp")?;
        let programs = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
        let newest = programs.map(|entry| entry.path().join("bin")).filter(|path| path.join("initdb").is_file()).max();
        let owner = rustix::process::geteuid().is_root().then(postgres_user).transpose()?;
        let cluster = Self { programs: newest.unwrap_or_default(), options: options.to_owned(), owner, directory };
        cluster.own(cluster.directory.path())?;
        cluster
            .run("initdb", &["--username=clm_admin", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])?;
        cluster.resume()?;
        let roles = Command::new("psql").arg(cluster.url()).args(["-qXv", "ON_ERROR_STOP=1", "-f", ROLES]).status()?;
        ensure!(roles.success(), "{ROLES}: {roles}");
        Ok(cluster)
    }

    /// Starts it again.
    pub fn resume(&self) -> Result<()> {
        let socket = self.directory.path().display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{socket}' -c timezone=UTC -c max_connections=100 {}",
            self.options
        );
        let log = format!("--log={socket}/log");
        let started = self.run("pg_ctl", &["--silent", "--wait", "start", &log, "--options", &options, "-D"]);
        started.with_context(|| std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default())
    }

    /// Ends it as a crash would.
    pub fn stop(&self) -> Result<()> {
        self.run("pg_ctl", &["--silent", "--wait", "--mode=immediate", "stop", "-D"])
    }

    /// The postmaster's process.
    pub fn postmaster(&self) -> Result<u32> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        Ok(file.lines().next().unwrap_or_default().parse()?)
    }

    /// URL of the superuser's.
    pub fn url(&self) -> String {
        format!("postgresql://clm_admin@localhost/postgres?host={}", self.directory.path().display())
    }

    /// A directory becomes that of the user that PostgreSQL runs as.
    pub fn own(&self, path: &Path) -> Result<()> {
        if let Some((user, group)) = self.owner {
            chown(path, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// One of PostgreSQL's programs, with the data directory as its last argument.
    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let path = self.programs.join(program);
        let mut command = match self.owner {
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command
                    .args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "--"])
                    .arg(path);
                command
            }
            None => Command::new(path),
        };
        let output = command.args(arguments).arg(self.data()).current_dir("/").output().context("initdb, pg_ctl")?;
        ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("the cluster had ended: {error}");
        }
    }
}

/// User and group that PostgreSQL runs as where tests run as root.
pub(crate) fn postgres_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.starts_with("postgres:")).context("no user postgres")?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    match (fields.next(), fields.next()) {
        (Some(Ok(user)), Some(Ok(group))) => Ok((user, group)),
        _ => anyhow::bail!("{line}"),
    }
}
