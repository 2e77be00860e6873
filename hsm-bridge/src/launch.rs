//! Starting a worker process and hearing its first word.

use crate::protocol::{Start, Started};
use crate::{Error, Result, Settings, packet};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A token in software spends a sixth of a signature in malloc: more is kept for the next one, and nothing given back meanwhile. Elsewhere
/// than in glibc this is not read, and `hsm.environment` goes over it.
const TUNABLES: &str = "glibc.malloc.tcache_count=2000:glibc.malloc.tcache_max=16384:glibc.malloc.top_pad=4194304:glibc.malloc.trim_threshold=67108864";

/// Starts `hsm-worker`, tells it what to be, and waits for its answer. The thread that calls this must outlive the process.
pub(crate) fn launch(settings: &Settings, stdin: Stdio, start: &Start) -> Result<(Child, OwnedFd, Result<Started>)> {
    let (control, worker_control) = packet::pair()?;
    let executable = match &settings.executable {
        Some(path) => path.clone(),
        None => std::env::current_exe().map_err(|error| Error::Internal(format!("own executable: {error}")))?,
    };
    let child = Command::new(executable)
        .arg("hsm-worker")
        .env("GLIBC_TUNABLES", TUNABLES)
        .envs(&settings.environment)
        .stdin(stdin)
        .stdout(Stdio::from(worker_control))
        .spawn()
        .map_err(|error| Error::Internal(format!("starting a worker: {error}")))?;
    let answer = match packet::send(&control, start, None).and_then(|()| hear(&control, settings, start)) {
        Ok(Some((Started::Failed(error), _))) => Err(error),
        Ok(Some((answer, _))) => Ok(answer),
        Ok(None) => {
            Err(Error::Unavailable("the process that loads the PKCS#11 module ended: see its message above".into()))
        }
        Err(error) => Err(error),
    };
    Ok((child, control, answer))
}

/// The first word. A call into the vendor's library that hangs must hold up no other worker; what changes the token is never cut off.
fn hear(control: &OwnedFd, settings: &Settings, start: &Start) -> Result<Option<(Started, Option<OwnedFd>)>> {
    let patient = matches!(start, Start::ChangePin { .. } | Start::InitializeToken { .. });
    if !patient && !packet::is_there_within(control, Duration::from_millis(settings.start_ms))? {
        let limit = settings.start_ms;
        let reason =
            format!("the PKCS#11 module did not answer within {limit} ms (hsm.start_ms) when a worker started");
        return Err(Error::Unavailable(reason));
    }
    packet::receive(control)
}

/// Ends a worker and waits for its end.
pub(crate) fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::debug!(%error, "the worker had ended already");
    }
}
