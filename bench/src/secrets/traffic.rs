//! A closed loop of requests for secrets over connections that are kept alive.

use super::{LISTED, SIZES, WRITTEN, path, value};
use crate::load::{Answered, VERSIONED, answer};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    List,
    /// One of the secrets of that mount.
    Read(usize),
    Write,
}

pub(super) struct Traffic {
    pub(super) address: String,
    pub(super) token: String,
    pub(super) connections: usize,
    pub(super) asked: Asked,
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const ENDING: u8 = 2;

impl Asked {
    pub(super) fn name(self) -> String {
        match self {
            Self::List => format!("KV list of {LISTED}"),
            Self::Read(size) => format!("KV read, one of {}", SIZES[size].1),
            Self::Write => "KV write".to_owned(),
        }
    }

    /// Type of its records.
    pub(super) fn event(self) -> &'static str {
        match self {
            Self::List => "secret.list",
            Self::Read(_) => "secret.read",
            Self::Write => "secret.write",
        }
    }

    /// Method, path and body of the request of that number.
    fn request(self, number: u64) -> (&'static str, String, String) {
        // Spread over all of them, in no order that a cache would like.
        let one_of = |count: u32| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 % count;
        match self {
            Self::List => ("LIST", format!("hundred/metadata/f{}", one_of(SIZES[0].1 / LISTED)), String::new()),
            Self::Read(size) => {
                ("GET", format!("{}/data/{}", SIZES[size].0, path(one_of(SIZES[size].1))), String::new())
            }
            Self::Write => {
                ("POST", format!("myriad/data/w{}", one_of(WRITTEN)), format!("{{\"data\":{}}}", value(number)))
            }
        }
    }
}

impl Traffic {
    /// A fifth of the window to warm up, then the window.
    pub(super) async fn run(self, window: Duration) -> Result<Answered> {
        let phase = Arc::new(AtomicU8::new(WARMING));
        let mut connections = JoinSet::new();
        for number in 0..self.connections {
            let stream = TcpStream::connect(&self.address).await.context("connecting")?;
            stream.set_nodelay(true)?;
            connections.spawn(one(stream, self.asked, self.token.clone(), (number as u64) << 40, Arc::clone(&phase)));
        }
        tokio::time::sleep(window / 5).await;
        phase.store(MEASURING, Ordering::Relaxed);
        let began = Instant::now();
        tokio::time::sleep(window).await;
        phase.store(ENDING, Ordering::Relaxed);
        let mut answered = Answered { window: began.elapsed(), ..Answered::default() };
        while let Some(one) = connections.join_next().await {
            let one = one??;
            answered.answers += one.answers;
            answered.latencies.extend(one.latencies);
        }
        answered.latencies.sort_unstable();
        Ok(answered)
    }
}

async fn one(mut stream: TcpStream, asked: Asked, token: String, first: u64, phase: Arc<AtomicU8>) -> Result<Answered> {
    let mut answered = Answered::default();
    let mut buffer = Vec::with_capacity(64 << 10);
    for number in first.. {
        if phase.load(Ordering::Relaxed) == ENDING {
            break;
        }
        let (method, path, body) = asked.request(number);
        let request = format!(
            "{method} /v1/{path} HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench\r\nx-vault-token: {token}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let began = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        answer(&mut stream, &mut buffer, VERSIONED).await?;
        answered.answers += 1;
        if phase.load(Ordering::Relaxed) == MEASURING {
            answered.latencies.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok(answered)
}
