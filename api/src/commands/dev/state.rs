//! The state directory: locked while in use, its secrets readable by their owner alone.

use anyhow::{Context, Result, bail, ensure};
use secrecy::{ExposeSecret, SecretString};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Open, and this process's own until it ends.
#[derive(Debug)]
pub(super) struct StateDirectory {
    path: PathBuf,
    _lock: File,
}

/// `$XDG_STATE_HOME/clm-dev`, or where that is by default.
pub(super) fn default_directory() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME").filter(|path| !path.is_empty()).map(|home| PathBuf::from(home).join(".local/state"))
    };
    let base = state.or_else(home).context("neither XDG_STATE_HOME nor HOME is set: say --state DIR or --ephemeral")?;
    Ok(std::path::absolute(base)?.join("clm-dev"))
}

impl StateDirectory {
    /// Makes it, or takes what is there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Others may pass through (PostgreSQL's user must) but see nothing; what is secret has its own mode.
        DirBuilder::new().recursive(true).mode(0o711).create(path).with_context(|| path.display().to_string())?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join("lock"));
        let lock = lock.with_context(|| format!("{} must be writable", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another `clm dev` runs on {}: use it, or give this one --ephemeral or a --state of its own",
                path.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.path
    }

    /// A first line that was written here before.
    pub(super) fn read(&self, name: &str) -> Result<Option<SecretString>> {
        let path = self.path(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(SecretString::from(text.lines().next().unwrap_or_default().to_owned()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
    }

    /// Writes a file that only its owner reads: whole or not at all, and there after a crash.
    pub(super) fn write(&self, name: &str, text: &SecretString) -> Result<()> {
        let (path, part) = (self.path(name), self.path(&format!("{name}.part")));
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&part)?;
            writeln!(file, "{}", text.expose_secret())?;
            file.sync_all()?;
            std::fs::rename(&part, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().with_context(|| path.display().to_string())
    }

    /// The word `pkcs11` or `shamir`: the one of the first start.
    pub(super) fn seal(&self, wanted: Option<&'static str>) -> Result<super::Seal> {
        let word = match (self.read("seal")?, wanted) {
            (Some(kept), None) => kept.expose_secret().to_owned(),
            (Some(kept), Some(wanted)) => {
                ensure!(
                    kept.expose_secret() == wanted,
                    "{} has the seal {}: leave --seal out, or give a --state of its own",
                    self.path.display(),
                    kept.expose_secret()
                );
                wanted.to_owned()
            }
            (None, wanted) => {
                let word = wanted.unwrap_or("pkcs11");
                self.write("seal", &word.into())?;
                word.to_owned()
            }
        };
        Ok(word.as_str().into())
    }

    /// Whether token and cluster were made to the end.
    pub(super) fn is_prepared(&self) -> bool {
        self.path("prepared").exists()
    }

    pub(super) fn set_prepared(&self) -> Result<()> {
        self.write("prepared", &"token and databases are made".into())
    }
}

/// Text that cannot be guessed, for PINs and tokens.
pub(super) fn random_text() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("no random bytes"))?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_serves_one_at_a_time() {
        let temporary = tempfile::TempDir::new().expect("a directory");
        let path = temporary.path().join("a/b");
        let first = StateDirectory::open(&path).expect("free");
        let refused = StateDirectory::open(&path).expect_err("taken").to_string();
        assert!(refused.contains("another `clm dev`"), "{refused}");
        drop(first);
        StateDirectory::open(&path).expect("free again");
    }

    #[test]
    fn secrets_are_their_owners_and_the_seal_stays() {
        let temporary = tempfile::TempDir::new().expect("a directory");
        let state = StateDirectory::open(temporary.path()).expect("free");
        state.write("pin", &"1234".into()).expect("written");
        assert_eq!(state.path("pin").metadata().expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(state.read("pin").expect("read").expect("there").expose_secret(), "1234");
        assert!(state.read("absent").expect("read").is_none());
        assert_eq!(state.seal(Some("shamir")).expect("first"), super::super::Seal::Shamir);
        assert_eq!(state.seal(None).expect("kept"), super::super::Seal::Shamir);
        assert!(state.seal(Some("pkcs11")).is_err());
    }
}
