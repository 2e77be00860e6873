//! The worker process: the one place where the vendor's library is loaded.
//!
//! Standard input is the socket to the server (requests, pipelined), standard output the socket to the supervisor (the PIN
//! comes over it). A worker that loses its token ends; the supervisor starts another. So a handle never outlives the
//! initialisation that made it: the process is the epoch.

mod cache;
mod ffi;
mod mechanism;
mod operations;
mod probe;
mod spki;
mod template;
mod token;

use crate::protocol::{Reply, Start, Started, encode_frame, read_frame};
use crate::{Error, packet, process};
use operations::Operations;
use std::io::{self, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Mutex;
use token::Token;

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
    match prepare(start) {
        Ok(Prepared::Done(answer)) => packet::send(&supervisor, &answer, None),
        Ok(Prepared::Serve(operations, threads)) => {
            packet::send(&supervisor, &Started::Ready, None)?;
            end_with(supervisor);
            serve(server, &operations, threads)
        }
        Err(error) => packet::send(&supervisor, &Started::Failed(error), None),
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
fn end_with(supervisor: OwnedFd) {
    std::thread::spawn(move || {
        // The supervisor sends nothing more: this returns when its end is closed.
        let _closed = packet::receive::<()>(&supervisor);
        std::process::exit(0);
    });
}

/// Threads take turns at reading a request; each works with its own session.
fn serve(server: OwnedFd, operations: &Operations, threads: u16) -> Result<(), Error> {
    let stream = UnixStream::from(server);
    let writer = stream.try_clone().map_err(io_error)?;
    let reader = Mutex::new(BufReader::with_capacity(64 << 10, stream));
    let writer = Mutex::new((writer, Vec::with_capacity(64 << 10)));
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..threads).map(|_| scope.spawn(|| serve_thread(&reader, &writer, operations))).collect();
        let panicked = || Err(Error::Internal("a worker thread panicked".into()));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| panicked()))
    })
}

fn serve_thread(
    reader: &Mutex<BufReader<UnixStream>>,
    writer: &Mutex<(UnixStream, Vec<u8>)>,
    operations: &Operations,
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
        let (stream, buffer) = &mut *writer;
        encode_frame(buffer, id, &reply)?;
        // One write for all replies of a drained batch, but none kept back for long.
        if !more_waiting || buffer.len() > 4 << 10 || ends {
            stream.write_all(buffer).map_err(io_error)?;
            buffer.clear();
        }
        if ends {
            // The token is gone under this process; whatever it holds is stale. Others replay what was in flight.
            std::process::exit(3);
        }
    }
}

fn io_error(error: io::Error) -> Error {
    Error::Internal(format!("worker socket: {error}"))
}
