//! What supervisor and worker do to themselves when they start.

use std::os::fd::{AsFd, OwnedFd};

/// Keeps this process's memory out of core dumps and other users' debuggers.
pub(crate) fn harden() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Ends this process when the thread that started it ends, whatever it is doing then.
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Whether this process could keep its pages out of swap: tries, and lets them go again.
pub(crate) fn try_lock_memory() -> std::io::Result<()> {
    lock_all()?;
    Ok(rustix::mm::munlockall()?)
}

/// Keeps pages with the PIN out of swap. Needs CAP_IPC_LOCK or no RLIMIT_MEMLOCK: said when it fails, not fatal.
pub(crate) fn lock_memory() {
    if let Err(error) = lock_all() {
        tracing::warn!(%error, "memory is not locked: give the service CAP_IPC_LOCK or LimitMEMLOCK=infinity, so that the PIN cannot be swapped out");
    }
}

/// Under a limit that the pages of now just fit, every later allocation and thread would fail: then none are locked.
fn lock_all() -> std::io::Result<()> {
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{Resource, getrlimit};
    use rustix::thread::{CapabilitySet, capabilities};
    let limited = getrlimit(Resource::Memlock).current.is_some();
    if limited && !capabilities(None)?.effective.contains(CapabilitySet::IPC_LOCK) {
        return Err(rustix::io::Errno::NOMEM.into());
    }
    // Locked when first touched: an allocator reserves far more than it ever uses.
    Ok(mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?)
}

/// Takes standard input for ourselves.
pub(crate) fn take_stdin() -> std::io::Result<OwnedFd> {
    std::io::stdin().as_fd().try_clone_to_owned()
}

/// Takes standard output for ourselves and points it at standard error, so that a vendor's library that prints cannot corrupt our messages.
pub(crate) fn take_stdout() -> std::io::Result<OwnedFd> {
    let ours = std::io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok(ours)
}
