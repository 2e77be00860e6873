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
    use rustix::mm::{MlockAllFlags, mlockall, munlockall};
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE)?;
    Ok(munlockall()?)
}

/// Keeps pages with the PIN out of swap. Needs CAP_IPC_LOCK or a RLIMIT_MEMLOCK that is large enough: said when it fails, not fatal.
pub(crate) fn lock_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    if let Err(error) = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE) {
        tracing::warn!(%error, "memory is not locked: give the service CAP_IPC_LOCK or raise LimitMEMLOCK, so that the PIN cannot be swapped out");
    }
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
