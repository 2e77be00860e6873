//! Directories of `--ephemeral`: gone at the end, or swept by a later start when the end was SIGKILL.
//!
//! Each has a lock file beside it that is held by its process. Who gets that lock may remove both.

use super::state::random_text;
use anyhow::{Context, Result};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Not /tmp, which may be in memory: PostgreSQL's commits must reach a disk.
const BASE: &str = "/var/tmp";
const PREFIX: &str = "clm-dev.";

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Sweeps what the dead left, then makes a new one.
    pub(super) fn make() -> Result<Self> {
        sweep(Path::new(BASE));
        Self::make_in(Path::new(BASE))
    }

    fn make_in(base: &Path) -> Result<Self> {
        loop {
            let path = base.join(format!("{PREFIX}{}", &random_text()?[..12]));
            // A sweeper may have been faster between the two steps; then another name is tried.
            if let Some(lock) = locked(&path).with_context(|| format!("{} must be writable", base.display()))? {
                DirBuilder::new().mode(0o711).create(&path).with_context(|| path.display().to_string())?;
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn lock_path(path: &Path) -> PathBuf {
    path.with_added_extension("lock")
}

/// The lock of that directory; `None`: somebody has it.
fn locked(path: &Path) -> std::io::Result<Option<File>> {
    let name = lock_path(path);
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&name)?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    // Whoever had it last may have removed the name: then this is a lock on nothing.
    let is_ours =
        name.symlink_metadata().is_ok_and(|there| there.ino() == file.metadata().map_or(0, |ours| ours.ino()));
    Ok(is_ours.then_some(file))
}

/// The directory first: while the lock's name is there, so is somebody to finish.
fn remove(path: &Path) {
    for removed in [std::fs::remove_dir_all(path), std::fs::remove_file(lock_path(path))] {
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "could not be removed");
        }
    }
}

fn sweep(base: &Path) {
    let Ok(entries) = base.read_dir() else { return };
    let ours = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        let path = base.join(name.strip_suffix(".lock").unwrap_or(name));
        let is_ours = entry.path().symlink_metadata().is_ok_and(|there| there.uid() == ours && !there.is_symlink());
        if is_ours && let Ok(Some(lock)) = locked(&path) {
            tracing::info!(path = %path.display(), "left behind by a killed `clm dev`; removed");
            remove(&path);
            drop(lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_swept_and_the_living_are_not() {
        let base = tempfile::TempDir::new().expect("a directory");
        let (alive, dead) = (Directory::make_in(base.path()).expect("made"), base.path().join("clm-dev.dead"));
        std::fs::create_dir_all(dead.join("postgresql")).expect("made");
        let other = base.path().join("clm-other");
        std::fs::create_dir(&other).expect("made");
        sweep(base.path());
        assert!(alive.path().is_dir() && other.is_dir());
        assert!(!dead.exists() && !lock_path(&dead).exists());
        drop(alive);
        assert_eq!(base.path().read_dir().expect("there").count(), 1);
    }
}
