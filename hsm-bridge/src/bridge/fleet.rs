//! The workers that live now, and what the supervisor says of them.

use super::connection::Connection;
use crate::protocol::{Command, Notice, Pin};
use crate::{Error, PinSource, Result, Settings, packet};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// Shared by all clones of a bridge.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) settings: Settings,
    state: Mutex<State>,
    /// Grows whenever `state` changes.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) places: Vec<Place>,
    pub(super) locked: bool,
    /// Why no worker could be started, newest first cause.
    pub(super) failure: Option<Error>,
    control: Option<Arc<OwnedFd>>,
    pin_set: Option<Result<()>>,
    /// Number of the newest change of the PIN.
    generation: u64,
    closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) connection: Option<Arc<Connection>>,
    pub(super) starts: u64,
    pub(super) slow: bool,
}

/// Which workers take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Ordinary,
    Slow,
}

impl Fleet {
    /// Starts the supervisor, and again if it dies.
    pub(super) fn start(settings: Settings) -> Result<Arc<Self>> {
        let places = (0..settings.workers + settings.slow_workers)
            .map(|place| Place { slow: place >= settings.workers, ..Place::default() })
            .collect();
        let locked = settings.pin == PinSource::Unlock;
        let state = State { places, locked, ..State::default() };
        let fleet = Arc::new(Self { settings, state: Mutex::new(state), changes: watch::Sender::new(0) });
        let notices = fleet.start_supervisor()?;
        tokio::spawn(Self::follow(Arc::downgrade(&fleet), notices));
        tokio::spawn(Self::watch_silence(Arc::downgrade(&fleet)));
        Ok(fleet)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(super) fn command(&self, command: &Command) -> Result<()> {
        let control = self.state().control.clone();
        match control {
            Some(control) => packet::send(&*control, command, None),
            None => Err(Error::Unavailable("the HSM supervisor is being started again".into())),
        }
    }

    pub(super) fn unlock(&self, pin: Pin) -> Result<()> {
        let generation = self.next_generation(false);
        self.command(&Command::Unlock { pin, generation })
    }

    pub(super) fn lock(&self) -> Result<()> {
        let generation = self.next_generation(true);
        self.command(&Command::Lock { generation })
    }

    pub(super) fn set_pin(&self, pin: Pin) -> Result<()> {
        let generation = {
            let mut state = self.state();
            state.pin_set = None;
            state.generation + 1
        };
        self.command(&Command::SetPin { pin, generation })
    }

    /// From here on what older workers do or say does not count.
    fn next_generation(&self, locked: bool) -> u64 {
        let mut state = self.state();
        state.generation += 1;
        state.locked = locked;
        state.failure = None;
        close_all(&mut state);
        state.generation
    }

    pub(super) fn pin_change(&self) -> Option<Result<()>> {
        self.state().pin_set.take()
    }

    /// The worker for a key: by rendezvous hashing, so that each key is unwrapped once; the idlest instead when the chosen one is clearly busier.
    pub(super) fn pick(
        &self,
        lane: Lane,
        key: Option<Uuid>,
        tolerance: u64,
        except: Option<u32>,
    ) -> Option<Arc<Connection>> {
        let state = self.state();
        let all = |slow: bool| {
            state
                .places
                .iter()
                .filter(move |place| place.slow == slow)
                .filter_map(|place| place.connection.as_ref())
                .filter(move |connection| !connection.is_closed() && Some(connection.pid) != except)
        };
        let slow = lane == Lane::Slow && all(true).next().is_some();
        let idlest = all(slow).min_by_key(|connection| connection.load())?;
        let preferred = key.and_then(|key| all(slow).max_by_key(|connection| rank(key, connection.pid)));
        match preferred {
            Some(preferred) if preferred.load() <= idlest.load() + tolerance => Some(Arc::clone(preferred)),
            _ => Some(Arc::clone(idlest)),
        }
    }

    /// Estimated work of the idlest worker for ordinary requests.
    pub(super) fn backlog(&self) -> Duration {
        let idlest = self.pick(Lane::Ordinary, None, 0, None).map_or(0, |connection| connection.load());
        Duration::from_micros(idlest)
    }

    fn start_supervisor(&self) -> Result<mpsc::UnboundedReceiver<(Notice, Option<OwnedFd>)>> {
        let executable = match &self.settings.executable {
            Some(path) => path.clone(),
            None => std::env::current_exe().map_err(|error| Error::Internal(format!("own executable: {error}")))?,
        };
        let (ours, theirs) = packet::pair()?;
        let ours = Arc::new(ours);
        packet::send(&*ours, &Command::Configure(Box::new(self.settings.clone())), None)?;
        let (notices, receiver) = mpsc::unbounded_channel();
        let control = Arc::clone(&ours);
        let (spawned, outcome) = std::sync::mpsc::channel();
        // The parent-death signal follows the thread that starts a process, so that thread lives as long as the supervisor.
        std::thread::Builder::new()
            .name("hsm-supervisor".into())
            .spawn(move || {
                let child = std::process::Command::new(executable)
                    .arg("hsm-supervisor")
                    .stdin(Stdio::from(theirs))
                    .stdout(Stdio::null())
                    .spawn();
                let mut child = match child {
                    Ok(child) => {
                        drop(spawned.send(Ok(())));
                        child
                    }
                    Err(error) => {
                        drop(spawned.send(Err(Error::Internal(format!("starting the HSM supervisor: {error}")))));
                        return;
                    }
                };
                while let Ok(Some(notice)) = packet::receive::<Notice>(&*control) {
                    if notices.send(notice).is_err() {
                        break;
                    }
                }
                drop(notices);
                if let Err(error) = child.kill().and_then(|()| child.wait()) {
                    tracing::warn!(%error, "waiting for the HSM supervisor");
                }
            })
            .map_err(|error| Error::Internal(format!("thread: {error}")))?;
        outcome.recv().map_err(|_| Error::Internal("the supervisor's thread ended".into()))??;
        self.state().control = Some(ours);
        Ok(receiver)
    }

    async fn follow(fleet: std::sync::Weak<Self>, mut notices: mpsc::UnboundedReceiver<(Notice, Option<OwnedFd>)>) {
        loop {
            while let Some((notice, socket)) = notices.recv().await {
                let Some(fleet) = fleet.upgrade() else { return };
                fleet.note(notice, socket);
            }
            // The last clone of the bridge is gone: then it was told to end.
            if fleet.strong_count() == 0 {
                return;
            }
            tracing::error!("the HSM supervisor ended; starting another");
            tokio::time::sleep(Duration::from_millis(100)).await;
            let Some(fleet) = fleet.upgrade() else { return };
            if fleet.state().closed {
                return;
            }
            fleet.supervisor_lost();
            match fleet.start_supervisor() {
                Ok(receiver) => notices = receiver,
                Err(error) => tracing::error!(%error, "the HSM supervisor cannot be started"),
            }
        }
    }

    /// With the supervisor the PIN is gone: read again from its source, or, under a Shamir seal, locked until unsealed.
    fn supervisor_lost(&self) {
        let mut state = self.state();
        state.control = None;
        state.locked = self.settings.pin == PinSource::Unlock;
        state.generation = 0;
        close_all(&mut state);
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    fn note(&self, notice: Notice, socket: Option<OwnedFd>) {
        let mut state = self.state();
        match notice {
            Notice::PinSet(None) => {
                state.generation += 1;
                close_all(&mut state);
                state.pin_set = Some(Ok(()));
            }
            Notice::PinSet(Some(error)) => state.pin_set = Some(Err(error)),
            Notice::WorkerEnded { slot, pid } => {
                if let Some(place) = state.places.get_mut(usize::from(slot))
                    && place.connection.as_ref().is_some_and(|connection| connection.pid == pid)
                    && let Some(connection) = place.connection.take()
                {
                    connection.close();
                }
            }
            Notice::WorkerFailed { generation, .. } | Notice::WorkerStarted { generation, .. }
                if generation != state.generation => {}
            Notice::WorkerFailed { slot, error, .. } => {
                tracing::warn!(slot, %error, "an HSM worker could not start");
                state.failure = Some(error);
            }
            Notice::WorkerStarted { slot, pid, .. } => {
                let locked = state.locked;
                if let (Some(place), Some(socket), false) = (state.places.get_mut(usize::from(slot)), socket, locked) {
                    match Connection::open(pid, place.slow, socket) {
                        Ok(connection) => {
                            place.starts += 1;
                            place.connection = Some(connection);
                            state.failure = None;
                        }
                        Err(error) => tracing::error!(%error, "an HSM worker's socket cannot be used"),
                    }
                }
            }
        }
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    /// A call into the vendor's library cannot be cancelled: a silent worker is killed and replaced.
    async fn watch_silence(fleet: std::sync::Weak<Self>) {
        let mut warned = Instant::now();
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let Some(fleet) = fleet.upgrade() else { return };
            let connections: Vec<_> =
                fleet.state().places.iter().filter_map(|place| place.connection.clone()).collect();
            for connection in connections {
                let limit = fleet.settings.watchdog_ms * if connection.slow { 12 } else { 1 };
                if connection.silent_ms() > limit {
                    if warned.elapsed() > Duration::from_secs(1) {
                        tracing::error!(
                            pid = connection.pid,
                            silent_ms = connection.silent_ms(),
                            "an HSM worker hangs; killing it"
                        );
                        warned = Instant::now();
                    }
                    connection.close();
                    if let Err(error) = fleet.command(&Command::Kill { pid: connection.pid }) {
                        tracing::error!(%error, "the hanging worker cannot be killed");
                    }
                }
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let mut state = self.state();
        state.closed = true;
        close_all(&mut state);
        // The supervisor ends when this end of its socket is closed; its thread holds another, so say it.
        if let Some(control) = state.control.take()
            && let Err(error) = rustix::net::shutdown(&*control, rustix::net::Shutdown::Both)
        {
            tracing::debug!(%error, "the supervisor had ended already");
        }
    }
}

fn close_all(state: &mut State) {
    for place in &mut state.places {
        if let Some(connection) = place.connection.take() {
            connection.close();
        }
    }
}

/// Rendezvous weight of a worker for a key.
fn rank(key: Uuid, pid: u32) -> u64 {
    let (high, low) = key.as_u64_pair();
    let mut mixed = high ^ low.rotate_left(32) ^ u64::from(pid).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
