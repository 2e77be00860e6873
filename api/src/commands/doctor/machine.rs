//! What the machine lets this process do.

use super::finding::Finding;
use keyvault::hsm_setup;

/// With this user and these limits; a service manager may set others for the service.
pub(super) fn memory_lock() -> Finding {
    match hsm_setup::try_memory_lock() {
        Ok(()) => Finding::ok("memory_lock", "this process may lock its memory, so that the PIN is never swapped out"),
        Err(error) => Finding::warning(
            "memory_lock",
            format!(
                "this process may not lock its memory ({error}), so that the PIN could be swapped out: give the service CAP_IPC_LOCK or LimitMEMLOCK=infinity"
            ),
        ),
    }
}
