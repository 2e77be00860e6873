//! The supervisor process: the one place where the PIN lives. It starts workers, one at a time, and hands the server one end
//! of each worker's socket. It parses no HTTP, its memory is locked and cannot be dumped.

mod pin;
mod slot;

use crate::protocol::{Command, Notice};
use crate::{Error, PinSource, Result, packet, process};
use slot::Shared;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

/// Body of the hidden subcommand `hsm-supervisor`.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "HSM supervisor ended");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    process::end_with_parent()
        .and_then(|()| process::harden())
        .map_err(|error| Error::Internal(format!("prctl: {error}")))?;
    process::lock_memory();
    let server: Arc<OwnedFd> =
        Arc::new(process::take_stdin().map_err(|error| Error::Internal(format!("stdin: {error}")))?);
    let Some((Command::Configure(settings), _)) = packet::receive(&*server)? else { return Ok(()) };
    let source = settings.pin.clone();
    let shared = Arc::new(Shared::new(*settings, Arc::clone(&server)));
    slot::start_all(&shared);
    if source != PinSource::Unlock {
        match pin::read(&source) {
            Ok(pin) => shared.change(Some(pin), 0),
            Err(error) => shared.tell(&Notice::WorkerFailed { slot: 0, error, generation: 0 }, None),
        }
    }
    while let Some((command, _)) = packet::receive::<Command>(&*server)? {
        match command {
            Command::Configure(_) => return Err(Error::Internal("configured twice".into())),
            Command::Kill { pid } => shared.kill(pid),
            Command::Lock { generation } => shared.change(None, generation),
            Command::SetPin { pin, generation } => {
                // A process of its own changes the PIN, then all workers start again with the new one.
                let outcome = shared.change_pin(&pin).map(|()| shared.change(Some(pin), generation));
                shared.tell(&Notice::PinSet(outcome.err()), None);
            }
            Command::Unlock { pin, generation } => shared.change(Some(pin), generation),
        }
    }
    // The server is gone: so are we, and with us the workers (parent-death signal and closed sockets).
    Ok(())
}
