//! A place for a worker: whoever dies in it is replaced, with back-off, as long as the supervisor is unlocked.

use crate::launch::{end, launch};
use crate::protocol::{Notice, Pin, Start, Started};
use crate::{Error, Result, Settings, packet};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// First and longest pause before a place is filled again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A worker that lived so long starts its successor's back-off anew.
const SETTLED: Duration = Duration::from_secs(5);

pub(super) struct Shared {
    settings: Settings,
    server: Arc<OwnedFd>,
    state: Mutex<State>,
    changed: Condvar,
    /// Simultaneous starts lose tokens: one at a time.
    starting: Mutex<()>,
}

#[derive(Default)]
struct State {
    pin: Option<Pin>,
    /// Number of the newest change of the PIN.
    generation: u64,
    running: BTreeSet<u32>,
}

/// A worker that has logged in.
struct Worker {
    child: Child,
    /// Open as long as the worker may live: it ends when this is closed.
    _control: OwnedFd,
    data: OwnedFd,
}

/// Starts a thread for each place. They wait until there is a PIN.
pub(super) fn start_all(shared: &Arc<Shared>) {
    let places = shared.settings.workers + shared.settings.slow_workers;
    for place in 0..places {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || shared.keep_filled(place));
    }
}

impl Shared {
    pub(super) fn new(settings: Settings, server: Arc<OwnedFd>) -> Self {
        Self { settings, server, state: Mutex::default(), changed: Condvar::new(), starting: Mutex::new(()) }
    }

    /// Another PIN, or none: all workers end, and start again if there is one.
    pub(super) fn change(&self, pin: Option<Pin>, generation: u64) {
        let mut state = self.state();
        state.pin = pin;
        state.generation = generation;
        kill_all(&state);
        self.changed.notify_all();
    }

    /// Kills a worker that the server found silent; only one of ours.
    pub(super) fn kill(&self, pid: u32) {
        if self.state().running.contains(&pid) {
            kill(pid);
        }
    }

    pub(super) fn tell(&self, notice: &Notice, descriptor: Option<&OwnedFd>) {
        if let Err(error) = packet::send(&*self.server, notice, descriptor.map(AsFd::as_fd)) {
            tracing::debug!(%error, "the server is gone");
        }
    }

    fn keep_filled(&self, place: u16) {
        let mut pause = BACK_OFF.0;
        loop {
            let generation = self.wait_for_pin();
            let started = Instant::now();
            let first_slow = place == self.settings.workers || self.settings.slow_workers == 0 && place == 0;
            match self.start_one(first_slow, generation) {
                Ok(worker) => {
                    let pid = worker.child.id();
                    // The PIN may have changed or gone while this one started.
                    let current = {
                        let mut state = self.state();
                        state.running.insert(pid);
                        state.generation == generation
                    };
                    if current {
                        self.tell(&Notice::WorkerStarted { slot: place, pid, generation }, Some(&worker.data));
                    } else {
                        kill(pid);
                    }
                    let Worker { child, _control, data } = worker;
                    drop(data);
                    Worker::reap(child);
                    self.state().running.remove(&pid);
                    self.tell(&Notice::WorkerEnded { slot: place, pid }, None);
                }
                Err(Error::Locked) => continue,
                Err(error) => {
                    self.tell(&Notice::WorkerFailed { slot: place, error, generation }, None);
                }
            }
            if started.elapsed() > SETTLED {
                pause = BACK_OFF.0;
            }
            self.pause(pause, generation);
            pause = (pause * 2).min(BACK_OFF.1);
        }
    }

    /// Starts a worker and waits until it has logged in.
    fn start_one(&self, sweeps: bool, generation: u64) -> Result<Worker> {
        let _one_at_a_time = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let pin = {
            let state = self.state();
            if state.generation != generation {
                return Err(Error::Locked);
            }
            state.pin.clone().ok_or(Error::Locked)?
        };
        let (server_end, worker_end) = packet::stream_pair()?;
        let start = Start::Serve { settings: self.settings.clone(), pin, sweeps };
        let (mut child, control, answer) = launch(&self.settings, Stdio::from(worker_end), &start)?;
        match answer {
            Ok(Started::Ready) => Ok(Worker { child, _control: control, data: server_end }),
            other => {
                end(&mut child);
                let error = other.err().unwrap_or_else(|| Error::Internal("a worker gave a wrong answer".into()));
                if matches!(error, Error::Configuration(_)) {
                    // Asking the operator, never the token again: no place logs in with this PIN any more. Said before the next place may start.
                    let mut state = self.state();
                    if state.generation == generation {
                        state.pin = None;
                    }
                }
                Err(error)
            }
        }
    }

    /// Changes the PIN on the token, by a process that does nothing else.
    pub(super) fn change_pin(&self, new: &Pin) -> Result<()> {
        let _one_at_a_time = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.state().pin.clone().ok_or(Error::Locked)?;
        let start = Start::ChangePin { settings: self.settings.clone(), pin: old, new: new.clone() };
        let (mut child, _control, answer) = launch(&self.settings, Stdio::null(), &start)?;
        end(&mut child);
        answer.map(drop)
    }

    fn wait_for_pin(&self) -> u64 {
        let mut state = self.state();
        while state.pin.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.generation
    }

    fn pause(&self, pause: Duration, generation: u64) {
        let until = Instant::now() + pause;
        let mut state = self.state();
        while state.generation == generation
            && let Some(rest) = until.checked_duration_since(Instant::now())
        {
            state = self.changed.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    fn reap(mut child: Child) {
        match child.wait() {
            Ok(status) if !status.success() => {
                tracing::warn!(pid = child.id(), %status, "an HSM worker ended; another takes its place")
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "waiting for a worker"),
        }
    }
}

fn kill_all(state: &State) {
    for pid in &state.running {
        kill(*pid);
    }
}

fn kill(pid: u32) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    if let Err(error) = kill_process(pid, Signal::KILL) {
        tracing::debug!(%error, "the worker had ended already");
    }
}
