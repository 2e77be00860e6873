//! A device at work: its queue, and the thread that writes.

use super::entry::{Answered, Asked, Draft};
use super::options::DeviceOptions;
use super::sink::Sink;
use crate::app::{Error, Result};
use keyvault::Vault;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Entries that wait for a device; what comes when so many wait is dropped, or refused where it is required.
const WAITING: usize = 4096;
/// Entries whose HMACs are asked of the HSM at once.
const TOGETHER: usize = 64;
/// A required device that has not taken an entry by then fails the request.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is told.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Request(Arc<Asked>),
    Answer(Arc<Answered>),
}

/// One device of this server.
pub(crate) struct AuditDevice {
    /// With its final slash.
    pub(crate) path: String,
    pub(crate) id: Uuid,
    pub(crate) revision: i64,
    pub(crate) options: DeviceOptions,
    queue: SyncSender<Waiting>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    reopen: AtomicBool,
    dropped: AtomicU64,
}

struct Waiting {
    delivery: Delivery,
    written: Option<oneshot::Sender<bool>>,
}

impl fmt::Debug for AuditDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditDevice").field("path", &self.path).field("options", &self.options).finish_non_exhaustive()
    }
}

impl AuditDevice {
    /// Starts its thread, which ends when the device is dropped. Must be called inside a Tokio runtime.
    pub(crate) fn start(path: String, id: Uuid, revision: i64, options: DeviceOptions, vault: Vault) -> Result<Self> {
        let (queue, entries) = sync_channel(WAITING);
        let shared = Arc::new(Shared::default());
        let work = Work {
            path: path.clone(),
            id,
            options: options.clone(),
            vault,
            runtime: Handle::current(),
            shared: Arc::clone(&shared),
            sink: None,
        };
        std::thread::Builder::new()
            .name("audit-device".into())
            .spawn(move || work.run(&entries))
            .map_err(|error| Error::Internal(format!("no thread for an audit device: {error}")))?;
        Ok(Self { path, id, revision, options, queue, shared })
    }

    /// Opens it once, to say what is wrong before it is enabled.
    pub(crate) async fn try_open(options: DeviceOptions) -> Result<()> {
        let opened = tokio::task::spawn_blocking(move || Sink::open(&options).map(drop));
        match tokio::time::timeout(PATIENCE, opened).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(Error::invalid(format!("sanity check failed; unable to open: {error}"))),
            Ok(Err(_)) => Err(Error::Internal("opening an audit device fell".into())),
            Err(_) => Err(Error::invalid("sanity check failed; unable to open: it does not answer")),
        }
    }

    /// Tells it. Of an optional device this returns at once, whatever becomes of the entry.
    pub(crate) async fn tell(&self, delivery: Delivery) -> Result<()> {
        if !self.options.required() {
            if self.queue.try_send(Waiting { delivery, written: None }).is_err() {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(());
        }
        let (written, answer) = oneshot::channel();
        let taken = self.queue.try_send(Waiting { delivery, written: Some(written) }).is_ok();
        if taken && matches!(tokio::time::timeout(PATIENCE, answer).await, Ok(Ok(true))) {
            return Ok(());
        }
        Err(Error::Operator(format!(
            "failed to audit: the required audit device {} does not take entries; mend it, or disable it (DELETE sys/audit/{})",
            self.path,
            self.path.trim_end_matches('/')
        )))
    }

    /// Closes and opens it with its next entry, as after a log was rotated.
    pub(crate) fn reopen(&self) {
        self.shared.reopen.store(true, Ordering::Release);
    }

    /// Entries that it did not take.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

struct Work {
    path: String,
    id: Uuid,
    options: DeviceOptions,
    vault: Vault,
    runtime: Handle,
    shared: Arc<Shared>,
    sink: Option<Sink>,
}

impl Work {
    fn run(mut self, entries: &Receiver<Waiting>) {
        while let Ok(first) = entries.recv() {
            let batch: Vec<Waiting> = std::iter::once(first).chain(entries.try_iter().take(TOGETHER - 1)).collect();
            let lines = self.lines(&batch);
            for (index, waiting) in batch.into_iter().enumerate() {
                let written = lines.as_ref().is_some_and(|lines| self.write(&lines[index]));
                if !written {
                    self.shared.dropped.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(told) = waiting.written {
                    // Whoever waited may have gone.
                    let _ = told.send(written);
                }
            }
        }
    }

    /// Lines, with one question to the HSM for all of them.
    fn lines(&self, batch: &[Waiting]) -> Option<Vec<Vec<u8>>> {
        let hides_accessors = self.options.hides_accessors();
        let mut drafts: Vec<Draft> = batch
            .iter()
            .map(|waiting| match &waiting.delivery {
                Delivery::Request(asked) => Draft::of_request(asked, hides_accessors),
                Delivery::Answer(answered) => Draft::of_answer(answered, hides_accessors),
            })
            .collect();
        let secrets: Vec<String> = drafts.iter_mut().flat_map(Draft::secrets).collect();
        let hashes = match self.runtime.block_on(hashes(&self.vault, self.id, &secrets)) {
            Ok(hashes) => hashes,
            Err(error) => {
                tracing::warn!(device = self.path, %error, "entries of an audit device are lost: the HSM gave no HMACs");
                return None;
            }
        };
        let mut hashes = hashes.into_iter();
        let prefix = self.options.option("prefix").unwrap_or_default();
        Some(drafts.into_iter().map(|draft| draft.line(&mut hashes, prefix)).collect())
    }

    /// A connection that was lost is tried anew, once.
    fn write(&mut self, line: &[u8]) -> bool {
        if self.shared.reopen.swap(false, Ordering::AcqRel) {
            self.sink = None;
        }
        for _ in 0..2 {
            let mut sink = match self.sink.take().map_or_else(|| Sink::open(&self.options), Ok) {
                Ok(sink) => sink,
                Err(error) => {
                    tracing::warn!(device = self.path, %error, "an audit device cannot be opened");
                    return false;
                }
            };
            match sink.write(line) {
                Ok(()) => {
                    self.sink = Some(sink);
                    return true;
                }
                Err(error) => tracing::warn!(device = self.path, %error, "an audit device did not take an entry"),
            }
        }
        false
    }
}

/// `hmac-sha256:…` of each, under the HSM's key and bound to the device.
pub(crate) async fn hashes(vault: &Vault, device: Uuid, secrets: &[String]) -> Result<Vec<String>> {
    if secrets.is_empty() {
        return Ok(Vec::new());
    }
    let values: Vec<Vec<u8>> = secrets.iter().map(|secret| [device.as_bytes(), secret.as_bytes()].concat()).collect();
    let macs = vault.macs_of(keyvault::MacDomain::AuditDevice, &values).await?;
    Ok(macs.iter().map(|mac| format!("hmac-sha256:{}", hex::encode(mac))).collect())
}
