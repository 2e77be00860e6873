//! A PostgreSQL cluster of one's own: durable as in production, reached by a socket, seen by nobody else.
//!
//! PostgreSQL refuses to run as root, so for root it runs as the user `postgres`, who must get at the files: where it cannot (a state
//! directory below /root), the cluster lies in /var/lib/clm-dev instead. A socket's path ends at 107 bytes; below a longer one the
//! socket gets a directory in /tmp.

use super::state::{StateDirectory, random_text};
use anyhow::{Context, Result, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// For root's clusters that cannot lie in their state directory.
const ROOTS: &str = "/var/lib/clm-dev";
/// A socket's name below its directory, and the longest path: 107 bytes (unix(7)).
const LONGEST_DIRECTORY: usize = 107 - "/.s.PGSQL.5432".len();
const ROLES: &str = include_str!("../../../../migrations/bootstrap.sql");

/// Where it lies, and as whom it runs.
#[derive(Debug)]
pub(super) struct Cluster {
    directory: PathBuf,
    socket: PathBuf,
    programs: PathBuf,
    /// `setpriv` and how: PostgreSQL ends when this process does, and is not root.
    launcher: Vec<String>,
    owner: Option<(u32, u32)>,
}

impl Cluster {
    /// The one of that state, made or not.
    pub(super) fn of(state: &StateDirectory) -> Result<Self> {
        let owner = rustix::process::geteuid().is_root().then(postgres_user).transpose()?;
        let inside = state.path("postgresql");
        let directory = match owner {
            Some(_) if !can_be_reached(&inside) => outside(state)?,
            _ => inside,
        };
        let socket =
            if directory.as_os_str().len() <= LONGEST_DIRECTORY { directory.clone() } else { socket_directory(state)? };
        let mut launcher = vec!["setpriv".to_owned(), "--pdeathsig=QUIT".into()];
        if let Some((user, group)) = owner {
            launcher.extend([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]);
        }
        Ok(Self { directory, socket, programs: programs()?, launcher, owner })
    }

    /// initdb. One that does not outlive this process need not have reached the disk.
    pub(super) fn make(&self, is_ephemeral: bool) -> Result<()> {
        let directory = &self.directory;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| directory.display().to_string())?;
        if let Some((user, group)) = self.owner {
            chown(directory, Some(user), Some(group)).with_context(|| directory.display().to_string())?;
        }
        let data = self.data();
        let made = self
            .command("initdb")
            .args(["--username=clm_admin", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--pgdata"])
            .arg(&data)
            .args(is_ephemeral.then_some("--no-sync"))
            .output()
            .context("setpriv (Debian: util-linux) and initdb (Debian: postgresql)")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        Ok(())
    }

    /// Roles, then the two databases.
    pub(super) async fn prepare(&self) -> Result<()> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(ROLES).execute(&mut connection).await.context("roles")?;
        for database in ["clm_secure_db", "clm_core_db"] {
            let statement = format!("CREATE DATABASE {database} OWNER clm_migrate");
            sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.context(database)?;
        }
        connection.close().await?;
        Ok(())
    }

    /// As its administrator.
    pub(super) async fn connect(&self) -> Result<PgConnection> {
        Ok(self.url("clm_admin", "postgres").parse::<PgConnectOptions>()?.connect().await?)
    }

    pub(super) fn url(&self, role: &str, database: &str) -> String {
        let socket = self.socket.display().to_string();
        format!("postgresql://{role}@localhost/{database}?host={}", utf8_percent_encode(&socket, NON_ALPHANUMERIC))
    }

    /// One of PostgreSQL's programs, as the right user; it ends when this thread does.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.launcher[0]);
        // Not in a directory that its user may not enter.
        command
            .args(&self.launcher[1..])
            .arg("--")
            .arg(self.programs.join(program))
            .current_dir("/")
            .stdin(Stdio::null());
        command
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What a start that did not come to its end left.
    pub(super) fn remove(&self) -> Result<()> {
        remove_if_there(&self.directory)
    }
}

pub(super) fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} could not be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// Debian keeps them out of PATH, one directory a version.
fn programs() -> Result<PathBuf> {
    let versions = Path::new("/usr/lib/postgresql").read_dir().into_iter().flatten().flatten();
    let newest = versions
        .map(|entry| entry.path())
        .filter(|path| path.join("bin/initdb").is_file())
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    if let Some(version) = newest {
        return Ok(version.join("bin"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|directory| directory.join("initdb").is_file() && directory.join("postgres").is_file())
        .context("PostgreSQL's initdb is neither below /usr/lib/postgresql nor in PATH; install it (Debian: apt-get install postgresql)")
}

fn postgres_user() -> Result<(u32, u32)> {
    let ask = |what| -> Result<u32> {
        let output = Command::new("id").args([what, "postgres"]).output().context("id")?;
        ensure!(
            output.status.success(),
            "PostgreSQL does not run as root, and there is no user `postgres` to run it as: install it with the system's package manager"
        );
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    Ok((ask("-u")?, ask("-g")?))
}

/// Whether everyone may pass through all directories above.
fn can_be_reached(path: &Path) -> bool {
    let mut above = path.ancestors().skip(1);
    above.all(|directory| directory.metadata().is_ok_and(|there| there.permissions().mode() & 0o001 != 0))
}

/// Below ROOTS, under the name that the state keeps; those whose state is gone are removed.
fn outside(state: &StateDirectory) -> Result<PathBuf> {
    let roots = Path::new(ROOTS);
    DirBuilder::new().recursive(true).mode(0o711).create(roots).context(ROOTS)?;
    ensure!(roots.symlink_metadata()?.uid() == 0, "{ROOTS} must belong to root");
    sweep(roots);
    let name = if let Some(name) = state.read("cluster")? {
        name.expose_secret().to_owned()
    } else {
        let name = random_text()?;
        let owner = roots.join(format!("{name}.state"));
        std::fs::write(&owner, state.directory().as_os_str().as_encoded_bytes()).context(ROOTS)?;
        state.write("cluster", &name.clone().into())?;
        name
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("{} is damaged: remove {}", state.path("cluster").display(), state.directory().display());
    }
    Ok(roots.join(name))
}

fn sweep(roots: &Path) {
    for entry in roots.read_dir().into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "state") {
            continue;
        }
        let Ok(state) = std::fs::read_to_string(&path) else { continue };
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        // A state that was just made has no file yet, but a directory.
        if Path::new(&state).is_dir() {
            continue;
        }
        tracing::info!(state, "its directory is gone; its PostgreSQL cluster is removed too");
        if remove_if_there(&roots.join(name)).is_ok() {
            drop(std::fs::remove_file(path));
        }
    }
}

/// In /tmp, the same at each start.
fn socket_directory(state: &StateDirectory) -> Result<PathBuf> {
    let name = match state.read("socket")? {
        Some(name) => name.expose_secret().to_owned(),
        None => {
            let name = format!("clm-dev-{}", &random_text()?[..12]);
            state.write("socket", &name.clone().into())?;
            name
        }
    };
    let path = Path::new("/tmp").join(name);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error).context("/tmp"),
        _ => {
            let there = path.symlink_metadata()?;
            let is_ours = there.is_dir() && there.uid() == rustix::process::geteuid().as_raw();
            ensure!(is_ours, "{} belongs to somebody else: remove {}", path.display(), state.path("socket").display());
            Ok(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_that_everyone_may_pass_can_be_reached() {
        let temporary = tempfile::TempDir::new_in("/var/tmp").expect("a directory");
        let cluster = temporary.path().join("postgresql");
        let mode = |mode| std::fs::set_permissions(temporary.path(), PermissionsExt::from_mode(mode)).expect("ours");
        mode(0o700);
        assert!(!can_be_reached(&cluster));
        mode(0o711);
        assert!(can_be_reached(&cluster));
    }
}
