//! The worker process: the one place where the vendor's library is loaded.
//!
//! Standard input is the socket to the server (requests, pipelined), standard output the socket to the supervisor (the PIN
//! comes over it). A worker that loses its token ends; the supervisor starts another. So a handle never outlives the
//! initialisation that made it: the process is the epoch.

mod agree;
mod cache;
mod failure;
mod ffi;
mod gcm;
mod generation;
mod kem;
mod mechanism;
mod oaep;
mod objects;
mod operations;
mod probe;
mod sign;
mod spki;
mod template;
mod token;
mod transport;

use crate::protocol::{Reply, Start, Started, encode_frame, read_frame};
use crate::{Error, packet, process};
use operations::Operations;
use std::io::{self, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use token::Token;

/// An orphaned worker may take so long to log in; within two seconds of the server's end nothing of it may run.
const LOGIN_PATIENCE: Duration = Duration::from_millis(1_500);
/// A finished reply waits so long for company: less than one RSA signature takes.
const KEPT_BACK: Duration = Duration::from_micros(300);

/// Body of the hidden subcommand `hsm-worker`.
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "HSM worker ended");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    process::harden().map_err(|error| Error::Internal(format!("prctl: {error}")))?;
    process::lock_memory();
    let server = process::take_stdin().map_err(|error| Error::Internal(format!("stdin: {error}")))?;
    let supervisor = process::take_stdout().map_err(|error| Error::Internal(format!("stdout: {error}")))?;
    let Some((start, _)) = packet::receive::<Start>(&supervisor)? else { return Ok(()) };
    let supervisor = Arc::new(supervisor);
    let prepared = Arc::new(AtomicBool::new(false));
    end_with(Arc::clone(&supervisor), Arc::clone(&prepared));
    let outcome = prepare(start);
    prepared.store(true, Ordering::Release);
    match outcome {
        Ok(Prepared::Done(answer)) => packet::send(&*supervisor, &answer, None),
        Ok(Prepared::Serve(operations, threads)) => {
            process::end_with_parent().map_err(|error| Error::Internal(format!("prctl: {error}")))?;
            packet::send(&*supervisor, &Started::Ready, None)?;
            serve(server, &operations, threads)
        }
        Err(error) => packet::send(&*supervisor, &Started::Failed(error), None),
    }
}

enum Prepared {
    Done(Started),
    Serve(Box<Operations>, u16),
}

fn prepare(start: Start) -> Result<Prepared, Error> {
    match start {
        Start::ChangePin { settings, pin, new } => {
            Token::open(&settings, &pin)?.set_pin(&pin, &new)?;
            Ok(Prepared::Done(Started::Ready))
        }
        Start::InitializeToken { settings, label, so_pin, pin } => {
            token::initialize(&settings, &label, &so_pin, &pin)?;
            Ok(Prepared::Done(Started::Ready))
        }
        Start::Inspect { settings } => Ok(Prepared::Done(Started::Tokens(token::list(&settings)?))),
        Start::Serve { settings, pin, sweeps } => {
            let threads = settings.threads_per_worker.max(1);
            let token = Token::open(&settings, &pin)?;
            Ok(Prepared::Serve(Box::new(Operations::new(token, sweeps)?), threads))
        }
    }
}

/// Ends the process when the supervisor does, also while a call into the vendor's library hangs.
///
/// But a login is let finish: SoftHSM writes `token.object` anew at each, and a process that is killed in the middle leaves it empty and the
/// token lost for good. Hence also no parent-death signal before.
fn end_with(supervisor: Arc<OwnedFd>, prepared: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        // The supervisor sends nothing more: this returns when its end is closed.
        let _closed = packet::receive::<()>(&*supervisor);
        let patience = Instant::now() + LOGIN_PATIENCE;
        while !prepared.load(Ordering::Acquire) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::process::exit(0);
    });
}

/// Threads take turns at reading a request; each works with its own session.
fn serve(server: OwnedFd, operations: &Operations, threads: u16) -> Result<(), Error> {
    let stream = UnixStream::from(server);
    let writer = stream.try_clone().map_err(io_error)?;
    let reader = Mutex::new(BufReader::with_capacity(64 << 10, stream));
    let writer = Mutex::new(Replies { stream: writer, buffer: Vec::with_capacity(64 << 10), since: None });
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| serve_thread(&reader, &writer, operations, threads == 1))).collect();
        let panicked = || Err(Error::Internal("a worker thread panicked".into()));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| panicked()))
    })
}

/// Replies on their way to the server.
struct Replies {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// When the oldest of them was put there.
    since: Option<Instant>,
}

impl Replies {
    /// One write for the replies of a drained batch, but none kept back for long.
    fn push(&mut self, id: u64, reply: &Reply, another_follows: bool) -> Result<(), Error> {
        match encode_frame(&mut self.buffer, id, reply) {
            Err(error @ Error::Refused { .. }) => encode_frame(&mut self.buffer, id, &Reply::Failed(error))?,
            other => other?,
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if !another_follows || self.buffer.len() > 4 << 10 || since.elapsed() > KEPT_BACK {
            self.stream.write_all(&self.buffer).map_err(io_error)?;
            self.buffer.clear();
            self.since = None;
        }
        Ok(())
    }
}

/// `batches`: replies may wait for the next one. Only a lone thread knows that it will come by again.
fn serve_thread(
    reader: &Mutex<BufReader<UnixStream>>,
    writer: &Mutex<Replies>,
    operations: &Operations,
    batches: bool,
) -> Result<(), Error> {
    let session = operations.session()?;
    loop {
        let (frame, more_waiting) = {
            let mut reader = reader.lock().map_err(|_| Error::Internal("poisoned reader".into()))?;
            let frame = read_frame(&mut *reader).map_err(io_error)?;
            let more = !reader.buffer().is_empty();
            (frame, more)
        };
        let Some((id, body)) = frame else { return Ok(()) };
        let reply = match postcard::from_bytes(&body) {
            Ok(request) => operations.perform(&session, request),
            Err(error) => Reply::Failed(Error::Internal(format!("decoding a request: {error}"))),
        };
        let ends = matches!(reply, Reply::Retry(_));
        let mut writer = writer.lock().map_err(|_| Error::Internal("poisoned writer".into()))?;
        writer.push(id, &reply, batches && more_waiting && !ends)?;
        if ends {
            // The token is gone under this process; whatever it holds is stale. Others replay what was in flight.
            std::process::exit(3);
        }
    }
}

fn io_error(error: io::Error) -> Error {
    Error::Internal(format!("worker socket: {error}"))
}
