//! The server's end of one worker: requests go out pipelined, replies come back by number.

use crate::protocol::{Reply, Request, encode_frame, split_frame};
use crate::{Error, Result};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// Bytes that a buffer has from the start: one that grows leaves what it held behind.
const ROOM: usize = 64 << 10;

/// One living worker.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) pid: u32,
    pub(super) slow: bool,
    started: Instant,
    /// Estimated work sent and not answered, microseconds.
    load: AtomicU64,
    /// Milliseconds after `started` at which the worker last gave a sign of life, or got its first request after being idle.
    heard: AtomicU64,
    closed: AtomicBool,
    outgoing: Mutex<Vec<u8>>,
    flush: Notify,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    replies: HashMap<u64, Asked>,
}

/// A request that the worker has not answered. It counts, for the queue, the load and the watchdog, also when its caller gave up: the worker
/// does not know of that.
#[derive(Debug)]
struct Asked {
    reply: oneshot::Sender<Reply>,
    cost: u64,
}

/// Why no reply came.
pub(super) enum Lost {
    /// The worker ended, or ends, with the request unanswered.
    Worker,
    /// The queue is full.
    Full,
}

impl Connection {
    /// Takes the socket over; must run inside a Tokio runtime.
    pub(super) fn open(pid: u32, slow: bool, socket: OwnedFd) -> Result<Arc<Self>> {
        let failed = |error| Error::Internal(format!("worker socket: {error}"));
        let socket = StdUnixStream::from(socket);
        socket.set_nonblocking(true).map_err(failed)?;
        let (reader, writer) = UnixStream::from_std(socket).map_err(failed)?.into_split();
        let connection = Arc::new(Self {
            pid,
            slow,
            started: Instant::now(),
            load: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            outgoing: Mutex::new(Vec::with_capacity(ROOM)),
            flush: Notify::new(),
            waiting: Mutex::default(),
        });
        tokio::spawn(Arc::clone(&connection).read(reader));
        tokio::spawn(Arc::clone(&connection).write(writer));
        Ok(connection)
    }

    pub(super) fn load(&self) -> u64 {
        self.load.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.waiting).replies.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// How long the worker has been silent while it has something to do, milliseconds.
    pub(super) fn silent_ms(&self) -> u64 {
        if self.in_flight() == 0 { 0 } else { self.now_ms().saturating_sub(self.heard.load(Ordering::Relaxed)) }
    }

    /// Sends a request of estimated `cost` microseconds and waits for its reply.
    pub(super) async fn ask(
        &self,
        request: &Request,
        cost: u64,
        limit: usize,
    ) -> Result<std::result::Result<Reply, Lost>> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = lock(&self.waiting);
            if self.is_closed() {
                return Ok(Err(Lost::Worker));
            }
            if waiting.replies.len() >= limit {
                return Ok(Err(Lost::Full));
            }
            if waiting.replies.is_empty() {
                self.heard.store(self.now_ms(), Ordering::Relaxed);
            }
            let id = waiting.next;
            encode_frame(&mut lock(&self.outgoing), id, request)?;
            waiting.next += 1;
            waiting.replies.insert(id, Asked { reply: sender, cost });
            self.load.fetch_add(cost, Ordering::Relaxed);
        }
        self.flush.notify_one();
        Ok(receiver.await.map_err(|_| Lost::Worker))
    }

    async fn write(self: Arc<Self>, mut writer: OwnedWriteHalf) {
        let mut buffer = Vec::with_capacity(ROOM);
        while !self.is_closed() {
            std::mem::swap(&mut buffer, &mut lock(&self.outgoing));
            if buffer.is_empty() {
                self.flush.notified().await;
                continue;
            }
            if writer.write_all(&buffer).await.is_err() {
                break;
            }
            wipe(&mut buffer, 0);
        }
    }

    async fn read(self: Arc<Self>, mut reader: OwnedReadHalf) {
        let mut buffer = Vec::with_capacity(ROOM);
        while let Ok(1..) = reader.read_buf(&mut buffer).await {
            self.heard.store(self.now_ms(), Ordering::Relaxed);
            match self.dispatch(&buffer) {
                Ok(taken) => {
                    let rest = buffer.len() - taken;
                    buffer.copy_within(taken.., 0);
                    wipe(&mut buffer, rest);
                }
                Err(error) => {
                    tracing::error!(pid = self.pid, %error, "an HSM worker sent what cannot be read");
                    break;
                }
            }
        }
        self.close();
    }

    fn dispatch(&self, buffer: &[u8]) -> std::io::Result<usize> {
        let mut taken = 0;
        while let Some((id, body, length)) = split_frame(&buffer[taken..])? {
            let reply = postcard::from_bytes(body)
                .unwrap_or_else(|error| Reply::Failed(Error::Internal(format!("decoding a reply: {error}"))));
            let asked = lock(&self.waiting).replies.remove(&id);
            if let Some(asked) = asked {
                self.load.fetch_sub(asked.cost, Ordering::Relaxed);
                // Fails only when the caller has given up.
                drop(asked.reply.send(reply));
            }
            taken += length;
        }
        Ok(taken)
    }

    /// Nothing more is sent; whoever waits is told at once (and asks another worker).
    pub(super) fn close(&self) {
        let abandoned = {
            let mut waiting = lock(&self.waiting);
            self.closed.store(true, Ordering::Release);
            std::mem::take(&mut waiting.replies)
        };
        drop(abandoned);
        self.flush.notify_one();
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Cuts a buffer to that length; of requests and replies, which may hold secrets, nothing is left behind it.
fn wipe(buffer: &mut Vec<u8>, length: usize) {
    buffer[length..].fill(0);
    std::hint::black_box(buffer.as_slice());
    buffer.truncate(length);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
